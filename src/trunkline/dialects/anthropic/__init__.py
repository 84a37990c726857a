"""Anthropic's Messages API: also Claude on Azure and, with its own envelope, on Bedrock and Vertex."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from trunkline.core.call import NOWHERE, Addressed, Headers, Peek
from trunkline.core.errors import GatewayError, UpstreamError
from trunkline.core.reply import Flow
from trunkline.core.request import Request
from trunkline.dialects.anthropic import (
    answer_reader,
    answer_writer,
    errors,
    plain,
    request_reader,
    request_writer,
    tap,
)
from trunkline.dialects.anthropic.request_writer import api_version
from trunkline.dialects.anthropic.vocabulary import NAME
from trunkline.dialects.base import Dialect, Envelope, Quirks, Reader, Writer
from trunkline.dialects.carried import marked
from trunkline.dialects.counts import read_count
from trunkline.dialects.fields import TYPED, Fields, decode_object, missing, raw_fields
from trunkline.dialects.plain import Plain
from trunkline.dialects.whole import WholeTap

__all__ = ["DIALECT", "Anthropic", "api_version"]


class _Peek(Struct):
    model: str = ""
    stream: bool | None = None


_peek = msgspec.json.Decoder(_Peek).decode
_encode = msgspec.json.Encoder().encode


def _unsigned(body: bytes) -> bool:
    """Whether a request may hold a thought without a signature, of an answer that broke off or of a model that signs
    nothing: Anthropic refuses those."""
    return b'"signature"' in body and (b'"signature":""' in body or b'"signature": ""' in body)


class Anthropic(Dialect):
    name = NAME
    ping = b'event: ping\ndata: {"type": "ping"}\n\n'

    def peek(self, body: bytes, addressed: Addressed = NOWHERE) -> Peek:
        try:
            seen = _peek(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            top = Fields(decode_object(body))  # the slow way, for the sake of its error messages
            seen = _Peek("", top.get("stream", bool))
            seen.model = addressed.model or top.need("model", str)
        model = addressed.model or seen.model or missing("model")
        peek = Peek(model, bool(seen.stream) or addressed.stream, include_usage=True)
        peek.addressed, peek.plain = bool(addressed.model), TYPED not in body
        return peek

    def patch(self, body: bytes, model: str, peek: Peek, quirks: Quirks) -> bytes:
        if not peek.plain and (marked(body) or _unsigned(body)):
            return self._unmarked(body, model, peek)
        if model == peek.model and not peek.addressed:
            return body
        fields = raw_fields(body)
        fields["model"] = msgspec.Raw(_encode(model))
        fields.pop("anthropic_version", None)  # of an envelope in which other hosts take the same body
        if peek.stream:
            fields["stream"] = msgspec.Raw(b"true")  # there the path may say it
        return _encode(fields)

    def _unmarked(self, body: bytes, model: str, peek: Peek) -> bytes:
        """Without thoughts of other families' models, which only the gateway can read, and without unsigned ones."""
        if "max_tokens" in raw_fields(body):
            return self.write_request(self.read_request(body, peek), model, Quirks(), [])
        return self.write_count_request(self.read_count_request(body, peek), model, Quirks(), [])

    def read_request(self, body: bytes, peek: Peek | None = None) -> Request:
        return request_reader.read_request(body, peek.model if peek is not None else "")

    def read_count_request(self, body: bytes, peek: Peek | None = None) -> Request:
        return request_reader.read_request(body, peek.model if peek is not None else "", counting=True)

    def write_count_request(self, request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
        return request_writer.write_count_request(request, model, quirks, lost)

    def read_count(self, body: bytes) -> int:
        return read_count(body, "input_tokens")

    def write_count(self, tokens: int) -> bytes:
        return b'{"input_tokens":%d}' % tokens

    def write_request(self, request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
        return request_writer.write_request(request, model, quirks, lost)

    def tap(self, peek: Peek, request_id: str = "") -> Flow:
        return tap.StreamTap(request_id) if peek.stream else WholeTap(tap.read_whole)

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
        return errors.stream_error(error, request_id)


DIALECT: Dialect = Anthropic()
