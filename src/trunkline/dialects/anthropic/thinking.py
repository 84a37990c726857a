"""Whether and how a model shall think: the one decision in which most request fields have a say.

The service refuses a request that asks for thinking and then cannot have it, so what the caller wanted first (an
answer) is kept and what stands in its way is given up, and reported:

- with a fixed budget, a forced tool choice gives way to `auto` (a model that decides for itself takes both);
- a fixed budget gives way where the turn in progress called a tool and its thinking is missing (a chat client could
  not keep it, and it must lead the replayed turn), and where the caller's token limit has no room for the least budget;
- of the sampling parameters, `top_k` goes, `temperature` stays only at 1, `top_p` only from 0.95.

The caller's token limit is never raised: here as in OpenAI's dialects it counts the thinking too, and it is a limit on
what the caller pays. A budget that does not fit is cut to half of the limit.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from trunkline.core.request import Reasoning, Request
from trunkline.dialects.anthropic.vocabulary import NAME
from trunkline.dialects.base import Quirks
from trunkline.dialects.effort import budget_of, effort_of, nearest
from trunkline.dialects.mapping import EFFORTS
from trunkline.dialects.unthought import thinking_missing

LEAST_BUDGET = 1024
"""Tokens: the smallest `budget_tokens` that the service accepts."""

GUESSED = Quirks().max_tokens_default
"""The limit sent to a model of which nothing is known: a budget may come on top of it. Another limit, where the caller
set none, is the most that the model may say, and the service refuses a higher one."""


class Plan(Struct):
    """`thinking` and `effort` as the body shall say them; None: left out."""

    thinking: dict[str, Any] | None = None
    effort: str | None = None
    max_tokens: int = 0

    @property
    def on(self) -> bool:
        return self.thinking is not None and self.thinking["type"] != "disabled"

    @property
    def budgeted(self) -> bool:
        """Thinking with a fixed budget, about which the service is stricter."""
        return self.thinking is not None and self.thinking["type"] == "enabled"


def plan(request: Request, quirks: Quirks, lost: list[str]) -> Plan:
    limit = request.max_tokens if request.max_tokens is not None else quirks.max_tokens_default
    reasoning = request.reasoning
    if reasoning is None:
        return Plan(max_tokens=limit)
    if "reasoning" in quirks.drop:
        lost.append(request.name_of("reasoning"))
        return Plan(max_tokens=limit)
    outdated = reasoning.mode == "enabled" and quirks.adaptive_thinking
    if (reasoning.mode is not None or request.dialect == NAME) and not outdated:
        made = _as_asked(reasoning, limit)
    elif quirks.adaptive_thinking:
        made = _adaptive(request, quirks, limit, lost)
    else:
        made = _budgeted(request, reasoning, limit, lost)
    if made.budgeted and thinking_missing(request.messages, ("", NAME)):
        lost.append(request.name_of("reasoning"))
        made.thinking = None
    return made


def _as_asked(reasoning: Reasoning, limit: int) -> Plan:
    """The caller spoke of Anthropic's own modes (or of effort alone): said again."""
    if reasoning.mode is None:
        return Plan(None, reasoning.effort, limit)
    thinking: dict[str, Any] = {"type": reasoning.mode}
    if reasoning.mode == "enabled":
        thinking["budget_tokens"] = budget_of(reasoning) or LEAST_BUDGET
    if reasoning.display is not None:
        thinking["display"] = reasoning.display
    return Plan(thinking, reasoning.effort, limit)


def _adaptive(request: Request, quirks: Quirks, limit: int, lost: list[str]) -> Plan:
    """The model decides how much to think; the effort guides it."""
    reasoning = request.reasoning
    assert reasoning is not None
    wanted = effort_of(reasoning)
    if wanted == "none":
        return Plan({"type": "disabled"}, None, limit)
    level, changed = nearest(wanted or "", quirks.efforts)
    effort = EFFORTS[NAME].said.get(level) or None
    if effort is None or changed or reasoning.budget is not None:
        lost.append(request.name_of("reasoning"))
    thinking = {"type": "adaptive"} | ({"display": reasoning.display} if reasoning.display is not None else {})
    return Plan(thinking, effort, limit)


def _budgeted(request: Request, reasoning: Reasoning, limit: int, lost: list[str]) -> Plan:
    """A model that wants a number of tokens. Off is what it is without being asked, so off is said by silence."""
    if effort_of(reasoning) == "none":
        return Plan(max_tokens=limit)
    budget = budget_of(reasoning)
    if budget is None:  # a level that nobody knows
        lost.append(request.name_of("reasoning"))
        return Plan(max_tokens=limit)
    budget = max(budget, LEAST_BUDGET)
    if request.max_tokens is None and limit == GUESSED:
        return Plan({"type": "enabled", "budget_tokens": budget}, None, limit + budget)
    if limit // 2 < LEAST_BUDGET:
        lost.append(request.name_of("reasoning"))
        return Plan(max_tokens=limit)
    if budget >= limit:
        budget = limit // 2
    return Plan({"type": "enabled", "budget_tokens": budget}, None, limit)
