"""What may be asked of a provider, one file an operation: the call in, the reply out."""
