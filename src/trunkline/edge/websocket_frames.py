"""The framing of WebSockets (RFC 6455), without a socket: bytes in, messages out.

Only a server's half, and no extensions: what a client must not send is found here (`Broken`), with the code that the
connection is closed with. Payloads are unmasked as they come, so that a large one never takes long at once.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
"""Kinds of frames (section 5.2)."""
GOING_AWAY, PROTOCOL_ERROR, UNSUPPORTED, NOT_UTF8, POLICY, TOO_BIG, MISTAKE = 1001, 1002, 1003, 1007, 1008, 1009, 1011
"""Why we close a connection (section 7.4.1)."""

_KINDS = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MAX_CONTROL = 125
"""Bytes in a ping, a pong or a close (section 5.5)."""
_SENDABLE = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})
"""Codes that may be in a close frame (section 7.4)."""


class Broken(Exception):
    """The client does what the protocol forbids. `code`: what the connection is closed with."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def accepted(key: bytes) -> bytes | None:
    """The answer to a client's `sec-websocket-key` (section 4.2.2), None where that is no key."""
    try:
        nonce = base64.b64decode(key, validate=True)
    except binascii.Error:
        return None
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest()) if len(nonce) == 16 else None


def frame(kind: int, data: bytes) -> bytes:
    """A whole message from the server, which masks nothing."""
    size = len(data)
    if size <= _MAX_CONTROL:
        return bytes((0x80 | kind, size)) + data
    if size < 65_536:
        return bytes((0x80 | kind, 126)) + size.to_bytes(2, "big") + data
    return bytes((0x80 | kind, 127)) + size.to_bytes(8, "big") + data


def close_frame(code: int, reason: str = "") -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big") + reason.encode()[: _MAX_CONTROL - 2])


class Frames:
    """What a client sends. `limit`: bytes of one message."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._head = bytearray()
        """What has come of the present frame's head."""
        self._final = False
        self._kind = CONTINUATION
        self._mask = b""
        self._left: int | None = None
        """Bytes that the present frame still lacks; None while its head is not whole."""
        self._payload = bytearray()
        """Of the present frame."""
        self._message = bytearray()
        self._open = False
        """A message in fragments has begun."""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The whole messages and control frames that end in this piece: (TEXT, CLOSE, PING or PONG, payload). Raises
        Broken."""
        at = 0
        while at < len(data) or self._left == 0:
            if self._left is None:
                at += self._take_head(data, at)
                continue
            piece = data[at : at + self._left]
            at += len(piece)
            self._left -= len(piece)
            self._payload += _unmasked(piece, self._mask, len(self._payload))
            if not self._left:
                self._left = None
                payload, self._payload = self._payload, bytearray()
                yield from self._ended(payload)

    def _take_head(self, data: bytes, at: int) -> int:
        """Read more of a head: how many bytes of it there were."""
        before = len(self._head)
        self._head += data[at : at + 14 - before]  # the longest: two bytes, a length of eight, a mask of four
        if len(self._head) < 2:
            return len(self._head) - before
        self._check(self._head[0], self._head[1])
        short = self._head[1] & 0x7F
        mask_at = {126: 4, 127: 10}.get(short, 2)
        if len(self._head) < mask_at + 4:
            return len(self._head) - before
        size = short if mask_at == 2 else int.from_bytes(self._head[2:mask_at], "big")
        if size < {4: 126, 10: 65_536}.get(mask_at, 0):
            raise Broken(PROTOCOL_ERROR, "a length must be written in as few bytes as it takes")
        self._begin(size, bytes(self._head[mask_at : mask_at + 4]))
        return mask_at + 4 - before

    def _check(self, first: int, second: int) -> None:
        """What the first two bytes of a head must not say."""
        kind = first & 0x0F
        if first & 0x70:
            raise Broken(PROTOCOL_ERROR, "reserved bits are set, and no extension was agreed on")
        if kind not in _KINDS:
            raise Broken(PROTOCOL_ERROR, "this kind of frame is not defined")
        if not second & 0x80:
            raise Broken(PROTOCOL_ERROR, "a client must mask its frames")
        if kind >= CLOSE and (not first & 0x80 or second & 0x7F > _MAX_CONTROL):
            raise Broken(PROTOCOL_ERROR, "a control frame must be whole, and of at most 125 bytes")
        if kind < CLOSE and (kind == CONTINUATION) != self._open:
            raise Broken(PROTOCOL_ERROR, "a fragment without a beginning, or a message inside another one")
        if kind == BINARY:
            raise Broken(UNSUPPORTED, "messages are text")
        self._final, self._kind = bool(first & 0x80), kind

    def _begin(self, size: int, mask: bytes) -> None:
        if self._kind < CLOSE and len(self._message) + size > self._limit:
            raise Broken(TOO_BIG, f"a message may have {self._limit} bytes (server.max_body_size)")
        self._head.clear()
        self._left, self._mask = size, mask

    def _ended(self, payload: bytearray) -> Iterator[tuple[int, bytes]]:
        if self._kind >= CLOSE:
            if self._kind == CLOSE:
                _check_close(payload)
            yield self._kind, bytes(payload)
            return
        self._open = not self._final
        self._message = self._message + payload if self._message else payload
        if self._final:
            message, self._message = bytes(self._message), bytearray()
            _check_text(message)
            yield TEXT, message


def _unmasked(piece: bytes, mask: bytes, at: int) -> bytes:
    """Section 5.3, as one operation on two long numbers. `at`: where in the payload the piece begins."""
    size = len(piece)
    turned = mask[at % 4 :] + mask[: at % 4]
    pattern = int.from_bytes((turned * (size // 4 + 1))[:size], "big")
    return (int.from_bytes(piece, "big") ^ pattern).to_bytes(size, "big")


def _check_text(text: bytes | bytearray) -> None:
    try:
        text.isascii() or text.decode()
    except UnicodeDecodeError:
        raise Broken(NOT_UTF8, "text must be UTF-8") from None


def _check_close(payload: bytearray) -> None:
    if len(payload) == 1 or (payload and int.from_bytes(payload[:2], "big") not in _SENDABLE):
        raise Broken(PROTOCOL_ERROR, "a close frame has no code, or one that may be sent")
    _check_text(payload[2:])
