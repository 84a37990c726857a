"""What Converse leaves to each model family, as rows: how it is asked to reason, and what it will not take.

`additionalModelRequestFields` goes to the model as it is, so its names are the makers' own. Sources: the user guides of
Bedrock and Nova, November 2026; recorded requests; errors that users of other gateways ran into.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from msgspec import Struct

from trunkline.dialects.base import Quirks


class Family(Struct, frozen=True):
    reasoning: Literal["claude", "nova", "reasoning_effort", "reasoning_config"] | None = None
    """`claude`: `thinking`, by a budget or the model's own judgement; `nova`: `reasoningConfig`; else the field that
    takes a level. None: it does not reason when asked."""
    top_k: tuple[str, ...] | None = None
    """Where `top_k` goes, from the outside in."""
    single_calls: bool = False
    """Whether it can be told to call one tool at a time."""
    results_alone: bool = False
    """A turn with tool results must hold nothing else."""
    tool_cache: bool = True
    """Cache points may stand among tools and behind their results."""
    verified: frozenset[str] = frozenset({"", "bedrock"})
    """Whose signatures it accepts on thoughts: Claude's are the same wherever it runs."""


_ROWS: tuple[tuple[re.Pattern[str], Family], ...] = tuple(
    (re.compile(rf"(^|[./:]){pattern}"), family)
    for pattern, family in (
        (
            r"claude",
            Family("claude", ("top_k",), single_calls=True, verified=frozenset({"", "bedrock", "anthropic"})),
        ),
        (r"nova", Family("nova", ("inferenceConfig", "topK"), tool_cache=False)),
        (r"(openai|gpt)[.-]", Family("reasoning_effort")),
        (r"(qwen|deepseek|moonshot|kimi|minimax|zai)", Family("reasoning_config")),
        (r"(mistral|pixtral|mixtral)", Family(top_k=("top_k",), results_alone=True)),
        (r"(meta|llama|cohere|ai21|jamba)", Family(results_alone=True)),
    )
)
_OTHER = Family()


def family_of(model: str, quirks: Quirks) -> Family:
    """The first row that knows the model, by what it really is where its name is opaque (an inference profile)."""
    return _family(quirks.known_as or model)


@lru_cache(1024)
def _family(known: str) -> Family:
    return next((family for pattern, family in _ROWS if pattern.search(known)), _OTHER)
