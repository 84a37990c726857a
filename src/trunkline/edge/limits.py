"""What a request body may be: so large, so deep."""

from __future__ import annotations

import asyncio
from itertools import accumulate
from typing import Any

from trunkline.core.errors import BadRequest, ClientGone, RequestTimeout, TooLarge

_OTHERS = bytes(set(range(256)) - set(b'[]{}"'))
_STEPS = bytes.maketrans(b"{[}]", b"\x01\x01\xff\xff")
"""An opening bracket is a step of +1, a closing one of -1, as a signed byte."""
_PIECE = 65_536
LARGE = 262_144
"""Bytes from which a body is examined in a thread, so that the streams go on meanwhile."""


async def read_body(receive: Any, declared: bytes | None, limit: int, deadline: float | None = None) -> bytes:
    """The whole request body. `declared` is the content-length header, `deadline` in loop time.

    Raises TooLarge, RequestTimeout, ClientGone.
    """
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        pieces, size = [body], len(body)
        try:
            async with asyncio.timeout_at(deadline):
                while message.get("more_body"):
                    if size > limit:
                        raise _too_large(limit)
                    message = await receive()
                    pieces.append(message.get("body", b""))
                    size += len(pieces[-1])
        except TimeoutError:
            raise RequestTimeout("The request's body did not arrive in the time that the call may take.") from None
        body = b"".join(pieces)
    if message["type"] == "http.disconnect":
        raise ClientGone("The client closed the connection before its request was complete.")
    if len(body) > limit:
        raise _too_large(limit)
    return body


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The request body is larger than {limit} bytes.")


def check_text(body: bytes) -> None:
    """Refuse a body that is no UTF-8, as JSON has to be (RFC 8259, section 8.1): a look at a few fields would not see
    it, and what is kept of a conversation is read again later. Raises BadRequest."""
    if body.isascii():
        return
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"The request body is not valid JSON: {error}.", code="invalid_json") from error


def check_depth(body: bytes, limit: int) -> None:
    """Refuse JSON that nests deeper than `limit`, without parsing it.

    Fewer opening brackets than the limit cannot nest deeper: that settles most bodies. Otherwise a sum runs over the
    brackets outside strings, +1 and -1, in time linear in the body. It goes piece by piece: each is worked by calls
    that hold the interpreter, so their length is how long a stream may wait for a body that is checked in a thread.
    Brackets and braces count alike; whether they match is the JSON parser's to say. Raises BadRequest.
    """
    if body.count(b"{") + body.count(b"[") <= limit:
        return
    depth, inside, carried = 0, 0, b""
    for start in range(0, len(body), _PIECE):
        piece = carried + body[start : start + _PIECE]
        carried = b"\\" if (len(piece) - len(piece.rstrip(b"\\"))) % 2 else b""
        if carried:
            piece = piece[:-1]  # it escapes what comes next
        parts = piece.replace(b"\\\\", b"").replace(b'\\"', b"").translate(_STEPS, _OTHERS).split(b'"')
        steps = memoryview(b"".join(parts[inside::2])).cast("b")
        inside = (inside + len(parts) - 1) % 2
        if max(accumulate(steps, initial=depth)) > limit:
            raise BadRequest(f"The request's JSON is nested deeper than {limit} levels.", code="json_too_deep")
        depth += sum(steps)
