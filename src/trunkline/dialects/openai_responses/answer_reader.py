"""A Responses answer, streamed or whole, read into events.

The items of the answer are parts of the core: a message one part for each of its contents, a thought, a call; the work
of a built-in tool is opaque. A whole answer is read by the same steps as a stream: each of its items is one that is
added, says everything and is done.

Reading is loose where hosts differ: an item that is never done is done when the next one is added, text that no delta
brought comes out of the `done` event, one host ends with chat's `[DONE]`, another numbers nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from trunkline.core.errors import UpstreamBroken, UpstreamError, UpstreamProtocol
from trunkline.core.events import (
    ArgumentsDelta,
    CitationDelta,
    Event,
    Failed,
    Logprobs,
    OpaqueDelta,
    PartFinished,
    PartKind,
    PartStarted,
    ReasoningDelta,
    SignatureDelta,
    TextDelta,
)
from trunkline.core.usage import Usage
from trunkline.dialects.openai_errors import in_band_error
from trunkline.dialects.openai_responses.ending import ended, started, token_logprobs
from trunkline.dialects.openai_responses.usage import read_usage
from trunkline.dialects.openai_responses.vocabulary import signed
from trunkline.dialects.openai_responses.wire import StreamEvent, decode_event
from trunkline.dialects.pieces import PieceReader
from trunkline.dialects.sse import events

_decode = msgspec.json.Decoder().decode

_BAD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError, KeyError, AttributeError)
"""What an answer that is none raises somewhere on the way."""

_CONTENTS: Mapping[str, PartKind] = {"output_text": "text", "refusal": "refusal"}
_CALLS: Mapping[str, tuple[PartKind, str]] = {
    "function_call": ("tool_call", "arguments"),
    "custom_tool_call": ("custom_tool_call", "input"),
}
"""Item types that are calls: the part's kind, and what the item calls its text."""

_SHOWN = frozenset({"type", "call_id", "name", "arguments", "input", "status"})
"""Fields of a call that events carry."""


class AnswerReader(PieceReader):
    def __init__(self, stream: bool) -> None:
        super().__init__(stream)
        self._started = False
        self._parts = 0
        self._part = -1
        """The open part, -1 between parts."""
        self._kind: PartKind | None = None
        self._slot: tuple[Any, Any] | None = None
        """The item and the content within it that the open part is."""
        self._item: dict[str, Any] = {}
        """The item that was added last."""
        self._said = False
        """Deltas have brought something of the open part."""
        self._section: Any = None
        """Which piece of a thought's text is being said."""
        self._calls = False
        self._usage: Usage | None = None

    def eof(self) -> Iterable[Event]:
        if self._ended:
            return []
        out = self._events(self._splitter.eof(), torn=True) if self._splitter is not None else self._whole()
        if not self._ended:
            out += self._fail(UpstreamBroken("The upstream's answer ended before it was complete."))
        return out

    def _fail(self, error: UpstreamError) -> list[Event]:
        """The usage first, where it is known: what broke off was paid for."""
        if self._ended:
            return []
        self._ended = True
        return [self._usage, Failed(error)] if self._usage is not None else [Failed(error)]

    # ── Streams ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _events(self, block: bytes, torn: bool = False) -> list[Event]:
        """`torn`: the stream ended inside this block, so that it may be half an event."""
        out: list[Event] = []
        for _, payload in events(block):
            if self._ended:
                break
            if payload == b"[DONE]":
                continue
            try:
                wire = decode_event(payload)
                if (take := _TAKE.get(wire.type)) is not None:
                    take(self, wire, out)  # others tell the progress of built-in tools, or are yet to be invented
            except _BAD:
                if torn:
                    break
                out += self._fail(UpstreamProtocol("The upstream sent an event that is not a Responses event."))
        return out

    def _created(self, wire: StreamEvent, out: list[Event]) -> None:
        if not self._started:
            self._started = True
            out.append(started(wire.response))

    def _text(self, wire: StreamEvent, out: list[Event]) -> None:
        self._within("text", wire, out)
        if wire.delta:
            self._said = True
            out.append(TextDelta(self._part, _string(wire.delta)))
        if wire.logprobs:
            out.append(Logprobs(0, {"content": token_logprobs(wire.logprobs)}))

    def _refusal(self, wire: StreamEvent, out: list[Event]) -> None:
        self._within("refusal", wire, out)
        if wire.delta:
            self._said = True
            out.append(TextDelta(self._part, _string(wire.delta)))

    def _thought(self, wire: StreamEvent, out: list[Event]) -> None:
        """A thought is told in sections: its summary has several, its full text is another. A blank line parts them."""
        if self._kind != "reasoning":
            self._open((wire.output_index, None), "reasoning", out)
        section = wire.type, wire.summary_index if wire.summary_index is not None else wire.content_index
        if wire.delta:
            text = _string(wire.delta)
            if self._said and section != self._section:
                text = "\n\n" + text
            self._said, self._section = True, section
            out.append(ReasoningDelta(self._part, text))

    def _arguments(self, wire: StreamEvent, out: list[Event]) -> None:
        if wire.delta and self._kind in {"tool_call", "custom_tool_call"}:
            self._said = True
            out.append(ArgumentsDelta(self._part, _string(wire.delta)))

    def _within(self, kind: PartKind, wire: StreamEvent, out: list[Event]) -> None:
        """The open part is this one from here on."""
        slot = wire.output_index, wire.content_index
        if self._kind != kind or self._slot != slot:
            self._open(slot, kind, out, data=self._remarks())

    def _text_done(self, wire: StreamEvent, out: list[Event]) -> None:
        """Text of which no delta came: some hosts send it whole."""
        kind: PartKind = "refusal" if wire.type == "response.refusal.done" else "text"
        whole = wire.refusal if kind == "refusal" else wire.text
        if whole and not (self._kind == kind and self._said):
            wire.delta = whole
            self._text(wire, out) if kind == "text" else self._refusal(wire, out)

    def _annotation(self, wire: StreamEvent, out: list[Event]) -> None:
        self._within("text", wire, out)
        out.append(CitationDelta(self._part, _checked(wire.annotation, dict)))

    def _part_added(self, wire: StreamEvent, out: list[Event]) -> None:
        kind = _CONTENTS.get(_checked(wire.part, dict).get("type", ""))
        if kind is not None:
            self._open((wire.output_index, wire.content_index), kind, out, data=self._remarks())

    def _added(self, wire: StreamEvent, out: list[Event]) -> None:
        self._close(out)
        self._begin(_checked(wire.item, dict), wire.output_index, out)

    def _done(self, wire: StreamEvent, out: list[Event]) -> None:
        self._end(_checked(wire.item, dict), wire.output_index, out)

    def _failed(self, wire: StreamEvent, out: list[Event]) -> None:
        response = _checked(wire.response, dict)
        self._created(wire, out)
        self._usage = read_usage(response.get("usage") or {}) if response.get("usage") else None
        out += self._fail(in_band_error(response.get("error") or {}))

    def _error(self, wire: StreamEvent, out: list[Event]) -> None:
        out += self._fail(in_band_error(wire.error or {"code": wire.code, "message": wire.message}))

    def _completed(self, wire: StreamEvent, out: list[Event]) -> None:
        self._created(wire, out)
        self._finish(_checked(wire.response, dict), out)

    def _finish(self, response: dict[str, Any], out: list[Event]) -> None:
        self._close(out)
        self._ended = True
        out.append(ended(response, self._calls))
        if response.get("usage") is not None and (usage := read_usage(response["usage"])) is not None:
            out.append(usage)

    # ── Items ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _begin(self, item: dict[str, Any], index: Any, out: list[Event]) -> None:
        self._item = item
        kind = item.get("type")
        if kind == "message":
            return
        if kind == "reasoning":
            self._open((index, None), "reasoning", out, data={"id": item["id"]} if item.get("id") else None)
        elif (call := _CALLS.get(str(kind))) is not None:
            self._calls = True
            data = {name: value for name, value in item.items() if name not in _SHOWN and value is not None}
            called = str(item.get("call_id") or item.get("id") or ""), str(item.get("name") or "")
            self._open((index, None), call[0], out, called, data or None)
        else:
            self._open((index, None), "opaque", out, data=item)

    def _end(self, item: dict[str, Any], index: Any, out: list[Event]) -> None:
        """All of the item, once more: what no delta has brought is in it."""
        kind = item.get("type")
        if kind == "message":
            self._item = item
            if not (self._part >= 0 and self._slot is not None and self._slot[0] == index):
                self._unsaid(item, index, out)
        elif self._slot != (index, None):
            return
        elif kind == self._kind == "reasoning":
            self._reasoned(item, out)
        elif (call := _CALLS.get(str(kind))) is not None and call[0] == self._kind:
            if not self._said and (text := item.get(call[1])):
                out.append(ArgumentsDelta(self._part, _string(text)))
        elif self._kind == "opaque":
            out.append(OpaqueDelta(self._part, {"type": "response.output_item.done", "item": item}))
        self._close(out)

    def _unsaid(self, item: dict[str, Any], index: Any, out: list[Event]) -> None:
        for number, content in enumerate(item.get("content") or ()):
            kind = _CONTENTS.get(content.get("type", ""))
            if kind is None or self._slot == (index, number):
                continue
            self._open((index, number), kind, out, data=self._remarks())
            if text := content.get("text") or content.get("refusal"):
                out.append(TextDelta(self._part, _string(text)))
            for annotation in content.get("annotations") or ():
                out.append(CitationDelta(self._part, _checked(annotation, dict)))
            if content.get("logprobs"):
                out.append(Logprobs(0, {"content": token_logprobs(content["logprobs"])}))

    def _reasoned(self, item: dict[str, Any], out: list[Event]) -> None:
        if not self._said:
            texts = [_string(part["text"]) for name in ("summary", "content") for part in item.get(name) or ()]
            if text := "\n\n".join(text for text in texts if text):
                out.append(ReasoningDelta(self._part, text))
        if encrypted := item.get("encrypted_content"):
            out.append(SignatureDelta(self._part, signed(str(item.get("id") or ""), _string(encrypted))))

    def _remarks(self) -> dict[str, Any] | None:
        """What its own dialect says of the message that a text is part of."""
        known = {name: self._item[name] for name in ("id", "phase") if self._item.get(name) is not None}
        return known or None

    def _open(
        self,
        slot: tuple[Any, Any],
        kind: PartKind,
        out: list[Event],
        called: tuple[str, str] = ("", ""),
        data: dict[str, Any] | None = None,
    ) -> None:
        """`called`: a call's id and name."""
        if not self._started:
            raise KeyError("response.created")
        self._close(out)
        self._part, self._kind, self._slot, self._said = self._parts, kind, slot, False
        self._parts += 1
        out.append(PartStarted(self._part, kind, 0, called[0], called[1], data))

    def _close(self, out: list[Event]) -> None:
        if self._part >= 0:
            out.append(PartFinished(self._part))
            self._part, self._kind, self._slot = -1, None, None

    # ── Whole answers ──────────────────────────────────────────────────────────────────────────────────────────────

    def _whole(self) -> list[Event]:
        try:
            response = _decode(self._body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._fail(UpstreamBroken("The upstream's answer is not whole: it does not end as JSON."))
        out: list[Event] = []
        try:
            self._answer(response, out)
        except _BAD:
            out += self._fail(UpstreamProtocol("The upstream's answer is not a Responses answer."))
        return out

    def _answer(self, response: dict[str, Any], out: list[Event]) -> None:
        if response.get("error"):
            self._usage = read_usage(response.get("usage") or {})
            out += self._fail(in_band_error(response["error"]))
            return
        items = _checked(response["output"], list)
        self._started = True
        out.append(started(response))
        for index, item in enumerate(items):
            self._begin(_checked(item, dict), index, out)
            self._end(item, index, out)
        self._finish(response, out)


_Take = Callable[[AnswerReader, StreamEvent, list[Event]], None]

_TAKE: Mapping[str, _Take] = {
    "response.output_text.delta": AnswerReader._text,
    "response.function_call_arguments.delta": AnswerReader._arguments,
    "response.custom_tool_call_input.delta": AnswerReader._arguments,
    "response.reasoning_summary_text.delta": AnswerReader._thought,
    "response.reasoning_text.delta": AnswerReader._thought,
    "response.refusal.delta": AnswerReader._refusal,
    "response.output_text.done": AnswerReader._text_done,
    "response.refusal.done": AnswerReader._text_done,
    "response.output_text.annotation.added": AnswerReader._annotation,
    "response.content_part.added": AnswerReader._part_added,
    "response.output_item.added": AnswerReader._added,
    "response.output_item.done": AnswerReader._done,
    "response.created": AnswerReader._created,
    "response.queued": AnswerReader._created,
    "response.in_progress": AnswerReader._created,
    "response.completed": AnswerReader._completed,
    "response.incomplete": AnswerReader._completed,
    "response.failed": AnswerReader._failed,
    "error": AnswerReader._error,
}


def _checked(value: Any, kind: type) -> Any:
    """Raises TypeError where a host put something else, so that it is told as the upstream's mistake."""
    if type(value) is not kind:
        raise TypeError(value)
    return value


def _string(value: Any) -> str:
    text: str = _checked(value, str)
    return text
