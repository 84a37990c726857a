"""OpenAI's Chat Completions: also the language of Azure OpenAI and of most compatible hosts."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Struct, UnsetType

from trunkline.core.call import NOWHERE, Addressed, Headers, Peek
from trunkline.core.errors import GatewayError, UpstreamError
from trunkline.core.reply import Flow
from trunkline.core.request import Request
from trunkline.dialects import openai_errors as errors
from trunkline.dialects.asked import Length
from trunkline.dialects.base import Dialect, Envelope, Quirks, Reader, Writer
from trunkline.dialects.carried import marked
from trunkline.dialects.fields import TYPED, Fields, decode_object, missing, raw_fields
from trunkline.dialects.openai_chat import answer_reader, answer_writer, plain, request_reader, request_writer, tap
from trunkline.dialects.openai_chat.vocabulary import NAME
from trunkline.dialects.plain import Plain
from trunkline.dialects.whole import WholeTap

_NO_TOOLS = msgspec.Raw(b"null")
"""Anything longer names some."""


class _StreamOptions(Struct):
    include_usage: bool | None = None


class _Peek(Length):
    """The length of the answer costs nothing where the body is read anyway."""

    model: str = ""
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: int | UnsetType | None = UNSET
    tools: msgspec.Raw = _NO_TOOLS
    reasoning_effort: str | None = None


_peek = msgspec.json.Decoder(_Peek).decode
_encode = msgspec.json.Encoder().encode
_USAGE_ON = msgspec.Raw(b'{"include_usage":true}')


class OpenAIChat(Dialect):
    name = NAME
    ping = b": ping\n\n"

    def peek(self, body: bytes, addressed: Addressed = NOWHERE) -> Peek:
        try:
            seen = said = _peek(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            top = Fields(decode_object(body))  # the slow way, for the sake of its error messages
            asked = top.inner("stream_options").get("include_usage", bool)
            seen = _Peek(stream=top.get("stream", bool), stream_options=_StreamOptions(asked), n=top.get("n", int))
            seen.model, said = addressed.model or top.need("model", str), None
        model = addressed.model or seen.model or missing("model")
        options = seen.stream_options
        return Peek(
            model,
            bool(seen.stream),
            options is not None and bool(options.include_usage),
            seen.n or 1,
            addressed=bool(addressed.model),
            plain=body.find(TYPED) < 0,
            tools=len(seen.tools) > len(_NO_TOOLS),
            effort=seen.reasoning_effort,
            said=said,
        )

    def patch(self, body: bytes, model: str, peek: Peek, quirks: Quirks) -> bytes:
        if not peek.plain and marked(body):
            return self._unmarked(body, model, peek, quirks)
        ask = peek.stream and not peek.include_usage and quirks.stream_usage
        if model == peek.model and not ask and not peek.addressed:
            return body
        fields = raw_fields(body)
        fields["model"] = msgspec.Raw(_encode(model))
        if ask:
            options = fields.get("stream_options")
            given = msgspec.json.decode(options) if options is not None else None
            fields["stream_options"] = (
                msgspec.Raw(_encode({**given, "include_usage": True})) if isinstance(given, dict) else _USAGE_ON
            )
        return _encode(fields)

    def _unmarked(self, body: bytes, model: str, peek: Peek, quirks: Quirks) -> bytes:
        """Without the thoughts of other families' models, which only the gateway can read."""
        request = self.read_request(body, peek)
        said = Quirks(max_tokens_field=request.name_of("max_tokens"), stream_usage=quirks.stream_usage)
        return self.write_request(request, model, said, [])

    def read_request(self, body: bytes, peek: Peek | None = None) -> Request:
        return request_reader.read_request(body, peek.model if peek is not None else "")

    def write_request(self, request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
        return request_writer.write_request(request, model, quirks, lost)

    def tap(self, peek: Peek, request_id: str = "") -> Flow:
        return tap.StreamTap(peek, request_id) if peek.stream else WholeTap(tap.read_whole)

    def reader(self, stream: bool) -> Reader:
        return answer_reader.AnswerReader(stream)

    def writer(self, envelope: Envelope) -> Writer:
        return answer_writer.StreamWriter(envelope) if envelope.stream else answer_writer.WholeWriter(envelope)

    def read_plain(self, body: bytes) -> Plain | None:
        return plain.read_plain(body)

    def write_plain(self, answer: Plain, envelope: Envelope) -> bytes:
        return plain.write_plain(answer, envelope)

    def read_error(self, status: int, headers: Headers, body: bytes) -> UpstreamError:
        return errors.read_error(status, headers, body)

    def write_error(self, error: GatewayError, request_id: str) -> bytes:
        return errors.write_error(error, request_id)

    def error_status(self, error: GatewayError) -> int:
        return errors.error_status(error)

    def stream_error(self, error: GatewayError, request_id: str) -> bytes:
        return answer_writer.stream_error(error, request_id)


DIALECT: Dialect = OpenAIChat()
