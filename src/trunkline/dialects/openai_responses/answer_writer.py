"""Events written as a Responses answer, streamed or whole.

Clients build the answer from the stream by position, so the stream must be exact whatever the source was: every event
numbered, every item added, said and done, the whole of it once more in `response.completed`. The source's usage comes
after its end, or never; the last event waits for it. A whole answer is that same last object.

A delta is written by putting its encoded text between pieces made when its part began. Responses has one answer where
chat may have several: choice 0 is written. What only another dialect understands is left out and reported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from trunkline.core.errors import GatewayError, UpstreamBroken
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
from trunkline.dialects.openai_errors import error_object
from trunkline.dialects.openai_responses.output import Json, Output, citation, status_of
from trunkline.dialects.sse import event as sse_event
from trunkline.dialects.verdicts import unsaid

_encode = msgspec.json.Encoder().encode

_FAILURES = {"rate_limit": "rate_limit_exceeded"}
"""Kinds of error by the codes that a failed response may have; all others are `server_error`."""


def stream_error(error: GatewayError, request_id: str, number: int = 0) -> bytes:
    """An error inside a stream. The SDK raises on the object in it; those who follow the grammar read the fields beside
    it. `number`: of this event in its stream."""
    told = error_object(error, request_id)
    beside = {name: told[name] for name in ("code", "message", "param")}
    return sse_event(b"error", _encode({"type": "error", "sequence_number": number, **beside, "error": told}))


class StreamWriter:
    def __init__(self, envelope: Envelope) -> None:
        self.lost: list[str] = []
        self.response: Json | None = None
        """The answer as it ended."""
        self._envelope = envelope
        self._output = Output(envelope)
        self._number = 0
        self._started = False
        self._ended = False
        self._kind = ""
        """Of the open part; "" between parts."""
        self._part = -1
        self._item: Json = {}
        self._content: Json | None = None
        """The content of a message, or the section of a thought, that is being said."""
        self._texts: list[str] = []
        self._before, self._after = b"", b""
        """Of the open part's deltas: what stands before the number, and between number and text."""
        self._end_of_delta = b"}\n\n"
        self._message: Any = None
        """The message that is open, by its upstream's name: its next content may follow."""
        self._finished: Finished | None = None
        self._usage: Usage | None = None

    def feed(self, event: Event) -> bytes:
        return _TAKE[type(event)](self, event)

    def eof(self) -> bytes:
        if self._ended:
            return b""
        if self._finished is None:
            return self._fail(Failed(UpstreamBroken("The upstream's answer ended before it was complete.")))
        return self._end()

    # ── The frame ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _event(self, kind: str, **fields: Any) -> bytes:
        number, self._number = self._number, self._number + 1
        return sse_event(kind.encode(), _encode({"type": kind, "sequence_number": number, **fields}))

    def _start(self, event: Started) -> bytes:
        if self._started:
            return b""
        self._started = True
        self._output.start(event)
        response = self._output.response("in_progress")
        return self._event("response.created", response=response) + self._event(
            "response.in_progress", response=response
        )

    def _head(self) -> bytes:
        return b"" if self._started else self._start(Started("", ""))

    def _finish(self, event: Finished) -> bytes:
        if event.choice == 0:
            self._finished = event
            self.lost += unsaid(event)
        else:
            self.lost.append(f"choices[{event.choice}]")
        return b""

    def _count(self, event: Usage) -> bytes:
        self._usage = event
        return self._end() if self._finished is not None else b""

    def _end(self) -> bytes:
        if self._ended or self._finished is None:
            return b""
        self._ended = True
        status = status_of(self._finished)
        out = self._head() + self._close_message()
        self.response = self._output.response(status, self._finished, self._usage)
        return out + self._event(f"response.{status}", response=self.response)

    def _fail(self, event: Failed) -> bytes:
        """The error by itself, and the response that it ended."""
        head, self._ended = self._head(), True
        error = stream_error(event.error, self._envelope.request_id, self._number)
        self._number += 1
        code = _FAILURES.get(event.error.kind, "server_error")
        failed = self._output.response("failed", None, self._usage)
        failed |= {"error": {"code": code, "message": event.error.message}, "output": self._output.items}
        return head + error + self._event("response.failed", response=failed)

    # ── Parts ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _open(self, part: PartStarted) -> bytes:
        begin = _BEGIN.get(part.kind)
        if begin is None or part.choice != 0 or (part.kind == "opaque" and not self._output.own):
            self.lost.append(f"output.{part.kind}")
            return b""
        self._part, self._kind, self._texts = part.index, part.kind, []
        return self._head() + begin(self, part)

    def _added(self, item: Json) -> bytes:
        self._item = item
        return self._event("response.output_item.added", output_index=self._index, item=item)

    def _done(self) -> bytes:
        return self._event("response.output_item.done", output_index=self._index, item=self._item)

    @property
    def _index(self) -> int:
        return len(self._output.items) - 1

    def _deltas(self, kind: str, place: Json, end: bytes = b"}\n\n") -> None:
        """How the deltas of the open part look: only their number and their text change."""
        where = _encode({"item_id": self._item["id"], "output_index": self._index} | place)
        self._before = f'event: {kind}\ndata: {{"type":"{kind}","sequence_number":'.encode()
        self._after = b"," + where[1:-1] + b',"delta":'
        self._end_of_delta = end

    def _delta(self, event: TextDelta | ArgumentsDelta) -> bytes:
        if event.index != self._part:
            return b""
        text = event.json if type(event) is ArgumentsDelta else event.text  # type: ignore[union-attr]
        return self._more(text)

    def _more(self, text: str) -> bytes:
        self._texts.append(text)
        number, self._number = self._number, self._number + 1
        return b"%b%d%b%b%b" % (self._before, number, self._after, _encode(text), self._end_of_delta)

    def _close(self, event: PartFinished) -> bytes:
        if event.index != self._part:
            return b""
        finish, text = _FINISH[self._kind], "".join(self._texts)
        out = finish(self, text)
        self._part, self._kind = -1, ""
        return out

    # ── Messages ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _begin_text(self, part: PartStarted) -> bytes:
        """Texts of one message of the upstream's are contents of one message here."""
        message = (part.data or {}).get("id") if self._output.own else None
        head = b""
        if self._message is None or message is None or message != self._message:
            head = self._close_message()
            item = self._output.begin("message", part, status="in_progress", role="assistant", content=[])
            head += self._added(item)
            self._message = message or item["id"]
        place = {"content_index": len(self._item["content"])}
        if part.kind == "text":
            self._content = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            self._deltas("response.output_text.delta", place, b',"logprobs":[]}\n\n')
        else:
            self._content = {"type": "refusal", "refusal": ""}
            self._deltas("response.refusal.delta", place)
        return head + self._event("response.content_part.added", part=self._content, **self._where(place))

    def _where(self, place: Json) -> Json:
        return {"item_id": self._item["id"], "output_index": self._index, **place}

    def _finish_text(self, text: str) -> bytes:
        content, place = self._content, {"content_index": len(self._item["content"])}
        assert content is not None
        where = self._where(place)
        if content["type"] == "refusal":
            content["refusal"] = text
            out = self._event("response.refusal.done", refusal=text, **where)
        else:
            content["text"] = text
            out = self._event("response.output_text.done", text=text, logprobs=content["logprobs"], **where)
        self._item["content"].append(content)
        self._content = None
        return out + self._event("response.content_part.done", part=content, **where)

    def _close_message(self) -> bytes:
        if self._message is None:
            return b""
        self._message = None
        self._item["status"] = "completed"
        return self._done()

    def _cite(self, event: CitationDelta) -> bytes:
        annotation = citation(event.data, self._output.own)
        if annotation is None or self._content is None or event.index != self._part or self._kind != "text":
            self.lost.append("citations")
            return b""
        noted: list[Json] = self._content["annotations"]
        noted.append(annotation)
        place = {"content_index": len(self._item["content"]), "annotation_index": len(noted) - 1}
        kind = "response.output_text.annotation.added"
        return self._event(kind, annotation=annotation, **self._where(place))

    def _log(self, event: Logprobs) -> bytes:
        """They are told where the text is done."""
        if event.choice == 0 and self._content is not None and self._kind == "text":
            self._content["logprobs"] += event.data.get("content") or ()
        elif event.data.get("content"):
            self.lost.append("logprobs")
        return b""

    # ── Thoughts ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _begin_thought(self, part: PartStarted) -> bytes:
        head = self._close_message()
        item = self._output.begin("reasoning", part, summary=[])
        self._content = None
        return head + self._added(item)

    def _think(self, event: ReasoningDelta) -> bytes:
        if event.index != self._part:
            return b""
        head = b""
        if self._content is None:
            self._content = {"type": "summary_text", "text": ""}
            self._deltas("response.reasoning_summary_text.delta", {"summary_index": 0})
            where = self._where({"summary_index": 0})
            head = self._event("response.reasoning_summary_part.added", part=self._content, **where)
        return head + self._more(event.text)

    def _sign(self, event: SignatureDelta) -> bytes:
        """A text's own signature (Gemini's) has no place here; the service does not insist on it."""
        if event.index == self._part and self._kind == "reasoning":
            self._output.sign(self._item, event.signature)
        return b""

    def _finish_thought(self, text: str) -> bytes:
        out = b""
        if self._content is not None:
            section, where = self._content | {"text": text}, self._where({"summary_index": 0})
            self._item["summary"] = [section]
            out = self._event("response.reasoning_summary_text.done", text=text, **where)
            out += self._event("response.reasoning_summary_part.done", part=section, **where)
            self._content = None
        return out + self._done()

    def _begin_redacted(self, part: PartStarted) -> bytes:
        return self._close_message() + self._added(self._output.redacted(part))

    # ── Calls, and what else there is ──────────────────────────────────────────────────────────────────────────────

    def _begin_call(self, part: PartStarted) -> bytes:
        head = self._close_message()
        kind, field, event = _CALLS[part.kind]
        out = head + self._added(self._output.call(kind, part, field))
        self._deltas(f"response.{event}.delta", {})
        return out

    def _finish_call(self, text: str) -> bytes:
        _, field, event = _CALLS[self._kind]
        self._item[field], self._item["status"] = text, "completed"
        named = {"name": self._item["name"]} if self._kind == "tool_call" else {}
        return self._event(f"response.{event}.done", **{field: text}, **named, **self._where({})) + self._done()

    def _begin_opaque(self, part: PartStarted) -> bytes:
        head, item = self._close_message(), dict(part.data or {})
        self._output.items.append(item)
        return head + self._added(item)

    def _replace(self, event: OpaqueDelta) -> bytes:
        """The item as it was when it was done."""
        if event.index == self._part and isinstance(item := event.data.get("item"), dict):
            self._item.clear()
            self._item.update(item)
        return b""

    def _finish_item(self, text: str) -> bytes:
        return self._done()

    def _lose(self, event: Opaque) -> bytes:
        self.lost.extend(event.data)
        return b""


_CALLS = {
    "tool_call": ("function_call", "arguments", "function_call_arguments"),
    "custom_tool_call": ("custom_tool_call", "input", "custom_tool_call_input"),
}
"""By the part's kind: the item's type, what it calls its text, and what its events are called."""

_BEGIN: dict[str, Callable[[StreamWriter, PartStarted], bytes]] = {
    "text": StreamWriter._begin_text,
    "refusal": StreamWriter._begin_text,
    "reasoning": StreamWriter._begin_thought,
    "redacted_reasoning": StreamWriter._begin_redacted,
    "tool_call": StreamWriter._begin_call,
    "custom_tool_call": StreamWriter._begin_call,
    "opaque": StreamWriter._begin_opaque,
}
"""Kinds of parts that have an item here."""

_FINISH: dict[str, Callable[[StreamWriter, str], bytes]] = {
    "text": StreamWriter._finish_text,
    "refusal": StreamWriter._finish_text,
    "reasoning": StreamWriter._finish_thought,
    "redacted_reasoning": StreamWriter._finish_item,
    "tool_call": StreamWriter._finish_call,
    "custom_tool_call": StreamWriter._finish_call,
    "opaque": StreamWriter._finish_item,
}

_TAKE: dict[type, Callable[[StreamWriter, Any], bytes]] = {
    Started: StreamWriter._start,
    PartStarted: StreamWriter._open,
    TextDelta: StreamWriter._delta,
    ReasoningDelta: StreamWriter._think,
    SignatureDelta: StreamWriter._sign,
    ArgumentsDelta: StreamWriter._delta,
    CitationDelta: StreamWriter._cite,
    OpaqueDelta: StreamWriter._replace,
    Logprobs: StreamWriter._log,
    PartFinished: StreamWriter._close,
    Finished: StreamWriter._finish,
    Usage: StreamWriter._count,
    Opaque: StreamWriter._lose,
    Failed: StreamWriter._fail,
}
"""What each kind of event says: one look into a table costs 0.1 µs, matching up to twelve classes in turn 0.5."""
