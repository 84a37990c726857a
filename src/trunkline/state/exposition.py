"""Metrics in Prometheus's text format, by prometheus-client. docs/metrics.md documents the names, a test compares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from trunkline.core.usage import NANO
from trunkline.state.meters import DURATION_BUCKETS, FIRST_BYTE_BUCKETS, TOKEN_KINDS, Histogram, Series, Snapshot

GAUGES = {
    "trunkline_in_flight": "Calls being answered.",
    "trunkline_event_loop_lag_seconds": "How long work waits for its turn, smoothed over a second.",
    "trunkline_memory_bytes": "Bytes of memory that the processes hold.",
    "trunkline_priorities_refused": "Classes of calls that are refused for load, 0 to 3 a process.",
    "trunkline_upstream_connections_open": "Connections to providers.",
    "trunkline_upstream_connections_idle": "Those of them that wait for a call.",
    "trunkline_upstream_connections_opened": "Connections opened since the start.",
    "trunkline_upstream_calls_waiting": "Calls that wait for a connection.",
    "trunkline_credentials_retired": "Providers' credentials that are of no use until somebody acts.",
    "trunkline_credentials_resting": "Providers' credentials that rest, each model counted by itself.",
    "trunkline_limit_calls_waiting": "Calls that wait for a limit to have room.",
    "trunkline_limit_calls_waited": "Calls that have waited for that, and were let in.",
    "trunkline_limit_refusals": "Calls that a limit of the gateway's own refused.",
    "trunkline_limit_warnings": "Calls beyond a soft limit.",
    "trunkline_limit_overruns": "Limits exceeded by a call that used more than had been thought possible.",
    "trunkline_limit_grants": "Calls in work that hold a part of a limit.",
    "trunkline_config_taken": "Configurations taken up since the start.",
    "trunkline_config_refusals": "Configurations refused since the start.",
    "trunkline_config_refused": "1 while the configuration as it is written now is refused.",
    "trunkline_hot_up": "Processes that Redis decides for; the others decide alone.",
    "trunkline_hot_outages": "How often Redis was left alone since the start.",
    "trunkline_hot_decisions": "Decisions on limits that Redis made.",
    "trunkline_hot_decisions_late": "Those that did not come in time.",
    "trunkline_hot_decisions_alone": "Decisions on limits that processes made alone.",
    "trunkline_hot_wait_seconds": "Seconds for which commands have waited for Redis, added up.",
    "trunkline_hot_untold": "What Redis is still to be told of.",
    "trunkline_journal_entries": "Ledger entries not in the database yet.",
    "trunkline_journal_bytes": "Bytes of the journal.",
    "trunkline_journal_age_seconds": "Age of the oldest entry not in the database yet.",
}
"""Present values and what they mean."""

LABELLED: Mapping[str, tuple[tuple[str, ...], str]] = {
    "trunkline_abuse_total": (("sign", "action"), "Signs of abuse of keys, and what followed."),
    "trunkline_mirror_calls_total": (
        ("outcome",),
        "Copies of calls to a mirror: made, left out, failed of those made.",
    ),
    "trunkline_queue_calls": (("priority",), "Calls that wait for a place at a target."),
    "trunkline_queue_wait_seconds_total": (("priority",), "Seconds that calls have waited for a place."),
    "trunkline_queue_outcomes_total": (("priority", "outcome"), "What became of calls that came to wait."),
    "trunkline_target_out": (("target", "cause"), "Processes that leave the target out at present."),
    "trunkline_target_in_flight": (("target",), "Calls in work at the target."),
    "trunkline_target_ceiling": (
        ("target",),
        "Calls at a time that an overloaded target is given, where that is learned.",
    ),
    "trunkline_target_outages_total": (("target", "cause"), "How often a process has left the target out, or to rest."),
}
"""What has other labels: these, and what it means. A counter's name ends in `_total`."""


def exposition(snapshot: Snapshot) -> tuple[bytes, str]:
    """The page and its content type."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(snapshot))
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4


class _Collector:
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Any]:
        """The metric families, as prometheus-client's collectors give them."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        by_call, by_target = ("surface", "target", "status", "error"), ("surface", "target")
        requests = CounterMetricFamily("trunkline_requests", "Calls that have ended.", labels=by_call)
        tokens = CounterMetricFamily("trunkline_tokens", "Tokens by kind.", labels=(*by_target, "kind"))
        cost = CounterMetricFamily("trunkline_cost_usd", "Dollars spent.", labels=by_target)
        duration = HistogramMetricFamily("trunkline_duration_seconds", "From arrival to the end.", labels=by_target)
        first = HistogramMetricFamily(
            "trunkline_first_byte_seconds", "From arrival to the first byte.", labels=by_target
        )
        for (surface, target, status, error), one in self._snapshot.series:
            requests.add_metric((surface, target, str(status), error), one.count)
        for pair, merged in _by_target(self._snapshot).items():
            for kind, count in zip(TOKEN_KINDS, merged.tokens, strict=True):
                tokens.add_metric((*pair, kind), count)
            cost.add_metric(pair, merged.cost / NANO)
            duration.add_metric(pair, _buckets(merged.duration, DURATION_BUCKETS), merged.duration.total)
            first.add_metric(pair, _buckets(merged.first_byte, FIRST_BYTE_BUCKETS), merged.first_byte.total)
        yield from (requests, tokens, cost, duration, first)
        for name, value in self._snapshot.gauges.items():
            yield GaugeMetricFamily(name, GAUGES[name], value=value)
        yield from self._labelled()

    def _labelled(self) -> Iterable[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        for name, (labels, text) in LABELLED.items():
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            family = kind(name, text, labels=labels)
            for (metric, values), value in self._snapshot.labelled:
                if metric == name:
                    family.add_metric(values, value)
            yield family


def _by_target(snapshot: Snapshot) -> dict[tuple[str, str], Series]:
    merged: dict[tuple[str, str], Series] = {}
    for (surface, target, _, _), one in snapshot.series:
        merged.setdefault((surface, target), Series()).add(one)
    return merged


def _buckets(histogram: Histogram, bounds: tuple[float, ...]) -> list[tuple[str, float]]:
    """Upper bound and observations up to it, running totals as the format wants them."""
    out, running = [], 0
    for bound, count in zip((*map(str, bounds), "+Inf"), histogram.counts, strict=True):
        running += count
        out.append((bound, float(running)))
    return out
