"""Events written as a Converse answer, streamed or whole.

Clients build the message by block numbers, so those count 0, 1, 2 … and blocks never overlap. Only tool calls start
with an event of their own. The end waits for the usage, because `metadata` must follow `messageStop`.

No padding is written: the service adds some to hide the length of what is said from whoever watches the encrypted line
to it, SDKs drop it, and it would make equal answers differ.

Converse has one answer where others may have several: choice 0 is written. What only another dialect understands is
left out and reported. Thoughts and signatures of another family are marked with their maker (`dialects.carried`).
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

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
from trunkline.dialects.base import Envelope
from trunkline.dialects.bedrock.errors import stream_error
from trunkline.dialects.bedrock.eventstream import event as frame
from trunkline.dialects.bedrock.usage import write_usage
from trunkline.dialects.bedrock.vocabulary import NAME, STOP_REASONS
from trunkline.dialects.carried import Carried, pack, seal
from trunkline.dialects.verdicts import unsaid

_encode = msgspec.json.Encoder().encode

_DELTAS: dict[str, tuple[str, bytes]] = {
    "text": ('{"text":', b"}}"),
    "refusal": ('{"text":', b"}}"),
    "reasoning": ('{"reasoningContent":{"text":', b"}}}"),
    "tool_call": ('{"toolUse":{"input":', b"}}}"),
}
"""What stands before and behind a piece of text, by the kind of its part."""

_NOTHING = Usage()
_BROKEN = "The upstream's answer ended before it was complete."


def called(part: PartStarted, maker: str) -> dict[str, Any]:
    """A tool call as it begins. The signature that some models give a call travels in its id."""
    signature = (part.data or {}).get("signature")
    thoughts = [Carried(maker, "call", signature)] if signature else []
    return {"toolUseId": pack(part.id, thoughts), "name": part.name}


def redacted(data: str, maker: str) -> str:
    """An encrypted thought as the blob that Converse has for it: another family's, which is text, in base64."""
    sealed = seal(data, maker, NAME)
    return data if sealed == data else base64.b64encode(sealed.encode()).decode()


def ending(finished: Finished, own: bool, refused: bool, usage: Usage | None) -> dict[str, Any]:
    """The end of an answer: `stopReason`, `usage`, `metrics` and what its own upstream said beside them."""
    reason = "refusal" if refused and finished.reason == "stop" else finished.reason
    extra = dict(finished.extra) if own and finished.extra else {}
    counts = write_usage(usage or _NOTHING) | extra.pop("usage", {})
    return {"stopReason": STOP_REASONS[reason], "usage": counts, "metrics": {"latencyMs": 0}} | extra


def answer_of(content: list[dict[str, Any]], said: dict[str, Any]) -> dict[str, Any]:
    """The answer as a whole. `said`: as `ending` has it."""
    return {"output": {"message": {"role": "assistant", "content": content}}} | said


class StreamWriter:
    def __init__(self, envelope: Envelope) -> None:
        self.lost: list[str] = []
        self._maker = ""
        self._started = False
        self._ended = False
        self._blocks: dict[int, int] = {}
        """Part index to block number, for the parts that are written."""
        self._part = -1
        self._prefix, self._suffix = b"", b""
        """Of the deltas of the part that is open."""
        self._silent = False
        """Nothing has been said in the open part: without a word the block would not exist."""
        self._refused = False
        self._finished: Finished | None = None

    def feed(self, event: Event) -> bytes:
        match event:
            case TextDelta(index, text) | ReasoningDelta(index, text) | ArgumentsDelta(index, text):
                return self._say(text) if index == self._part else b""
            case PartStarted():
                return self._open(event)
            case PartFinished(index):
                return self._close(index)
            case SignatureDelta(index, signature):
                return self._sign(index, signature)
            case CitationDelta(index, data):
                return self._own_delta(index, {"citation": data}, "citations")
            case OpaqueDelta(index, data):
                return self._own_delta(index, data, "opaque")
            case Started():
                return self._start(event.dialect)
            case Finished():
                self._finished = event if event.choice == 0 else self._finished
                return b""
            case Usage():
                return self._end(event)
            case Failed(error):
                self._ended = True
                return stream_error(error)
            case _:
                return b""

    def eof(self) -> bytes:
        if self._ended:
            return b""
        if self._finished is None:
            self._ended = True
            return stream_error(UpstreamBroken(_BROKEN))
        return self._end(None)

    def _start(self, maker: str) -> bytes:
        if self._started:
            return b""
        self._started, self._maker = True, maker
        return frame("messageStart", b'{"role":"assistant"}')

    def _open(self, part: PartStarted) -> bytes:
        head = self._start("")
        own = self._maker == NAME
        shape = _DELTAS.get(part.kind)
        if part.choice or (shape is None and part.kind != "redacted_reasoning" and not (own and part.kind == "opaque")):
            self.lost.append(f"content.{part.kind}")
            return head
        number = self._blocks[part.index] = len(self._blocks)
        self._refused = self._refused or part.kind == "refusal"
        if shape is not None:
            self._part, self._suffix = part.index, shape[1]
            self._prefix = f'{{"contentBlockIndex":{number},"delta":{shape[0]}'.encode()
            self._silent = part.kind in {"text", "refusal"}
        if part.kind == "tool_call":
            return head + self._begin(number, {"toolUse": called(part, self._maker)})
        if part.kind == "redacted_reasoning":
            data = redacted((part.data or {}).get("data", ""), self._maker)
            return head + self._delta(number, {"reasoningContent": {"redactedContent": data}})
        return head + self._begin(number, part.data or {}) if part.kind == "opaque" else head

    def _begin(self, number: int, start: dict[str, Any]) -> bytes:
        return frame("contentBlockStart", _encode({"contentBlockIndex": number, "start": start}))

    def _say(self, text: str) -> bytes:
        self._silent = False
        return frame("contentBlockDelta", self._prefix + _encode(text) + self._suffix)

    def _delta(self, number: int, delta: dict[str, Any]) -> bytes:
        return frame("contentBlockDelta", _encode({"contentBlockIndex": number, "delta": delta}))

    def _sign(self, index: int, signature: str) -> bytes:
        if index != self._part or not self._prefix.endswith(b'{"reasoningContent":{"text":'):
            self.lost.append("content.signature")
            return b""
        sealed = seal(signature, self._maker, NAME)
        return self._delta(self._blocks[index], {"reasoningContent": {"signature": sealed}})

    def _own_delta(self, index: int, delta: dict[str, Any], what: str) -> bytes:
        number = self._blocks.get(index)
        if self._maker != NAME or number is None:
            self.lost.append(what)
            return b""
        self._silent = False
        return self._delta(number, delta)

    def _close(self, index: int) -> bytes:
        number = self._blocks.get(index)
        if number is None:
            return b""
        head = b""
        if index == self._part:
            head = self._say("") if self._silent else b""
            self._part = -1
        return head + frame("contentBlockStop", _encode({"contentBlockIndex": number}))

    def _end(self, usage: Usage | None) -> bytes:
        if self._ended or self._finished is None:
            return b""
        self._ended = True
        said = ending(self._finished, self._maker == NAME, self._refused, usage)
        stop = {name: said.pop(name) for name in ("stopReason", "additionalModelResponseFields") if name in said}
        return self._start("") + frame("messageStop", _encode(stop)) + frame("metadata", _encode(said))


class WholeWriter:
    def __init__(self, envelope: Envelope) -> None:
        self.lost: list[str] = []
        self._maker = ""
        self._parts: dict[int, PartStarted] = {}
        """By their index, those that are written, in order."""
        self._texts: dict[int, list[str]] = {}
        self._signatures: dict[int, str] = {}
        self._beside: dict[int, list[dict[str, Any]]] = {}
        """Citations and deltas of opaque parts."""
        self._finished: Finished | None = None
        self._usage: Usage | None = None

    def feed(self, event: Event) -> bytes:
        """Nothing yet: a whole answer comes out of `eof`. Raises the error of a `Failed`: nothing has been sent."""
        _TAKE[type(event)](self, event)
        return b""

    def eof(self) -> bytes:
        """Raises UpstreamBroken where the answer has no end."""
        if self._finished is None:
            raise UpstreamBroken(_BROKEN)
        content = [self._block(part) for part in self._parts.values()]
        refused = any(part.kind == "refusal" for part in self._parts.values())
        said = ending(self._finished, self._maker == NAME, refused, self._usage)
        return _encode(answer_of(content, said))

    def _block(self, part: PartStarted) -> dict[str, Any]:
        text = "".join(self._texts[part.index])
        beside = self._beside.get(part.index, [])
        match part.kind:
            case "tool_call":
                return {"toolUse": called(part, self._maker) | {"input": _object(text)}}
            case "reasoning":
                signature = self._signatures.get(part.index)
                sealed = {"signature": seal(signature, self._maker, NAME)} if signature else {}
                return {"reasoningContent": {"reasoningText": {"text": text} | sealed}}
            case "redacted_reasoning":
                data = redacted((part.data or {}).get("data", ""), self._maker)
                return {"reasoningContent": {"redactedContent": data}}
            case "opaque":
                return _assembled(part.data or {}, beside)
        if beside:
            return {"citationsContent": {"content": [{"text": text}], "citations": beside}}
        return {"text": text}

    def _start(self, event: Started) -> None:
        self._maker = event.dialect

    def _open(self, part: PartStarted) -> None:
        known = part.kind in _DELTAS or part.kind == "redacted_reasoning"
        if part.choice == 0 and (known or (part.kind == "opaque" and self._maker == NAME)):
            self._parts[part.index] = part
            self._texts[part.index] = []
        else:
            self.lost.append(f"content.{part.kind}")

    def _text(self, event: TextDelta | ReasoningDelta) -> None:
        if (texts := self._texts.get(event.index)) is not None:
            texts.append(event.text)

    def _arguments(self, event: ArgumentsDelta) -> None:
        if (texts := self._texts.get(event.index)) is not None:
            texts.append(event.json)

    def _sign(self, event: SignatureDelta) -> None:
        if (part := self._parts.get(event.index)) is not None and part.kind == "reasoning":
            self._signatures[event.index] = event.signature
        else:
            self.lost.append("content.signature")

    def _keep(self, event: CitationDelta | OpaqueDelta) -> None:
        if self._maker == NAME:
            self._beside.setdefault(event.index, []).append(event.data)
        else:
            self.lost.append("citations" if isinstance(event, CitationDelta) else "opaque")

    def _finish(self, event: Finished) -> None:
        if event.choice == 0:
            self._finished = event
            self.lost += unsaid(event)
        else:
            self.lost.append(f"choices[{event.choice}]")

    def _count(self, event: Usage) -> None:
        self._usage = event

    def _lose(self, event: Opaque) -> None:
        self.lost.extend(event.data)

    def _lose_logprobs(self, event: Logprobs) -> None:
        self.lost.append("logprobs")

    def _pass(self, event: PartFinished) -> None:
        """A whole answer's parts end with it."""

    def _fail(self, event: Failed) -> None:
        raise event.error


_TAKE: dict[type, Callable[[WholeWriter, Any], None]] = {
    Started: WholeWriter._start,
    PartStarted: WholeWriter._open,
    TextDelta: WholeWriter._text,
    ReasoningDelta: WholeWriter._text,
    SignatureDelta: WholeWriter._sign,
    ArgumentsDelta: WholeWriter._arguments,
    CitationDelta: WholeWriter._keep,
    OpaqueDelta: WholeWriter._keep,
    Logprobs: WholeWriter._lose_logprobs,
    PartFinished: WholeWriter._pass,
    Finished: WholeWriter._finish,
    Usage: WholeWriter._count,
    Opaque: WholeWriter._lose,
    Failed: WholeWriter._fail,
}


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


def _assembled(start: dict[str, Any], deltas: list[dict[str, Any]]) -> dict[str, Any]:
    """A block that only Converse has, of its start and what came after: a server's tool, what it found, an image."""
    [(name, opened)] = start.items() or [("text", "")]
    if not isinstance(opened, dict):
        return start
    pieces = [delta[name] for delta in deltas if name in delta]
    match name:
        case "toolUse":
            return {name: opened | {"input": _object("".join(piece["input"] for piece in pieces))}}
        case "toolResult":
            return {name: opened | {"content": [found for piece in pieces for found in piece]}}
    for piece in pieces:
        opened = opened | piece
    return {name: opened}
