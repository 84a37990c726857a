"""Amazon Bedrock's Converse API: one format for all models there, streamed in Amazon's binary frames."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Struct

from trunkline.core.call import NOWHERE, Addressed, Headers, Peek
from trunkline.core.errors import BadRequest, GatewayError, UpstreamError
from trunkline.core.reply import Flow
from trunkline.core.request import Request
from trunkline.core.usage import Usage
from trunkline.dialects.base import Dialect, Envelope, Quirks, Reader, Writer
from trunkline.dialects.bedrock import (
    answer_reader,
    answer_writer,
    errors,
    eventstream,
    plain,
    request_writer,
    tap,
    usage,
)
from trunkline.dialects.bedrock.counting import read_count_request
from trunkline.dialects.bedrock.request_reader import read_request
from trunkline.dialects.bedrock.vocabulary import NAME
from trunkline.dialects.counts import read_count
from trunkline.dialects.fields import decode_object, missing
from trunkline.dialects.plain import Plain
from trunkline.dialects.whole import WholeTap

__all__ = ["DIALECT", "Bedrock", "Converse"]


class _Anything(Struct):
    """Any object: its fields are passed over, which is enough to know that it is one."""


_check = msgspec.json.Decoder(_Anything).decode

PING = eventstream.event("ping", b"{}")
"""An event that no SDK knows: the protocol is made to grow, so all of them pass it over."""


class Bedrock(Dialect):
    """What Converse and InvokeModel share: binary frames, the model in the path, Amazon's errors."""

    ping = PING
    id_headers = (b"x-request-id", b"x-amzn-requestid")

    def peek(self, body: bytes, addressed: Addressed = NOWHERE) -> Peek:
        try:
            _check(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            decode_object(body)  # the slow way, for the sake of its error messages
        return Peek(addressed.model or missing("model"), addressed.stream, include_usage=True)

    def patch(self, body: bytes, model: str, peek: Peek, quirks: Quirks) -> bytes:
        """The model is in the path: the body is the upstream's as it is."""
        return body

    def read_error(self, status: int, headers: Headers, body: bytes) -> UpstreamError:
        return errors.read_error(status, headers, body)

    def write_error(self, error: GatewayError, request_id: str) -> bytes:
        return errors.write_error(error)

    def error_status(self, error: GatewayError) -> int:
        return errors.error_status(error)

    def error_headers(self, error: GatewayError) -> Headers:
        return errors.error_headers(error)

    def stream_error(self, error: GatewayError, request_id: str) -> bytes:
        return errors.stream_error(error)

    def stream_type(self, framing: str) -> bytes:
        return eventstream.CONTENT_TYPE

    def told_beside(self, headers: Headers) -> Headers:
        """Most makers' invoked models count nowhere else."""
        return [field for field in headers if field[0].startswith(b"x-amzn-bedrock-")]

    def usage_of(self, headers: Headers) -> Usage | None:
        return usage.usage_of(headers)


class Converse(Bedrock):
    """`invoked` reads the body of an invoked model: a request to count tokens may hold one."""

    name = NAME

    def __init__(self, invoked: Callable[[bytes, str], Request] | None = None) -> None:
        self._invoked = invoked or _unreadable

    def read_request(self, body: bytes, peek: Peek | None = None) -> Request:
        return read_request(body, peek.model if peek else "", peek.stream if peek else False)

    def write_request(self, request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
        return request_writer.write_request(request, model, quirks, lost)

    def tap(self, peek: Peek, request_id: str = "") -> Flow:
        return tap.StreamTap() if peek.stream else WholeTap(tap.read_whole)

    def reader(self, stream: bool) -> Reader:
        return answer_reader.AnswerReader(stream)

    def writer(self, envelope: Envelope) -> Writer:
        return answer_writer.StreamWriter(envelope) if envelope.stream else answer_writer.WholeWriter(envelope)

    def read_plain(self, body: bytes) -> Plain | None:
        return plain.read_plain(body)

    def write_plain(self, answer: Plain, envelope: Envelope) -> bytes:
        return plain.write_plain(answer, envelope)

    def read_count_request(self, body: bytes, peek: Peek | None = None) -> Request:
        return read_count_request(body, peek.model if peek else "", self._invoked)

    def write_count_request(self, request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
        return request_writer.write_count_request(request, model, quirks, lost)

    def read_count(self, body: bytes) -> int:
        return read_count(body, "inputTokens")

    def write_count(self, tokens: int) -> bytes:
        return b'{"inputTokens":%d}' % tokens


def _unreadable(body: bytes, model: str) -> Request:
    raise BadRequest("input.invokeModel cannot be counted here; use input.converse.", param="input.invokeModel")


DIALECT: Dialect = Converse()
