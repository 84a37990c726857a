"""A Messages answer, streamed or whole, read into events.

A stream is read event by event; only the deltas, which are nearly all of it, are decoded into typed structs, the rest
into dicts. A whole answer is read by the same steps: each of its blocks is one that starts, says everything and stops.

Reading is loose where hosts that imitate the service err: a block that never stopped stops before the next one starts,
a delta in a block of another kind opens its own, a second `message_start` is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from trunkline.core.errors import UpstreamBroken, UpstreamError, UpstreamProtocol
from trunkline.core.events import (
    ArgumentsDelta,
    CitationDelta,
    Event,
    Failed,
    Finished,
    OpaqueDelta,
    PartFinished,
    PartKind,
    PartStarted,
    ReasoningDelta,
    SignatureDelta,
    Started,
    TextDelta,
)
from trunkline.dialects.anthropic.errors import in_band_error
from trunkline.dialects.anthropic.usage import COUNTED, merge_usage, read_usage
from trunkline.dialects.anthropic.vocabulary import NAME, REASONS
from trunkline.dialects.sse import EventTooLarge, Splitter, events


class _Text(Struct, tag="text_delta"):
    text: str


class _Arguments(Struct, tag="input_json_delta"):
    partial_json: str


class _Thought(Struct, tag="thinking_delta"):
    thinking: str


class _Signature(Struct, tag="signature_delta"):
    signature: str


class _Delta(Struct):
    index: int
    delta: _Text | _Arguments | _Thought | _Signature


_decode_delta = msgspec.json.Decoder(_Delta).decode
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

_KINDS: dict[str, PartKind] = {
    "text": "text",
    "thinking": "reasoning",
    "redacted_thinking": "redacted_reasoning",
    "tool_use": "tool_call",
}
"""Block types that are parts; all others are opaque."""

_OWN_FIELDS: dict[PartKind, frozenset[str]] = {
    "text": frozenset({"type", "text", "citations"}),
    "reasoning": frozenset({"type", "thinking", "signature"}),
    "tool_call": frozenset({"type", "id", "name", "input"}),
}
"""Fields of a block that events carry; the rest goes into `PartStarted.data`."""

_ENVELOPE = frozenset({"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"})
"""Fields of a message that events carry, or that every message has alike."""


class AnswerReader:
    def __init__(self, stream: bool) -> None:
        self._splitter = Splitter() if stream else None
        self._body = bytearray()
        self._ended = False
        self._started = False
        self._parts = 0
        self._part = -1
        """The open part, -1 between parts."""
        self._block = -1
        """The number that the upstream gave the open part's block."""
        self._kind: PartKind | None = None
        self._input: Any = None
        """A tool call's arguments as its block began with them, until a delta brings them."""
        self._usage: dict[str, Any] = {}
        self._last: dict[str, Any] = {}
        """`message_delta`, held until `message_stop` makes it final."""

    def feed(self, data: bytes) -> Iterable[Event]:
        if self._splitter is None:
            self._body += data
            return ()
        try:
            block = self._splitter.feed(data)
        except EventTooLarge:
            return self._fail(UpstreamProtocol("The upstream sent an event without end."))
        return self._events(block) if block else ()

    def eof(self) -> Iterable[Event]:
        if self._ended:
            return []
        out = self._events(self._splitter.eof(), torn=True) if self._splitter is not None else self._whole()
        if not self._ended:
            out += self._fail(UpstreamBroken("The upstream's answer ended before it was complete."))
        return out

    def _fail(self, error: UpstreamError) -> list[Event]:
        if self._ended:
            return []
        self._ended = True
        return [Failed(error)]

    # ── Streams ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _events(self, block: bytes, torn: bool = False) -> list[Event]:
        """`torn`: the stream ended inside this block, so that it may be half an event."""
        out: list[Event] = []
        for name, payload in events(block):
            if self._ended:
                break
            try:
                out += self._payload(name, payload)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError, KeyError, AttributeError):
                if torn:
                    break
                out += self._fail(UpstreamProtocol("The upstream sent an event that is not a Messages event."))
        return out

    def _payload(self, name: bytes, payload: bytes) -> Iterable[Event]:
        if name != b"content_block_delta":
            return self._event(_decode(payload))
        try:
            wire = _decode_delta(payload)
        except msgspec.ValidationError:
            return self._unusual_delta(_decode(payload))
        return self._delta(wire)

    def _delta(self, wire: _Delta) -> Iterable[Event]:
        match wire.delta:
            case _Text(text):
                return self._said(wire.index, "text", TextDelta, text)
            case _Thought(text):
                return self._said(wire.index, "reasoning", ReasoningDelta, text)
            case _Signature(signature):
                return self._said(wire.index, "reasoning", SignatureDelta, signature)
            case _Arguments(text):
                if self._kind != "tool_call" or wire.index != self._block:
                    return self._opaque_delta(wire.index, {"type": "input_json_delta", "partial_json": text})
                if not text:
                    return ()
                self._input = None
                return (ArgumentsDelta(self._part, text),)

    def _said(self, block: int, kind: PartKind, delta: Callable[[int, str], Event], text: str) -> Iterable[Event]:
        if self._kind == kind and self._block == block:
            return (delta(self._part, text),) if text else ()
        # It does not belong to the open part: a part of its own.
        return [*self._close(), self._open(block, kind), delta(self._part, text)]

    def _unusual_delta(self, wire: dict[str, Any]) -> Iterator[Event]:
        """A citation, or a kind of delta that we do not know."""
        delta: dict[str, Any] = wire["delta"]
        if delta.get("type") == "citations_delta" and self._kind == "text":
            yield CitationDelta(self._part, delta["citation"])
        else:
            yield from self._opaque_delta(wire["index"], delta)

    def _opaque_delta(self, block: int, delta: dict[str, Any]) -> Iterator[Event]:
        if self._part < 0 or block != self._block:
            raise KeyError(block)  # of a block that is not open: nobody could make sense of it
        yield OpaqueDelta(self._part, delta)

    def _event(self, wire: dict[str, Any]) -> Iterable[Event]:
        match wire.get("type"):
            case "content_block_start":
                return self._block_start(wire["index"], wire["content_block"])
            case "content_block_stop":
                return self._close()
            case "content_block_delta":  # from a host that does not name its events
                return self._unnamed_delta(wire)
            case "message_start":
                return self._start(wire["message"])
            case "message_delta":
                self._usage = merge_usage(self._usage, wire.get("usage"))
                self._last = {**wire, "delta": self._last.get("delta", {}) | (wire.get("delta") or {})}
                return ()
            case "message_stop":
                return self._stop()
            case "error":
                return self._fail(in_band_error(wire))
            case _:  # ping, and events yet to be invented
                return ()

    def _unnamed_delta(self, wire: dict[str, Any]) -> Iterable[Event]:
        try:
            return self._delta(msgspec.convert(wire, _Delta))
        except msgspec.ValidationError:
            return self._unusual_delta(wire)

    def _start(self, message: dict[str, Any]) -> Iterator[Event]:
        if self._started:
            return
        self._started = True
        self._usage = merge_usage({}, message.get("usage"))
        extra = _without(message, _ENVELOPE)
        if self._usage:
            extra["usage"] = dict(self._usage)
        yield Started(str(message.get("id") or ""), str(message.get("model") or ""), 0, extra or None, NAME)

    def _stop(self) -> Iterator[Event]:
        yield from self._close()
        self._ended = True
        delta = dict(self._last.pop("delta", {}))
        wire = delta.pop("stop_reason", None)
        sequence = delta.pop("stop_sequence", None)
        extra = {name: value for name, value in self._last.items() if name not in {"type", "usage"}}
        if wire is not None and wire not in REASONS:
            delta["stop_reason"] = wire
        if delta := _without(delta, frozenset()):
            extra["delta"] = delta
        if usage := _without(self._last.get("usage") or {}, COUNTED):
            extra["usage"] = usage
        yield Finished(
            REASONS.get(wire or "", "stop"),
            stop_sequence=sequence,
            details=delta.get("stop_details"),
            extra=extra or None,
        )
        if self._usage:
            yield read_usage(self._usage)

    # ── Blocks ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _block_start(self, block: int, wire: dict[str, Any]) -> Iterator[Event]:
        yield from self._close()
        kind = _KINDS.get(wire["type"], "opaque")
        match kind:
            case "tool_call":
                yield self._open(block, kind, wire["id"], wire["name"], _without(wire, _OWN_FIELDS[kind]))
                self._input = wire.get("input") or {}
            case "redacted_reasoning":
                yield self._open(block, kind, data={"data": wire["data"]})
            case "opaque":
                yield self._open(block, kind, data=wire)
            case _:
                yield self._open(block, kind, data=_without(wire, _OWN_FIELDS[kind]))
        if text := wire.get("text") if kind == "text" else None:
            yield TextDelta(self._part, text)
        if thought := wire.get("thinking") if kind == "reasoning" else None:
            yield ReasoningDelta(self._part, thought)
        if signature := wire.get("signature") if kind == "reasoning" else None:
            yield SignatureDelta(self._part, signature)
        for citation in (wire.get("citations") if kind == "text" else None) or ():
            yield CitationDelta(self._part, citation)

    def _open(
        self, block: int, kind: PartKind, id: str = "", name: str = "", data: dict[str, Any] | None = None
    ) -> PartStarted:
        if not self._started:
            raise KeyError("message_start")
        self._part, self._block, self._kind = self._parts, block, kind
        self._parts += 1
        return PartStarted(self._part, kind, 0, id, name, data or None)

    def _close(self) -> Iterator[Event]:
        if self._part < 0:
            return
        if self._input is not None:  # no delta came: a call without arguments, or one that began with all of them
            yield ArgumentsDelta(self._part, _encode(self._input).decode())
        yield PartFinished(self._part)
        self._part, self._block, self._kind, self._input = -1, -1, None, None

    # ── Whole answers ──────────────────────────────────────────────────────────────────────────────────────────────

    def _whole(self) -> list[Event]:
        try:
            message = _decode(bytes(self._body))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._fail(UpstreamBroken("The upstream's answer is not whole: it does not end as JSON."))
        try:
            match message["type"]:
                case "message":
                    return list(self._message(message))
                case "error":
                    return self._fail(in_band_error(message))
        except (TypeError, KeyError, AttributeError):
            pass
        return self._fail(UpstreamProtocol("The upstream's answer is not a Messages answer."))

    def _message(self, message: dict[str, Any]) -> Iterator[Event]:
        yield from self._start({name: value for name, value in message.items() if name not in _LATE})
        for index, block in enumerate(message["content"]):
            yield from self._block_start(index, block)
        delta = {name: message[name] for name in ("stop_reason", "stop_sequence", *_LATE) if name in message}
        self._last = {"delta": delta}
        yield from self._stop()


_LATE = ("stop_details", "container")
"""Fields that a stream tells at its end."""


def _without(wire: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in wire.items() if name not in known and value is not None}
