"""Limits as people write them, in one notation wherever they stand: the configuration, a key, the command line.

    requests=600/minute      tokens=1_000_000/hour      cost=20/day      cost=500/month soft      concurrent_requests=8

What is counted, how much of it, and in which time. Money is in dollars. Words behind say more:

    rolling   any stretch of that length (minutes and hours are so unless `fixed` is said)
    fixed     from one full minute, hour, day or month of UTC to the next (days and months are so unless `rolling`)
    soft      tell, but refuse nobody
    exact     of tokens: reserve the most that a call can use, rather than what it is expected to
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Literal, get_args

from msgspec import Struct

from trunkline.core.limit import CONCURRENT, MOST, Dimension, Span, Want, Window
from trunkline.core.usage import NANO
from trunkline.policy.quota import FIXED, NOW, ROLLING

Scope = Literal["global", "key", "team", "tag", "model"]

SCOPES: tuple[Scope, ...] = get_args(Scope)
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
SPANS: tuple[Span, ...] = get_args(Span)
_ROLLING_UNLESS_SAID: frozenset[Span] = frozenset({"minute", "hour"})
_WORDS = frozenset({"rolling", "fixed", "soft", "exact"})
MAX_TEXT = 100
"""Characters of one limit."""

_RULE = re.compile(
    r"(?P<dimension>\w+)\s*=\s*(?P<amount>[\d_]+(?:\.\d{1,9})?)(?:\s*/\s*(?P<span>\w+))?(?P<words>(?:\s+\w+)*)"
)
_EXAMPLE = "such as requests=600/minute, cost=20/day or concurrent_requests=8"


class Rule(Struct, frozen=True):
    """One limit, of nobody yet."""

    dimension: Dimension
    most: int
    window: Window
    soft: bool = False
    exact: bool = False
    """A call takes the most that it can use, not what it is expected to. Always so for money that must not be
    overspent."""

    def want(self, scope: Scope, value: str, shown: str, models: tuple[str, ...] | None) -> Want:
        """The limit for one key, team, tag, model or all. `shown`: what people call that one; `models`: the patterns of
        those whose calls alone are counted."""
        among = f" among {','.join(models)}" if models is not None else ""
        kind = f"{self.dimension} {self.window.name}{' soft' * self.soft}{among}"
        return Want(
            counter=f"{kind} {scope}:{value}",  # what callers can choose comes last, where it cannot be mistaken
            window=self.window,
            most=self.most,
            soft=self.soft,
            kept=self.dimension == "requests",
            dimension=self.dimension,
            scope=(f"{scope} {shown}" if value else scope) + among,
        )


def parse(text: str) -> Rule:
    """Raises ValueError, with a message that says how to write it."""
    found = _RULE.fullmatch(text.strip()) if len(text) <= MAX_TEXT else None
    if found is None:
        raise ValueError(f"{text[:MAX_TEXT]!r} is no limit; write DIMENSION=AMOUNT/WINDOW, {_EXAMPLE}")
    dimension = next((each for each in DIMENSIONS if each == found["dimension"]), None)
    if dimension is None:
        raise ValueError(f"{found['dimension']!r} cannot be limited; choose from {', '.join(DIMENSIONS)}")
    words = set(found["words"].split())
    if unknown := words - _WORDS:
        raise ValueError(f"{min(unknown)!r} is not known here; a limit may be followed by {', '.join(sorted(_WORDS))}")
    window = _window(dimension, found["span"], words)
    exact = _exact(dimension, words)
    return Rule(dimension, _amount(dimension, found["amount"]), window, "soft" in words, exact)


def _exact(dimension: Dimension, words: set[str]) -> bool:
    if dimension == "cost":
        return "soft" not in words
    if "exact" in words and "tokens" not in dimension:
        raise ValueError("exact: is for limits of tokens; money is always so, and all else is known beforehand")
    return "exact" in words


def _amount(dimension: Dimension, text: str) -> int:
    number = Decimal(text.replace("_", "") or "0")
    if dimension != "cost" and number != int(number):
        raise ValueError(f"{dimension}: a whole number, not {text}")
    amount = int(number * NANO) if dimension == "cost" else int(number)
    if amount > MOST:
        raise ValueError(f"{dimension}: at most {MOST // NANO if dimension == 'cost' else MOST}, not {text}")
    return amount


def _window(dimension: Dimension, said: str | None, words: set[str]) -> Window:
    if dimension in CONCURRENT:
        if said is not None or words & {"rolling", "fixed"}:
            raise ValueError(f"{dimension}: counts what is going on now, so it has no window: leave that out")
        return NOW
    span = next((each for each in SPANS if each == said), None)
    if span is None:
        raise ValueError(f"{dimension}: needs a window, one of {', '.join(SPANS)}: {dimension}=…/minute, for example")
    if {"rolling", "fixed"} <= words:
        raise ValueError(f"{dimension}: a window is either rolling or fixed")
    rolling = "rolling" in words or (span in _ROLLING_UNLESS_SAID and "fixed" not in words)
    return (ROLLING if rolling else FIXED)[span]


def shown_amount(dimension: Dimension, amount: int) -> str:
    """For people: `$1.25`, `1,000 tokens`."""
    if dimension == "cost":
        dollars = f"{amount / NANO:,.6f}".rstrip("0")
        whole, _, cents = dollars.partition(".")
        return f"${whole}.{cents:0<2}"
    return f"{amount:,} {dimension.replace('_', ' ')}"


def shown(want: Want) -> str:
    """For people: `key ci: $5.00 per day`."""
    window = want.window
    span = "" if window is NOW or not window.width else f" per {window.name.removeprefix('rolling ')}"
    return f"{want.scope}: {shown_amount(want.dimension, want.most)}{span}"
