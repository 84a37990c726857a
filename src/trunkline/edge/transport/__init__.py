"""Two HTTP clients, one protocol: `lean` (HTTP/1.1 on httptools, the default) and `general` (aiohttp: proxies)."""
