"""Filter, rank, pick: which candidate of a leg is asked next.

A *filter* looks at one candidate and says why it is passed over, or nothing. Of those that are left the leg's
strategies (`strategies`) choose. `explain` and `replay` call these very functions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from msgspec import Struct

from trunkline.core.call import Call
from trunkline.core.choice import Choice, Step
from trunkline.policy.affinity import Bond, stays
from trunkline.policy.balance import NONE, first, within
from trunkline.stages.routing.facts import Facts
from trunkline.stages.routing.health import full, least_bad, out, spared
from trunkline.stages.routing.route import Candidate, Leg
from trunkline.stages.routing.strategies import STRATEGIES

Draw = Callable[[], float]
"""Random numbers from 0 to 1."""


class Ask(Struct):
    """What a choice depends on, beside the candidates themselves."""

    call: Call
    now: float
    able: Collection[Candidate]
    """Those that have what the request needs."""
    tried: set[Candidate]
    preferred: str = ""
    """The target to be asked first where it can be: who remembers the conversation."""
    bond: Bond | None = None
    """Where the conversation is at home."""
    known: Facts | None = None

    @property
    def facts(self) -> Facts:
        if self.known is None:
            self.known = Facts(self.call)
        return self.known


Filter = Callable[[Candidate, Ask], str | None]
"""Why a candidate is passed over; None: it is not."""


# ── Filters ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _needs(candidate: Candidate, ask: Ask) -> str | None:
    return None if candidate in ask.able else "it lacks what the request needs"


def _when(candidate: Candidate, ask: Ask) -> str | None:
    return candidate.condition.judge(ask.facts.look) if candidate.condition is not None else None


def _tried(candidate: Candidate, ask: Ask) -> str | None:
    return "it has failed in this call" if candidate in ask.tried else None


def _headroom(candidate: Candidate, ask: Ask) -> str | None:
    headroom = candidate.standing.headroom
    return headroom.why(candidate.standing.pending, ask.now) if headroom is not None else None


FILTERS: Mapping[str, Filter] = {"needs": _needs, "when": _when, "tried": _tried}
"""In this order. Whoever is passed over by one of these is not asked at all."""

SOFT: Mapping[str, Filter] = {"health": out, "ceiling": full, "headroom": _headroom}
"""Whoever is passed over by one of these is asked all the same where nobody else is left: the least bad."""


# ── The choice ─────────────────────────────────────────────────────────────────────────────────────────────────────


def choose(legs: Sequence[Leg], ask: Ask, draw: Draw, commit: bool = True) -> Candidate | None:
    """Whom to ask next: from the first leg that has somebody in good health; where no leg has, the least bad of the
    first leg that has anybody. None: nobody is left. Why is in `Call.choice`. `commit` False: to look only, so that
    nothing changes for the next choice."""
    ask.call.choice = None
    # Nobody is ruled out in a first attempt that needs nothing special: most are.
    leg, bare = legs[0], ask.bond is None and not ask.preferred
    if leg.direct and bare and commit and ask.able is leg.everybody and not ask.tried:
        for each in leg.candidates:
            if not each.standing.free:
                break
        else:
            return _decided(leg, ask, draw)
    spare: tuple[Leg, Sequence[Candidate]] | None = None
    for leg in legs:
        free = not ask.tried and ask.able is leg.everybody and not leg.conditional
        left = leg.candidates if free else [each for each in leg.candidates if not refused(each, ask, FILTERS)]
        if not left:
            continue
        simply = bare and leg.plain and left[0] is leg.candidates[0]
        for each in left:
            if leg.bounded or not each.standing.free:
                break
            if simply:
                return each
        else:
            return _picked(leg, left, ask, draw, commit)
        if simply and not refused(left[0], ask, SOFT):
            return left[0]
        well = [each for each in left if not refused(each, ask, SOFT)]
        if well:
            return _picked(leg, well if len(well) == len(left) else spared(left, well, ask), ask, draw, commit)
        spare = spare or (leg, left)
    return _picked(spare[0], least_bad(spare[1], ask), ask, draw, commit) if spare is not None else None


def refused(candidate: Candidate, ask: Ask, filters: Mapping[str, Filter]) -> str | None:
    """The first filter that passes it over."""
    for name, judge in filters.items():
        if judge(candidate, ask) is not None:
            return name
    return None


def _decided(leg: Leg, ask: Ask, draw: Draw) -> Candidate:
    """What `_picked` comes to where a leg has one strategy, and that may take any of its candidates: nearly always."""
    candidates = leg.candidates
    name, strategy, _ = leg.deciding
    rank, pick, took = strategy.rank, strategy.pick, strategy.took
    ranks = rank(candidates, ask)
    drawn = (draw(), draw()) if strategy.draws else NONE
    chosen = candidates[pick(ranks, drawn)]
    if took is not None:
        took(candidates, chosen)
    ask.call.choice = Choice((Step(name, dict(zip(leg.names, ranks)), 0.0, drawn),))  # noqa: B905
    return chosen


def _picked(leg: Leg, candidates: Sequence[Candidate], ask: Ask, draw: Draw, commit: bool) -> Candidate:
    """One of these. What it was compared by is written down, and who of the leg was passed over."""
    everybody = candidates
    steps: list[Step] = []
    if leg.tiered:
        tier = min(candidate.row.tier for candidate in candidates)
        candidates = [candidate for candidate in candidates if candidate.row.tier == tier]
    chosen = _known(everybody, ask, steps) if ask.preferred else None
    if chosen is None:
        if leg.canaries:
            candidates = _side(candidates, ask, steps)
        chosen = candidates[0] if leg.simple else _best(leg, candidates, ask, draw, steps)
        if ask.bond is not None:
            chosen = _at_home(candidates, chosen, ask.bond, ask, steps)
        if commit:
            for took in leg.took:
                took(candidates, chosen)
    if len(everybody) < len(leg.candidates):
        ask.call.choice = Choice(tuple(steps), _passed(leg, everybody, ask))
    elif steps:
        ask.call.choice = Choice(tuple(steps))
    return chosen


def _known(candidates: Sequence[Candidate], ask: Ask, steps: list[Step]) -> Candidate | None:
    """The one that remembers the conversation."""
    for each in candidates:
        if each.name == ask.preferred:
            steps.append(Step("conversation", {each.name: 0.0}))
            return each
    return None


def _passed(leg: Leg, kept: Sequence[Candidate], ask: Ask) -> dict[str, str]:
    """Who of a leg was passed over, and by what."""
    left = [each for each in leg.candidates if each not in kept]
    return {each.name: refused(each, ask, FILTERS) or refused(each, ask, SOFT) or "" for each in left}


def _side(candidates: Sequence[Candidate], ask: Ask, steps: list[Step]) -> Sequence[Candidate]:
    """The canary whose share the conversation fell into, or all that are none."""
    lot, side = ask.facts.lot, [each for each in candidates if each.row.canary is None]
    for each in candidates:
        if each.row.canary is not None:
            if lot < each.row.canary:
                side = [each]
                break
            lot -= each.row.canary
    if not side or len(side) == len(candidates):
        return candidates
    steps.append(Step("canary", {each.name: 0.0 for each in side}))
    return side


def _best(leg: Leg, candidates: Sequence[Candidate], ask: Ask, draw: Draw, steps: list[Step]) -> Candidate:
    """By the leg's strategies, one after the other."""
    for name, strategy, tolerance in leg.narrowing:
        if len(candidates) == 1:
            return candidates[0]
        ranks = strategy.rank(candidates, ask)
        steps.append(Step(name, _named(candidates, ranks), tolerance))
        candidates = [candidates[position] for position in within(ranks, tolerance)]
    if len(candidates) == 1:
        return candidates[0]
    name, strategy, _ = leg.deciding
    ranks = strategy.rank(candidates, ask)
    drawn = (draw(), draw()) if strategy.draws else NONE
    steps.append(Step(name, _named(candidates, ranks), 0.0, drawn))
    return candidates[strategy.pick(ranks, drawn)]


def _named(candidates: Sequence[Candidate], ranks: Sequence[float]) -> dict[str, float]:
    return {each.name: rank for each, rank in zip(candidates, ranks, strict=True)}


def _at_home(candidates: Sequence[Candidate], chosen: Candidate, bond: Bond, ask: Ask, steps: list[Step]) -> Candidate:
    """The target that has the conversation's beginning in its cache, where it is not dearer than the chosen one."""
    home = next((each for each in candidates if each.name == bond.target), None)
    if home is None or home is chosen:
        return chosen
    usage, at = ask.facts.usage, ask.call.arrived
    here = home.price(ask.facts.cached(bond.cached), at)
    there = chosen.price(usage, at)
    stay = stays(here, there)
    known = here is not None and there is not None
    ranks = {home.name: float(here or 0), chosen.name: float(there or 0)} if known else {home.name: 0.0}
    steps.append(Step("affinity", ranks))
    return home if stay else chosen


def remade(choice: Choice) -> str | None:
    """The target that these comparisons come to: what replaying a recorded choice must find again. None where it was
    not compared."""
    left: set[str] | None = None
    found = None
    for step in choice.steps:
        names = [name for name in step.ranks if left is None or name in left or step.by == "affinity"]
        ranks = [step.ranks[name] for name in names]
        pick = STRATEGIES[step.by].pick if step.drawn else first
        found = names[pick(ranks, step.drawn)]
        left = {names[position] for position in within(ranks, step.tolerance)}
    return found
