"""One message of a WebSocket as the HTTP call that it stands for: the body that the call gets, and its answer's events
as messages.

OpenAI's mode (`responses.connect()` in its SDKs): a `response.create` holds what `POST /v1/responses` takes, and
`stream_id`, the lane that it belongs to. Messages of one lane are answered one after another; each event says its lane.
An error is an event that holds what the HTTP answer would: status, error, header fields.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import Raw, Struct, structs

from trunkline.core.call import Headers
from trunkline.core.errors import BadRequest, GatewayError
from trunkline.dialects import openai_responses
from trunkline.dialects.openai_responses.remembered import DROP, rewritten
from trunkline.dialects.sse import events
from trunkline.edge.lines import fields

MAX_LANE = 64
"""Characters of a lane's name."""

_HANDSHAKE = frozenset(
    {b"connection", b"upgrade", b"host", b"content-length", b"content-type", b"origin", b"transfer-encoding"}
)
"""Header fields that say something of the connection, not of the calls on it."""
_MODE = b"responses_websockets"
"""How clients ask OpenAI itself for this mode, in `openai-beta`."""
_EVENTS = b"text/event-stream"
_BAD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

Write = Callable[[bytes], Awaitable[None]]


class _Message(Struct):
    type: Any = None
    stream_id: Any = None
    background: Any = None
    generate: Any = None
    input: Raw = Raw(b"null")
    previous_response_id: Any = None


class _Error(Struct):
    error: Raw = Raw(b"null")


class _Flat(Struct):
    code: Any = None
    message: Any = None
    param: Any = None


_message = msgspec.json.Decoder(_Message).decode
_error = msgspec.json.Decoder(_Error).decode
_flat = msgspec.json.Decoder(_Flat).decode
_encode = msgspec.json.Encoder().encode


class Asked(Struct, frozen=True):
    """What a message asks. `told`: what it is answered with where it is no call."""

    body: bytes
    lane: str | None = None
    told: bytes = b""
    at_once: bool = False
    """It does not wait for those before it."""


def read(message: bytes) -> Asked:
    """What is no JSON object is a call too: it is refused, and accounted for, as it is over HTTP."""
    try:
        said = _message(message)
    except _BAD:
        return Asked(message)
    lane = said.stream_id if isinstance(said.stream_id, str) and len(said.stream_id) <= MAX_LANE else None
    if said.type == "response.steer":
        return Asked(b"", lane, _not_steered(said), at_once=True)
    refused = _refusal(said, lane)
    if refused is not None:
        return Asked(b"", lane, error_event(refused, lane))
    generate = said.generate if said.generate is False else DROP
    return Asked(rewritten(message, type=DROP, stream_id=DROP, generate=generate, stream=True), lane)


def _refusal(said: _Message, lane: str | None) -> BadRequest | None:
    if said.type != "response.create":
        shown = str(said.type)[:80]
        return BadRequest(f"A message must be of type 'response.create', not {shown!r}.", param="type")
    if said.stream_id is not None and lane is None:
        return BadRequest(f"stream_id must be a string of at most {MAX_LANE} characters.", param="stream_id")
    if said.background:
        return BadRequest("A WebSocket takes no answers in the background: use HTTP for them.", param="background")
    return None


def _not_steered(said: _Message) -> bytes:
    """No provider can be steered over HTTP. The client gets its input back, to send it when the answer has ended."""
    error = {
        "type": "invalid_request_error", "code": "steering_not_supported",
        "message": "Answers cannot be steered here: send the input when this one is complete.",
    }  # fmt: skip
    steer = {"previous_response_id": said.previous_response_id, "input": said.input}
    return _encode({"type": "response.steer.failed", "sequence_number": 0, "error": error, "steer": steer})


def error_event(error: GatewayError, lane: str | None = None) -> bytes:
    """An error that is no call's."""
    return _event(error.status, openai_responses.DIALECT.write_error(error, ""), {}, lane)


def _event(status: int, body: bytes, headers: dict[str, str], lane: str | None) -> bytes:
    said = {"type": "error", "status": status, "error": _object(body), "headers": headers}
    return _encode(said if lane is None else said | {"stream_id": lane})


def _object(body: bytes) -> Any:
    """The error of a body, which may be an upstream's own words."""
    try:
        found = _error(body).error
    except _BAD:
        found = Raw(b"null")
    if bytes(found).startswith(b"{"):
        return found
    return {"type": "server_error", "code": None, "message": body[:500].decode("utf-8", "replace"), "param": None}


def headers(handshake: Headers) -> Headers:
    """The header fields of each call: those that the connection began with, but for its own."""
    return [
        (name, value)
        for name, value in handshake
        if name not in _HANDSHAKE
        and not name.startswith(b"sec-websocket-")
        and not (name == b"openai-beta" and value.startswith(_MODE))
    ]


class Turn:
    """The answer to one message; `receive` and `send` are ASGI's. Each event of a stream is a message of its own."""

    def __init__(self, asked: Asked, write: Write) -> None:
        self._asked = asked
        self._write = write
        self._status = 0
        self._headers: dict[str, str] = {}
        self._streams = False
        self._body = b""
        self.complete = False
        """The whole answer was given."""

    async def receive(self) -> dict[str, Any]:
        return {"type": "http.request", "body": self._asked.body, "more_body": False}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            given = {name.decode("latin-1"): value.decode("latin-1") for name, value in message["headers"]}
            self._headers = {**dict(fields(message["lines"])), **given}
            self._streams = self._status < 400 and self._headers.get("content-type", "").encode().startswith(_EVENTS)
            return
        body, more = message["body"], message.get("more_body", False)
        if self._streams:
            for name, payload in events(body):
                if payload.startswith(b"{"):  # some hosts end their streams as chat does, by a word
                    await self._write(self._told(name, payload))
        else:
            self._body += body
            if not more:
                await self._write(_event(self._status, self._body, self._headers, self._asked.lane))
        self.complete = not more

    def _told(self, name: bytes, payload: bytes) -> bytes:
        changes: dict[str, Any] = {}
        if name == b"error" and b'"error":' not in payload:
            changes["error"] = self._flat(payload)
        if self._asked.lane is not None:
            changes["stream_id"] = self._asked.lane
        return rewritten(payload, **changes) if changes else payload

    def _flat(self, payload: bytes) -> dict[str, Any]:
        """An error whose fields stand beside the event's own, as they do in a stream over HTTP."""
        return {"type": "server_error", **structs.asdict(_flat(payload))}
