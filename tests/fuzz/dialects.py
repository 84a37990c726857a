"""The dialects, by name: a new one joins by a line."""

from __future__ import annotations

from trunkline.dialects import anthropic, composed, gemini, openai_chat, openai_responses
from trunkline.dialects.base import Dialect

DIALECTS: dict[str, Dialect] = {
    each.name: each
    for each in (
        openai_chat.DIALECT,
        openai_responses.DIALECT,
        anthropic.DIALECT,
        gemini.DIALECT,
        composed.CONVERSE,
        composed.INVOKE,
    )
}
