"""The endpoints that take calls: a path, the dialect spoken there, and the operation."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from trunkline.dialects import anthropic, openai_chat
from trunkline.dialects.base import Dialect


class Surface(Struct, frozen=True):
    path: str
    dialect: Dialect
    operation: Literal["generate", "count_tokens"] = "generate"


SURFACES = (
    Surface("/v1/chat/completions", openai_chat.DIALECT),
    Surface("/v1/messages", anthropic.DIALECT),
    Surface("/v1/messages/count_tokens", anthropic.DIALECT, "count_tokens"),
)
