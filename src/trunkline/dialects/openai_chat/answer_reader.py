"""A Chat Completions answer, streamed or whole, read into events.

A whole answer is read as one chunk whose `message` is a `delta`. Hosts differ in the small things, so reading is
loose: Mistral's content may be an array with thinking in it, OpenRouter and DeepSeek name reasoning differently, some
leave out the index of a tool call or `[DONE]`. An answer is whole once every choice that began has a finish reason, or
at `[DONE]`.

Nearly all chunks of a stream say one thing: more text, or more arguments, of the part that is open. Those are
recognised first; whatever else a chunk may say is read the general way.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

import msgspec

from trunkline.core.errors import UpstreamBroken, UpstreamError, UpstreamProtocol
from trunkline.core.events import (
    ArgumentsDelta,
    CitationDelta,
    Event,
    Failed,
    Finished,
    Logprobs,
    Opaque,
    OpaqueDelta,
    PartFinished,
    PartKind,
    PartStarted,
    ReasoningDelta,
    SignatureDelta,
    Started,
    TextDelta,
)
from trunkline.core.usage import Usage
from trunkline.dialects.openai_chat.usage import read_usage
from trunkline.dialects.openai_chat.vocabulary import FINISH_REASONS, NAME, REASONS
from trunkline.dialects.openai_chat.wire import Call, Choice, Chunk, Delta, decode_chunk
from trunkline.dialects.openai_errors import in_band_error
from trunkline.dialects.pieces import PieceReader
from trunkline.dialects.sse import events

_STARTED_EXTRA = ("service_tier", "system_fingerprint", "provider")
_started_extra = attrgetter(*_STARTED_EXTRA)
_NUMBER = (int, float)


class _Alternative:
    """What is open in one choice of the answer."""

    __slots__ = ("calls", "extra", "finished", "index", "kind", "part", "plain", "slot")

    def __init__(self, index: int) -> None:
        self.index = index
        self.kind: PartKind | None = None
        self.slot: Any = None
        """Tells parts of one kind apart."""
        self.part = -1
        self.calls: dict[Any, int] = {}
        """Tool calls by the number that the upstream gave them, to their parts."""
        self.plain = False
        """Reasoning came as plain text: the same text in `reasoning_details` is a repetition."""
        self.extra: dict[str, Any] = {}
        self.finished = False


class AnswerReader(PieceReader):
    def __init__(self, stream: bool) -> None:
        super().__init__(stream)
        self._started = False
        self._choices: dict[int | str | None, _Alternative] = {}
        self._parts = 0
        self._usage: Usage | None = None
        self._filtered: Any = None
        """Azure's verdict on the prompt: it comes ahead of the answer, in a chunk that has no id yet."""

    def eof(self) -> Iterable[Event]:
        out: list[Event] = []
        if self._splitter is None:
            self._chunk(self._body, out)
        else:
            out += self._events(self._splitter.eof(), torn=True)
        out += self._close()
        return out

    def _events(self, block: bytes, torn: bool = False) -> list[Event]:
        """`torn`: the stream ended inside this block, so that it may be half an event."""
        out: list[Event] = []
        for _, payload in events(block):
            if self._ended:
                break
            if payload == b"[DONE]":
                out += self._done()
            else:
                self._chunk(payload, out, torn)
        return out

    def _chunk(self, payload: bytes | bytearray, out: list[Event], torn: bool = False) -> None:
        try:
            chunk = decode_chunk(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if not torn:
                out += self._fail(UpstreamProtocol("The upstream's answer is not valid JSON of a chat completion."))
            return
        choices = chunk.choices
        if choices and len(choices) == 1 and chunk.usage is None and chunk.error is None:
            event = self._more(choices[0])
            if event is not None:
                out.append(event)
                return
        if chunk.usage is not None:
            self._usage = read_usage(chunk.usage) or self._usage
        if chunk.error:
            out += self._fail(in_band_error(chunk.error))
            return
        self._start(chunk, out)
        for position, choice in enumerate(choices or ()):
            self._choice(choice, position, out)

    def _start(self, chunk: Chunk, out: list[Event]) -> None:
        if not self._started and (chunk.choices or chunk.id):
            self._started = True
            told = zip(_STARTED_EXTRA, _started_extra(chunk), strict=True)
            extra = {name: value for name, value in told if value is not None}
            created = chunk.created if isinstance(chunk.created, _NUMBER) else 0
            out.append(Started(str(chunk.id or ""), str(chunk.model or ""), int(created), extra or None, NAME))
        self._filtered = chunk.prompt_filter_results or self._filtered
        if self._started and self._filtered:
            out.append(Opaque({"prompt_filter_results": self._filtered}))
            self._filtered = None

    def _more(self, wire: Choice) -> Event | None:
        """The one delta of a chunk that continues the open part and says nothing else; None for any other chunk."""
        choice, delta = self._choices.get(wire.index), wire.delta
        if choice is None or delta is None or wire.finish_reason is not None or wire.logprobs is not None:
            return None
        if wire.content_filter_results is not None or delta.refusal is not None or delta.audio is not None:
            return None
        if delta.annotations or delta.reasoning_details or delta.reasoning_content or delta.reasoning:
            return None
        if (text := delta.content) and type(text) is str:
            return TextDelta(choice.part, text) if choice.kind == "text" and not delta.tool_calls else None
        if (calls := delta.tool_calls) is None or len(calls) != 1 or text:
            return None
        call = calls[0]
        if choice.kind != "tool_call" or call.index is None or call.index != choice.slot or call.function is None:
            return None
        arguments = call.function.arguments
        return ArgumentsDelta(choice.part, arguments) if arguments and type(arguments) is str else None

    def _choice(self, wire: Choice, position: int, out: list[Event]) -> None:
        index = wire.index if type(wire.index) is int else position
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = _Alternative(index)
        if choice.finished:
            return
        delta = wire.delta if self._splitter is not None else wire.message
        if delta is not None:
            self._delta(choice, delta, out)
        if type(wire.logprobs) is dict:
            out.append(Logprobs(index, wire.logprobs))
        if wire.content_filter_results:
            choice.extra["content_filter_results"] = wire.content_filter_results
        if wire.finish_reason is not None:
            self._finish(choice, str(wire.finish_reason), out)

    def _finish(self, choice: _Alternative, wire: str, out: list[Event]) -> None:
        _end(choice, out)
        choice.finished = True
        reason = REASONS.get(wire, "stop")
        if FINISH_REASONS[reason] != wire:
            choice.extra["finish_reason"] = wire
        if reason == "stop" and choice.calls:
            reason = "tool_calls"  # some hosts say stop after tool calls
        out.append(Finished(reason, choice.index, extra=choice.extra or None))

    # ── Deltas ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _delta(self, choice: _Alternative, delta: Delta, out: list[Event]) -> None:
        if delta.reasoning_content or delta.reasoning or delta.reasoning_details:
            self._reasoning(choice, delta, out)
        content = delta.content
        if type(content) is str:
            self._text(choice, "text", content, out)
        elif content:
            for item in content:
                self._content(choice, item, out)
        if delta.refusal:
            self._text(choice, "refusal", delta.refusal, out)
        for annotation in delta.annotations or ():
            self._open(choice, "text", out)
            annotation.pop("index", None)  # its number in the stream
            out.append(CitationDelta(choice.part, annotation))
        if delta.audio:
            if choice.kind == "media":
                out.append(OpaqueDelta(choice.part, delta.audio))
            else:
                self._open(choice, "media", out, data=delta.audio)
        for position, call in enumerate(delta.tool_calls or ()):
            self._tool_call(choice, call, position, out)

    def _text(self, choice: _Alternative, kind: PartKind, text: str, out: list[Event]) -> None:
        if text:
            self._open(choice, kind, out)
            out.append(TextDelta(choice.part, text))

    def _thought(self, choice: _Alternative, text: Any, out: list[Event]) -> None:
        if text and type(text) is str:
            self._open(choice, "reasoning", out)
            out.append(ReasoningDelta(choice.part, text))

    def _reasoning(self, choice: _Alternative, delta: Delta, out: list[Event]) -> None:
        """Hosts that send `reasoning_details` send their text as plain reasoning too, in the same chunk (OpenRouter) or
        ahead of them (we): it counts once, as details where there is a choice, because they know the borders."""
        plain = delta.reasoning_content or delta.reasoning
        details = delta.reasoning_details if type(delta.reasoning_details) is list else []
        details = [detail for detail in details if type(detail) is dict]
        if plain and not any(_words(detail) for detail in details):
            choice.plain = True
            self._thought(choice, plain, out)
        for detail in details:
            if detail.get("type") == "reasoning.encrypted":
                data = {name: value for name, value in detail.items() if name not in {"type", "index"}}
                self._open(choice, "redacted_reasoning", out, slot=object(), data=data)
                continue
            if not choice.plain:
                self._thought(choice, _words(detail), out)
            if type(signature := detail.get("signature")) is str and signature:
                self._open(choice, "reasoning", out)
                out.append(SignatureDelta(choice.part, signature))
                choice.slot = object()  # signed is done: more reasoning is another part

    def _content(self, choice: _Alternative, item: Any, out: list[Event]) -> None:
        """An item of Mistral's content arrays: text, or thinking that is an array of text again."""
        match item:
            case {"type": "text", "text": str(text)}:
                self._text(choice, "text", text, out)
            case {"type": "thinking", "thinking": list(thoughts)}:
                for thought in thoughts:
                    if type(thought) is dict:
                        self._thought(choice, thought.get("text"), out)
            case {"type": "refusal", "refusal": str(text)}:
                self._text(choice, "refusal", text, out)

    def _tool_call(self, choice: _Alternative, call: Call, position: int, out: list[Event]) -> None:
        slot: Any = call.index
        if self._splitter is None:
            slot = position
        elif slot is None:  # some hosts number nothing: a new id is a new call
            slot = call.id or (choice.slot if choice.kind == "tool_call" else position)
        body = call.custom or call.function
        if slot not in choice.calls:
            kind: PartKind = "custom_tool_call" if call.custom is not None else "tool_call"
            self._open(choice, kind, out, slot, (call.id or "", (body and body.name) or ""))
            choice.calls[slot] = choice.part
        if body is not None and (given := body.arguments or body.input):
            text = given if isinstance(given, str) else msgspec.json.encode(given).decode()
            out.append(ArgumentsDelta(choice.calls[slot], text))

    def _open(
        self,
        choice: _Alternative,
        kind: PartKind,
        out: list[Event],
        slot: Any = None,
        called: tuple[str, str] = ("", ""),
        data: dict[str, Any] | None = None,
    ) -> None:
        """Make this part the open one of its choice; nothing to do if it is already. `called`: a call's id and name."""
        if choice.kind == kind and choice.slot == slot:
            return
        if choice.kind is not None:
            _end(choice, out)
        part = self._parts
        choice.kind, choice.slot, choice.part = kind, slot, part
        self._parts = part + 1
        out.append(PartStarted(part, kind, choice.index, called[0], called[1], data))

    # ── The end ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _done(self) -> list[Event]:
        """`[DONE]`, or the end of an answer that is whole without it."""
        if not self._choices:
            return self._fail(UpstreamBroken("The upstream's answer ended before it had begun."))
        self._ended = True
        out: list[Event] = []
        for choice in self._choices.values():
            if not choice.finished:
                self._finish(choice, "stop", out)
        if self._usage is not None:
            out.append(self._usage)
        return out

    def _close(self) -> list[Event]:
        if self._ended:
            return []
        if self._choices and all(choice.finished for choice in self._choices.values()):
            return self._done()
        return self._fail(UpstreamBroken("The upstream's answer ended before it was complete."))

    def _fail(self, error: UpstreamError) -> list[Event]:
        """The usage first, where it is known: what broke off was paid for."""
        if self._ended:
            return []
        self._ended = True
        return [self._usage, Failed(error)] if self._usage is not None else [Failed(error)]


def _words(detail: dict[str, Any]) -> Any:
    return detail.get("text") or detail.get("summary")


def _end(choice: _Alternative, out: list[Event]) -> None:
    if choice.kind is not None:
        out.append(PartFinished(choice.part))
        choice.kind = choice.slot = None
