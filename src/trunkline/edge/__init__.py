"""The two edges, the only sockets: `server` turns bytes into a Call and a Reply into bytes, `upstream` mirrors it."""
