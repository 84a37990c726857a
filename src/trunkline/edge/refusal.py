"""Error answers: the one place that turns an error into status, header fields and an envelope of the caller's family.

Three ask for them: calls (`server`), pages, and the connection itself, which may have to speak before there is a
request, or in the middle of one (`last_word`).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from trunkline.core.call import Headers
from trunkline.core.errors import GatewayError, LimitExceeded, MethodNotAllowed, UpstreamError
from trunkline.dialects import anthropic, composed, gemini, openai_chat
from trunkline.dialects.base import Dialect
from trunkline.edge.limit_fields import refusal_fields
from trunkline.edge.lines import Lines

MISTAKE = "The gateway made a mistake; its log says more."
_JSON = (b"content-type", b"application/json")
_HIDDEN = frozenset({"authentication", "permission", "billing"})
"""Kinds of upstream error whose text may hold a piece of our credential or say whose account it is."""
_PASSED_ON = frozenset({b"retry-after-ms", b"x-should-retry"})


_TELLING: tuple[tuple[frozenset[bytes], Dialect], ...] = (
    (frozenset({b"anthropic-version"}), anthropic.DIALECT),
    (frozenset({b"x-goog-api-key", b"x-goog-api-client", b"x-goog-user-project"}), gemini.DIALECT),
    (frozenset({b"amz-sdk-invocation-id", b"x-amz-date"}), composed.CONVERSE),
)
"""Header fields that one family's SDKs alone send."""


def family(headers: Headers) -> Dialect:
    """Whose SDK asks; OpenAI's is the one that says nothing in particular."""
    names = {name for name, _ in headers}
    return next((dialect for telling, dialect in _TELLING if telling & names), openai_chat.DIALECT)


def identified(request_id: str, dialect: Dialect) -> Lines:
    """The header fields in which the family's SDK looks for a request's id, which is one of ours."""
    given, (one, other) = request_id.encode(), dialect.id_headers
    return [b"%b: %b\r\n%b: %b" % (one, given, other, given)]


async def refuse(
    send: Any, error: GatewayError, dialect: Dialect, known: Lines, request_id: str, spoken: Dialect | None = None
) -> None:
    """Answer with an error. `known`: the header fields that do not depend on it; `spoken`: the dialect of the
    upstream's own error body."""
    advice = _advice(error)
    if isinstance(error, UpstreamError):
        error = _shown(error)
        advice = [field for field in error.headers if field[0] in _PASSED_ON] + advice
    if isinstance(error, UpstreamError) and error.body is not None and _same(spoken, dialect):
        status, body = error.status, error.body  # the upstream's own words, where the caller speaks its dialect
    else:
        status, body = dialect.error_status(error), dialect.write_error(error, request_id)
    lines = [*known, *refusal_fields(error, dialect)] if isinstance(error, LimitExceeded) else known
    headers = [_JSON, *advice, *dialect.error_headers(error), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "lines": lines, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _same(one: Dialect | None, other: Dialect) -> bool:
    return one is not None and one.name == other.name


def last_word(error: GatewayError, headers: Headers) -> bytes:
    """A whole answer that the connection itself gives before it closes, in the family of such request header fields as
    have come. There is no request id: there is no request."""
    dialect = family(headers)
    body = dialect.write_error(error, "")
    fields = [_JSON, *_advice(error), (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    line = f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}".encode()
    return b"\r\n".join([line, *(name + b": " + value for name, value in fields), b"", body])


def _advice(error: GatewayError) -> Headers:
    """What the error says in header fields."""
    advice: Headers = []
    if isinstance(error, MethodNotAllowed):
        advice.append((b"allow", error.allow.encode()))
    if error.retry_after is not None:
        advice.append((b"retry-after", b"%d" % max(1, round(error.retry_after))))
    return advice


def _shown(error: UpstreamError) -> UpstreamError:
    """The error without what could give away our credential."""
    if error.kind not in _HIDDEN:
        return error
    return UpstreamError(
        "The provider refused the gateway's own credential or account; the gateway's log says more.",
        status=error.status,
        kind=error.kind,
        code=error.code,
        retry_after=error.retry_after,
        headers=error.headers,
    )
