"""Amazon's event stream: binary frames with a checksum over their beginning and one over all.

    4 bytes length of all · 4 bytes length of the headers · CRC-32 of these 8 · headers · payload · CRC-32 of all that

Source: the event stream encoding of the AWS SDKs' specification; every header here is a string (type 7).
"""

from __future__ import annotations

import base64
import struct
import zlib
from functools import lru_cache
from typing import Any

import msgspec

_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_STRING = 7

encode = msgspec.json.encode


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """One message."""
    head = _head(tuple(headers.items()))
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + payload
    return body + struct.pack(">I", zlib.crc32(body))


@lru_cache(maxsize=64)
def _head(headers: tuple[tuple[str, str], ...]) -> bytes:
    """The headers' bytes: a stream has thousands of frames of five kinds."""
    return b"".join(
        struct.pack(f">B{len(name)}sBH", len(name), name.encode(), _STRING, len(value.encode())) + value.encode()
        for name, value in headers
    )


def event(kind: str, content: dict[str, Any]) -> bytes:
    """An event with its padding: the field `p` hides the length of what is said."""
    payload = encode(content)
    padding = _ALPHABET[: zlib.crc32(payload) % len(_ALPHABET) + 1]
    return _event(kind, payload[:-1] + (b"," if content else b"") + b'"p":' + encode(padding) + b"}")


def chunk(content: bytes) -> bytes:
    """An event of InvokeModel: the model's own JSON in base64."""
    return _event("chunk", b'{"bytes":"' + base64.b64encode(content) + b'"}')


def broken() -> bytes:
    """An event whose checksums are right and whose JSON breaks off."""
    return _event("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":')


def _event(kind: str, payload: bytes) -> bytes:
    return frame({":event-type": kind, ":content-type": "application/json", ":message-type": "event"}, payload)


def exception(kind: str, payload: bytes) -> bytes:
    """An error inside a stream. `kind`: as the service's model names it, `internalServerException`."""
    return frame({":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}, payload)


def spoiled(message: bytes) -> bytes:
    """A message whose last checksum is wrong."""
    return message[:-1] + bytes([message[-1] ^ 0xFF])
