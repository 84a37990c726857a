"""Google's generateContent: Gemini on AI Studio and on Vertex AI."""

from __future__ import annotations

import msgspec
from msgspec import Struct, field

from trunkline.core.call import NOWHERE, Addressed, Headers, Peek
from trunkline.core.errors import GatewayError, UpstreamError
from trunkline.core.reply import Flow
from trunkline.core.request import Request
from trunkline.dialects.base import Dialect, Envelope, Quirks, Reader, Writer
from trunkline.dialects.counts import read_count
from trunkline.dialects.fields import decode_object
from trunkline.dialects.gemini import answer_reader, answer_writer, errors, plain, request_reader, request_writer, tap
from trunkline.dialects.gemini.signatures import unmarked
from trunkline.dialects.gemini.vocabulary import ARRAY, NAME
from trunkline.dialects.plain import Plain
from trunkline.dialects.whole import WholeTap

__all__ = ["ARRAY", "DIALECT", "Gemini"]


class _Config(Struct):
    camel: int | None = field(default=None, name="candidateCount")
    snake: int | None = field(default=None, name="candidate_count")


class _Peek(Struct):
    """Either spelling (`vocabulary.camel`)."""

    camel: _Config | None = field(default=None, name="generationConfig")
    snake: _Config | None = field(default=None, name="generation_config")


_peek = msgspec.json.Decoder(_Peek).decode


class Gemini(Dialect):
    name = NAME
    ping = b"\r\n"
    """White space between events, and between the elements of an array; a comment is no JSON, and Google's SDKs take
    every line without `data:` for a piece of some."""

    def peek(self, body: bytes, addressed: Addressed = NOWHERE) -> Peek:
        n = None
        try:
            seen = _peek(body)
            if (config := seen.camel or seen.snake) is not None:
                n = config.camel or config.snake
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            decode_object(body)  # the slow way, for the sake of its error messages; the reader tells of the fields
        return Peek(addressed.model, addressed.stream, True, n or 1, addressed.framing)

    def patch(self, body: bytes, model: str, peek: Peek, quirks: Quirks) -> bytes:
        """The model's name stands in the path."""
        return unmarked(body)

    def read_request(self, body: bytes, peek: Peek | None = None) -> Request:
        model, stream = (peek.model, peek.stream) if peek is not None else ("", False)
        return request_reader.read_request(body, model, stream)

    def write_request(self, request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
        return request_writer.write_request(request, model, quirks, lost)

    def read_count_request(self, body: bytes, peek: Peek | None = None) -> Request:
        return request_reader.read_count_request(body, peek.model if peek is not None else "")

    def write_count_request(self, request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
        return request_writer.write_count_request(request, model, quirks, lost)

    def read_count(self, body: bytes) -> int:
        return read_count(body, "totalTokens")

    def write_count(self, tokens: int) -> bytes:
        return b'{"totalTokens":%d}' % tokens

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

    def stream_type(self, framing: str) -> bytes:
        return b"application/json" if framing == ARRAY else b"text/event-stream"


DIALECT: Dialect = Gemini()
