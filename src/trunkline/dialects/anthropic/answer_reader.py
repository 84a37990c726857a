"""A Messages answer, streamed or whole, read into events.

A stream is read event by event; only the deltas, which are nearly all of it, are decoded into typed structs, the rest
into dicts. A whole answer is read by the same steps: each of its blocks is one that starts, says everything and stops.

Reading is loose where hosts that imitate the service err: a block that never stopped stops before the next one starts,
a delta in a block of another kind opens its own, a second `message_start` is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
from trunkline.dialects.pieces import PieceReader
from trunkline.dialects.sse import events


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


class AnswerReader(PieceReader):
    def __init__(self, stream: bool) -> None:
        super().__init__(stream)
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

    def eof(self) -> Iterable[Event]:
        if self._ended:
            return []
        out = self._events(self._splitter.eof(), torn=True) if self._splitter is not None else self._whole()
        if not self._ended:
            out += self._fail(UpstreamBroken("The upstream's answer ended before it was complete."))
        return out

    def _fail(self, error: UpstreamError) -> list[Event]:
        """The usage first, where it is known: what broke off was paid for. Of the output little was counted yet."""
        if self._ended:
            return []
        self._ended = True
        counted = [msgspec.structs.replace(read_usage(self._usage), estimated=True)] if self._usage else []
        return [*counted, Failed(error)]

    # ── Streams ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _events(self, block: bytes, torn: bool = False) -> list[Event]:
        """`torn`: the stream ended inside this block, so that it may be half an event."""
        out: list[Event] = []
        for name, payload in events(block):
            if self._ended:
                break
            try:
                self._payload(name, payload, out)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError, KeyError, AttributeError):
                if torn:
                    break
                out += self._fail(UpstreamProtocol("The upstream sent an event that is not a Messages event."))
        return out

    def _payload(self, name: bytes, payload: bytes, out: list[Event]) -> None:
        if name != b"content_block_delta":
            self._event(_decode(payload), out)
            return
        try:
            wire = _decode_delta(payload)
        except msgspec.ValidationError:
            self._unusual_delta(_decode(payload), out)
            return
        self._delta(wire, out)

    def _delta(self, wire: _Delta, out: list[Event]) -> None:
        match wire.delta:
            case _Text(text):
                self._said(wire.index, "text", TextDelta, text, out)
            case _Thought(text):
                self._said(wire.index, "reasoning", ReasoningDelta, text, out)
            case _Signature(signature):
                self._said(wire.index, "reasoning", SignatureDelta, signature, out)
            case _Arguments(text):
                if self._kind != "tool_call" or wire.index != self._block:
                    self._opaque_delta(wire.index, {"type": "input_json_delta", "partial_json": text}, out)
                elif text:
                    self._input = None
                    out.append(ArgumentsDelta(self._part, text))

    def _said(
        self, block: int, kind: PartKind, delta: Callable[[int, str], Event], text: str, out: list[Event]
    ) -> None:
        if self._kind != kind or self._block != block:
            # It does not belong to the open part: a part of its own.
            self._close(out)
            self._open(block, kind, out)
        elif not text:
            return
        out.append(delta(self._part, text))

    def _unusual_delta(self, wire: dict[str, Any], out: list[Event]) -> None:
        """A citation, or a kind of delta that we do not know."""
        delta: dict[str, Any] = wire["delta"]
        if delta.get("type") == "citations_delta" and self._kind == "text":
            out.append(CitationDelta(self._part, delta["citation"]))
        else:
            self._opaque_delta(wire["index"], delta, out)

    def _opaque_delta(self, block: int, delta: dict[str, Any], out: list[Event]) -> None:
        if self._part < 0 or block != self._block:
            raise KeyError(block)  # of a block that is not open: nobody could make sense of it
        out.append(OpaqueDelta(self._part, delta))

    def _event(self, wire: dict[str, Any], out: list[Event]) -> None:
        match wire.get("type"):
            case "content_block_start":
                self._block_start(wire["index"], wire["content_block"], out)
            case "content_block_stop":
                self._close(out)
            case "content_block_delta":  # from a host that does not name its events
                self._unnamed_delta(wire, out)
            case "message_start":
                self._start(wire["message"], _ENVELOPE, out)
            case "message_delta":
                self._usage = merge_usage(self._usage, wire.get("usage"))
                self._last = {**wire, "delta": self._last.get("delta", {}) | (wire.get("delta") or {})}
            case "message_stop":
                self._stop(out)
            case "error":
                out += self._fail(in_band_error(wire))
            case _:  # ping, and events yet to be invented
                pass

    def _unnamed_delta(self, wire: dict[str, Any], out: list[Event]) -> None:
        try:
            known = msgspec.convert(wire, _Delta)
        except msgspec.ValidationError:
            self._unusual_delta(wire, out)
            return
        self._delta(known, out)

    def _start(self, message: dict[str, Any], known: frozenset[str], out: list[Event]) -> None:
        if self._started:
            return
        self._started = True
        self._usage = merge_usage({}, message.get("usage"))
        extra = _without(message, known)
        if self._usage:
            extra["usage"] = self._usage
        out.append(Started(str(message.get("id") or ""), str(message.get("model") or ""), 0, extra or None, NAME))

    def _stop(self, out: list[Event]) -> None:
        self._close(out)
        out.append(_finished(self._last.get("delta") or {}, self._last))
        self._ended = True
        if self._usage:
            out.append(read_usage(self._usage))

    # ── Blocks ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _block_start(self, block: int, wire: dict[str, Any], out: list[Event]) -> None:
        self._close(out)
        kind = _KINDS.get(wire["type"], "opaque")
        match kind:
            case "text":
                self._open(block, kind, out, data=_without(wire, _OWN_FIELDS[kind]))
                if text := _checked(wire.get("text") or "", str):
                    out.append(TextDelta(self._part, text))
                for citation in wire.get("citations") or ():
                    out.append(CitationDelta(self._part, _checked(citation, dict)))
            case "reasoning":
                self._open(block, kind, out, data=_without(wire, _OWN_FIELDS[kind]))
                if thought := _checked(wire.get("thinking") or "", str):
                    out.append(ReasoningDelta(self._part, thought))
                if signature := _checked(wire.get("signature") or "", str):
                    out.append(SignatureDelta(self._part, signature))
            case "tool_call":
                self._open(block, kind, out, (wire["id"], wire["name"]), _without(wire, _OWN_FIELDS[kind]))
                self._input = wire.get("input") or {}
            case "redacted_reasoning":
                self._open(block, kind, out, data={"data": wire["data"]})
            case _:
                self._open(block, kind, out, data=wire)

    def _open(
        self,
        block: int,
        kind: PartKind,
        out: list[Event],
        called: tuple[str, str] = ("", ""),
        data: dict[str, Any] | None = None,
    ) -> None:
        """`called`: a call's id and name."""
        if not self._started:
            raise KeyError("message_start")
        self._part, self._block, self._kind = self._parts, block, kind
        self._parts += 1
        out.append(PartStarted(self._part, kind, 0, called[0], called[1], data or None))

    def _close(self, out: list[Event]) -> None:
        if self._part < 0:
            return
        if self._input is not None:  # no delta came: a call without arguments, or one that began with all of them
            out.append(ArgumentsDelta(self._part, _encode(self._input).decode()))
            self._input = None
        out.append(PartFinished(self._part))
        self._part, self._block, self._kind = -1, -1, None

    # ── Whole answers ──────────────────────────────────────────────────────────────────────────────────────────────

    def _whole(self) -> list[Event]:
        try:
            message = _decode(self._body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._fail(UpstreamBroken("The upstream's answer is not whole: it does not end as JSON."))
        try:
            match message["type"]:
                case "message":
                    return self._message(message)
                case "error":
                    return self._fail(in_band_error(message))
        except (TypeError, KeyError, AttributeError):
            pass
        return self._fail(UpstreamProtocol("The upstream's answer is not a Messages answer."))

    def _message(self, message: dict[str, Any]) -> list[Event]:
        out: list[Event] = []
        self._start(message, _WHOLE, out)
        for index, block in enumerate(message["content"]):
            self._block_start(index, block, out)
        self._last = {"delta": {name: message[name] for name in _AT_END if name in message}}
        self._stop(out)
        return out


def _finished(delta: dict[str, Any], beside: dict[str, Any]) -> Finished:
    """The end as `message_delta` has it: what is `beside` the delta in it goes into `extra`."""
    wire = delta.get("stop_reason")
    more = _without(delta, _STOP)
    if wire is not None and wire not in REASONS:
        more["stop_reason"] = wire
    extra = {name: value for name, value in beside.items() if name not in _ENDING}
    if more:
        extra["delta"] = more
    if (usage := beside.get("usage")) and (uncounted := _without(usage, COUNTED)):
        extra["usage"] = uncounted
    reason = REASONS.get(wire or "", "stop")
    return Finished(reason, 0, delta.get("stop_sequence"), more.get("stop_details"), extra or None)


_LATE = frozenset({"stop_details", "container"})
"""Fields that a stream tells at its end, and a whole answer beside the others."""

_STOP = frozenset({"stop_reason", "stop_sequence"})
_AT_END = ("stop_reason", "stop_sequence", "stop_details", "container")
_WHOLE = _ENVELOPE | _LATE
_ENDING = frozenset({"type", "delta", "usage"})
"""Fields of `message_delta` that are read one by one."""


def _checked(value: Any, kind: type) -> Any:
    """Raises TypeError where a host put something else, so that it is told as the upstream's mistake."""
    if type(value) is not kind:
        raise TypeError(value)
    return value


def _without(wire: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    if known.issuperset(wire):
        return {}
    return {name: value for name, value in wire.items() if name not in known and value is not None}
