"""Events written as a Messages answer, streamed or whole.

Clients build the message from the stream by position, so the stream must be exact whatever the source was: one
`message_start`, blocks numbered 0, 1, 2 … that never overlap, one `message_delta` with the stop reason and the running
total of the usage, `message_stop` last. The source's usage comes after its end, or never; `message_delta` waits for it.

Messages has one answer where chat may have several: choice 0 is written. What only another dialect understands is left
out and reported. A delta is written by putting its encoded text behind a prefix made when its block began.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_never

import msgspec

from trunkline.core.errors import UpstreamBroken
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
from trunkline.dialects.anthropic.errors import stream_error
from trunkline.dialects.anthropic.usage import write_usage
from trunkline.dialects.anthropic.vocabulary import NAME, STOP_REASONS
from trunkline.dialects.base import Envelope
from trunkline.dialects.carried import Carried, pack, seal
from trunkline.dialects.sse import event as sse_event
from trunkline.dialects.verdicts import unsaid

_encode = msgspec.json.Encoder().encode

MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'

_DELTAS = {
    "text": ("text_delta", "text"),
    "refusal": ("text_delta", "text"),
    "reasoning": ("thinking_delta", "thinking"),
    "tool_call": ("input_json_delta", "partial_json"),
}
"""What a part's text is called on the wire, by the part's kind."""


def block_of(part: PartStarted, maker: str) -> dict[str, Any] | None:
    """The block as it begins; None for a part that Messages has no block for. `maker`: the upstream's dialect. A call
    that its model signed takes the signature along in its id, which has no other place here."""
    own, data = maker == NAME, part.data or {}
    match part.kind:
        case "text" | "refusal":
            block: dict[str, Any] = {"type": "text", "text": ""}
        case "reasoning":
            block = {"type": "thinking", "thinking": "", "signature": ""}
        case "tool_call":
            carried = [Carried(maker, "call", data["signature"])] if data.get("signature") and not own else []
            block = {"type": "tool_use", "id": pack(part.id, carried), "name": part.name, "input": {}}
        case "redacted_reasoning":
            return {"type": "redacted_thinking", "data": seal(data.get("data", ""), maker, NAME)}
        case "opaque":
            return part.data if own else None
        case "custom_tool_call" | "media":
            return None
        case _:
            assert_never(part.kind)
    return block | data if own else block


_UNNAMED = Started("", "")
"""The beginning of an answer that has not said its name."""

_NO_USAGE = {"input_tokens": 0, "output_tokens": 0}


def message_of(head: Started | None, envelope: Envelope) -> dict[str, Any]:
    """The message as it begins."""
    head = head or _UNNAMED
    extra = dict(head.extra) if head.extra and head.dialect == NAME else {}
    usage = extra.pop("usage", _NO_USAGE)
    return {
        "id": head.id or envelope.request_id,
        "type": "message",
        "role": "assistant",
        "model": head.model or envelope.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        **extra,
        "usage": usage,
    }


def ending_of(finished: Finished, own: bool, refused: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The `delta` of the end, and what stands beside it (`usage` among it, without the counts)."""
    reason = "refusal" if refused and finished.reason == "stop" else STOP_REASONS[finished.reason]
    delta: dict[str, Any] = {"stop_reason": reason, "stop_sequence": finished.stop_sequence}
    if not own or not finished.extra:
        return delta, {}
    beside = dict(finished.extra)
    return delta | beside.pop("delta", {}), beside


class StreamWriter:
    def __init__(self, envelope: Envelope) -> None:
        self.lost: list[str] = []
        self._envelope = envelope
        self._own = False
        self._maker = ""
        """The upstream's dialect."""
        self._started = False
        self._ended = False
        self._blocks: dict[int, int] = {}
        """Part index to block index, for the parts that are written."""
        self._part = -1
        self._thought = -1
        """The last part that is reasoning."""
        self._prefix = b""
        """Of the deltas of the part that is open."""
        self._refused = False
        self._finished: Finished | None = None
        self._usage: Usage | None = None

    def feed(self, event: Event) -> bytes:
        match event:
            case TextDelta(index, text) | ReasoningDelta(index, text) | ArgumentsDelta(index, text):
                return self._prefix + _encode(text) + b"}}\n\n" if index == self._part else b""
            case PartStarted():
                return self._open(event)
            case PartFinished(index):
                return self._close(index)
            case SignatureDelta(index, signature):
                if index != self._thought:
                    return b""  # of a text (Gemini): it has no place here, and its maker does not insist on it
                sealed = seal(signature, self._maker, NAME)
                return self._delta(index, {"type": "signature_delta", "signature": sealed})
            case CitationDelta(index, citation):
                return self._delta(index, {"type": "citations_delta", "citation": citation}) if self._own else b""
            case OpaqueDelta(index, delta):
                return self._delta(index, delta) if self._own else b""
            case Started():
                return self._start(event)
            case Finished():
                if event.choice == 0:
                    self._finished = event
                return b""
            case Usage():
                self._usage = event
                return self._end() if self._finished is not None else b""
            case Failed(error):
                self._ended = True
                return stream_error(error, self._envelope.request_id)
            case Logprobs() | Opaque():
                return b""
            case _:
                assert_never(event)

    def eof(self) -> bytes:
        if self._ended:
            return b""
        if self._finished is None:
            self._ended = True
            broken = UpstreamBroken("The upstream's answer ended before it was complete.")
            return stream_error(broken, self._envelope.request_id)
        return self._end()

    def _start(self, event: Started | None) -> bytes:
        if self._started:
            return b""
        self._started = True
        self._maker = event.dialect if event is not None else ""
        self._own = self._maker == NAME
        start = {"type": "message_start", "message": message_of(event, self._envelope)}
        return sse_event(b"message_start", _encode(start))

    def _open(self, part: PartStarted) -> bytes:
        head = self._start(None)
        block = block_of(part, self._maker) if part.choice == 0 else None
        if block is None:
            self.lost.append(f"content.{part.kind}")
            return head
        number = self._blocks[part.index] = len(self._blocks)
        self._refused = self._refused or part.kind == "refusal"
        if part.kind == "reasoning":
            self._thought = part.index
        if (names := _DELTAS.get(part.kind)) is not None:
            self._part = part.index
            self._prefix = (
                'event: content_block_delta\ndata: {"type":"content_block_delta",'
                f'"index":{number},"delta":{{"type":"{names[0]}","{names[1]}":'
            ).encode()
        start = {"type": "content_block_start", "index": number, "content_block": block}
        return head + sse_event(b"content_block_start", _encode(start))

    def _delta(self, part: int, delta: dict[str, Any]) -> bytes:
        number = self._blocks.get(part)
        if number is None:
            return b""
        payload = _encode({"type": "content_block_delta", "index": number, "delta": delta})
        return sse_event(b"content_block_delta", payload)

    def _close(self, part: int) -> bytes:
        number = self._blocks.get(part)
        if number is None:
            return b""
        if part == self._part:
            self._part = -1
        return sse_event(b"content_block_stop", _encode({"type": "content_block_stop", "index": number}))

    def _end(self) -> bytes:
        if self._ended or self._finished is None:
            return b""
        self._ended = True
        delta, beside = ending_of(self._finished, self._own, self._refused)
        counts = write_usage(self._usage) if self._usage is not None else {"output_tokens": 0}
        ending = {"type": "message_delta", "delta": delta, **beside, "usage": counts | beside.get("usage", {})}
        return self._start(None) + sse_event(b"message_delta", _encode(ending)) + MESSAGE_STOP


class WholeWriter:
    def __init__(self, envelope: Envelope) -> None:
        self.lost: list[str] = []
        self._envelope = envelope
        self._head: Started | None = None
        self._own = False
        self._maker = ""
        """The upstream's dialect."""
        self._blocks: dict[int, dict[str, Any]] = {}
        """Part index to block, for the parts that are written, in order."""
        self._texts: dict[int, list[str]] = {}
        self._kinds: dict[int, str] = {}
        self._finished: Finished | None = None
        self._usage: Usage | None = None

    def feed(self, event: Event) -> bytes:
        """Nothing yet: a whole answer comes out of `eof`. Raises the error of a `Failed`: nothing has been sent."""
        _TAKE[type(event)](self, event)
        return b""

    def eof(self) -> bytes:
        """Raises UpstreamBroken where the answer has no end."""
        if self._finished is None:
            raise UpstreamBroken("The upstream's answer ended before it was complete.")
        message = message_of(self._head, self._envelope)
        delta, beside = ending_of(self._finished, self._own, "refusal" in self._kinds.values())
        usage = message["usage"]
        if self._usage is not None:
            usage = usage | write_usage(self._usage)
        if more := beside.pop("usage", None):
            usage = usage | more
        message.update(delta)
        message.update(beside)
        message["content"], message["usage"] = list(self._blocks.values()), usage
        return _encode(message)

    def _start(self, event: Started) -> None:
        self._head, self._maker, self._own = event, event.dialect, event.dialect == NAME

    def _open(self, part: PartStarted) -> None:
        block = block_of(part, self._maker) if part.choice == 0 else None
        if block is None:
            self.lost.append(f"content.{part.kind}")
            return
        self._blocks[part.index] = dict(block)
        self._kinds[part.index] = part.kind
        self._texts[part.index] = []

    def _text(self, event: TextDelta | ReasoningDelta) -> None:
        if (texts := self._texts.get(event.index)) is not None:
            texts.append(event.text)

    def _arguments(self, event: ArgumentsDelta) -> None:
        if (texts := self._texts.get(event.index)) is not None:
            texts.append(event.json)

    def _sign(self, event: SignatureDelta) -> None:
        if self._kinds.get(event.index) == "reasoning":
            self._blocks[event.index]["signature"] = seal(event.signature, self._maker, NAME)

    def _close(self, event: PartFinished) -> None:
        block = self._blocks.get(event.index)
        if block is None:
            return
        text = "".join(self._texts.pop(event.index, ()))
        match self._kinds[event.index]:
            case "text" | "refusal":
                block["text"] = text
            case "reasoning":
                block["thinking"] = text
            case "tool_call":
                block["input"] = _object(text)

    def _cite(self, event: CitationDelta) -> None:
        if self._own and event.index in self._blocks:
            self._blocks[event.index].setdefault("citations", []).append(event.data)
        else:
            self.lost.append("citations")

    def _merge(self, event: OpaqueDelta) -> None:
        """A delta of an opaque block. `input_json_delta` brings the input piece by piece; any other replaces fields."""
        block, delta = self._blocks.get(event.index), event.data
        if block is None or not self._own:
            return
        if delta.get("type") == "input_json_delta":
            self._texts[event.index].append(delta["partial_json"])
            block["input"] = _object("".join(self._texts[event.index]))
        else:
            block |= {name: value for name, value in delta.items() if name != "type"}

    def _finish(self, event: Finished) -> None:
        if event.choice == 0:
            self._finished = event
            self.lost += unsaid(event)
        else:
            self.lost.append(f"choices[{event.choice}]")

    def _count(self, event: Usage) -> None:
        self._usage = event

    def _lose_logprobs(self, event: Logprobs) -> None:
        self.lost.append("logprobs")

    def _lose(self, event: Opaque) -> None:
        self.lost.extend(event.data)

    def _fail(self, event: Failed) -> None:
        raise event.error


_TAKE: dict[type, Callable[[WholeWriter, Any], None]] = {
    Started: WholeWriter._start,
    PartStarted: WholeWriter._open,
    TextDelta: WholeWriter._text,
    ReasoningDelta: WholeWriter._text,
    SignatureDelta: WholeWriter._sign,
    ArgumentsDelta: WholeWriter._arguments,
    CitationDelta: WholeWriter._cite,
    OpaqueDelta: WholeWriter._merge,
    Logprobs: WholeWriter._lose_logprobs,
    PartFinished: WholeWriter._close,
    Finished: WholeWriter._finish,
    Usage: WholeWriter._count,
    Opaque: WholeWriter._lose,
    Failed: WholeWriter._fail,
}
"""What each kind of event says: one look into a table costs 0.1 µs, matching up to twelve classes in turn 0.5."""


def _object(text: str) -> Any:
    """A tool call's arguments. The JSON text goes in as it is; text that is none (the model erred, or was cut short)
    becomes a string, which a client sees to be wrong."""
    if not text:
        return {}
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text
    return msgspec.Raw(text.encode())
