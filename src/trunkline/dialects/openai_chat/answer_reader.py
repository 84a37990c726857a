"""A Chat Completions answer, streamed or whole, read into events.

A whole answer is read as one chunk whose `message` is a `delta`. Hosts differ in the small things, so reading is
loose: Mistral's content may be an array with thinking in it, OpenRouter and DeepSeek name reasoning differently, some
leave out the index of a tool call or `[DONE]`. An answer is whole once every choice that began has a finish reason, or
at `[DONE]`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from trunkline.core.errors import UpstreamBroken, UpstreamProtocol
from trunkline.core.events import (
    ArgumentsDelta,
    CitationDelta,
    Event,
    Failed,
    Finished,
    Logprobs,
    Opaque,
    PartFinished,
    PartKind,
    PartStarted,
    Reason,
    ReasoningDelta,
    SignatureDelta,
    Started,
    TextDelta,
)
from trunkline.dialects.openai_chat.errors import in_band_error
from trunkline.dialects.openai_chat.request_reader import DIALECT_NAME
from trunkline.dialects.openai_chat.usage import WireUsage, read_usage
from trunkline.dialects.sse import EventTooLarge, Splitter, events

REASONS: dict[str, Reason] = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "error": "error",
}
"""Finish reasons; one that we do not know reads as `stop` and is kept in `Finished.extra`."""

_STARTED_EXTRA = ("service_tier", "system_fingerprint", "provider")


class Chunk(Struct):
    id: str | None = None
    model: str | None = None
    created: int | float | None = None
    choices: list[dict[str, Any]] | None = None
    usage: WireUsage | None = None
    error: Any = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    provider: str | None = None
    prompt_filter_results: Any = None


_decode = msgspec.json.Decoder(Chunk).decode


class _Choice:
    """What is open in one alternative of the answer."""

    __slots__ = ("calls", "extra", "finished", "index", "kind", "part", "slot")

    def __init__(self, index: int) -> None:
        self.index = index
        self.kind: PartKind | None = None
        self.slot: Any = None
        self.part = -1
        self.calls: dict[Any, int] = {}
        self.extra: dict[str, Any] = {}
        self.finished = False


class AnswerReader:
    def __init__(self, stream: bool) -> None:
        self._splitter = Splitter() if stream else None
        self._body = bytearray()
        self._started = False
        self._ended = False
        self._choices: dict[int, _Choice] = {}
        self._parts = 0
        self._usage: WireUsage | None = None

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
        if self._splitter is None:
            return [*self._chunk(bytes(self._body), "message"), *self._close()]
        return [*self._events(self._splitter.eof()), *self._close()]

    def _events(self, block: bytes) -> list[Event]:
        out: list[Event] = []
        for _, payload in events(block):
            if payload == b"[DONE]":
                out += self._done()
            elif not self._ended:
                out += self._chunk(payload, "delta")
        return out

    def _chunk(self, payload: bytes, key: str) -> Iterable[Event]:
        try:
            chunk = _decode(payload)
        except (msgspec.DecodeError, RecursionError):
            return self._fail(UpstreamProtocol("The upstream's answer is not valid JSON of a chat completion."))
        if chunk.error is not None:
            return self._fail(in_band_error(chunk.error))
        return list(self._read(chunk, key))

    def _read(self, chunk: Chunk, key: str) -> Iterator[Event]:
        if not self._started and (chunk.choices or chunk.id):
            self._started = True
            extra = {name: value for name in _STARTED_EXTRA if (value := getattr(chunk, name)) is not None}
            yield Started(chunk.id or "", chunk.model or "", int(chunk.created or 0), extra or None, DIALECT_NAME)
        if chunk.prompt_filter_results:
            yield Opaque({"prompt_filter_results": chunk.prompt_filter_results})
        if chunk.usage is not None:
            self._usage = chunk.usage
        for position, choice in enumerate(chunk.choices or ()):
            index = choice.get("index")
            yield from self._choice(index if type(index) is int else position, choice, key)

    def _choice(self, index: int, wire: dict[str, Any], key: str) -> Iterator[Event]:
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = _Choice(index)
        if delta := wire.get(key):
            yield from self._delta(choice, delta)
        if type(logprobs := wire.get("logprobs")) is dict:
            yield Logprobs(index, logprobs)
        if filtered := wire.get("content_filter_results"):
            choice.extra["content_filter_results"] = filtered
        if (reason := wire.get("finish_reason")) is not None and not choice.finished:
            yield from self._finish(choice, str(reason))

    def _finish(self, choice: _Choice, wire: str) -> Iterator[Event]:
        yield from _end(choice)
        choice.finished = True
        reason = REASONS.get(wire, "stop")
        if reason == "stop" and choice.calls:
            reason = "tool_calls"  # some hosts say stop after tool calls
        if wire not in REASONS:
            choice.extra["finish_reason"] = wire
        yield Finished(reason, choice.index, extra=choice.extra or None)

    # ── Deltas ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _delta(self, choice: _Choice, delta: dict[str, Any]) -> Iterator[Event]:
        yield from self._reasoning(choice, delta)
        content = delta.get("content")
        if type(content) is str:
            if content:
                yield from self._open(choice, "text")
                yield TextDelta(choice.part, content)
        elif type(content) is list:
            for item in content:
                yield from self._content(choice, item)
        if refusal := delta.get("refusal"):
            yield from self._open(choice, "refusal")
            yield TextDelta(choice.part, refusal)
        for annotation in delta.get("annotations") or ():
            yield from self._open(choice, "text")
            yield CitationDelta(choice.part, annotation)
        if audio := delta.get("audio"):
            yield from self._open(choice, "media", data=audio)
        for position, call in enumerate(delta.get("tool_calls") or ()):
            yield from self._tool_call(choice, call, position)

    def _reasoning(self, choice: _Choice, delta: dict[str, Any]) -> Iterator[Event]:
        plain = delta.get("reasoning_content") or delta.get("reasoning")
        if plain and type(plain) is str:
            yield from self._open(choice, "reasoning")
            yield ReasoningDelta(choice.part, plain)
        for detail in delta.get("reasoning_details") or ():
            if type(detail) is not dict:
                continue
            if detail.get("type") == "reasoning.encrypted":
                yield from self._open(choice, "redacted_reasoning", slot=object(), data={"data": detail.get("data")})
                continue
            text = detail.get("text") or detail.get("summary")
            if text and not plain:
                yield from self._open(choice, "reasoning")
                yield ReasoningDelta(choice.part, text)
            if signature := detail.get("signature"):
                yield from self._open(choice, "reasoning")
                yield SignatureDelta(choice.part, signature)

    def _content(self, choice: _Choice, item: Any) -> Iterator[Event]:
        """An item of Mistral's content arrays: text, or thinking that is an array of text again."""
        match item:
            case {"type": "text", "text": str(text)} if text:
                yield from self._open(choice, "text")
                yield TextDelta(choice.part, text)
            case {"type": "thinking", "thinking": list(thoughts)}:
                for thought in thoughts:
                    if type(thought) is dict and (words := thought.get("text")):
                        yield from self._open(choice, "reasoning")
                        yield ReasoningDelta(choice.part, words)
            case {"type": "refusal", "refusal": str(text)} if text:
                yield from self._open(choice, "refusal")
                yield TextDelta(choice.part, text)

    def _tool_call(self, choice: _Choice, call: dict[str, Any], position: int) -> Iterator[Event]:
        slot = call.get("index")
        call_id = call.get("id") or ""
        if slot is None:  # some hosts number nothing: a new id is a new call
            slot = call_id or (choice.slot if choice.kind == "tool_call" else position)
        body = call.get("custom") or call.get("function") or {}
        kind: PartKind = "custom_tool_call" if "custom" in call else "tool_call"
        if slot not in choice.calls:
            yield from self._open(choice, kind, slot=slot, id=call_id, name=body.get("name") or "")
            choice.calls[slot] = choice.part
        if arguments := body.get("arguments") or body.get("input"):
            whole = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
            yield ArgumentsDelta(choice.calls[slot], whole)

    def _open(
        self, choice: _Choice, kind: PartKind, *, slot: Any = None, id: str = "", name: str = "", data: Any = None
    ) -> Iterator[Event]:
        """Make this part the open one of its choice; nothing to do if it is already."""
        if choice.kind == kind and choice.slot == slot:
            return
        yield from _end(choice)
        choice.kind, choice.slot, choice.part = kind, slot, self._parts
        self._parts += 1
        yield PartStarted(choice.part, kind, choice.index, id, name, data)

    # ── The end ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _done(self) -> list[Event]:
        """`[DONE]`, or the end of an answer that is whole without it."""
        if self._ended:
            return []
        self._ended = True
        out: list[Event] = []
        for choice in self._choices.values():
            if not choice.finished:
                out += self._finish(choice, "stop")
        if self._usage is not None:
            out.append(read_usage(self._usage))
        return out

    def _close(self) -> list[Event]:
        if self._ended:
            return []
        if self._choices and all(choice.finished for choice in self._choices.values()):
            return self._done()
        return self._fail(UpstreamBroken("The upstream's answer ended before it was complete."))

    def _fail(self, error: Any) -> list[Event]:
        self._ended = True
        return [Failed(error)]


def _end(choice: _Choice) -> Iterator[Event]:
    if choice.kind is not None:
        yield PartFinished(choice.part)
        choice.kind = choice.slot = None
