"""Events written as a generateContent answer, streamed or whole.

Every chunk is a whole answer with a piece of it: clients put them together by position, and the SDK's chats keep a turn
only where each chunk has a part. So the last one has an empty text beside its finish reason, as the service's own has.
Calls leave whole. The source's usage comes after its end, or never; the last chunk waits for it.
"""

from __future__ import annotations

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
from trunkline.dialects.gemini.chunks import Parts, Speaking, Wire, beside, closing, ended
from trunkline.dialects.gemini.errors import write_error
from trunkline.dialects.gemini.framing import framed
from trunkline.dialects.gemini.logprobs import write_logprobs
from trunkline.dialects.gemini.vocabulary import ARRAY
from trunkline.dialects.verdicts import unsaid

_encode = msgspec.json.Encoder().encode

_CALLS = frozenset({"tool_call", "custom_tool_call"})
_BROKEN = "The upstream's answer ended before it was complete."


class _Writer:
    """What both writers do alike: they keep track of the parts, and of the end."""

    def __init__(self, envelope: Envelope) -> None:
        self.lost: list[str] = []
        self._envelope = envelope
        self._head: Started | None = None
        self._parts = Parts("")
        self._open: dict[int, Speaking] = {}
        self._refused: set[int] = set()
        self._finished: list[Finished] = []
        self._usage: Usage | None = None

    def _start(self, event: Started) -> None:
        self._head, self._parts = event, Parts(event.dialect)

    def _begin(self, part: PartStarted) -> None:
        if not self._parts.carries(part):
            self.lost.append(f"content.{part.kind}")
            return
        self._open[part.index] = Speaking(part)
        if part.kind == "refusal":
            self._refused.add(part.choice)

    def _sign(self, event: SignatureDelta) -> None:
        if (spoken := self._open.get(event.index)) is not None:
            if spoken.kind in _CALLS:
                spoken.data["signature"] = event.signature
            else:
                spoken.signature = event.signature

    def _note(self, event: Event) -> None:
        """What has no words of its own."""
        match event:
            case Usage():
                self._usage = event
            case Finished():
                self._finished.append(event)
                self.lost += unsaid(event)
            case CitationDelta():
                self.lost.append("citations")
            case Opaque(data) if not self._parts.own:
                self.lost += data
            case OpaqueDelta() if not self._parts.own:
                self.lost.append("content.opaque")


class StreamWriter(_Writer):
    def __init__(self, envelope: Envelope) -> None:
        super().__init__(envelope)
        self._array = envelope.framing == ARRAY
        self._first = True
        self._ended = False
        self._tail = _tail({})

    def feed(self, event: Event) -> bytes:
        match event:
            case TextDelta(index, text) | ReasoningDelta(index, text):
                return self._text(index, text)
            case ArgumentsDelta(index, text):
                if (spoken := self._open.get(index)) is not None:
                    spoken.texts.append(text)
            case PartStarted():
                self._begin(event)
            case PartFinished(index):
                return self._close(index)
            case SignatureDelta():
                self._sign(event)
            case Started():
                self._start(event)
                self._tail = _tail(beside(event, self._envelope))
            case Logprobs(choice, data):
                return self._candidate({"logprobsResult": write_logprobs(data), "index": choice})
            case Opaque(data) if self._parts.own:
                return self._send(_encode(data | beside(self._head, self._envelope)))
            case Failed(error):
                self._ended = True
                return self._error(error)
            case _:
                self._note(event)
                if self._finished and self._usage is not None:
                    return self._end()
        return b""

    def eof(self) -> bytes:
        if self._ended:
            return b""
        if not self._finished:
            self._ended = True
            return self._error(UpstreamBroken(_BROKEN))
        return self._end()

    def _text(self, index: int, text: str) -> bytes:
        spoken = self._open.get(index)
        if spoken is None:
            return b""
        if spoken.thought and not self._parts.own:
            spoken.texts.append(text)
        opening = b'{"candidates":[{"content":{"parts":[{"text":'
        closing = b',"thought":true}],"role":"model"},"index":%d}]' if spoken.thought else _PLAIN
        return self._send(opening + _encode(text) + closing % spoken.choice + self._tail)

    def _close(self, index: int) -> bytes:
        spoken = self._open.pop(index, None)
        if spoken is None:
            return b""
        if spoken.kind in _CALLS:
            part = self._parts.call(spoken)
        elif spoken.kind in ("opaque", "media"):
            part = spoken.data
        else:
            part = self._parts.signed(spoken, self._parts.words(spoken, ""))
            if "thoughtSignature" not in part:
                return b""
        return self._candidate({"content": {"parts": [part], "role": "model"}, "index": spoken.choice})

    def _candidate(self, candidate: Wire) -> bytes:
        return self._send(b'{"candidates":[' + _encode(candidate) + b"]" + self._tail)

    def _send(self, payload: bytes) -> bytes:
        first, self._first = self._first, False
        return framed(payload, self._array, first)

    def _end(self) -> bytes:
        if self._ended:
            return b""
        self._ended = True
        own = self._parts.own
        candidates = [ended(each, [{"text": ""}], own, each.choice in self._refused) for each in self._finished]
        body = closing(candidates, self._finished, self._usage, own) | beside(self._head, self._envelope)
        return self._send(_encode(body)) + (b"]" if self._array else b"")

    def _error(self, error: GatewayError) -> bytes:
        return self._send(write_error(error, self._envelope.request_id)) + (b"]" if self._array else b"")


_PLAIN = b'}],"role":"model"},"index":%d}]'


def _tail(fields: Wire) -> bytes:
    """The end of a chunk: what every one of them says, behind its candidates."""
    return b"," + _encode(fields)[1:] if fields else b"}"


class WholeWriter(_Writer):
    def __init__(self, envelope: Envelope) -> None:
        super().__init__(envelope)
        self._said: dict[int, list[Wire]] = {}
        """Parts by choice, in order."""
        self._more: dict[int, Wire] = {}
        self._beside: Wire = {}

    def feed(self, event: Event) -> bytes:
        """Nothing yet: a whole answer comes out of `eof`. Raises the error of a `Failed`: nothing has been sent."""
        match event:
            case TextDelta(index, text) | ReasoningDelta(index, text) | ArgumentsDelta(index, text):
                if (spoken := self._open.get(index)) is not None:
                    spoken.texts.append(text)
            case PartStarted():
                self._begin(event)
            case PartFinished(index):
                self._close(index)
            case SignatureDelta():
                self._sign(event)
            case Started():
                self._start(event)
            case Logprobs(choice, data):
                self._more[choice] = {"logprobsResult": write_logprobs(data)}
            case Opaque(data) if self._parts.own:
                self._beside |= data
            case Failed(error):
                raise error
            case _:
                self._note(event)
        return b""

    def eof(self) -> bytes:
        """Raises UpstreamBroken where the answer has no end."""
        if not self._finished:
            raise UpstreamBroken(_BROKEN)
        own = self._parts.own
        candidates = [
            ended(each, self._said.get(each.choice, []), own, each.choice in self._refused)
            | self._more.get(each.choice, {})
            for each in self._finished
        ]
        body = closing(candidates, self._finished, self._usage, own)
        return _encode(body | self._beside | beside(self._head, self._envelope))

    def _close(self, index: int) -> None:
        spoken = self._open.pop(index, None)
        if spoken is None:
            return
        if spoken.kind in _CALLS:
            part = self._parts.call(spoken)
        elif spoken.kind in ("opaque", "media"):
            part = spoken.data
        else:
            part = self._parts.signed(spoken, self._parts.words(spoken, "".join(spoken.texts)))
        self._said.setdefault(spoken.choice, []).append(part)


def stream_error(error: GatewayError, request_id: str) -> bytes:
    """An error inside a stream of events."""
    return framed(write_error(error, request_id), False, True)
