"""What became of the targets' health, told once: to the log, the metrics, and whoever looks at the last changes."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any

from trunkline.policy.standing import Change, HealthState

log = logging.getLogger("trunkline.health")

KEPT = 100
"""Changes that are remembered."""
MAX_COUNTED = 2000
"""Targets and causes that are counted apart; names of targets come from callers too."""
LONG_REST = 10.0
"""Seconds: a shorter rest is everyday life, and not worth a line at the usual level."""

_SAID: Mapping[HealthState, str] = {
    "well": "is well again",
    "out": "is left out",
    "on trial": "is tried again, with single calls",
    "returning": "has passed its trial, and is given more and more calls",
    "resting": "rests",
}


class Changes:
    """`clock`: wall clock, seconds since the epoch. `count`: how often each target went out or to rest, and why."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._recent: deque[tuple[float, Change]] = deque(maxlen=KEPT)
        self.count: Counter[tuple[str, str]] = Counter()
        self.also: Callable[[Change], None] | None = None
        """Who else is told."""

    def __call__(self, change: Change) -> None:
        self._recent.append((self._clock(), change))
        if change.state in ("out", "resting"):
            label = (change.target, change.cause)
            if label in self.count or len(self.count) < MAX_COUNTED:
                self.count[label] += 1
        if self.also is not None:
            self.also(change)
        for_so_long = f" for {change.seconds:.1f} s" if change.seconds is not None else ""
        because = f": {change.reason}" if change.state in ("out", "resting") else ""
        facts = {"target": change.target, "code": change.cause or None}
        log.log(_level(change), "%s %s%s%s", change.target, _SAID[change.state], for_so_long, because, extra=facts)

    def shown(self) -> list[dict[str, Any]]:
        """The last changes, the newest first."""
        return [
            {"at": at, "target": each.target, "state": each.state, "cause": each.cause or None, "reason": each.reason}
            for at, each in reversed(self._recent)
        ]


def _level(change: Change) -> int:
    if change.state == "out":
        return logging.WARNING
    return logging.DEBUG if change.state == "resting" and (change.seconds or 0.0) < LONG_REST else logging.INFO
