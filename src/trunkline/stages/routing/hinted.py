"""Health among processes: who finds a target out, or limited, tells the others.

A rest is a fact about the account, so the others keep it too. That a target is out is an opinion: another process that
hears it believes its own first failure instead of its fifth. So nobody leaves out a target that works for itself.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from trunkline.core.stores import Hints
from trunkline.policy.standing import Board, Change
from trunkline.stages.routing.changes import Changes

TOPIC = "health"
LONGEST = 3600.0
"""Seconds: of a rest that another process tells of, no more is believed."""
SHORTEST = 1.0
"""Seconds: a shorter rest is over before it is known."""


class Finding(Struct, frozen=True):
    """`rest`: seconds; 0 where the target is out."""

    target: str
    reason: str
    rest: float = 0.0


def share(hints: Hints, board: Board, changes: Changes, clock: Callable[[], float]) -> None:
    """Tell the others of this process's changes, and hear of theirs. `clock`: the board's."""

    def tell(change: Change) -> None:
        if change.cause == "told":
            return  # it came from there
        if change.state == "out":
            hints.publish(TOPIC, Finding(change.target, change.reason))
        elif change.state == "resting" and (change.seconds or 0.0) >= SHORTEST:
            hints.publish(TOPIC, Finding(change.target, change.reason, change.seconds or 0.0))

    def hear(finding: Finding) -> None:
        if not board.knows(finding.target):
            return
        standing = board.of(finding.target)
        if finding.rest > 0.0:
            standing.rest(min(finding.rest, LONGEST), finding.reason, clock())
        else:
            standing.suspect()

    changes.also = tell
    hints.listen(TOPIC, Finding, hear)
