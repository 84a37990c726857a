"""OpenAI's legacy text completions: a dialect of clients, and of the few models and hosts that still have it.

Between two that speak it the bytes pass, by the rules of chat, whose stream and usage are the same. Other targets get
the prompt as a user's message. That is a chat, not a continuation: it holds for one plain prompt and nothing more, so
what continues a text (`suffix`, `echo`), ranks (`best_of`) or looks inside (`logprobs`) is refused by name.
Source: OpenAI API reference, "Completions", November 2026.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from trunkline.core.call import NOWHERE, Addressed, Headers, Peek
from trunkline.core.errors import BadRequest, GatewayError, UpstreamError, UpstreamProtocol
from trunkline.core.events import Event, Failed, Finished, PartFinished, PartStarted, Reason, Started, TextDelta
from trunkline.core.reply import Flow
from trunkline.core.request import Request
from trunkline.core.usage import Usage
from trunkline.dialects.base import Dialect, Envelope, Quirks, Reader, Writer
from trunkline.dialects.fields import decode_object, wrong
from trunkline.dialects.sse import data

NAME = "openai_completions"

_encode = msgspec.json.Encoder().encode

_REASONS: dict[Reason, str] = {
    "length": "length",
    "context_window": "length",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "error": "content_filter",
}
"""Finish reasons; every other is `stop`."""
_READ: dict[str, Reason] = {"length": "length", "content_filter": "content_filter"}
_TEXT = frozenset({"text", "refusal"})
_NOTHING: dict[str, Any] = {"suffix": None, "echo": False, "logprobs": None}
"""Fields that only a completion has, and the value with which they say nothing."""


class Completions(Dialect):
    """`chat`: OpenAI's chat dialect."""

    name = NAME

    def __init__(self, chat: Dialect) -> None:
        self._chat = chat
        self.ping = chat.ping

    def peek(self, body: bytes, addressed: Addressed = NOWHERE) -> Peek:
        return self._chat.peek(body, addressed)

    def patch(self, body: bytes, model: str, peek: Peek, quirks: Quirks) -> bytes:
        return self._chat.patch(body, model, peek, quirks)

    def tap(self, peek: Peek, request_id: str = "") -> Flow:
        return self._chat.tap(peek, request_id)

    def read_request(self, body: bytes, peek: Peek | None = None) -> Request:
        fields = decode_object(body)
        prompt = _prompt(fields.pop("prompt", None))
        for name, nothing in _NOTHING.items():
            if fields.pop(name, None) not in (None, nothing):
                raise _refused(name)
        if _count(fields.pop("best_of", None), "best_of") > _count(fields.get("n"), "n"):
            raise _refused("best_of")
        fields["messages"] = [{"role": "user", "content": prompt}]
        request = self._chat.read_request(_encode(fields), peek)
        for message in request.messages:
            message.at = "prompt"
            for part in message.parts:
                part.at = "prompt"
        return request

    def write_request(self, request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
        raise NotImplementedError("a conversation is no prompt: only completions go to this API")

    def reader(self, stream: bool) -> Reader:
        """For a host that answers whole where a stream was asked for: anything else of this dialect passes."""
        if stream:
            raise NotImplementedError("a completion's stream goes only to clients that asked for one")
        return _WholeReader()

    def writer(self, envelope: Envelope) -> Writer:
        return _StreamWriter(envelope, self) if envelope.stream else _WholeWriter(envelope)

    def read_error(self, status: int, headers: Headers, body: bytes) -> UpstreamError:
        return self._chat.read_error(status, headers, body)

    def write_error(self, error: GatewayError, request_id: str) -> bytes:
        return self._chat.write_error(error, request_id)

    def error_status(self, error: GatewayError) -> int:
        return self._chat.error_status(error)

    def stream_error(self, error: GatewayError, request_id: str) -> bytes:
        return self._chat.stream_error(error, request_id)


def _prompt(value: Any) -> str:
    """The one prompt. Raises BadRequest."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        return value[0]
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        raise BadRequest(
            "prompt must be one text for this model: several prompts and token ids need a model with OpenAI's "
            "completions API.",
            param="prompt",
        )
    raise wrong("prompt", "a string", value)


def _count(value: Any, name: str) -> int:
    """How many; one where nothing is said. Raises BadRequest."""
    if value is not None and type(value) is not int:
        raise wrong(name, "an integer", value)
    return value or 1


def _refused(name: str) -> BadRequest:
    return BadRequest(
        f"{name} cannot be said to this model, which chats: leave it out, or choose a model with OpenAI's completions "
        "API.",
        param=name,
    )


class _WireChoice(Struct):
    text: str = ""
    index: int = 0
    finish_reason: str | None = None


class _WireUsage(Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Wire(Struct):
    id: str = ""
    model: str = ""
    created: int = 0
    choices: list[_WireChoice] = []
    usage: _WireUsage | None = None


class _WholeReader:
    def __init__(self) -> None:
        self._body = bytearray()

    def feed(self, data: bytes) -> Iterable[Event]:
        self._body += data
        return ()

    def eof(self) -> Iterable[Event]:
        try:
            wire = msgspec.json.decode(self._body, type=_Wire)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return [Failed(UpstreamProtocol("The upstream's answer is not valid JSON of a completion."))]
        found: list[Event] = [Started(wire.id, wire.model, wire.created, dialect=NAME)]
        for number, choice in enumerate(wire.choices):
            found += [
                PartStarted(number, "text", choice.index),
                TextDelta(number, choice.text),
                PartFinished(number),
                Finished(_READ.get(choice.finish_reason or "", "stop"), choice.index),
            ]
        if wire.usage is not None:
            found.append(Usage(input=wire.usage.prompt_tokens, output=wire.usage.completion_tokens))
        return found


class _Writer:
    """What both writers know: the answer's head, and which choice a part belongs to."""

    def __init__(self, envelope: Envelope) -> None:
        self.lost: list[str] = []
        self._envelope = envelope
        self._head: dict[str, Any] = {}
        self._choices: dict[int, int] = {}
        """Index of a part of text to its choice."""
        self._usage: Usage | None = None

    def _begin(self, event: Started) -> None:
        self._head = {
            "id": event.id,
            "object": "text_completion",
            "created": event.created or self._envelope.created,
            "model": event.model or self._envelope.model,
        }

    def _part(self, event: PartStarted) -> None:
        if event.kind in _TEXT:
            self._choices[event.index] = event.choice
        else:
            self.lost.append(event.kind)

    def _counted(self) -> dict[str, Any] | None:
        usage = self._usage
        if usage is None:
            return None
        return {"prompt_tokens": usage.input, "completion_tokens": usage.output, "total_tokens": usage.total}


def _choice(index: int, text: str, reason: str | None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": reason}


class _WholeWriter(_Writer):
    def __init__(self, envelope: Envelope) -> None:
        super().__init__(envelope)
        self._texts: dict[int, list[str]] = {}
        self._reasons: dict[int, str] = {}

    def feed(self, event: Event) -> bytes:
        """Nothing yet. Raises the error of a `Failed`: nothing has been sent."""
        match event:
            case Started():
                self._begin(event)
            case PartStarted():
                self._part(event)
            case TextDelta(index, text):
                self._texts.setdefault(self._choices[index], []).append(text)
            case Finished(reason, choice):
                self._reasons[choice] = _REASONS.get(reason, "stop")
            case Usage():
                self._usage = event
            case Failed(error):
                raise error
            case _:
                pass
        return b""

    def eof(self) -> bytes:
        choices = [
            _choice(index, "".join(self._texts.get(index, ())), reason)
            for index, reason in sorted(self._reasons.items())
        ]
        return _encode(self._head | {"choices": choices, "usage": self._counted()})


class _StreamWriter(_Writer):
    def __init__(self, envelope: Envelope, dialect: Dialect) -> None:
        super().__init__(envelope)
        self._dialect = dialect
        self._failed = False

    def feed(self, event: Event) -> bytes:
        match event:
            case Started():
                self._begin(event)
            case PartStarted():
                self._part(event)
            case TextDelta(index, text):
                return self._chunk([_choice(self._choices[index], text, None)])
            case Finished(reason, choice):
                return self._chunk([_choice(choice, "", _REASONS.get(reason, "stop"))])
            case Usage():
                self._usage = event
            case Failed(error):
                self._failed = True
                return self._dialect.stream_error(error, self._envelope.request_id)
            case _:
                pass
        return b""

    def eof(self) -> bytes:
        if self._failed:
            return b""
        counted = self._counted()
        if self._envelope.include_usage and counted is not None:
            return self._chunk([], usage=counted) + data(b"[DONE]")
        return data(b"[DONE]")

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        return data(_encode(self._head | {"choices": choices} | more))
