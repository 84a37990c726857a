"""Text of others in a header field: names come from callers and from providers, and may hold anything."""

from __future__ import annotations

MAX_TEXT = 2048
"""Characters: what parsers of heads bear."""


def printable(text: str) -> bytes:
    """Header-safe: anything but printable ASCII is escaped, and there is a bound."""
    text = text[:MAX_TEXT]
    if text.isascii() and text.isprintable():
        return text.encode()
    return "".join(c if " " <= c <= "~" else f"\\u{ord(c):04x}" for c in text).encode()
