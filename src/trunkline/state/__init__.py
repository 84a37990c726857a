"""What outlives a request: keys, ledger and journal. Only `app` and `cli` open it."""
