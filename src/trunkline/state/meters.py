"""The metrics of one process: plain integers on the hot path.

Counting a call is a dictionary look-up and a few additions; prometheus-client, with a lock and a label look-up for each
number, costs ten times that. It is used for what it is good at, the exposition format: see `exposition`.

Workers share a directory, into which each writes what it has counted once a second; whoever is asked adds up. The file
of a worker that died stays, so that no counter ever falls.
"""

from __future__ import annotations

import logging
import os
import threading
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct, field

from trunkline.core.call import Entry

log = logging.getLogger(__name__)

DURATION_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
FIRST_BYTE_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
MAX_SERIES = 2000
"""Label combinations; callers choose model names, so there must be a bound. What is beyond counts as `other`."""
TOKEN_KINDS = ("input", "cache_read", "cache_write", "output", "reasoning")
SHARE_EVERY = 1.0
"""Seconds between a worker's writings."""

Labels = tuple[str, str, int, str]
"""Surface, target, status, error code ("" for none)."""


Labelled = tuple[str, tuple[str, ...]]
"""A metric's name, and the values of its labels: what else parts of the gateway count, or have at present."""


class Histogram(Struct):
    """`counts[i]` observations up to the i-th bound; the last of them above all bounds."""

    counts: list[int]
    total: float = 0.0

    def add(self, other: Histogram) -> None:
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.total += other.total


class Series(Struct):
    """What has been counted under one combination of labels. `cost` in nano-dollars, `tokens` by TOKEN_KINDS."""

    count: int = 0
    cost: int = 0
    tokens: list[int] = field(default_factory=lambda: [0] * len(TOKEN_KINDS))
    duration: Histogram = field(default_factory=lambda: Histogram([0] * (len(DURATION_BUCKETS) + 1)))
    first_byte: Histogram = field(default_factory=lambda: Histogram([0] * (len(FIRST_BYTE_BUCKETS) + 1)))

    def add(self, other: Series) -> None:
        self.count += other.count
        self.cost += other.cost
        self.tokens = [a + b for a, b in zip(self.tokens, other.tokens, strict=True)]
        self.duration.add(other.duration)
        self.first_byte.add(other.first_byte)


class Snapshot(Struct):
    """All that a process has counted, and its present values."""

    series: list[tuple[Labels, Series]]
    gauges: dict[str, float]
    labelled: list[tuple[Labelled, float]] = []


_decode = msgspec.json.Decoder(Snapshot).decode
_encode = msgspec.json.Encoder().encode


class ProcessMeters:
    """`gauges` gives present values by metric name, `labelled` such that have labels too, whenever somebody asks."""

    def __init__(
        self,
        gauges: Callable[[], dict[str, float]] = dict,
        labelled: Callable[[], dict[Labelled, float]] = dict,
    ) -> None:
        self._series: dict[Labels, Series] = {}
        self._gauges = gauges
        self._labelled = labelled
        self._shared: Path | None = None

    def record(self, entry: Entry) -> None:
        labels = (entry.surface, entry.target or "", entry.status, entry.error or "")
        series = self._series.get(labels)
        if series is None:
            if len(self._series) >= MAX_SERIES:
                labels = (entry.surface, "other", entry.status, entry.error or "")
            series = self._series.setdefault(labels, Series())
        series.count += 1
        duration = series.duration
        duration.counts[bisect_left(DURATION_BUCKETS, entry.duration)] += 1
        duration.total += entry.duration
        if entry.first_byte is not None:
            first = series.first_byte
            first.counts[bisect_left(FIRST_BYTE_BUCKETS, entry.first_byte)] += 1
            first.total += entry.first_byte
        if entry.cost is not None:
            series.cost += entry.cost
        if (usage := entry.usage) is not None:
            tokens = series.tokens
            tokens[0] += usage.input
            tokens[1] += usage.cache_read
            tokens[2] += usage.cache_write
            tokens[3] += usage.output
            tokens[4] += usage.reasoning

    def snapshot(self) -> Snapshot:
        """What this process has counted."""
        return Snapshot(list(self._series.items()), self._gauges(), list(self._labelled().items()))

    def total(self) -> Snapshot:
        """What all workers that share with this one have counted; gauges are added up."""
        series: dict[Labels, Series] = {}
        gauges: dict[str, float] = {}
        labelled: dict[Labelled, float] = {}
        for one in (self.snapshot(), *self._others()):
            for labels, counted in one.series:
                series.setdefault(labels, Series()).add(counted)
            for name, value in one.gauges.items():
                gauges[name] = gauges.get(name, 0.0) + value
            for label, value in one.labelled:
                labelled[label] = labelled.get(label, 0.0) + value
        return Snapshot(list(series.items()), gauges, list(labelled.items()))

    # ── Sharing ────────────────────────────────────────────────────────────────────────────────────────────────────

    def share(self, directory: Path) -> None:
        """From now on write what is counted into this directory, which all workers of one gateway share."""
        self._shared = directory
        threading.Thread(target=self._write_again_and_again, name="trunkline-meters", daemon=True).start()

    def _write_again_and_again(self) -> None:
        pause = threading.Event()
        while True:
            try:
                self._write()
            except OSError as error:
                log.warning("metrics cannot be shared with the other workers: %s", error.strerror)
            pause.wait(SHARE_EVERY)

    def _write(self) -> None:
        assert self._shared is not None
        path = self._shared / f"{os.getpid()}.json"
        scratch = path.with_suffix(".new")
        scratch.write_bytes(_encode(self.snapshot()))
        scratch.replace(path)

    def _others(self) -> list[Snapshot]:
        if self._shared is None:
            return []
        found = []
        for path in self._shared.glob("*.json"):
            if path.stem == str(os.getpid()):
                continue
            snapshot = _decode(path.read_bytes())
            if not Path(f"/proc/{path.stem}").exists() and Path("/proc").exists():
                snapshot.gauges.clear()  # its counts stay true, its present values do not
                snapshot.labelled = [each for each in snapshot.labelled if each[0][0].endswith("_total")]
            found.append(snapshot)
        return found
