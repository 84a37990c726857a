"""Words that the readers and the writers of this dialect share: names, tables, and the cache mark.

Sources: botocore's description of `bedrock-runtime` (1.44.5), the Converse API reference, and recorded answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from trunkline.core.events import Reason
from trunkline.core.request import CacheMark

NAME = "bedrock"

NAMES: Mapping[str, str] = {
    "tools": "toolConfig.tools",
    "tool_choice": "toolConfig.toolChoice",
    "output": "outputConfig.textFormat",
    "max_tokens": "inferenceConfig.maxTokens",
    "temperature": "inferenceConfig.temperature",
    "top_p": "inferenceConfig.topP",
    "top_k": "additionalModelRequestFields.top_k",
    "stop": "inferenceConfig.stopSequences",
    "reasoning": "additionalModelRequestFields.thinking",
    "parallel_tool_calls": "additionalModelRequestFields.tool_choice",
    "metadata": "requestMetadata",
    "tier": "serviceTier",
}
"""What this dialect calls the fields of `Request`, where it differs."""

REASONS: Mapping[str, Reason] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "context_window",
    "tool_use": "tool_calls",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
    "malformed_model_output": "error",
    "malformed_tool_use": "error",
}
"""Stop reasons; one that we do not know reads as `stop` and is kept in `Finished.extra`."""

STOP_REASONS: Mapping[Reason, str] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "context_window": "model_context_window_exceeded",
    "tool_calls": "tool_use",
    "content_filter": "content_filtered",
    "refusal": "content_filtered",
    "pause": "end_turn",
    "error": "malformed_model_output",
}

IMAGES: Mapping[str, str] = {
    "image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp",
}  # fmt: skip

DOCUMENTS: Mapping[str, str] = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}

VIDEOS: Mapping[str, str] = {
    "video/x-matroska": "mkv", "video/quicktime": "mov", "video/mp4": "mp4", "video/webm": "webm",
    "video/x-flv": "flv", "video/mpeg": "mpeg", "video/mpg": "mpg", "video/x-ms-wmv": "wmv", "video/3gpp": "three_gp",
}  # fmt: skip
"""Media types to the service's `format`."""

AUDIOS = frozenset({
    "mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg", "mpga", "pcm", "webm",
})  # fmt: skip


def media_types(formats: Mapping[str, str]) -> dict[str, str]:
    """The way back: a format's first media type."""
    out: dict[str, str] = {}
    for media_type, name in formats.items():
        out.setdefault(name, media_type)
    return out


def read_cache(value: Any) -> CacheMark | None:
    """A `cachePoint` as a mark; None where it says more than a mark can hold."""
    match value:
        case {"type": "default", "ttl": str(ttl), **rest} if not rest:
            return CacheMark(ttl)
        case {"type": "default", **rest} if not rest:
            return CacheMark()
    return None


def write_cache(mark: CacheMark) -> dict[str, Any]:
    """The block that stands behind what is marked."""
    return {"cachePoint": {"type": "default"} | ({"ttl": mark.ttl} if mark.ttl is not None else {})}


MAX_ID = 64
ALLOWED_ID = re.compile(rf"[a-zA-Z0-9_.:-]{{1,{MAX_ID}}}")
"""A tool call's id, as the service takes it."""
