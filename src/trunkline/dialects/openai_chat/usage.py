"""Chat's `usage` object, both ways.

Its totals contain their parts, as ours do; but not on every host. Seen: Grok on Azure counts 7 tokens of prompt, 161 of
them cached, Mistral 9, 375 of them audio, and xAI 77 of answer, 256 of them reasoning (which `total_tokens` then counts
beside both). A part that is larger than its whole was not counted in it, so it is added.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from trunkline.core.usage import Usage


class InputDetails(Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None


class OutputDetails(Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class WireUsage(Struct):
    """What hosts really send: most fields may be missing or null; DeepSeek and Mistral name cache hits differently."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: InputDetails | None = None
    completion_tokens_details: OutputDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    num_cached_tokens: int | None = None
    cached_tokens: int | None = None


_NO_INPUT, _NO_OUTPUT = InputDetails(), OutputDetails()


def read_usage(value: Any) -> Usage | None:
    """None where the object is no count of tokens: that costs us the count, never the answer."""
    try:
        wire = msgspec.convert(value, WireUsage, strict=False)
    except msgspec.ValidationError:
        return None
    return counted(wire)


def counted(wire: WireUsage) -> Usage:
    given, taken = wire.prompt_tokens_details or _NO_INPUT, wire.completion_tokens_details or _NO_OUTPUT
    read = given.cached_tokens or wire.prompt_cache_hit_tokens or wire.num_cached_tokens or wire.cached_tokens or 0
    prompt, audio = wire.prompt_tokens or 0, given.audio_tokens or 0
    whole = prompt + (read if read > prompt else 0) + (audio if audio > prompt else 0)
    said, thought = wire.completion_tokens or 0, taken.reasoning_tokens or 0
    apart = thought > said or (wire.total_tokens or 0) - prompt - said == thought
    return Usage(
        input=whole,
        cache_read=read,
        cache_write=min(given.cache_write_tokens or 0, whole - read),
        output=said + thought if apart else said,
        reasoning=thought,
        input_audio=audio,
        output_audio=taken.audio_tokens or 0,
    )


def write_usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.total,
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read,
            "cache_write_tokens": usage.cache_write,
            "audio_tokens": usage.input_audio,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning, "audio_tokens": usage.output_audio},
    }
