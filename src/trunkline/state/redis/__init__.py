"""Redis as the hot store: what several workers and machines share within milliseconds, and may lose without harm."""
