"""Amazon's event stream encoding (`application/vnd.amazon.eventstream`), bytes to frames and back.

A frame: total length and header length (4 bytes each, big-endian), CRC-32 of those eight bytes, headers, payload,
CRC-32 of all before. A header: length of the name (1 byte), name, type of the value (1 byte), value; those that matter
are strings (type 7, 2-byte length). `:message-type` says whether the frame is an event, an exception or an error.

Source: AWS SDKs, "Event stream encoding" (Smithy specification); bounds as in botocore.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

CONTENT_TYPE = b"application/vnd.amazon.eventstream"
MAX_FRAME = 24 * 1024 * 1024
"""Bytes. More than that is not an event stream."""
MAX_HEADERS = 128 * 1024

_PRELUDE = struct.Struct(">III")
_LENGTHS = struct.Struct(">II")
_CRC = struct.Struct(">I")
_OVERHEAD = _PRELUDE.size + _CRC.size

_FIXED_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header's value by its type: true, false, byte, short, integer, long, timestamp, UUID."""
_SIZED = {6, 7}
"""Types whose value has its length in front: bytes, string."""


class FrameError(ValueError):
    """The bytes are not an event stream, or were damaged on the way."""


class Frame(NamedTuple):
    """`kind`: `event`, `exception` or `error`; `name`: of the event or exception, or the error's code."""

    kind: str
    name: str
    payload: bytes
    message: str = ""
    """Of an error, which has no payload."""


class Cutter:
    """Pieces of a stream in, runs of whole frames out, unread but for their lengths."""

    __slots__ = ("_held", "_wanted")

    def __init__(self) -> None:
        self._held = bytearray()
        self._wanted = 0
        """Bytes that are needed before there is a whole frame: most pieces of a long one are not looked at."""

    def feed(self, data: bytes) -> bytes:
        """Everything up to the last frame border seen so far. Raises FrameError where a length cannot be one."""
        if self._held:
            self._held += data
            if len(self._held) < self._wanted:
                return b""
            data = bytes(self._held)
        cut, self._wanted = _border(data)
        if cut == len(data):
            self._held.clear()
            return data
        self._held = bytearray(memoryview(data)[cut:])
        return data[:cut]

    def eof(self) -> bytes:
        """Half a frame, left when the stream ended."""
        tail = bytes(self._held)
        self._held.clear()
        return tail


def _border(data: bytes) -> tuple[int, int]:
    """(where the last whole frame ends, how long the torn one behind it will be)"""
    at, size = 0, len(data)
    while size - at >= _LENGTHS.size:
        total, headers = _LENGTHS.unpack_from(data, at)
        if not _OVERHEAD + headers <= total <= MAX_FRAME or headers > MAX_HEADERS:
            raise FrameError("a frame of impossible length")
        if total > size - at:
            return at, total
        at += total
    return at, _PRELUDE.size


def frames(block: bytes) -> list[Frame]:
    """The frames of a run of whole ones. Raises FrameError where a checksum or a header is wrong."""
    out: list[Frame] = []
    at = 0
    while at < len(block):
        if len(block) - at < _OVERHEAD:
            raise FrameError("half a frame")
        total, headers, checksum = _PRELUDE.unpack_from(block, at)
        end = at + total
        if total < _OVERHEAD + headers or end > len(block):
            raise FrameError("half a frame")
        if crc32(block[at : at + _LENGTHS.size]) != checksum:
            raise FrameError("the checksum of a frame's head is wrong")
        body = end - _CRC.size
        if crc32(block[at:body]) != _CRC.unpack_from(block, body)[0]:
            raise FrameError("the checksum of a frame is wrong")
        start = at + _PRELUDE.size
        kind, name, message = _meaning(block[start : start + headers])
        out.append(Frame(kind, name, block[start + headers : body], message))
        at = end
    return out


@lru_cache(maxsize=128)
def _meaning(block: bytes) -> tuple[str, str, str]:
    """Kind, name and message by a frame's headers. All frames of one name have the same ones: looked up, not read."""
    headers = _headers(block)
    kind = headers.get(":message-type", "event")
    name = headers.get(f":{'error-code' if kind == 'error' else kind + '-type'}", "")
    return kind, name, headers.get(":error-message", "")


def _headers(block: bytes) -> dict[str, str]:
    """The headers that hold strings. Raises FrameError."""
    out: dict[str, str] = {}
    at = 0
    try:
        while at < len(block):
            start = at + 1
            at = start + block[at]
            name, kind = block[start:at], block[at]
            at += 1
            if kind in _SIZED:
                size = int.from_bytes(block[at : at + 2], "big")
                at += 2
            else:
                size = _FIXED_SIZES[kind]
            if at + size > len(block):
                raise FrameError("a header beyond its frame")
            if kind == 7:
                out[name.decode()] = block[at : at + size].decode()
            at += size
    except (IndexError, KeyError, UnicodeDecodeError) as error:
        raise FrameError("a header that is none") from error
    return out


# ── The way out ────────────────────────────────────────────────────────────────────────────────────────────────────


def event(name: str, payload: bytes) -> bytes:
    """An event, with a payload of JSON."""
    return _framed(_written("event", name), payload)


def exception(name: str, payload: bytes) -> bytes:
    """An exception: nothing follows it."""
    return _framed(_written("exception", name), payload)


@lru_cache(maxsize=128)
def _written(kind: str, name: str) -> bytes:
    """The headers, in the service's own order."""
    headers = ((f":{kind}-type", name), (":content-type", "application/json"), (":message-type", kind))
    return b"".join(
        len(key).to_bytes(1, "big") + key.encode() + b"\x07" + len(value).to_bytes(2, "big") + value.encode()
        for key, value in headers
    )


def _framed(headers: bytes, payload: bytes) -> bytes:
    lengths = _LENGTHS.pack(_OVERHEAD + len(headers) + len(payload), len(headers))
    frame = b"".join((lengths, _CRC.pack(crc32(lengths)), headers, payload))
    return frame + _CRC.pack(crc32(frame))
