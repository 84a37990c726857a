"""Events written as a Chat Completions answer, streamed or whole.

A stream's delta is written by joining a prefix that never changes with the encoded text: encoding the whole chunk anew
would cost four times as much. Chat has no field for reasoning; the text goes into `reasoning_content` (as DeepSeek and
vLLM name it) and what must be sent back unchanged, signatures and encrypted thoughts, into `reasoning_details` (as
OpenRouter names it): `request_reader` takes both back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_never

import msgspec

from trunkline.core.errors import GatewayError
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
    PartStarted,
    ReasoningDelta,
    SignatureDelta,
    Started,
    TextDelta,
)
from trunkline.core.usage import Usage
from trunkline.dialects.base import Envelope
from trunkline.dialects.openai_chat.thoughts import Thoughts
from trunkline.dialects.openai_chat.usage import write_usage
from trunkline.dialects.openai_chat.vocabulary import FINISH_REASONS, NAME
from trunkline.dialects.openai_errors import write_error
from trunkline.dialects.sse import data

_encode = msgspec.json.Encoder().encode


def stream_error(error: GatewayError, request_id: str) -> bytes:
    """An error inside a stream: OpenAI's SDK raises `APIError` on it. `[DONE]` must not follow."""
    return data(write_error(error, request_id))


def citation(wire: dict[str, Any]) -> dict[str, Any] | None:
    """An annotation as chat knows it, or None: it cites web pages only."""
    if wire.get("type") == "url_citation":
        return wire
    if wire.get("type") == "web_search_result_location" and isinstance(url := wire.get("url"), str):
        page = {"url": url, "title": wire.get("title") or "", "start_index": 0, "end_index": 0}
        return {"type": "url_citation", "url_citation": page}
    return None


def finish(event: Finished, own: bool) -> dict[str, Any]:
    """The end of a choice: its reason, and what only this dialect says beside it (or instead)."""
    reason = {"finish_reason": FINISH_REASONS[event.reason]}
    return reason | event.extra if own and event.extra else reason


def tool_call(part: PartStarted, call_id: str) -> dict[str, Any]:
    """A tool call as it begins, without arguments."""
    if part.kind == "custom_tool_call":
        return {"id": call_id, "type": "custom", "custom": {"name": part.name, "input": ""}}
    return {"id": call_id, "type": "function", "function": {"name": part.name, "arguments": ""}}


class StreamWriter:
    def __init__(self, envelope: Envelope) -> None:
        self.lost: list[str] = []
        self._envelope = envelope
        self._head: dict[str, Any] = {}
        self._text: dict[int, tuple[bytes, bytes]] = {}
        """Part index to the bytes before and after the encoded text of its deltas."""
        self._parts: dict[int, PartStarted] = {}
        self._calls: dict[int, int] = {}
        """Part index to the call's number within its choice."""
        self._counts: dict[int, int] = {}
        self._details: dict[int, int] = {}
        """Choice to the number of `reasoning_details` it has had: clients join those of one number."""
        self._thought = Thoughts("")
        self._cited: dict[int, int] = {}
        """The same for `annotations`; a list without numbers is an error to OpenAI's SDK."""
        self._texts: dict[int, list[str]] = {}
        """Part index to its reasoning, for the detail that repeats it beside its signature."""
        self._roles: set[int] = set()
        self._usage: Usage | None = None
        self._own = False
        """Whether the upstream speaks chat too: then its own fields are carried."""
        self._failed = False

    def feed(self, event: Event) -> bytes:
        match event:
            case TextDelta(index, text) | ArgumentsDelta(index, text):
                before, after = self._text[index]
                return before + _encode(text) + after
            case ReasoningDelta(index, text):
                self._texts[index].append(text)
                before, after = self._text[index]
                return before + _encode(text) + after
            case PartStarted():
                return self._part(event)
            case SignatureDelta(index, signature):
                return self._sign(self._parts[index], signature)
            case PartFinished():
                return b""
            case Opaque(values):
                return self._chunk([], **values) if self._own else b""
            case OpaqueDelta(index, values):
                return self._audio(self._parts[index], values)
            case Finished():
                return self._finish(event)
            case Usage():
                self._usage = event
                return b""
            case Started():
                return self._start(event)
            case CitationDelta(index, wire):
                return self._cite(self._parts[index].choice, citation(wire))
            case Logprobs(choice, values):
                return self._chunk([{"index": choice, "delta": {}, "logprobs": values, "finish_reason": None}])
            case Failed(error):
                self._failed = True
                return stream_error(error, self._envelope.request_id)
            case _:
                assert_never(event)

    def eof(self) -> bytes:
        if self._failed:
            return b""
        if self._envelope.include_usage and self._usage is not None:
            return self._chunk([], usage=write_usage(self._usage)) + data(b"[DONE]")
        return data(b"[DONE]")

    def _start(self, event: Started) -> bytes:
        self._own, self._thought = event.dialect == NAME, Thoughts(event.dialect)
        self._head = {
            "id": event.id or self._envelope.request_id,
            "object": "chat.completion.chunk",
            "created": event.created or self._envelope.created,
            "model": event.model or self._envelope.model,
            **((event.extra or {}) if self._own else {}),
        }
        self._roles.add(0)
        return self._delta(0, {"role": "assistant", "content": ""})

    def _part(self, event: PartStarted) -> bytes:
        self._parts[event.index] = event
        role = b""
        if event.choice not in self._roles:
            self._roles.add(event.choice)
            role = self._delta(event.choice, {"role": "assistant", "content": ""})
        match event.kind:
            case "text":
                self._template(event, {"content": ""})
            case "refusal":
                self._template(event, {"refusal": ""})
            case "reasoning":
                self._texts[event.index] = []
                self._template(event, {"reasoning_content": ""})
            case "redacted_reasoning":
                return role + self._detail(event.choice, self._thought.redacted(event))
            case "tool_call" | "custom_tool_call":
                return role + self._call(event)
            case "media":
                return role + self._audio(event, event.data or {})
            case "opaque":
                self.lost.append("content")
            case _:
                assert_never(event.kind)
        return role

    def _sign(self, part: PartStarted, signature: str) -> bytes:
        """A text's own signature (Gemini's) has no place here, and its maker does not insist on it."""
        if part.kind != "reasoning":
            return b""
        return self._detail(part.choice, self._thought.text(part, "".join(self._texts[part.index]), signature))

    def _detail(self, choice: int, detail: dict[str, Any]) -> bytes:
        number = self._details.get(choice, 0)
        self._details[choice] = number + 1
        return self._delta(choice, {"reasoning_details": [{**detail, "index": number}]})

    def _cite(self, choice: int, annotation: dict[str, Any] | None) -> bytes:
        if annotation is None:
            return b""
        number = self._cited.get(choice, 0)
        self._cited[choice] = number + 1
        return self._delta(choice, {"annotations": [{**annotation, "index": number}]})

    def _audio(self, part: PartStarted, values: dict[str, Any]) -> bytes:
        return self._delta(part.choice, {"audio": values}) if self._own and part.kind == "media" else b""

    def _call(self, event: PartStarted) -> bytes:
        number = self._counts.get(event.choice, 0)
        self._counts[event.choice] = number + 1
        body = "custom" if event.kind == "custom_tool_call" else "function"
        field = "input" if event.kind == "custom_tool_call" else "arguments"
        self._template(event, {"tool_calls": [{"index": number, body: {field: ""}}]})
        call = tool_call(event, self._thought.call_id(event))
        return self._delta(event.choice, {"tool_calls": [{"index": number, **call}]})

    def _template(self, event: PartStarted, delta: dict[str, Any]) -> None:
        """Cut the chunk of an empty delta at its empty string: the only thing that changes goes between."""
        before, _, after = self._delta(event.choice, delta).rpartition(b'""')
        self._text[event.index] = (before, after)

    def _finish(self, event: Finished) -> bytes:
        head = b""
        if event.choice not in self._roles:  # a choice that says nothing still is one
            self._roles.add(event.choice)
            head = self._delta(event.choice, {"role": "assistant", "content": ""})
        return head + self._chunk([{"index": event.choice, "delta": {}, **finish(event, self._own)}])

    def _delta(self, choice: int, delta: dict[str, Any]) -> bytes:
        return self._chunk([{"index": choice, "delta": delta, "finish_reason": None}])

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        if self._envelope.include_usage:
            more.setdefault("usage", None)
        return data(_encode(self._head | {"choices": choices} | more))


_UNNAMED = Started("", "")
"""The beginning of an answer that has not said its name."""


class WholeWriter:
    def __init__(self, envelope: Envelope) -> None:
        self.lost: list[str] = []
        self._envelope = envelope
        self._head = _UNNAMED
        self._own = False
        """Whether the upstream speaks chat too: then its own fields are carried."""
        self._messages: dict[int, dict[str, Any]] = {}
        self._finished: dict[int, dict[str, Any]] = {}
        self._logprobs: dict[int, dict[str, Any]] = {}
        self._parts: dict[int, PartStarted] = {}
        self._texts: dict[int, list[str]] = {}
        self._signatures: dict[int, str] = {}
        self._details: dict[int, list[dict[str, Any]]] = {}
        """Choice to all its thoughts, in order."""
        self._thought = Thoughts("")
        self._extra: dict[str, Any] = {}
        self._usage: Usage | None = None

    def feed(self, event: Event) -> bytes:
        """Nothing yet: a whole answer comes out of `eof`. Raises the error of a `Failed`: nothing has been sent."""
        _TAKE[type(event)](self, event)
        return b""

    def eof(self) -> bytes:
        head = self._head
        for index, details in self._details.items():
            if any("text" not in found or "signature" in found for found in details):
                self._messages[index]["reasoning_details"] = details
        out: dict[str, Any] = {
            "id": head.id or self._envelope.request_id,
            "object": "chat.completion",
            "created": head.created or self._envelope.created,
            "model": head.model or self._envelope.model,
            "choices": [self._choice(index) for index in sorted(self._messages)],
        }
        if self._usage is not None:
            out["usage"] = write_usage(self._usage)
        if self._own and head.extra:
            out.update(head.extra)
        out.update(self._extra)
        return _encode(out)

    def _choice(self, index: int) -> dict[str, Any]:
        logprobs = self._logprobs.get(index)
        end = self._finished.get(index, _STOPPED)
        return {"index": index, "message": self._messages[index], "logprobs": logprobs, **end}

    def _start(self, event: Started) -> None:
        self._head, self._own, self._thought = event, event.dialect == NAME, Thoughts(event.dialect)

    def _text(self, event: TextDelta | ReasoningDelta) -> None:
        self._texts[event.index].append(event.text)

    def _arguments(self, event: ArgumentsDelta) -> None:
        self._texts[event.index].append(event.json)

    def _sign(self, event: SignatureDelta) -> None:
        self._signatures[event.index] = event.signature

    def _cite(self, event: CitationDelta) -> None:
        if annotation := citation(event.data):
            self._message(self._parts[event.index].choice).setdefault("annotations", []).append(annotation)
        else:
            self.lost.append("citations")

    def _finish(self, event: Finished) -> None:
        self._message(event.choice)
        self._finished[event.choice] = finish(event, self._own)

    def _count(self, event: Usage) -> None:
        self._usage = event

    def _log(self, event: Logprobs) -> None:
        """Log-probabilities come token by token in a stream: their lists are joined."""
        into = self._logprobs.setdefault(event.choice, {})
        for name, value in event.data.items():
            before = into.get(name)
            into[name] = [*before, *value] if isinstance(before, list) and isinstance(value, list) else before or value

    def _keep(self, event: Opaque) -> None:
        if self._own:
            self._extra |= event.data

    def _fail(self, event: Failed) -> None:
        raise event.error

    def _message(self, choice: int) -> dict[str, Any]:
        message = self._messages.get(choice)
        if message is None:
            message = self._messages[choice] = {"role": "assistant", "content": None, "refusal": None}
        return message

    def _part(self, event: PartStarted) -> None:
        self._parts[event.index] = event
        self._texts[event.index] = []
        message = self._message(event.choice)
        match event.kind:
            case "redacted_reasoning":
                self._details.setdefault(event.choice, []).append(self._thought.redacted(event))
            case "media" if self._own:
                message["audio"] = dict(event.data or {})
            case "media":
                self.lost.append("audio")
            case "opaque":
                self.lost.append("content")

    def _audio(self, event: OpaqueDelta) -> None:
        """More of a spoken answer: its text and its sound come in pieces, the rest once."""
        part = self._parts[event.index]
        if part.kind == "media" and self._own:
            audio = self._message(part.choice)["audio"]
            for name, value in event.data.items():
                joined = name in {"data", "transcript"} and isinstance(audio.get(name), str)
                audio[name] = audio[name] + value if joined else value

    def _close(self, event: PartFinished) -> None:
        part, text = self._parts[event.index], "".join(self._texts.pop(event.index))
        message = self._message(part.choice)
        match part.kind:
            case "text":
                message["content"] = (message["content"] or "") + text
            case "refusal":
                message["refusal"] = (message["refusal"] or "") + text
            case "reasoning":
                message["reasoning_content"] = message.get("reasoning_content", "") + text
                signature = self._signatures.get(part.index)
                self._details.setdefault(part.choice, []).append(self._thought.text(part, text, signature))
            case "tool_call":
                call = tool_call(part, self._thought.call_id(part))
                call["function"]["arguments"] = text
                message.setdefault("tool_calls", []).append(call)
            case "custom_tool_call":
                call = tool_call(part, self._thought.call_id(part))
                call["custom"]["input"] = text
                message.setdefault("tool_calls", []).append(call)


_STOPPED = {"finish_reason": "stop"}
"""The end of a choice that nobody ended."""

_TAKE: dict[type, Callable[[WholeWriter, Any], None]] = {
    Started: WholeWriter._start,
    PartStarted: WholeWriter._part,
    TextDelta: WholeWriter._text,
    ReasoningDelta: WholeWriter._text,
    SignatureDelta: WholeWriter._sign,
    ArgumentsDelta: WholeWriter._arguments,
    CitationDelta: WholeWriter._cite,
    OpaqueDelta: WholeWriter._audio,
    Logprobs: WholeWriter._log,
    PartFinished: WholeWriter._close,
    Finished: WholeWriter._finish,
    Usage: WholeWriter._count,
    Opaque: WholeWriter._keep,
    Failed: WholeWriter._fail,
}
"""What each kind of event says: one look into a table costs 0.1 µs, matching up to twelve classes in turn 0.5."""
