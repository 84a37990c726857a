"""A generateContent answer, streamed or whole, read into events.

A chunk of a stream is an answer of its own, with a piece of each candidate; a whole answer is one chunk. There is no
terminator: an answer is whole once every candidate that began has a finish reason, or the prompt was blocked. The end
is told when the body has ended, since a later chunk may still add to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from trunkline.core.errors import UpstreamBroken, UpstreamError, UpstreamProtocol
from trunkline.core.events import (
    ArgumentsDelta,
    Event,
    Failed,
    Finished,
    Logprobs,
    Opaque,
    PartFinished,
    PartKind,
    PartStarted,
    ReasoningDelta,
    SignatureDelta,
    Started,
    TextDelta,
)
from trunkline.dialects.gemini.errors import in_band_error
from trunkline.dialects.gemini.framing import Cutter
from trunkline.dialects.gemini.logprobs import read_logprobs
from trunkline.dialects.gemini.usage import counted, merge_usage, read_usage
from trunkline.dialects.gemini.vocabulary import FINISH_REASONS, NAME, NUMBERED, REASONS, SYNTHETIC
from trunkline.dialects.sse import EventTooLarge

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

_CHUNK = frozenset({"candidates", "usageMetadata", "modelVersion", "responseId", "promptFeedback"})
_CANDIDATE = frozenset({"content", "index", "finishReason", "logprobsResult"})
"""Fields that events carry; the rest goes into `extra`."""

_ID = 24
"""Characters of an answer's id that go into the ids of its calls."""
_MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError, KeyError, AttributeError, ValueError)


class _Candidate:
    """What is open in one alternative of the answer."""

    __slots__ = ("called", "extra", "index", "kind", "part", "reason")

    def __init__(self, index: int) -> None:
        self.index = index
        self.kind: PartKind | None = None
        self.part = -1
        self.called = False
        self.reason: str | None = None
        self.extra: dict[str, Any] = {}


class AnswerReader:
    def __init__(self, stream: bool) -> None:
        self._cutter = Cutter() if stream else None
        self._body = bytearray()
        self._ended = False
        self._id: str | None = None
        self._candidates: dict[int, _Candidate] = {}
        self._parts = 0
        self._calls = 0
        self._feedback: dict[str, Any] | None = None
        """The verdict on a prompt that was blocked."""
        self._usage: dict[str, Any] = {}

    def feed(self, data: bytes) -> Iterable[Event]:
        if self._cutter is None:
            self._body += data
            return ()
        try:
            block = self._cutter.feed(data)
        except EventTooLarge:
            return self._fail(UpstreamProtocol("The upstream sent an event without end."))
        return self._events(block) if block else ()

    def eof(self) -> Iterable[Event]:
        if self._ended:
            return []
        out: list[Event] = []
        if self._cutter is None:
            self._whole(out)
        else:
            if tail := self._cutter.eof():
                out += self._events(tail, torn=True)
            self._end(out)
        return out

    def _fail(self, error: UpstreamError) -> list[Event]:
        """The usage first, where it is known: what broke off was paid for. More may have come since it was counted."""
        if self._ended:
            return []
        self._ended = True
        known = [msgspec.structs.replace(read_usage(self._usage), estimated=True)] if counted(self._usage) else []
        return [*known, Failed(error)]

    def _events(self, block: bytes, torn: bool = False) -> list[Event]:
        """`torn`: the stream ended inside this block, so that it may be half an event."""
        out: list[Event] = []
        assert self._cutter is not None
        try:
            for payload in self._cutter.payloads(block):
                if self._ended:
                    break
                self._chunk(_decode(payload), out)
        except _MALFORMED:
            if not torn:
                out += self._fail(UpstreamProtocol("The upstream sent an event that is not a generateContent answer."))
        return out

    def _whole(self, out: list[Event]) -> None:
        """One chunk; hosts that stream whatever they are asked send an array of them."""
        try:
            answer = _decode(self._body)
            for chunk in answer if isinstance(answer, list) else [answer]:
                if not self._ended:
                    self._chunk(chunk, out)
        except _MALFORMED:
            out += self._fail(UpstreamProtocol("The upstream's answer is not a generateContent answer."))
            return
        for candidate in self._candidates.values():
            candidate.reason = candidate.reason or "FINISH_REASON_UNSPECIFIED"
        self._end(out)

    def _chunk(self, wire: dict[str, Any], out: list[Event]) -> None:
        if wire.get("error"):
            out += self._fail(in_band_error(wire))
            return
        if (usage := wire.get("usageMetadata")) is not None:
            self._usage = merge_usage(self._usage, usage)
        if self._id is None:
            self._start(wire, out)
        if feedback := wire.get("promptFeedback"):
            if feedback.get("blockReason"):
                self._feedback = feedback
            else:
                out.append(Opaque({"promptFeedback": feedback}))
        for position, candidate in enumerate(wire.get("candidates") or ()):
            self._candidate(candidate, position, out)

    def _start(self, wire: dict[str, Any], out: list[Event]) -> None:
        self._id = str(wire.get("responseId") or "")
        extra = {name: value for name, value in wire.items() if name not in _CHUNK}
        out.append(Started(self._id, str(wire.get("modelVersion") or ""), 0, extra or None, NAME))

    def _candidate(self, wire: dict[str, Any], position: int, out: list[Event]) -> None:
        index = wire.get("index", position)
        state = self._candidates.get(index)
        if state is None:
            state = self._candidates[index] = _Candidate(int(index))
        for part in (wire.get("content") or {}).get("parts") or ():
            self._part(state, part, out)
        if (result := wire.get("logprobsResult")) and (said := read_logprobs(result))["content"]:
            out.append(Logprobs(state.index, said))
        if (reason := wire.get("finishReason")) is not None:
            state.reason = NUMBERED.get(reason, "OTHER") if type(reason) is int else str(reason)
        if not _CANDIDATE.issuperset(wire):
            state.extra |= {name: value for name, value in wire.items() if name not in _CANDIDATE}

    # ── Parts ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _part(self, state: _Candidate, wire: dict[str, Any], out: list[Event]) -> None:
        text = wire.get("text")
        if text is not None or wire.keys() <= _SIGNED:
            self._said(state, wire, _checked(text or "", str), out)
            return
        self._close(state, out)
        if (call := wire.get("functionCall")) is not None:
            self._call(state, call, wire.get("thoughtSignature"), out)
            return
        kind: PartKind = "media" if "inlineData" in wire else "opaque"
        self._open(state, kind, out, data=wire)
        self._close(state, out)

    def _said(self, state: _Candidate, wire: dict[str, Any], text: str, out: list[Event]) -> None:
        thought, signature = bool(wire.get("thought")), wire.get("thoughtSignature")
        kind: PartKind = "reasoning" if thought else "text"
        if not text and not signature:
            return
        if state.kind != kind:
            self._close(state, out)
            self._open(state, kind, out)
        if text:
            out.append(ReasoningDelta(state.part, text) if thought else TextDelta(state.part, text))
        if signature:
            out.append(SignatureDelta(state.part, _checked(signature, str)))
            self._close(state, out)  # what follows is not covered by it

    def _call(self, state: _Candidate, call: dict[str, Any], signature: Any, out: list[Event]) -> None:
        name = _checked(call["name"], str)
        call_id = call.get("id") or f"{SYNTHETIC}{(self._id or '')[:_ID]}_{self._calls}"
        self._calls += 1
        state.called = True
        data = {"signature": _checked(signature, str)} if signature else None
        self._open(state, "tool_call", out, (str(call_id), name), data)
        out.append(ArgumentsDelta(state.part, _encode(_checked(call.get("args") or {}, dict)).decode()))
        self._close(state, out)

    def _open(
        self,
        state: _Candidate,
        kind: PartKind,
        out: list[Event],
        called: tuple[str, str] = ("", ""),
        data: dict[str, Any] | None = None,
    ) -> None:
        """`called`: a call's id and name."""
        state.part, state.kind = self._parts, kind
        self._parts += 1
        out.append(PartStarted(state.part, kind, state.index, called[0], called[1], data))

    def _close(self, state: _Candidate, out: list[Event]) -> None:
        if state.kind is not None:
            out.append(PartFinished(state.part))
            state.kind = None

    # ── The end ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _end(self, out: list[Event]) -> None:
        if self._ended:
            return
        states = sorted(self._candidates.values(), key=lambda state: state.index)
        blocked = self._feedback is not None and not states
        if not blocked and (not states or any(state.reason is None for state in states)):
            out += self._fail(UpstreamBroken("The upstream's answer ended before it was complete."))
            return
        self._ended = True
        for state in states:
            self._close(state, out)
            out.append(_finished(state, self._feedback))
        if blocked:
            out.append(Finished("content_filter", 0, None, None, {"promptFeedback": self._feedback}))
        if counted(self._usage):
            out.append(read_usage(self._usage))


_SIGNED = frozenset({"thought", "thoughtSignature"})
"""Fields of a part that holds a signature and nothing else."""


def _finished(state: _Candidate, feedback: dict[str, Any] | None) -> Finished:
    """STOP after calls is a stop to hear their results."""
    wire = state.reason or ""
    reason = REASONS.get(wire, "stop")
    if reason == "stop" and state.called:
        reason = "tool_calls"
    extra = dict(state.extra)
    if FINISH_REASONS[reason] != wire:
        extra["finishReason"] = wire
    if feedback is not None:
        extra["promptFeedback"] = feedback
    return Finished(reason, state.index, None, None, extra or None)


def _checked(value: Any, kind: type) -> Any:
    """Raises TypeError where a host put something else, so that it is told as the upstream's mistake."""
    if type(value) is not kind:
        raise TypeError(value)
    return value
