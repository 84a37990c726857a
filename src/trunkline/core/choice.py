"""Why a target was chosen, as the ledger has it: enough to make the same choice again."""

from __future__ import annotations

from msgspec import Struct


class Step(Struct, frozen=True, omit_defaults=True):
    """One comparison. All but the last of a choice leave those that are about as good as the best."""

    by: str
    """A strategy; or `canary`, `affinity`, `conversation`."""
    ranks: dict[str, float]
    """Each target that was compared, in order: the lowest rank is best."""
    tolerance: float = 0.0
    """How much worse than the best is as good: a share of its rank."""
    drawn: tuple[float, ...] = ()
    """The random numbers that went into it, from 0 to 1."""


class Choice(Struct, frozen=True, omit_defaults=True):
    """None of it is written down where there was but one target to choose, or the first was simply taken."""

    steps: tuple[Step, ...] = ()
    passed: dict[str, str] = {}
    """Targets that were passed over, and by which filter."""
