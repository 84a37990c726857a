"""The Responses API over a WebSocket: each `response.create` that comes in is played as the HTTP call that it stands
for, and every event of the answer goes out as one message.

So checks, cues, pace and memory are the same on both. Of RFC 6455 only what this needs is here: text messages, whole or
in fragments, pings, and the end; no extensions.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import struct
import urllib.parse
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from trunkline.sim.exchange import Headers

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""What RFC 6455 has every server append to the client's key."""
MAX_MESSAGE = 32 * 1024 * 1024
"""Bytes of one message; more ends the connection."""
MAX_WAITING = 64
"""Messages that may wait for their turn."""
TEXT, CLOSE, PONG = 1, 8, 10
"""Kinds of frames that are sent."""
TOO_BIG = 1009
"""Why a connection is ended that sends too much."""

Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Any]


class ResponsesSocket(asyncio.Protocol):
    """One connection after its handshake. `lost` is called when it ends."""

    def __init__(self, app: App, url: bytes, headers: Headers, extensions: dict[str, Any]) -> None:
        path, _, query = url.partition(b"?")
        self._app = app
        self._key = dict(headers).get(b"sec-websocket-key", b"")
        self._scope = {
            "type": "http", "method": "POST", "path": urllib.parse.unquote(path.decode("latin-1")), "raw_path": path,
            "query_string": query, "headers": headers, "extensions": extensions,
        }  # fmt: skip
        self._received = bytearray()
        self._message = bytearray()
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING)
        self.transport: asyncio.Transport
        self.lost: Callable[[], None] = lambda: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        accepted = base64.b64encode(hashlib.sha1(self._key + GUID, usedforsecurity=False).digest())
        transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-accept: " + accepted + b"\r\n\r\n"
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (frame := _frame(self._received)) is not None:
            self._take(*frame)
        if len(self._received) > MAX_MESSAGE or len(self._message) > MAX_MESSAGE:
            self._end(TOO_BIG)

    def _take(self, final: bool, kind: int, data: bytes) -> None:
        match kind:
            case 0 | 1 | 2:  # continued, text, binary
                self._message += data
                if final:
                    self._put(bytes(self._message))
                    self._message.clear()
            case 8:  # the end
                self._write(CLOSE, data[:2])
                self.transport.close()
            case 9:  # a ping
                self._write(PONG, data)

    def _put(self, message: bytes) -> None:
        try:
            self._waiting.put_nowait(message)
        except asyncio.QueueFull:
            self._end(TOO_BIG)

    def _end(self, code: int) -> None:
        self._write(CLOSE, struct.pack(">H", code))
        self.transport.close()

    def _write(self, kind: int, data: bytes) -> None:
        if self.transport.is_closing():
            return
        length = len(data)
        if length < 126:
            head = struct.pack(">BB", 0x80 | kind, length)
        elif length < 65_536:
            head = struct.pack(">BBH", 0x80 | kind, 126, length)
        else:
            head = struct.pack(">BBQ", 0x80 | kind, 127, length)
        self.transport.write(head + data)

    # ── Messages ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def serve(self) -> None:
        """Answer one message after another, until cancelled."""
        try:
            while True:
                await self._answer(await self._waiting.get())
        finally:
            self.transport.close()

    async def _answer(self, message: bytes) -> None:
        try:
            event = msgspec.json.decode(message, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._refuse(400, {"type": "invalid_request_error", "code": "invalid_json", "message": str(error)})
            return
        kind = event.pop("type", None)
        if kind != "response.create":
            shown = f"Unknown event type: {str(kind)[:80]!r}; the simulator takes 'response.create'."
            self._refuse(400, {"type": "invalid_request_error", "code": "invalid_event", "message": shown})
            return
        reply = _Reply(lambda data: self._write(TEXT, data))
        body = msgspec.json.encode({**event, "stream": True})

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(dict(self._scope), receive, reply.send)
        if reply.status != 200:
            self._refuse(reply.status, reply.error())

    def _refuse(self, status: int, error: dict[str, Any]) -> None:
        self._write(TEXT, msgspec.json.encode({"type": "error", "status": status, "error": {"param": None, **error}}))


class _Reply:
    """What the app sends for one message: events to pass on, or an error to keep."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._held = b""
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            return
        self._held = (self._held + message["body"]).replace(b"\r\n", b"\n")
        if self.status == 200:
            *events, self._held = self._held.split(b"\n\n")
            for event in events:
                self._write(event.partition(b"data: ")[2])

    def error(self) -> dict[str, Any]:
        """The error that was kept, whatever stood in between."""
        try:
            found: dict[str, Any] = msgspec.json.decode(self._held)["error"]
        except (msgspec.DecodeError, KeyError, TypeError):
            return {"type": "server_error", "code": None, "message": self._held[:200].decode("utf-8", "replace")}
        return found


def _frame(received: bytearray) -> tuple[bool, int, bytes] | None:
    """The next whole frame, taken from what was received: whether it ends a message, its kind, and its bytes."""
    if len(received) < 2:
        return None
    length, at = received[1] & 0x7F, 2
    if length >= 126:
        at = 4 if length == 126 else 10
        if len(received) < at:
            return None
        length = int.from_bytes(received[2:at], "big")
    masked = bool(received[1] & 0x80)
    begin = at + 4 * masked
    if len(received) < begin + length:
        return None
    data = bytes(received[begin : begin + length])
    if masked and length:
        key = bytes(received[at:begin]) * (length // 4 + 1)
        data = (int.from_bytes(data, "big") ^ int.from_bytes(key[:length], "big")).to_bytes(length, "big")
    final, kind = bool(received[0] & 0x80), received[0] & 0x0F
    del received[: begin + length]
    return final, kind, data
