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
    disturbed = statistics.median(samples["foreign"])
    if disturbed > QUIET:
        note = f"{note}; " * bool(note) + f"disturbed: others used {disturbed:.0%} of the core"
    return Figure(name, best / base, "x nginx", target, ours=best, yardstick=base, note=note, samples=samples)
