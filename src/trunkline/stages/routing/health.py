"""Health in the choice of a target: who is passed over for it, and who is asked all the same.

Nobody is passed over where that would leave too few: of a leg's targets that fail in part or are slow, at most a share
is out, and where all are out the one is asked that is to return soonest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from trunkline.stages.routing.route import Candidate


class Moment(Protocol):
    @property
    def now(self) -> float: ...


def out(candidate: Candidate, moment: Moment) -> str | None:
    """Why its health speaks against it."""
    standing = candidate.standing
    return None if standing.well else standing.refuses(moment.now)


def full(candidate: Candidate, moment: Moment) -> str | None:
    """Why it should be given no further call at the moment."""
    return candidate.standing.full(candidate.row.max_concurrency)


def spared(left: Sequence[Candidate], well: list[Candidate], moment: Moment) -> list[Candidate]:
    """Those in good health, and of the others as many as must not be out together: the soonest to return first."""
    most = max(1, int(left[0].standing.breaker.settings.most_out * len(left)))
    surplus = len(left) - len(well) - most
    if surplus <= 0 or not well:
        return well
    partial = [each for each in left if each not in well and _in_part(each, moment)]
    kept = {*well, *sorted(partial, key=lambda each: each.standing.returns(moment.now))[:surplus]}
    return [each for each in left if each in kept]


def _in_part(candidate: Candidate, moment: Moment) -> bool:
    """It does some of what it is for."""
    standing = candidate.standing
    return moment.now >= standing.resting and standing.breaker.state == "open" and not standing.breaker.hopeless


def least_bad(left: Sequence[Candidate], moment: Moment) -> list[Candidate]:
    """Of those that are all out, whoever is to return soonest."""
    returns = [each.standing.returns(moment.now) for each in left]
    soonest = min(returns)
    return [each for each, when in zip(left, returns, strict=True) if when == soonest]
