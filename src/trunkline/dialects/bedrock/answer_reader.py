"""A Converse answer, streamed or whole, read into events.

A stream's blocks need not begin: only tool calls (and what a server's tool did) have a start of their own, a text or a
thought is there once its first delta comes. So a block opens with whatever names it first, and a delta of another kind
opens another. A whole answer is read by the same steps: each of its blocks starts, says everything and stops.

The end comes in two events: `messageStop` with the reason, then `metadata` with the usage. The first is held for the
second.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import msgspec

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
from trunkline.dialects.bedrock.errors import in_band_error
from trunkline.dialects.bedrock.eventstream import Cutter, FrameError, frames
from trunkline.dialects.bedrock.usage import COUNTED, read_usage
from trunkline.dialects.bedrock.vocabulary import NAME, REASONS, STOP_REASONS

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode

STRANGE = (TypeError, KeyError, AttributeError, ValueError, RecursionError, msgspec.DecodeError)
"""What reading raises where an upstream sent something else."""

_SAID = frozenset({"usage", "stopReason", "output", "p"})
"""Fields of the end that events carry; `p` is padding, which hides lengths from whoever watches the line."""


class Events:
    """Converse's events, whatever they are wrapped in, to ours. Methods raise one of `STRANGE`."""

    def __init__(self) -> None:
        self.ended = False
        self._started = False
        self._parts = 0
        self._part = -1
        """The open part, -1 between parts."""
        self._block = -1
        """The number that the upstream gave the open part's block."""
        self._kind: PartKind | None = None
        self._silent = False
        """The open part is a tool call of which no arguments have come."""
        self._redacted: list[bytes] = []
        """Of the open part: an encrypted thought must be whole before it can be told."""
        self._stop: dict[str, Any] | None = None
        """`messageStop`, until `metadata` follows."""

    def take(self, name: str, wire: dict[str, Any], out: list[Event]) -> None:
        match name:
            case "contentBlockDelta":
                self._delta(wire.get("contentBlockIndex", 0), wire["delta"], out)
            case "contentBlockStart":
                self._block_start(wire.get("contentBlockIndex", 0), wire["start"], out)
            case "contentBlockStop":
                self._close(out)
            case "messageStart":
                self._start(out)
            case "messageStop":
                self._close(out)
                self._stop = wire
            case "metadata":
                self._metadata(wire, out)
            case _:  # events yet to be invented
                pass

    def whole(self, answer: dict[str, Any], out: list[Event]) -> None:
        self._start(out)
        for index, block in enumerate(answer["output"]["message"]["content"]):
            self._whole_block(index, block, out)
            self._close(out)
        self._stop = {"stopReason": answer["stopReason"]}
        self._metadata(answer, out)

    def finish(self, out: list[Event]) -> bool:
        """The stream is over: whether it was whole. Some models leave `metadata` out."""
        if self._stop is None:
            return False
        if not self.ended:
            self._metadata({}, out)
        return True

    # ── Blocks ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _start(self, out: list[Event]) -> None:
        if not self._started:
            self._started = True
            out.append(Started("", "", 0, None, NAME))

    def _open(
        self, block: int, kind: PartKind, out: list[Event], called: tuple[str, str] = ("", ""), data: Any = None
    ) -> None:
        """`called`: a call's id and name."""
        self._close(out)
        self._start(out)
        self._part, self._block, self._kind = self._parts, block, kind
        self._parts += 1
        out.append(PartStarted(self._part, kind, 0, called[0], called[1], data))

    def _close(self, out: list[Event]) -> None:
        if self._redacted:
            thought = base64.b64encode(b"".join(self._redacted)).decode()
            self._redacted.clear()
            self._open(self._block, "redacted_reasoning", out, data={"data": thought})
        if self._part < 0:
            return
        if self._silent:
            out.append(ArgumentsDelta(self._part, "{}"))
            self._silent = False
        out.append(PartFinished(self._part))
        self._part, self._block, self._kind = -1, -1, None

    def _block_start(self, block: int, start: dict[str, Any], out: list[Event]) -> None:
        match start:
            case {"toolUse": dict(call)} if call.get("type") != "server_tool_use":
                self._open(block, "tool_call", out, (call["toolUseId"], call["name"]))
                self._silent = True
            case _:
                self._open(block, "opaque", out, data=start)

    def _delta(self, block: int, delta: dict[str, Any], out: list[Event]) -> None:
        match delta:
            case {"text": str(text)}:
                self._within(block, "text", out)
                if text:
                    out.append(TextDelta(self._part, text))
            case {"toolUse": {"input": str(text)}} if self._kind == "tool_call" and block == self._block:
                if text:
                    self._silent = False
                    out.append(ArgumentsDelta(self._part, text))
            case {"reasoningContent": dict(thought)}:
                self._thought(block, thought, out)
            case {"citation": dict(citation)}:
                self._within(block, "text", out)
                out.append(CitationDelta(self._part, citation))
            case _:
                if self._kind != "opaque":
                    raise KeyError(block)  # of a block that is not open: nobody could make sense of it
                out.append(OpaqueDelta(self._part, delta))

    def _within(self, block: int, kind: PartKind, out: list[Event]) -> None:
        if self._kind != kind or self._block != block:
            self._open(block, kind, out)

    def _thought(self, block: int, thought: dict[str, Any], out: list[Event]) -> None:
        match thought:
            case {"redactedContent": str(data)}:
                if not self._redacted:
                    self._close(out)
                    self._block = block
                self._redacted.append(base64.b64decode(data))
            case {"signature": str(signature)}:
                self._within(block, "reasoning", out)
                out.append(SignatureDelta(self._part, signature))
            case {"text": str(text)}:
                self._within(block, "reasoning", out)
                if text:
                    out.append(ReasoningDelta(self._part, text))
            case _:
                raise KeyError("reasoningContent")

    def _whole_block(self, index: int, block: dict[str, Any], out: list[Event]) -> None:
        """As a stream would have said it."""
        match block:
            case {"text": str(text)}:
                self._delta(index, {"text": text}, out)
            case {"toolUse": dict(call)}:
                self._block_start(index, {"toolUse": _without(call, {"input"})}, out)
                self._delta(index, {"toolUse": {"input": _encode(call["input"]).decode()}}, out)
            case {"reasoningContent": {"reasoningText": dict(thought)}}:
                self._delta(index, {"reasoningContent": {"text": thought.get("text") or ""}}, out)
                if signature := thought.get("signature"):
                    self._delta(index, {"reasoningContent": {"signature": signature}}, out)
            case {"reasoningContent": dict(thought)}:
                self._thought(index, thought, out)
            case {"citationsContent": dict(cited)}:
                self._delta(index, {"text": "".join(each["text"] for each in cited.get("content") or ())}, out)
                for citation in cited.get("citations") or ():
                    out.append(CitationDelta(self._part, citation))
            case {"toolResult": dict(result)}:
                self._block_start(index, {"toolResult": _without(result, {"content"})}, out)
                self._delta(index, {"toolResult": result["content"]}, out)
            case _:
                self._block_start(index, dict(block), out)

    # ── The end ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _metadata(self, wire: dict[str, Any], out: list[Event]) -> None:
        stop = self._stop
        if stop is None or self.ended:
            return
        self._close(out)
        self._start(out)
        self.ended = True
        given = stop.get("stopReason")
        said = given if isinstance(given, str) and given else "end_turn"
        reason = REASONS.get(said, "stop")
        extra = {name: value for name, value in (stop | wire).items() if name not in _SAID and value is not None}
        if STOP_REASONS[reason] != said:
            extra["stopReason"] = said
        usage = wire.get("usage")
        if usage and (uncounted := _without(usage, COUNTED)):
            extra["usage"] = uncounted
        out.append(Finished(reason, 0, None, None, extra or None))
        if usage:
            out.append(read_usage(usage))


class AnswerReader:
    def __init__(self, stream: bool) -> None:
        self._cutter = Cutter() if stream else None
        self._body = bytearray()
        self._events = Events()
        self._failed = False

    def feed(self, data: bytes) -> Iterable[Event]:
        if self._cutter is None:
            self._body += data
            return ()
        out: list[Event] = []
        if self._failed or self._events.ended:
            return out
        try:
            for frame in frames(self._cutter.feed(data)):
                if frame.kind != "event":
                    return out + self._fail(in_band_error(frame))
                self._events.take(frame.name, _decode(frame.payload or b"{}"), out)
        except FrameError as error:
            return out + self._fail(UpstreamProtocol(f"The upstream's event stream is damaged: {error}."))
        except STRANGE:
            return out + self._fail(UpstreamProtocol("The upstream sent an event that is not Converse's."))
        return out

    def eof(self) -> Iterable[Event]:
        out: list[Event] = []
        if self._failed or self._events.ended:
            return out
        if self._cutter is None:
            return self._whole(out)
        if not self._events.finish(out):
            return self._fail(UpstreamBroken("The upstream's answer ended before it was complete."))
        return out

    def _whole(self, out: list[Event]) -> list[Event]:
        try:
            answer = _decode(self._body)
        except STRANGE:
            return self._fail(UpstreamBroken("The upstream's answer is not whole: it does not end as JSON."))
        try:
            self._events.whole(answer, out)
        except STRANGE:
            return self._fail(UpstreamProtocol("The upstream's answer is not a Converse answer."))
        return out

    def _fail(self, error: UpstreamError) -> list[Event]:
        self._failed = True
        return [Failed(error)]


def _without(wire: dict[str, Any], known: Iterable[str]) -> dict[str, Any]:
    return {name: value for name, value in wire.items() if name not in known and value is not None}
