"""OpenAI's Chat Completions: also the language of Azure OpenAI and of most compatible hosts."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from trunkline.core.call import Headers, Peek
from trunkline.core.errors import BadRequest, GatewayError, UpstreamError
from trunkline.core.reply import Flow
from trunkline.core.request import Request
from trunkline.dialects.base import Dialect, Envelope, Quirks, Reader, Writer
from trunkline.dialects.openai_chat import answer_reader, answer_writer, errors, request_reader, request_writer, tap
from trunkline.dialects.openai_chat.vocabulary import NAME


class _StreamOptions(Struct):
    include_usage: bool | None = None


class _Peek(Struct):
    model: str
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None


_peek = msgspec.json.Decoder(_Peek).decode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode
_USAGE_ON = msgspec.Raw(b'{"include_usage":true}')


class OpenAIChat:
    name = NAME
    ping = b": ping\n\n"

    def peek(self, body: bytes) -> Peek:
        try:
            seen = _peek(body)
        except msgspec.ValidationError as error:
            raise BadRequest(f"The request body is not a chat completion request: {error}.") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadRequest(f"The request body is not valid JSON: {error}.", code="invalid_json") from error
        except RecursionError as error:
            raise BadRequest("The request body is nested too deeply.", code="invalid_json") from error
        options = seen.stream_options
        return Peek(
            seen.model,
            bool(seen.stream),
            options is not None and bool(options.include_usage),
            seen.max_completion_tokens or seen.max_tokens,
        )

    def patch(self, body: bytes, model: str, peek: Peek, quirks: Quirks) -> bytes:
        ask = peek.stream and not peek.include_usage and quirks.stream_usage
        if model == peek.model and not ask:
            return body
        fields = _fields(body)
        fields["model"] = msgspec.Raw(_encode(model))
        if ask:
            options = fields.get("stream_options")
            given = msgspec.json.decode(options) if options is not None else None
            fields["stream_options"] = (
                msgspec.Raw(_encode({**given, "include_usage": True})) if isinstance(given, dict) else _USAGE_ON
            )
        return _encode(fields)

    def read_request(self, body: bytes) -> Request:
        return request_reader.read_request(body)

    def write_request(self, request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
        return request_writer.write_request(request, model, quirks, lost)

    def tap(self, peek: Peek) -> Flow:
        return tap.StreamTap(peek) if peek.stream else tap.WholeTap()

    def reader(self, stream: bool) -> Reader:
        return answer_reader.AnswerReader(stream)

    def writer(self, envelope: Envelope) -> Writer:
        return answer_writer.StreamWriter(envelope) if envelope.stream else answer_writer.WholeWriter(envelope)

    def read_error(self, status: int, headers: Headers, body: bytes) -> UpstreamError:
        return errors.read_error(status, headers, body)

    def write_error(self, error: GatewayError, request_id: str) -> bytes:
        return errors.write_error(error, request_id)

    def error_status(self, error: GatewayError) -> int:
        return errors.error_status(error)

    def stream_error(self, error: GatewayError, request_id: str) -> bytes:
        return answer_writer.stream_error(error)


DIALECT: Dialect = OpenAIChat()
