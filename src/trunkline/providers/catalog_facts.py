"""What can be known of a model: what it takes, what it gives, and how it wants to be asked.

Everything is optional. What is not known is not held against a model: it is tried, and the provider may refuse.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, structs

Modality = Literal["text", "image", "document", "audio", "video", "embedding"]
Level = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Refusable = Literal[
    "temperature", "top_p", "top_k", "seed", "stop", "frequency_penalty", "presence_penalty", "logit_bias",
    "logprobs", "top_logprobs", "n", "verbosity", "parallel_tool_calls", "tier", "user", "metadata", "max_tokens",
]  # fmt: skip
"""Fields of a request that a model may refuse: attributes of `core.request.Request`."""


class Facts(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One entry of `catalog:`, by a model's id or by `provider/model`: what is said here replaces what the shipped
    table says of it, field by field."""

    maker: str | None = None
    """Whose model it is, such as `openai` or `mistral`."""
    context: int | None = None
    """Tokens of prompt and answer together."""
    input: int | None = None
    """Tokens of the prompt, where that has a limit of its own."""
    output: int | None = None
    """Tokens of the answer, at most."""
    inputs: tuple[Modality, ...] | None = None
    """What a prompt may hold."""
    outputs: tuple[Modality, ...] | None = None
    """What an answer may hold."""
    tools: bool | None = None
    """Whether it calls tools."""
    parallel_tools: bool | None = None
    """Whether it calls several tools at once."""
    json_schema: bool | None = None
    """Whether it holds its answer to a JSON schema."""
    reasoning: Literal["none", "effort", "budget", "adaptive"] | None = None
    """How it is told to think: not at all, by a level, by a number of tokens, or by a level that it follows as it sees
    fit (Claude)."""
    efforts: tuple[Level, ...] | None = None
    """The levels that it takes; `none` among them where thinking can be switched off."""
    refuses: tuple[Refusable, ...] | None = None
    """Parameters that it answers with an error: left out where a request is translated, and reported as lost."""
    max_tokens_name: Literal["max_tokens", "max_completion_tokens"] | None = None
    """What chat calls the limit of an answer there."""
    cache: Literal["none", "automatic", "marks"] | None = None
    """Prompt caching: none, of itself, or up to marks that the request sets."""
    streaming: bool | None = None
    """Whether it streams."""
    developer: bool | None = None
    """Whether it knows the role `developer` beside `system`."""
    system_turns: bool | None = None
    """Whether the role `system` may stand in the middle of a conversation (Claude)."""
    prefill: bool | None = None
    """Whether it continues a conversation that ends with its own words."""
    tools_with_reasoning: Literal["chat", "responses"] | None = None
    """The OpenAI API on which it calls tools while it reasons, where that is not any of them."""
    price_model: str | None = None
    """Its id in the price list, where that differs."""

    def over(self, base: Facts) -> Facts:
        """These facts, and those of `base` where nothing is said here."""
        said = {name: value for name, value in structs.asdict(self).items() if value is not None}
        return structs.replace(base, **said) if said else base


NOTHING = Facts()
"""Nothing is known: the model is assumed able."""
