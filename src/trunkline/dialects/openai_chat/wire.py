"""The shape of an answer on the wire, as far as we look at it.

Typed structs, because what they do not name is skipped without ever becoming an object, and most of a chunk is that.
Only the frame is typed: a value that decides nothing is `Any` and looked at where it is used, so that a host that puts
a number where a string belongs does not lose us the answer.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct


class CallBody(Struct):
    """`function`, or `custom` (whose arguments are called `input`)."""

    name: str | None = None
    arguments: Any = None
    input: str | None = None


class Call(Struct):
    index: int | str | None = None
    id: str | None = None
    function: CallBody | None = None
    custom: CallBody | None = None


class Delta(Struct):
    """A `delta`, or the `message` of a whole answer. Mistral's content may be an array."""

    content: str | list[Any] | None = None
    tool_calls: list[Call] | None = None
    refusal: str | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: Any = None
    annotations: list[dict[str, Any]] | None = None
    audio: dict[str, Any] | None = None


class Choice(Struct):
    index: int | str | None = None
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: Any = None
    logprobs: Any = None
    content_filter_results: Any = None


class Chunk(Struct):
    """A chunk of a stream, or a whole answer."""

    choices: list[Choice] | None = None
    usage: Any = None
    error: Any = None
    id: Any = None
    model: Any = None
    created: Any = None
    service_tier: Any = None
    system_fingerprint: Any = None
    provider: Any = None
    prompt_filter_results: Any = None


decode_chunk = msgspec.json.Decoder(Chunk).decode
