"""Credentials that have to be waited for: read from a file, asked of a command, exchanged for a token, signed with."""
