"""Lines of an answer's head, as the gateway itself writes them: what it tells of a call is many short header fields,
and to lay them out at once costs a fraction of naming each.

Text of others in them is made `printable`: names come from callers and from providers, and may hold anything.
"""

from __future__ import annotations

from collections.abc import Iterator

Lines = list[bytes]
"""Each is one header field, or several with line breaks between them, and none after the last. Whoever makes one sees
to it that nothing in it breaks a line."""
MAX_TEXT = 2048
"""Characters: what parsers of heads bear."""


def fields(lines: Lines) -> Iterator[tuple[str, str]]:
    """Names and values."""
    for line in b"\r\n".join(lines).decode("ascii").split("\r\n") if lines else ():
        name, _, value = line.partition(": ")
        yield name, value


def printable(text: str) -> bytes:
    """Header-safe: anything but printable ASCII is escaped, and there is a bound."""
    text = text[:MAX_TEXT]
    if text.isascii() and text.isprintable():
        return text.encode()
    return "".join(c if " " <= c <= "~" else f"\\u{ord(c):04x}" for c in text).encode()
