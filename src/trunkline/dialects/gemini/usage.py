"""Token counts, both ways.

Google's `candidatesTokenCount` leaves out the thoughts, and `promptTokenCount` what built-in tools read for the model;
ours contain them. In a stream every chunk has its own report, on Vertex only the last one counts anything. The last
that counts is the bill; it replaces the earlier ones as a whole, since after a tool of the service's own the counts
begin anew.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.core.usage import Usage


def merge_usage(before: dict[str, Any], after: Any) -> dict[str, Any]:
    """The later report over the earlier one, if it counts at all."""
    if type(after) is not dict:
        return before
    return after if counted(after) or not before else before | after


def counted(wire: dict[str, Any]) -> bool:
    """Whether the report counts anything: Vertex's chunks hold one that says only the kind of traffic."""
    return "promptTokenCount" in wire or "totalTokenCount" in wire


def read_usage(wire: dict[str, Any]) -> Usage:
    """Never raises: a count that is no number reads as 0."""
    thoughts = _count(wire, "thoughtsTokenCount")
    return Usage(
        input=_count(wire, "promptTokenCount") + _count(wire, "toolUsePromptTokenCount"),
        cache_read=_count(wire, "cachedContentTokenCount"),
        output=_count(wire, "candidatesTokenCount") + thoughts,
        reasoning=thoughts,
        input_audio=_audio(wire.get("promptTokensDetails")),
        output_audio=_audio(wire.get("candidatesTokensDetails")),
    )


def cut_short(usage: Usage, output: int) -> Usage:
    """An answer that ended too early. `output` is our own count of what has come."""
    return msgspec.structs.replace(usage, output=max(usage.output, output), estimated=True)


def _count(wire: dict[str, Any], name: str) -> int:
    value = wire.get(name)
    return value if type(value) is int and value > 0 else 0


def _audio(details: Any) -> int:
    """Of counts by modality, that of audio."""
    if type(details) is not list:
        return 0
    return sum(_count(row, "tokenCount") for row in details if isinstance(row, dict) and row.get("modality") == "AUDIO")


def write_usage(usage: Usage) -> dict[str, Any]:
    out: dict[str, Any] = {
        "promptTokenCount": usage.input,
        "candidatesTokenCount": max(0, usage.output - usage.reasoning),
        "totalTokenCount": usage.total,
    }
    if usage.cache_read:
        out["cachedContentTokenCount"] = usage.cache_read
    if usage.reasoning:
        out["thoughtsTokenCount"] = usage.reasoning
    if usage.input_audio:
        out["promptTokensDetails"] = _by_modality(usage.input, usage.input_audio)
    if usage.output_audio:
        out["candidatesTokensDetails"] = _by_modality(usage.output - usage.reasoning, usage.output_audio)
    return out


def _by_modality(total: int, audio: int) -> list[dict[str, Any]]:
    return [
        {"modality": "TEXT", "tokenCount": max(0, total - audio)},
        {"modality": "AUDIO", "tokenCount": audio},
    ]
