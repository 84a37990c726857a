"""How hard to think: levels and token budgets, mapped onto each other in one place.

OpenAI asks with a level, older Claude models with a budget of tokens. The budgets are those that Google publishes for
the OpenAI-compatible surface of Gemini (low 1,024 · medium 8,192 · high 24,576); `minimal` is the least that Anthropic
accepts, `xhigh` and `max` continue the row.
"""

from __future__ import annotations

from trunkline.core.request import Reasoning

BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576, "xhigh": 32_768, "max": 65_536}
"""Tokens of thinking by level."""

_LEVELS = ((1024, "low"), (8192, "medium"), (24_576, "high"))
"""The level that reaches at least this budget, smallest first; above the last: `xhigh`."""

DEFAULT = "medium"
"""The level of thinking that is on without saying how hard."""


def effort_of(reasoning: Reasoning | None) -> str | None:
    """The level that was asked for, by name or by budget; `none` for thinking switched off."""
    if reasoning is None:
        return None
    if reasoning.effort is not None:
        return reasoning.effort
    if reasoning.mode == "disabled":
        return "none"
    if reasoning.budget is None:
        return DEFAULT
    return next((level for budget, level in _LEVELS if reasoning.budget <= budget), "xhigh")


def budget_of(reasoning: Reasoning) -> int | None:
    """The token budget that was asked for, by number or by level; None where thinking is off."""
    if reasoning.budget is not None:
        return reasoning.budget
    return BUDGETS.get(effort_of(reasoning) or "")
