"""CPU per unit of work, and how quiet the core was while it was measured."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct, field

from bench.figures import Figure
from bench.machine import UNDER_TEST, busy_seconds
from bench.processes import Process

QUIET = 0.1
"""Share of the core that others may use before a figure is said to be disturbed: a process that is interrupted finds
its caches cold, and pays for it in CPU time of its own."""


LOOK = 0.3
"""Seconds: longer than the gateway waits between two movements of entries into its ledger."""
IDLE = 0.01
"""Seconds of CPU in such a time, at most, where nothing is left to do."""
LOOKS = 20


class Meter(Struct):
    """Of one process over several rounds."""

    process: Process
    costs: list[float] = field(default_factory=list)
    """Microseconds of CPU per unit, a round each."""
    foreign: list[float] = field(default_factory=list)
    """Share of the core that other processes used meanwhile."""

    @contextmanager
    def round(self) -> Iterator[list[int]]:
        """Measures its block, which appends the units of work that it has done, and what is left to do after it:
        entries go into the ledger a moment later, and would be counted in the round of another."""
        units: list[int] = []
        cpu, busy, begun = self.process.cpu, busy_seconds(UNDER_TEST), time.perf_counter()
        yield units
        self._rest()
        used, seconds = self.process.cpu - cpu, time.perf_counter() - begun
        self.costs.append(used / sum(units) * 1e6)
        self.foreign.append(max(0.0, (busy_seconds(UNDER_TEST) - busy - used) / seconds))

    def _rest(self) -> None:
        for _ in range(LOOKS):
            before = self.process.cpu
            time.sleep(LOOK)
            if self.process.cpu - before <= IDLE:
                return


def ratio(name: str, target: float, ours: Meter, yardstick: Meter, note: str = "") -> Figure:
    """The best of ours to the best of the yardstick."""
    best, base = min(ours.costs), min(yardstick.costs)
    samples = {"gateway": ours.costs, "nginx": yardstick.costs, "foreign": ours.foreign + yardstick.foreign}
    note = "; ".join(filter(None, (note, disturbed(ours, yardstick))))
    return Figure(name, best / base, "x nginx", target, ours=best, yardstick=base, note=note, samples=samples)


def above(name: str, target: float, plain: Meter, ours: Meter, yardstick: Meter) -> Figure:
    """How much more the best of ours costs than the best of the plain; the yardstick shows how quiet the machine was.
    The middle of what lies between neighbouring rounds is told beside it: where both are far apart, neither is sure."""
    best, base = min(ours.costs), min(plain.costs)
    middle = statistics.median(mine - other for mine, other in zip(ours.costs, plain.costs, strict=True))
    said = f"plain {base:.0f} µs", f"middle of {len(ours.costs)} rounds {middle:+.1f} µs", disturbed(ours, plain)
    return Figure(
        name,
        best - base,
        "µs CPU",
        target,
        ours=best,
        yardstick=min(yardstick.costs),
        note="; ".join(filter(None, said)),
        samples={"plain": plain.costs, "guarded": ours.costs, "nginx": yardstick.costs},
    )


def disturbed(*meters: Meter) -> str:
    """For people: how much of the core others used, where that is too much."""
    share = statistics.median([share for meter in meters for share in meter.foreign])
    return f"disturbed: others used {share:.0%} of the core" if share > QUIET else ""
