"""OpenAI's Responses API: also on Azure, on Bedrock's `/openai/v1`, and at some compatible hosts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from trunkline.core.call import NOWHERE, Addressed, Headers, Peek
from trunkline.core.errors import GatewayError, UpstreamError
from trunkline.core.reply import Flow
from trunkline.core.request import Request
from trunkline.dialects import openai_errors as errors
from trunkline.dialects.base import Dialect, Envelope, Quirks, Reader, Writer
from trunkline.dialects.carried import marked
from trunkline.dialects.counts import read_count
from trunkline.dialects.fields import Fields, decode_object, missing, raw_fields
from trunkline.dialects.openai_responses import (
    answer_reader,
    answer_writer,
    plain,
    request_reader,
    request_writer,
    tap,
    whole_writer,
)
from trunkline.dialects.openai_responses.output import repeated
from trunkline.dialects.openai_responses.vocabulary import NAME
from trunkline.dialects.plain import Plain
from trunkline.dialects.whole import WholeTap


class _Peek(Struct):
    model: str = ""
    stream: bool | None = None


_peek = msgspec.json.Decoder(_Peek).decode
_encode = msgspec.json.Encoder().encode


class OpenAIResponses(Dialect):
    name = NAME
    ping = b": ping\n\n"

    def peek(self, body: bytes, addressed: Addressed = NOWHERE) -> Peek:
        try:
            seen = _peek(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            top = Fields(decode_object(body))  # the slow way, for the sake of its error messages
            seen = _Peek("", top.get("stream", bool))
            seen.model = addressed.model or top.need("model", str)
        model = addressed.model or seen.model or missing("model")
        return Peek(model, bool(seen.stream) or addressed.stream, include_usage=True)

    def patch(self, body: bytes, model: str, peek: Peek, quirks: Quirks) -> bytes:
        if marked(body):  # by thoughts of other families' models, which only the gateway can read
            return self.write_request(self.read_request(body, peek), model, Quirks(), [])
        if model == peek.model:
            return body
        fields = raw_fields(body)
        fields["model"] = msgspec.Raw(_encode(model))
        return _encode(fields)

    def read_request(self, body: bytes, peek: Peek | None = None) -> Request:
        return request_reader.read_request(body, peek.model if peek is not None else "")

    def write_request(self, request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
        return request_writer.write_request(request, model, quirks, lost)

    def write_count_request(self, request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
        return request_writer.write_count_request(request, model, quirks, lost)

    def read_count(self, body: bytes) -> int:
        return read_count(body, "input_tokens")

    def write_count(self, tokens: int) -> bytes:
        return b'{"object":"response.input_tokens","input_tokens":%d}' % tokens

    def tap(self, peek: Peek, request_id: str = "") -> Flow:
        return tap.StreamTap(request_id) if peek.stream else WholeTap(tap.read_whole)

    def repeats(self, body: bytes) -> Mapping[str, Any]:
        return repeated(body)

    def reader(self, stream: bool) -> Reader:
        return answer_reader.AnswerReader(stream)

    def writer(self, envelope: Envelope) -> Writer:
        return answer_writer.StreamWriter(envelope) if envelope.stream else whole_writer.WholeWriter(envelope)

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


DIALECT: Dialect = OpenAIResponses()
