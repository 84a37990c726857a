"""Whether and how a model shall think, in the words of its family.

The service refuses a request that asks for thinking and then cannot have it, so what the caller wanted first (an
answer) is kept and what stands in its way is given up, and reported. The caller's token limit is never raised: it
counts the thinking too, and it is a limit on what the caller pays. A budget that does not fit is cut to half of it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from msgspec import Struct, field

from trunkline.core.request import Reasoning, Request
from trunkline.dialects.base import Quirks
from trunkline.dialects.bedrock.families import Family
from trunkline.dialects.effort import budget_of, effort_of, nearest
from trunkline.dialects.mapping import BEDROCK, EFFORTS
from trunkline.dialects.unthought import thinking_missing

LEAST_BUDGET = 1024
"""Tokens: the smallest `budget_tokens` that Claude accepts."""

_LEVELS = ("low", "medium", "high")


class Plan(Struct):
    """`fields`: what `additionalModelRequestFields` shall say."""

    fields: dict[str, Any] = field(default_factory=dict)
    on: bool = False
    budgeted: bool = False
    """Thinking with a fixed budget, about which Claude is stricter."""


def plan(request: Request, family: Family, quirks: Quirks, lost: list[str]) -> Plan:
    reasoning = request.reasoning
    if reasoning is None:
        return Plan()
    if family.reasoning is None or "reasoning" in quirks.drop:
        if effort_of(reasoning) != "none":
            lost.append(request.name_of("reasoning"))
        return Plan()
    match family.reasoning:
        case "claude" if quirks.adaptive_thinking or reasoning.mode == "adaptive":
            return _adaptive(request, reasoning, lost)
        case "claude":
            return _budgeted(request, reasoning, family.verified, lost)
        case "nova":
            return _nova(request, reasoning, lost)
        case name:
            level = _level(request, reasoning, lost)
            return Plan({name: level} if level is not None else {}, level is not None)


def _adaptive(request: Request, reasoning: Reasoning, lost: list[str]) -> Plan:
    """The model decides how much to think; the effort guides it."""
    if effort_of(reasoning) == "none":
        return Plan({"thinking": {"type": "disabled"}})
    thinking = {"type": "adaptive"} | ({"display": reasoning.display} if reasoning.display is not None else {})
    fields: dict[str, Any] = {"thinking": thinking}
    if reasoning.effort is not None or reasoning.budget is not None:
        effort = EFFORTS[BEDROCK].said.get(effort_of(reasoning) or "")
        if effort is None or reasoning.budget is not None:
            lost.append(request.name_of("reasoning"))
        if effort:
            fields["output_config"] = {"effort": effort}
    return Plan(fields, on=True)


def _budgeted(request: Request, reasoning: Reasoning, makers: Collection[str], lost: list[str]) -> Plan:
    """A model that wants a number of tokens. Off is what it is without being asked, so off is said by silence.
    `makers`: whose thoughts it verifies."""
    if effort_of(reasoning) == "none":
        return Plan()
    budget, limit = budget_of(reasoning), request.max_tokens
    short = limit is not None and limit // 2 < LEAST_BUDGET
    if budget is None or short or thinking_missing(request.messages, makers):
        lost.append(request.name_of("reasoning"))
        return Plan()
    budget = max(budget, LEAST_BUDGET)
    if limit is not None and budget >= limit:
        budget = limit // 2
    return Plan({"thinking": {"type": "enabled", "budget_tokens": budget}}, on=True, budgeted=True)


def _nova(request: Request, reasoning: Reasoning, lost: list[str]) -> Plan:
    """Nova thinks its hardest only without limit and sampling: asked for both, it thinks a little less."""
    if effort_of(reasoning) == "none":
        return Plan({"reasoningConfig": {"type": "disabled"}})
    level = _level(request, reasoning, lost)
    if level is None:
        return Plan()
    if level == "high" and any(value is not None for value in (request.max_tokens, request.temperature, request.top_p)):
        lost.append(request.name_of("reasoning"))
        level = "medium"
    return Plan({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": level}}, on=True)


def _level(request: Request, reasoning: Reasoning, lost: list[str]) -> str | None:
    """One of the three levels that open models know; None for thinking switched off, which they cannot be told."""
    effort = effort_of(reasoning)
    if effort is None or effort == "none":
        return None
    level, changed = nearest(effort, _LEVELS)
    if changed or level not in _LEVELS or reasoning.budget is not None:
        lost.append(request.name_of("reasoning"))
    return level if level in _LEVELS else None
