"""Models that a request names besides its own: to fall back on, to ask for advice, to draw with.

A key that is bound to models is bound in these too, but they are the provider's own names, which no pattern of ours can
judge: so such a key may not name any. Facts: Anthropic's Messages (`fallbacks`, the advisor's tool), OpenAI's Responses
(the tool that draws), OpenRouter (`models`, `route`, `preset`) and Vercel (`providerOptions`), November 2026.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

_FIELDS = frozenset({"fallbacks", "models", "preset", "provideroptions", "route"})
"""In lower case: some parsers take no note of it."""
_WITHIN = "additionalModelRequestFields"
"""Converse has the fields of Anthropic's own API in it."""


class _Tool(Struct):
    model: Any = None


_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_tools = msgspec.json.Decoder(list[_Tool]).decode


def others_named(body: bytes) -> str | None:
    """The JSON path of the first of them; None where there is none, or the body is no JSON object."""
    try:
        fields = _fields(body)
        named = next(
            (name for name, value in fields.items() if name.lower() in _FIELDS and bytes(value) != b"null"), None
        )
        if named is not None:
            return named
        if within := fields.get(_WITHIN):
            path = others_named(bytes(within))
            return f"{_WITHIN}.{path}" if path is not None else None
        models = [tool.model for tool in _tools(fields["tools"])] if "tools" in fields else []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # whoever reads it says what is wrong with it
    return next((f"tools[{number}].model" for number, model in enumerate(models) if model is not None), None)
