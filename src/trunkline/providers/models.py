"""What is known of models by their names: limits and the parameters that they refuse, as rows.

Used where a request is translated (the identity path leaves it to the model itself). Sources: models.dev, snapshot of
2026-07; OpenAI's and Anthropic's API references of November 2026. The first row that matches counts; a model that
matches none gets the defaults of `Quirks`.
"""

from __future__ import annotations

import re
from typing import Any

from msgspec import structs

from trunkline.dialects.base import Quirks

_SAMPLING = frozenset({"temperature", "top_p", "top_k"})
_REASONING_MODEL = _SAMPLING | {
    "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs", "stop",
}  # fmt: skip
"""OpenAI's reasoning models answer 400 to these."""

_ADAPTIVE: dict[str, Any] = {
    "drop": _SAMPLING, "max_tokens_default": 128_000, "adaptive_thinking": True, "system_turns": True, "prefill": False,
}  # fmt: skip
"""Claude since Opus 4.7: no sampling, thinking by effort, role `system` in the conversation, no prefill."""

_Row = tuple[str, dict[str, Any]]

_CLAUDE: tuple[_Row, ...] = (
    (r"claude-(3-opus|3-haiku|3-sonnet)", {"max_tokens_default": 4096}),
    (r"claude-3-5", {"max_tokens_default": 8192}),
    (r"claude-(opus-4-[01]|opus-4-2025|opus-4$)", {"max_tokens_default": 32_000}),
    (r"claude-opus-4-6", {"max_tokens_default": 128_000, "adaptive_thinking": True, "prefill": False}),
    (r"claude-sonnet-4-6", {"max_tokens_default": 64_000, "adaptive_thinking": True, "prefill": False}),
    (r"claude-(opus-4-[789]|(opus|sonnet|haiku|fable|mythos)-[5-9])", _ADAPTIVE),
    (r"claude-", {"max_tokens_default": 64_000}),
)

_OPENAI: tuple[_Row, ...] = (
    (r"gpt-5(\.\d)?-chat", {"drop": frozenset({"reasoning"})}),
    (r"(gpt-4|gpt-3\.5|chatgpt-4o)", {"drop": frozenset({"reasoning", "verbosity"})}),
    (r"(o[1-9]|gpt-([5-9]|\d\d))", {"drop": _REASONING_MODEL}),
)

_ROWS: tuple[tuple[re.Pattern[str], dict[str, Any]], ...] = tuple(
    (re.compile(rf"(^|[./:@]){pattern}"), facts) for pattern, facts in (*_CLAUDE, *_OPENAI)
)


def quirks_of(model: str, base: Quirks) -> Quirks:
    """The provider's quirks with what is known of this model laid over them."""
    facts = next((facts for pattern, facts in _ROWS if pattern.search(model)), {})
    return structs.replace(base, **facts)
