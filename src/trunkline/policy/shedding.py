"""Which calls are refused when the gateway itself has too much to do: the least urgent first.

Load is a share of what is bearable. Each class has the share from which on it is refused, and is taken again once load
has fallen clearly below that, so that a load near the border does not make it flicker. Overload control by priority and
by the time that work waits for its turn is DAGOR's idea (Zhou et al., SoCC 2018).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from trunkline.core.call import PRIORITIES, Priority
from trunkline.core.errors import Overloaded

REFUSED_FROM: Mapping[Priority, float] = {"interactive": 1.0, "default": 0.75, "batch": 0.5}
TAKEN_BELOW = 0.8
"""Of the share from which on a class is refused."""
COME_BACK: Mapping[Priority, float] = {"interactive": 1.0, "default": 2.0, "batch": 10.0}
"""Seconds after which a refused call may be tried again: the least urgent last."""
SMOOTHING = 0.25
"""How much the latest delay counts: one stall is no overload."""


class SheddingSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The `shedding:` section: when the gateway itself has too much to do. From half of each bound on it refuses calls
    of the priority `batch`, from three quarters on `default` ones, and all of them at the bound."""

    lag: Annotated[float, Meta(ge=0, le=60)] = 1.0
    """Seconds by which work may wait for its turn on the event loop, smoothed over a second. 0: not looked at."""
    memory: Annotated[int, Meta(ge=0)] | None = None
    """Bytes that a process may hold. Where left out: nine tenths of what the container may have, shared by the workers,
    if that has a bound. 0: not looked at."""


class Shedding:
    """`lag`: seconds, `memory`: bytes, each 0 for no bound. `refused`: the classes that are not taken now."""

    def __init__(self, lag: float, memory: int) -> None:
        self._most_lag = lag
        self._most_memory = memory
        self.lag = 0.0
        """Smoothed."""
        self.memory = 0
        self.refused: frozenset[Priority] = frozenset()

    def bound(self, lag: float, memory: int) -> None:
        """Other bounds from now on."""
        self._most_lag, self._most_memory = lag, memory

    @property
    def load(self) -> float:
        """The share of what is bearable that is in use."""
        lag = self.lag / self._most_lag if self._most_lag else 0.0
        memory = self.memory / self._most_memory if self._most_memory else 0.0
        return max(lag, memory)

    def observe(self, lag: float, memory: int) -> bool:
        """How late the event loop is now, and what the process holds. Whether other classes are refused than before."""
        self.lag += SMOOTHING * (lag - self.lag)
        self.memory = memory
        load, before = self.load, self.refused
        self.refused = frozenset(
            each for each in PRIORITIES if load >= REFUSED_FROM[each] * (TAKEN_BELOW if each in before else 1.0)
        )
        return self.refused != before

    def check(self, priority: Priority) -> None:
        """Raises Overloaded."""
        if priority in self.refused:
            raise Overloaded(
                f"This gateway has too much to do for calls of priority {priority!r}.",
                code="shed",
                retry_after=COME_BACK[priority],
            )


def given(asked: Priority, own: Priority) -> Priority:
    """The priority of a call: what its caller has, or what it asks for if that is less."""
    return max(asked, own, key=PRIORITIES.index)
