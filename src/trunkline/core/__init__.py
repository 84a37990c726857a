"""The language of the gateway: what is asked, what is answered, what it costs and how it fails. Pure, no I/O."""
