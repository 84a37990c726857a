"""What a request body may be: so large, so deep."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from trunkline.core.errors import BadRequest, ClientGone, RequestTimeout, TooLarge

_OTHERS = bytes(set(range(256)) - set(b'[]{}"'))
_ALIKE = bytes.maketrans(b"{}", b"[]")
_STRINGS = re.compile(rb'"[^"]*"')


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


def check_depth(body: bytes, limit: int) -> None:
    """Refuse JSON that nests deeper than `limit`, at the speed of bytes operations and without parsing it.

    Fewer opening brackets than the limit cannot nest deeper: that settles most bodies. Otherwise strings are taken out
    and pairs of brackets removed, innermost first: each round takes one level away. Brackets and braces count alike;
    whether they match is the JSON parser's to say. Raises BadRequest.
    """
    if body.count(b"{") + body.count(b"[") <= limit:
        return
    bare = body.replace(b"\\\\", b"").replace(b'\\"', b"").translate(_ALIKE, _OTHERS)
    bare = _STRINGS.sub(b"", bare)
    for _ in range(limit):
        if not bare:
            return
        smaller = bare.replace(b"[]", b"")
        if len(smaller) == len(bare):
            return  # not balanced: the JSON parser will say so
        bare = smaller
    if bare:
        raise BadRequest(f"The request's JSON is nested deeper than {limit} levels.", code="json_too_deep")
