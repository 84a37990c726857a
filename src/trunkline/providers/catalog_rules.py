"""What holds for a whole line of models, as rules by their names.

A row of the catalog knows one model; these rules know its family, so that a model of tomorrow is asked as its sisters
are. Sources: OpenAI's and Anthropic's API references and Google's model pages, November 2026. The first rule that
matches counts.
"""

from __future__ import annotations

import re
from typing import Any

from trunkline.providers.catalog_facts import NOTHING, Facts

_SAMPLING: Any = ("temperature", "top_p", "top_k")
_REASONING_MODEL: Any = (
    *_SAMPLING, "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs", "stop",
)  # fmt: skip
"""OpenAI's reasoning models answer 400 to these."""

_CLAUDE = Facts(
    maker="anthropic", output=64_000, inputs=("text", "image", "document"), outputs=("text",), tools=True,
    parallel_tools=True, reasoning="budget", cache="marks", streaming=True, developer=False, json_schema=True,
)  # fmt: skip
_ADAPTIVE = Facts(
    output=128_000, reasoning="adaptive", refuses=_SAMPLING, system_turns=True, prefill=False
).over(_CLAUDE)  # fmt: skip
"""Claude since Opus 4.7: no sampling, thinking by effort, role `system` in the conversation, no prefill."""
_CLAUDE_3 = Facts(reasoning="none", json_schema=False).over(_CLAUDE)

_OPENAI = Facts(
    maker="openai", parallel_tools=True, cache="automatic", streaming=True, developer=True, reasoning="effort",
    refuses=_REASONING_MODEL,
)  # fmt: skip
_PLAIN_GPT = Facts(reasoning="none", refuses=("verbosity",)).over(_OPENAI)
_GEMINI = Facts(
    maker="google", parallel_tools=True, json_schema=True, cache="automatic", streaming=True, developer=False
)
_GEMINI_SINCE_3_5 = Facts(prefill=False).over(_GEMINI)
"""A conversation that ends with the model's own words is refused."""

_RULES: tuple[tuple[str, Facts], ...] = (
    (r"claude-(instant|v?[12])", Facts(maker="anthropic", streaming=True)),
    (r"claude-3-(opus|haiku|sonnet)", Facts(output=4096).over(_CLAUDE_3)),
    (r"claude-3-5", Facts(output=8192).over(_CLAUDE_3)),
    (r"claude-3-7", Facts(json_schema=False).over(_CLAUDE)),
    (r"claude-(opus-4-0|opus-4-2025|opus-4$)", Facts(output=32_000, json_schema=False).over(_CLAUDE)),
    (r"claude-(sonnet-4-0|sonnet-4-2025|sonnet-4$)", Facts(json_schema=False).over(_CLAUDE)),
    (r"claude-opus-4-1", Facts(output=32_000).over(_CLAUDE)),
    (r"claude-opus-4-6", Facts(output=128_000, reasoning="adaptive", prefill=False).over(_CLAUDE)),
    (r"claude-sonnet-4-6", Facts(reasoning="adaptive", prefill=False).over(_CLAUDE)),
    (r"claude-(opus-4-[789]|(opus|sonnet|haiku|fable|mythos)-[5-9])", _ADAPTIVE),
    (r"claude-", _CLAUDE),
    (r"gpt-5(\.\d)?-chat", Facts(reasoning="none").over(Facts(maker="openai", streaming=True, developer=True))),
    (r"gpt-(3\.5|4(-turbo)?(-\d|-vision|-32k|-preview|$))", Facts(json_schema=False).over(_PLAIN_GPT)),
    (r"(gpt-4|chatgpt-4o)", _PLAIN_GPT),
    (r"gpt-oss", Facts(maker="openai", reasoning="effort", developer=True)),
    (r"gpt-(5\.[6-9]|[6-9]|\d\d)", Facts(tools_with_reasoning="responses").over(_OPENAI)),
    (r"(o[1-9]|gpt-5)", _OPENAI),
    (r"gemini-2\.5", Facts(reasoning="budget").over(_GEMINI)),
    (r"gemini-3(\.[01])?-", Facts(reasoning="effort").over(_GEMINI)),
    (r"gemini-[3-9]", Facts(reasoning="effort").over(_GEMINI_SINCE_3_5)),
    (r"gemini-[12]", _GEMINI),
    (r"gemini-", _GEMINI_SINCE_3_5),
    (r"nova-", Facts(maker="amazon", cache="marks", streaming=True, developer=False)),
)

_COMPILED = tuple((re.compile(rf"(^|[./:@]){pattern}"), facts) for pattern, facts in _RULES)


def ruled(model: str) -> Facts:
    """What the rules say of a model of this name; `NOTHING` where no rule knows it."""
    return next((facts for pattern, facts in _COMPILED if pattern.search(model)), NOTHING)
