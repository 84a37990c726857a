"""What a running gateway tells of itself: readiness, health, and the figures of its metrics."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from trunkline.stages.routing.report import Labelled, measured, report, summary

if TYPE_CHECKING:
    from trunkline.app.gateway import Gateway


def status(gateway: Gateway) -> dict[str, Any]:
    """What /readyz shows."""
    edge, reloader, hot = gateway.edge, gateway.reloader, gateway.stores.hot.status()
    status: dict[str, Any] = {
        "ready": not edge.draining,
        "draining": edge.draining,
        "config": reloader.status(),
        "hot": hot,
        "degraded": reloader.refused is not None or not hot["up"],
        "targets": summary(gateway.board, time.monotonic()),
    }
    if gateway.stores.shipper is not None:
        shipping = gateway.stores.shipper.status()
        status["state"] = shipping
        status["degraded"] |= bool(shipping["errors"]) or shipping["journal"]["error"] is not None
        if gateway.config.auth == "required" and not shipping["keys"]["loaded"]:
            status["ready"] = False
    return status


def health(gateway: Gateway) -> list[dict[str, Any]]:
    """The targets of the configuration, and those that were asked besides."""
    return report(gateway.board, (each.name for each in gateway.targets()), time.monotonic(), time.time())


def labelled(gateway: Gateway) -> dict[Labelled, float]:
    """Figures of each target, each route and each sort of trouble."""
    targets = measured(gateway.board, gateway.changes.count, time.monotonic())
    return targets | gateway.routing.measured() | gateway.watch.measured()


def gauges(gateway: Gateway) -> dict[str, float]:
    """What is so at the moment, of the process as a whole."""
    stats, shedding = gateway.stores.transport.stats(), gateway.pressure.shedding
    states = [each["state"] for each in gateway.credentials()]
    values: dict[str, float] = {
        "trunkline_in_flight": gateway.edge.in_flight,
        "trunkline_event_loop_lag_seconds": shedding.lag,
        "trunkline_memory_bytes": shedding.memory,
        "trunkline_priorities_refused": len(shedding.refused),
        "trunkline_upstream_connections_open": stats["open"],
        "trunkline_upstream_connections_idle": stats["idle"],
        "trunkline_upstream_connections_opened": stats["opened"],
        "trunkline_upstream_calls_waiting": stats["waiting"],
        "trunkline_credentials_retired": float(states.count("retired")),
        "trunkline_credentials_resting": float(states.count("resting")),
        **gateway.stores.hot.gauges(),
        **gateway.admission.gauges(),
        "trunkline_config_taken": gateway.reloader.taken,
        "trunkline_config_refusals": gateway.reloader.refusals,
        "trunkline_config_refused": float(gateway.reloader.refused is not None),
    }
    if gateway.stores.journal is not None:
        journal = gateway.stores.journal.status()
        values["trunkline_journal_entries"] = journal["entries"]
        values["trunkline_journal_bytes"] = journal["bytes"]
        values["trunkline_journal_age_seconds"] = journal["oldest_age"]
    return values
