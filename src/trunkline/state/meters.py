"""The metrics of one process: plain integers on the hot path, Prometheus's text when somebody asks.

Counting a call is a dictionary look-up and a few additions; prometheus-client, with a lock and a label look-up for each
number, costs ten times that. It is used for what it is good at: the exposition format. Names are documented in
docs/metrics.md, and a test compares.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from trunkline.core.call import Entry
from trunkline.core.usage import NANO

DURATION_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
FIRST_BYTE_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
MAX_SERIES = 2000
"""Label combinations; callers choose model names, so there must be a bound. What is beyond counts as `other`."""

TOKEN_KINDS = ("input", "cache_read", "cache_write", "output", "reasoning")
Gauges = Callable[[], dict[str, float]]


class _Histogram:
    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        out, running = [], 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            running += count
            out.append((bound, float(running)))
        return out


class _Series:
    __slots__ = ("cost", "count", "duration", "first_byte", "tokens")

    def __init__(self) -> None:
        self.count = 0
        self.cost = 0
        self.tokens = [0] * len(TOKEN_KINDS)
        self.duration = _Histogram(DURATION_BUCKETS)
        self.first_byte = _Histogram(FIRST_BYTE_BUCKETS)


Labels = tuple[str, str, int, str]
"""Surface, target, status, error code ("" for none)."""


class ProcessMeters:
    def __init__(self) -> None:
        self._series: dict[Labels, _Series] = {}
        self._gauges: list[Gauges] = []

    def add_gauges(self, read: Gauges) -> None:
        """`read` gives present values by metric name, whenever somebody asks."""
        self._gauges.append(read)

    def record(self, entry: Entry) -> None:
        labels = (entry.surface, entry.target or "", entry.status, entry.error or "")
        series = self._series.get(labels)
        if series is None:
            if len(self._series) >= MAX_SERIES:
                labels = (entry.surface, "other", entry.status, entry.error or "")
            series = self._series.setdefault(labels, _Series())
        series.count += 1
        series.duration.observe(entry.duration)
        if entry.first_byte is not None:
            series.first_byte.observe(entry.first_byte)
        if entry.cost is not None:
            series.cost += entry.cost
        if (usage := entry.usage) is not None:
            tokens = series.tokens
            tokens[0] += usage.input
            tokens[1] += usage.cache_read
            tokens[2] += usage.cache_write
            tokens[3] += usage.output
            tokens[4] += usage.reasoning

    def exposition(self) -> tuple[bytes, str]:
        """All metrics in Prometheus's text format, and its content type."""
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4

    def collect(self) -> Iterable[Any]:
        """The metric families, as prometheus-client's collectors give them."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        by_call = ("surface", "target", "status", "error")
        by_target = ("surface", "target")
        requests = CounterMetricFamily("trunkline_requests", "Calls that have ended.", labels=by_call)
        for (surface, target, status, error), one in self._series.items():
            requests.add_metric((surface, target, str(status), error), one.count)
        tokens = CounterMetricFamily("trunkline_tokens", "Tokens by kind.", labels=(*by_target, "kind"))
        cost = CounterMetricFamily("trunkline_cost_usd", "Dollars spent.", labels=by_target)
        duration = HistogramMetricFamily("trunkline_duration_seconds", "From arrival to the end.", labels=by_target)
        first = HistogramMetricFamily(
            "trunkline_first_byte_seconds", "From arrival to the first byte.", labels=by_target
        )
        for pair, merged in self._by_target():
            for kind, count in zip(TOKEN_KINDS, merged.tokens, strict=True):
                tokens.add_metric((*pair, kind), count)
            cost.add_metric(pair, merged.cost / NANO)
            duration.add_metric(pair, merged.duration.buckets(), merged.duration.total)
            first.add_metric(pair, merged.first_byte.buckets(), merged.first_byte.total)
        yield from (requests, tokens, cost, duration, first)
        for read in self._gauges:
            for name, value in read().items():
                yield GaugeMetricFamily(name, GAUGES[name], value=value)

    def _by_target(self) -> Iterator[tuple[tuple[str, str], _Series]]:
        merged: dict[tuple[str, str], _Series] = {}
        for (surface, target, _, _), one in self._series.items():
            into = merged.setdefault((surface, target), _Series())
            into.cost += one.cost
            into.tokens = [a + b for a, b in zip(into.tokens, one.tokens, strict=True)]
            for mine, other in ((into.duration, one.duration), (into.first_byte, one.first_byte)):
                mine.counts = [a + b for a, b in zip(mine.counts, other.counts, strict=True)]
                mine.total += other.total
        yield from merged.items()


GAUGES = {
    "trunkline_in_flight": "Calls being answered.",
    "trunkline_upstream_connections_open": "Connections to providers.",
    "trunkline_upstream_connections_idle": "Those of them that wait for a call.",
    "trunkline_upstream_connections_opened": "Connections opened since the start.",
    "trunkline_upstream_calls_waiting": "Calls that wait for a connection.",
    "trunkline_journal_entries": "Ledger entries not in the database yet.",
    "trunkline_journal_bytes": "Their bytes in the journal.",
    "trunkline_journal_age_seconds": "Age of the oldest of them.",
}
"""Present values and what they mean."""
