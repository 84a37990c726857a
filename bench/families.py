"""The five wire formats: where a client of each asks, where a provider of each is asked, and what goes both ways.

One conversation and one answer, those of `payloads`, are told in every format by the gateway's own writers, so that
nothing but the format differs between two cells of a table.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from urllib.parse import quote

from msgspec import Struct

from bench.payloads import openai_answer, openai_stream, request
from trunkline.dialects import anthropic, composed, gemini, openai_chat, openai_responses
from trunkline.dialects.base import Dialect, Envelope, Quirks


class Family(Struct, frozen=True):
    """`{model}` in a path is the model's name, percent-encoded."""

    dialect: Dialect
    model: str
    """One with a public price."""
    path: str
    stream_path: str
    base: str = ""
    """What a provider's base URL ends with."""
    mark: bytes = b"\n\n"
    """The end of an event of a stream, or something that each has once."""

    def at(self, model: str, stream: bool) -> str:
        return (self.stream_path if stream else self.path).format(model=quote(model, safe=""))


def _one_path(dialect: Dialect, model: str, path: str, base: str) -> Family:
    return Family(dialect, model, path, path, base)


FAMILIES: dict[str, Family] = {
    "chat": _one_path(openai_chat.DIALECT, "gpt-4.1", "/v1/chat/completions", "/v1"),
    "responses": _one_path(openai_responses.DIALECT, "gpt-5", "/v1/responses", "/v1"),
    "anthropic": _one_path(anthropic.DIALECT, "claude-sonnet-4-5", "/v1/messages", ""),
    "gemini": Family(
        gemini.DIALECT,
        "gemini-2.5-flash",
        "/v1beta/models/{model}:generateContent",
        "/v1beta/models/{model}:streamGenerateContent?alt=sse",
        mark=b"data: ",
    ),
    "bedrock": Family(
        composed.CONVERSE,
        "amazon.nova-lite-v1:0",
        "/model/{model}/converse",
        "/model/{model}/converse-stream",
        mark=b":event-type",
    ),
}
KINDS = {"chat": "openai", "responses": "openai", "anthropic": "anthropic", "gemini": "gemini", "bedrock": "bedrock"}
"""The kind of provider that speaks each."""


def provider(family: str, stream: bool) -> str:
    """What the gateway under test calls the provider of a family."""
    return f"{family}-paced" if stream else f"{family}-whole"


@cache
def question(family: str, model: str, size: int, limit: int, stream: bool) -> bytes:
    """The request, about `size` bytes as a chat request; `limit`: tokens, which the source of streams takes for
    chunks."""
    asked = openai_chat.DIALECT.read_request(request(model, size, max_tokens=limit, stream=stream))
    asked.include_usage = True
    return FAMILIES[family].dialect.write_request(asked, model, Quirks(), [])


def answer(family: str) -> bytes:
    """The whole answer, as a provider of this family gives it."""
    dialect = FAMILIES[family].dialect
    reader, writer = openai_chat.DIALECT.reader(False), dialect.writer(Envelope(False, model=FAMILIES[family].model))
    events = [*reader.feed(openai_answer()), *reader.eof()]
    return b"".join(writer.feed(event) for event in events) + writer.eof()


def stream(family: str, chunks: int) -> list[bytes]:
    """The writes of a streamed answer with so many words."""
    dialect = FAMILIES[family].dialect
    reader, writer = openai_chat.DIALECT.reader(True), dialect.writer(Envelope(True, model=FAMILIES[family].model))
    written = [writer.feed(event) for piece in openai_stream(chunks) for event in reader.feed(piece)]
    written += [writer.feed(event) for event in reader.eof()] + [writer.eof()]
    return [piece for piece in written if piece]


def script(family: str) -> Callable[[int], list[bytes]]:
    return lambda chunks: stream(family, chunks)
