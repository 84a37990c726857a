"""How a model departs from its provider's dialect: the quirks that follow from what the catalog knows of it.

Used where a request is translated; the identity path leaves it to the model itself.
"""

from __future__ import annotations

from typing import Any

from msgspec import structs

from trunkline.dialects.base import Quirks
from trunkline.policy.needs import Ability
from trunkline.providers.catalog import facts_of
from trunkline.providers.catalog_facts import Facts

_ENCRYPTING = frozenset({"openai", "trunkline"})
"""Makers whose models give their thoughts encrypted; the second is the simulator's."""

_DIALECTS = {"chat": "openai_chat", "responses": "openai_responses"}
"""What the catalog calls OpenAI's dialects."""


def quirks_of(model: str, base: Quirks, facts: Facts | None = None) -> Quirks:
    """The provider's quirks with what is known of the model laid over them; `facts` where it has been looked up."""
    facts = facts_of(model) if facts is None else facts
    known: dict[str, Any] = {
        "drop": base.drop | frozenset(facts.refuses or ()) | ({"reasoning"} if facts.reasoning == "none" else set()),
        "adaptive_thinking": facts.reasoning == "adaptive" or base.adaptive_thinking,
        "efforts": facts.efforts or base.efforts,
        "max_tokens_default": facts.output or base.max_tokens_default,
        "max_tokens_field": facts.max_tokens_name or base.max_tokens_field,
        "system_turns": base.system_turns if facts.system_turns is None else facts.system_turns,
        "prefill": base.prefill if facts.prefill is None else facts.prefill,
        "developer_role": base.developer_role and facts.developer is not False,
        "encrypted_thoughts": facts.reasoning == "effort" and facts.maker in _ENCRYPTING,
        "tools_by": _DIALECTS.get(facts.tools_with_reasoning or "", ""),
    }
    return structs.replace(base, **known)


_MEDIA = ("image", "document", "audio", "video")


def ability_of(facts: Facts) -> Ability:
    """What is known to be missing, as `policy.needs` asks for it."""
    said = {
        "tools": facts.tools, "parallel_tools": facts.parallel_tools, "json_schema": facts.json_schema,
        "streaming": facts.streaming,
    }  # fmt: skip
    lacks = {name for name, able in said.items() if able is False}
    if facts.tools is False:
        lacks.add("parallel_tools")
    if facts.inputs is not None:
        lacks |= {medium for medium in _MEDIA if medium not in facts.inputs}
    if facts.outputs == ("embedding",):
        lacks.add("text")
    if facts.reasoning == "none":
        lacks.add("reasoning")
    has = {"text", *(name for name, able in said.items() if able), *(facts.inputs or ())}
    if facts.reasoning not in (None, "none"):
        has.add("reasoning")
    return Ability(frozenset(lacks), frozenset(has - lacks), facts.input or facts.context, facts.output)
