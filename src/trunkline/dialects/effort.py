"""How hard to think: levels and token budgets, mapped onto each other in one place.

OpenAI asks with a level, older Claude models with a budget of tokens. The budgets are those that Google publishes for
the OpenAI-compatible surface of Gemini (low 1,024 · medium 8,192 · high 24,576); `minimal` is the least that Anthropic
accepts, `xhigh` and `max` continue the row.
"""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.core.request import Reasoning
from trunkline.dialects.mapping import LEVELS

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


def nearest(level: str, levels: Sequence[str]) -> tuple[str, bool]:
    """(the nearest of `levels` to this one, whether the meaning changed). An unknown or empty list takes any level.

    What means "as hard as you can" or "as little as you can" keeps its meaning at the end of a shorter row, so `max`
    becomes a model's highest level, and `minimal` its lowest, without a word. To think where nothing was to be
    thought, not to think where something was, and a step in the middle are changes. Between two equally near levels
    the harder one is taken: an answer worth more than was asked is better than a worse one.
    """
    if not levels or level in levels or level not in LEVELS:
        return level, False
    wanted = LEVELS.index(level)
    known = [LEVELS.index(each) for each in levels if each in LEVELS]
    thinking = [each for each in known if each] if wanted else []
    among = thinking or known
    if not among:
        return level, False
    found = min(among, key=lambda each: (abs(each - wanted), -each))
    beyond = wanted > max(among) or wanted < min(among)
    return LEVELS[found], not (beyond and found and wanted)
