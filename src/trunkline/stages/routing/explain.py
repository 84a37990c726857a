"""What a choice would be and why, without making it: for `trunkline explain` and `/admin/v1/explain`.

Verdicts, ranks and the choice come from the very functions by which the router chooses, with the random numbers that it
would draw next; nothing of it changes the choices to come.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from msgspec import Struct

from trunkline.core.choice import Choice
from trunkline.stages.routing.choose import FILTERS, SOFT, Ask, Draw, choose
from trunkline.stages.routing.route import Candidate, Leg, Route
from trunkline.stages.routing.strategies import UNKNOWN_PRICE


class Seen(Struct, frozen=True):
    """One candidate, as the router sees it."""

    target: str
    model: str
    """The leg on which it stands."""
    tier: int
    verdicts: dict[str, str]
    """Each filter that speaks against it, and what it says."""
    ranks: dict[str, float]
    """By each strategy of its leg: the lowest is best."""
    known: dict[str, Any]
    """What the ranks are made of."""


class Explanation(Struct, frozen=True):
    model: str
    strategies: dict[str, tuple[str, ...]]
    """Of each leg, the first one's first."""
    candidates: list[Seen]
    chosen: str | None
    """None: nobody is left to ask."""
    choice: Choice | None
    """As the ledger would have it; None where the first was simply taken."""
    then: list[str]
    """Who would be asked if that failed, and so on."""


def explain(route: Route, ask: Ask, draw: Draw) -> Explanation:
    """`draw` gives the numbers that the router would draw next, without taking them away from it."""
    seen = [_seen(each, leg, ask) for leg in route.legs for each in leg.candidates]
    asked: list[Candidate] = []
    choices: list[Choice | None] = []
    with _rehearsed(route):
        following = choose(route.legs, ask, draw) if route.only is None else route.only
        while following is not None:
            asked.append(following)
            choices.append(ask.call.choice)
            ask.tried.add(following)
            following = choose(route.legs, ask, draw)
    return Explanation(
        model=route.model,
        strategies={leg.model: tuple(name for name, _, _ in leg.plan) for leg in route.legs},
        candidates=seen,
        chosen=asked[0].name if asked else None,
        choice=choices[0] if choices else None,
        then=[each.name for each in asked[1:]],
    )


@contextmanager
def _rehearsed(route: Route) -> Iterator[None]:
    """What choosing changes for the choices to come is as it was in the end."""
    before = [(each, each.credit, each.standing.latency) for each in route.candidates]
    passed = [latency.passed if latency is not None else 0 for _, _, latency in before]
    try:
        yield
    finally:
        for (each, credit, latency), count in zip(before, passed, strict=True):
            each.credit = credit
            if latency is not None:
                latency.passed = count


def _seen(candidate: Candidate, leg: Leg, ask: Ask) -> Seen:
    judged = {name: judge(candidate, ask) for name, judge in {**FILTERS, **SOFT}.items()}
    return Seen(
        target=candidate.name,
        model=leg.model,
        tier=candidate.row.tier,
        verdicts={name: why for name, why in judged.items() if why is not None},
        ranks={name: strategy.rank((candidate,), ask)[0] for name, strategy, _ in leg.plan},
        known=_known(candidate, ask),
    )


def _known(candidate: Candidate, ask: Ask) -> dict[str, Any]:
    standing, row = candidate.standing, candidate.row
    known: dict[str, Any] = {"weight": row.weight, "pending": standing.pending}
    if row.canary is not None:
        known["canary"] = row.canary
    if standing.latency is not None and standing.latency.known:
        known |= standing.latency.shown()
    if standing.headroom is not None:
        known["left"] = standing.headroom.shown(ask.now)
    price = candidate.price(ask.facts.usage, ask.call.arrived)
    if price is not None and price < UNKNOWN_PRICE:
        known["cost_nano_usd"] = price
    if ask.bond is not None and ask.bond.target == candidate.name:
        known["cached"] = ask.bond.cached
    return known
