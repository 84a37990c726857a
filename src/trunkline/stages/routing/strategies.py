"""How candidates are compared: a strategy ranks them (a number each, the lowest best) and picks one from the ranking.

Several strategies narrow the candidates one after the other: those about as good as the best go on to the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from trunkline.policy.balance import Pick, first, two

if TYPE_CHECKING:
    from trunkline.stages.routing.choose import Ask
    from trunkline.stages.routing.route import Candidate

    Rank = Callable[[Candidate, Ask], float]

UNKNOWN_PRICE = 1e18
"""Nano-dollars: dearer than anything that has a price."""


def _order(candidate: Candidate, ask: Ask) -> float:
    return 0.0


def _turn(candidate: Candidate, ask: Ask) -> float:
    """Smooth weighted round robin, as in `policy.rotation`, over whoever is able at the moment."""
    return -(candidate.credit + candidate.row.weight)


def _took_turn(candidates: Sequence[Candidate], chosen: Candidate) -> None:
    for candidate in candidates:
        candidate.credit += candidate.row.weight
        chosen.credit -= candidate.row.weight


def _busy(candidate: Candidate, ask: Ask) -> float:
    return (candidate.standing.pending + 1) / candidate.row.weight


def _slow(candidate: Candidate, ask: Ask) -> float:
    standing = candidate.standing
    return standing.latency.cost(standing.pending, ask.now) if standing.latency is not None else 0.0


def _went_elsewhere(candidates: Sequence[Candidate], chosen: Candidate) -> None:
    for candidate in candidates:
        if candidate is not chosen and candidate.standing.latency is not None:
            candidate.standing.latency.passed += 1


def _dear(candidate: Candidate, ask: Ask) -> float:
    price = candidate.price(ask.facts.usage, ask.call.arrived)
    return UNKNOWN_PRICE if price is None else float(price)


def _scarce(candidate: Candidate, ask: Ask) -> float:
    standing = candidate.standing
    return 1.0 - standing.headroom.share(standing.pending, ask.now) if standing.headroom is not None else 0.0


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
