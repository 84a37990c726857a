"""Limits whose windows are longer than a restart takes go on where they were: what was used before comes from the
ledger. For counters that die with the process, and for those that have lost what they knew."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from trunkline.core.call import Key
from trunkline.core.limit import Want, Window
from trunkline.core.stores import Past, Used
from trunkline.policy.rules import SCOPES, Scope
from trunkline.stages.admission.plan import TIMELESS, Planner

log = logging.getLogger("trunkline.calls")

PATIENCE = 30.0
"""Seconds after the start for which calls wait for a database that does not answer: a gateway that admits too much for
once is better than none."""

Plant = Callable[[str, Window, Mapping[int, int]], None]
Seeds = dict[str, tuple[Window, dict[int, int]]]
"""What each counter held before: its window, and amounts by bucket."""


def seeds(planner: Planner, keys: Sequence[Key], past: Past, until: float) -> Seeds:
    """Slow: for a thread. Raises StoreError."""
    known = {key.id: key for key in keys}
    found: Seeds = {}
    for scope in SCOPES:
        for window, calls in _windows(planner, keys, scope).items():
            for used in past.used(scope, window, calls, until):
                for want in _wants(planner, known, scope, used):
                    if want.window is window:
                        _, held = found.setdefault(want.counter, (window, defaultdict(int)))
                        held[used.bucket] += _amount(want, used)
    return found


def _windows(planner: Planner, keys: Sequence[Key], scope: Scope) -> Mapping[Window, bool]:
    """The windows that limits of this scope have, and whether one of them counts calls."""
    windows: dict[Window, bool] = {}
    for rule in planner.rules(scope, keys):
        if rule.window.name not in TIMELESS:
            windows[rule.window] = windows.get(rule.window, False) or rule.dimension == "requests"
    return windows


def _wants(planner: Planner, known: Mapping[str, Key], scope: Scope, used: Used) -> Iterable[Want]:
    """The counters of this scope that these calls belong to. A key that is no more has none."""
    if scope != "key":
        return planner.wants_of(scope, used.value, used.value, used.model, None)
    key = known.get(used.value)
    return () if key is None else planner.wants_of(scope, key.id, key.name, used.model, key)


def _amount(want: Want, used: Used) -> int:
    match want.dimension:
        case "requests":
            return used.calls
        case "cost":
            return used.cost
        case "input_tokens":
            return used.input
        case "output_tokens":
            return used.output
        case _:
            return used.input + used.output


class Seeding:
    """What was used before the moment `until` (seconds since the epoch), looked up once and given to `plant`, the
    counters' own method; None where they remember it themselves. `clock`: seconds, monotonic. Made in the event loop
    that counts."""

    def __init__(self, plant: Plant | None, until: float, clock: Callable[[], float]) -> None:
        self._plant = plant
        self._until = until
        self._clock = clock
        self._patience = clock() + PATIENCE
        self._sought = plant is None
        self._known = plant is None
        self._loop = asyncio.get_running_loop()

    def again(self, until: float, plant: Plant) -> None:
        """Counters that remember by themselves have begun anew at that moment: they too are told what was used before.
        Calls do not wait for it."""
        self._until, self._plant, self._sought = until, plant, False

    def look(self, planner: Planner, keys: Callable[[], Sequence[Key]], past: Past) -> None:
        """From a thread, again and again: the first time that it succeeds is enough. Raises StoreError."""
        if self._sought:
            return
        until, plant = self._until, self._plant
        assert plant is not None
        found = seeds(planner, keys(), past, until)
        self._sought = until == self._until
        self._loop.call_soon_threadsafe(self._planted, found, plant)

    def _planted(self, found: Seeds, plant: Plant) -> None:
        for counter, (window, held) in found.items():
            plant(counter, window, held)
        self._known = True

    def __call__(self) -> bool:
        """Whether calls may go on: it is known, or the database has had its time. It is added later then."""
        if self._known:
            return True
        if self._clock() < self._patience:
            return False
        log.error("what was used before the start is not known yet: limits of days and months begin without it")
        self._known = True
        return True
