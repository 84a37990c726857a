"""The targets' health, for people and for metrics: what `/admin/v1/health` shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from trunkline.policy.digest import Digest
from trunkline.policy.standing import Board, Standing


def report(board: Board, names: Iterable[str], now: float, at: float) -> list[dict[str, Any]]:
    """One row a target, those in trouble first. `names`: targets to show though nobody has asked them yet; `now`: on
    the board's clock; `at`: the same moment, since the epoch."""
    for name in names:
        board.of(name)
    rows = [_row(each, now, at) for each in board.shown()]
    return sorted(rows, key=lambda row: (row["state"] == "well", row["target"]))


def _row(standing: Standing, now: float, at: float) -> dict[str, Any]:
    breaker, state = standing.breaker, standing.state(now)
    standing.lapse(now)
    ends = {"resting": standing.resting, "out": breaker.until}.get(state)
    success = breaker.success(now)
    return {
        "target": standing.name,
        "state": state,
        "cause": "limited" if state == "resting" else breaker.cause,
        "reason": standing.rest_reason if state == "resting" else breaker.reason or None,
        "since": _moment(standing.rested if state == "resting" else breaker.since, now, at),
        "until": _moment(ends, now, at) if ends is not None and ends > now else None,
        "success_rate": round(success, 4) if success is not None else None,
        "first_byte": _times(standing.first_byte, now),
        "whole": _times(standing.whole, now),
        "in_work": standing.pending,
        "ceiling": standing.ceiling.limit,
        "successes": standing.successes,
        "failures": standing.failures,
    }


def _moment(when: float, now: float, at: float) -> float | None:
    """Seconds since the epoch; None where it never was."""
    return round(at + when - now, 3) if when > float("-inf") else None


def _times(digest: Digest, now: float) -> dict[str, float | None]:
    """Seconds."""
    shown = {"p50": digest.quantile(0.5, now), "p95": digest.quantile(0.95, now), "usual": digest.usual}
    return {name: round(value, 4) if value is not None else None for name, value in shown.items()}


Labelled = tuple[str, tuple[str, ...]]
"""A metric's name, and the values of its labels."""


def measured(board: Board, count: Mapping[tuple[str, str], int], now: float) -> dict[Labelled, float]:
    """The same as metrics. `count`: how often each target went out, and why."""
    shown: dict[Labelled, float] = {("trunkline_target_outages_total", labels): n for labels, n in count.items()}
    for standing in board.shown():
        name, state = standing.name, standing.state(now)
        if standing.pending:
            shown["trunkline_target_in_flight", (name,)] = standing.pending
        if standing.ceiling.limit is not None:
            shown["trunkline_target_ceiling", (name,)] = standing.ceiling.limit
        if state in ("out", "resting"):
            cause = "limited" if state == "resting" else standing.breaker.cause or ""
            shown["trunkline_target_out", (name, cause)] = 1.0
    return shown


def summary(board: Board, now: float) -> dict[str, int]:
    """How many targets are known, and how many of them are out or rest."""
    standings = board.shown()
    return {"known": len(standings), "out": sum(each.state(now) in ("out", "resting") for each in standings)}
