"""How candidates are compared: a strategy ranks them (a number each, the lowest best) and picks one from the ranking.

Several strategies narrow the candidates one after the other: those about as good as the best go on to the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.policy.balance import Pick, first, two

if TYPE_CHECKING:
    from trunkline.policy.standing import Standing
    from trunkline.stages.routing.choose import Ask
    from trunkline.stages.routing.route import Candidate

    Rank = Callable[[Sequence[Candidate], Ask], list[float]]
    """A number for each of them, in their order."""

UNKNOWN_PRICE = 1e18
"""Nano-dollars: dearer than anything that has a price."""


def _order(candidates: Sequence[Candidate], ask: Ask) -> list[float]:
    return [0.0] * len(candidates)


def _turn(candidates: Sequence[Candidate], ask: Ask) -> list[float]:
    """Smooth weighted round robin, as in `policy.rotation`, over whoever is able at the moment."""
    return [-(each.credit + each.row.weight) for each in candidates]


def _took_turn(candidates: Sequence[Candidate], chosen: Candidate) -> None:
    for candidate in candidates:
        candidate.credit += candidate.row.weight
        chosen.credit -= candidate.row.weight


def _busy(candidates: Sequence[Candidate], ask: Ask) -> list[float]:
    return [(each.standing.pending + 1) / each.row.weight for each in candidates]


def _slow(candidates: Sequence[Candidate], ask: Ask) -> list[float]:
    ranks = []
    for candidate in candidates:
        standing = candidate.standing
        latency = standing.latency
        ranks.append(latency.cost(standing.pending, ask.now) if latency is not None else 0.0)
    return ranks


def _went_elsewhere(candidates: Sequence[Candidate], chosen: Candidate) -> None:
    for candidate in candidates:
        if candidate is not chosen and candidate.standing.latency is not None:
            candidate.standing.latency.passed += 1


def _dear(candidates: Sequence[Candidate], ask: Ask) -> list[float]:
    usage, at = ask.facts.usage, ask.call.arrived
    prices = (each.price(usage, at) for each in candidates)
    return [UNKNOWN_PRICE if price is None else float(price) for price in prices]


def _scarce(candidates: Sequence[Candidate], ask: Ask) -> list[float]:
    return [_used(each.standing, ask.now) for each in candidates]


def _used(standing: Standing, now: float) -> float:
    """The share of what its quotas allow."""
    return 1.0 - standing.headroom.share(standing.pending, now) if standing.headroom is not None else 0.0


class Strategy(Struct, frozen=True):
    rank: Rank
    pick: Pick
    draws: bool = False
    """Whether the pick takes two random numbers."""
    took: Callable[[Sequence[Candidate], Candidate], None] | None = None
    """What a choice changes for the next one."""
    ties: str = ""
    """The strategy that decides among equals."""


STRATEGIES: Mapping[str, Strategy] = {
    "priority": Strategy(_order, first),
    "weighted": Strategy(_turn, first, took=_took_turn),
    "least_busy": Strategy(_busy, two, draws=True),
    "latency": Strategy(_slow, two, draws=True, took=_went_elsewhere),
    "cost": Strategy(_dear, first, ties="least_busy"),
    "quota": Strategy(_scarce, first, ties="least_busy"),
}


def plan(names: Sequence[str], tolerance: float) -> list[tuple[str, Strategy, float]]:
    """The strategies of a leg in their order, each with its tolerance; the last one picks."""
    steps = [(name, STRATEGIES[name], tolerance) for name in names]
    if ties := steps[-1][1].ties:
        steps[-1] = (*steps[-1][:2], 0.0)
        steps.append((ties, STRATEGIES[ties], 0.0))
    return steps
