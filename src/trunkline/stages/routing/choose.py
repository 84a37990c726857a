"""Filter, rank, pick: which candidate of a leg is asked next.

A *filter* looks at one candidate and says why it is passed over, or nothing. A *strategy* is a row of `STRATEGIES`: how
candidates are ranked (a number each, the lowest best) and how one is picked from the ranking. `explain` tells what
these very functions say.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from msgspec import Struct

from trunkline.core.call import Call
from trunkline.stages.routing.health import full, least_bad, out, spared
from trunkline.stages.routing.route import Candidate, Leg


class Ask(Struct):
    """What a choice depends on, beside the candidates themselves."""

    call: Call
    now: float
    able: Collection[Candidate]
    """Those that have what the request needs."""
    tried: set[Candidate]
    preferred: str = ""
    """The target to be asked first where it can be: who remembers the conversation."""


Filter = Callable[[Candidate, Ask], str | None]
"""Why a candidate is passed over; None: it is not."""
Rank = Callable[[Candidate, Ask], float]
"""Lower is better."""
Pick = Callable[[Sequence[Candidate], Sequence[float], Callable[[], float]], Candidate]
"""One of several, from their ranks; the last argument draws numbers from 0 to 1."""


def _needs(candidate: Candidate, ask: Ask) -> str | None:
    return None if candidate in ask.able else "it lacks what the request needs"


def _tried(candidate: Candidate, ask: Ask) -> str | None:
    return "it has failed in this call" if candidate in ask.tried else None


FILTERS: Mapping[str, Filter] = {"needs": _needs, "tried": _tried}
"""In this order. Whoever is passed over by one of these is not asked at all."""

SOFT: Mapping[str, Filter] = {"health": out, "ceiling": full}
"""Whoever is passed over by one of these is asked all the same where nobody else is left: the least bad."""


def _no_rank(candidate: Candidate, ask: Ask) -> float:
    return 0.0


def _busy(candidate: Candidate, ask: Ask) -> float:
    return (candidate.standing.pending + 1) / candidate.row.weight


def first(candidates: Sequence[Candidate], ranks: Sequence[float], draw: Callable[[], float]) -> Candidate:
    """The best; of equals the first."""
    best = 0
    for position in range(1, len(ranks)):
        if ranks[position] < ranks[best]:
            best = position
    return candidates[best]


def in_turn(candidates: Sequence[Candidate], ranks: Sequence[float], draw: Callable[[], float]) -> Candidate:
    """Smooth weighted round robin, as in `policy.rotation`, over whoever is able at the moment."""
    total = 0.0
    for candidate in candidates:
        total += candidate.row.weight
        candidate.credit += candidate.row.weight
    best = max(candidates, key=_credit)
    best.credit -= total
    return best


def _credit(candidate: Candidate) -> float:
    return candidate.credit


class Strategy(Struct, frozen=True):
    rank: Rank
    pick: Pick


STRATEGIES: Mapping[str, Strategy] = {
    "priority": Strategy(_no_rank, first),
    "weighted": Strategy(_no_rank, in_turn),
    "least_busy": Strategy(_busy, first),
}


def choose(legs: Sequence[Leg], ask: Ask, draw: Callable[[], float]) -> Candidate | None:
    """Whom to ask next: from the first leg that has somebody in good health; where no leg has, the least bad of the
    first leg that has anybody. None: nobody is left."""
    spare: tuple[Leg, list[Candidate]] | None = None
    for leg in legs:
        left = _passing(leg.candidates, ask, FILTERS)
        if not left:
            continue
        well = _passing(left, ask, SOFT)
        if well:
            return _picked(leg, well if len(well) == len(left) else spared(left, well, ask), ask, draw)
        spare = spare or (leg, left)
    return _picked(spare[0], least_bad(spare[1], ask), ask, draw) if spare is not None else None


def _passing(candidates: Sequence[Candidate], ask: Ask, filters: Mapping[str, Filter]) -> list[Candidate]:
    return [each for each in candidates if not any(refuses(each, ask) for refuses in filters.values())]


def _picked(leg: Leg, candidates: list[Candidate], ask: Ask, draw: Callable[[], float]) -> Candidate:
    if ask.preferred:
        for candidate in candidates:
            if candidate.name == ask.preferred:
                return candidate
    if len(candidates) > 1:
        tier = min(candidate.row.tier for candidate in candidates)
        candidates = [candidate for candidate in candidates if candidate.row.tier == tier]
    if len(candidates) == 1:
        return candidates[0]
    strategy = STRATEGIES[leg.settings.strategy]
    ranks = [strategy.rank(candidate, ask) for candidate in candidates]
    return strategy.pick(candidates, ranks, draw)
