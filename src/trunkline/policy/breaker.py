"""When a target is left out for its failures, and how it comes back: passive outlier detection and circuit breaking.

A closed breaker opens for failures in a row, for a share of failures, or for answers that begin late (the rules of
Finagle's failure accrual, Envoy's outlier detection and resilience4j's slow calls). It stays open for a drawn time that
doubles with each relapse; then single calls are let through on trial, and when they have gone well the target comes
back by doubling, no faster than its answers prove it and no faster than time allows. So what has just healed is not
buried at once by everybody who waited.

Pure: time and chance are arguments. Times in seconds of any clock that only goes forward.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, sqrt
from typing import Annotated, Literal

from msgspec import Meta, Struct

Share = Annotated[float, Meta(gt=0, le=1)]
State = Literal["closed", "open", "trial", "returning"]
Cause = Literal["failures", "share", "slow", "silent", "unreachable", "probe", "told"]


class HealthSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The `routing.health:` section: when a target is left out for a while. One that has no alternative is asked in any
    case."""

    enabled: bool = True
    """Whether anybody is ever left out."""
    failures: Annotated[int, Meta(ge=1, le=10_000)] = 5
    """So many in a row, and a target is out. What the request brought about is no failure, nor is a rate limit: that is
    a rest for as long as the provider asks."""
    share: Share = 0.2
    """Of the last hundred calls or the last `window` seconds, whichever is shorter: where more than this share has
    failed, by more than chance may do (one standard deviation), the target is out."""
    calls: Annotated[int, Meta(ge=2, le=100)] = 10
    """A share of fewer calls says nothing."""
    window: Annotated[float, Meta(ge=1, le=3600)] = 30.0
    """Seconds."""
    slow: Annotated[float, Meta(ge=1.5, le=1000)] = 5.0
    """A stream is slow to begin after so many times what is usual of its target (the median of a quarter of an hour),
    and half a second at least. When every other call is slow, the target is out."""
    slow_after: Annotated[float, Meta(ge=0.5, le=3600)] | None = None
    """Seconds instead, for answers that are no streams too. Those are otherwise judged by the usual time for their
    length in tokens."""
    first: Annotated[float, Meta(gt=0, le=3600)] = 5.0
    """Seconds that a target is out for the first time, or half of it: the time is drawn. Doubled with each relapse."""
    longest: Annotated[float, Meta(gt=0, le=86_400)] = 20.0
    """Seconds: no longer than this, unless the calls on trial are so slow that their callers would pay for it: each of
    them is followed by a pause of five times what it took."""
    trials: Annotated[int, Meta(ge=1, le=100)] = 3
    """Calls on trial that must go well, one at a time, before a target comes back."""
    most_out: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """Of a model's targets, the share that may be out for failing in part or being slow; one always may. One that does
    nothing but fail is out in any case."""


KEEP = 0.99
"""What a call leaves of the weight of those before it: about a hundred count."""
SLOW_SAY = 0.05
"""What one call says of the share of slow ones: fourteen slow ones in a row are half."""
SLOW_SHARE = 0.5
WIDE = 64.0
"""Calls without a first byte at a time: who bears so many is back for good."""
DOUBLING = 1.0
"""Seconds in which, at best, what a returning target is given doubles."""
PATIENCE = 5.0
"""Seconds after which another call on trial is let through beside one that has no answer yet."""
MAX_TRIALS = 8
CALM = 60.0
"""Seconds of health, at least, after which relapses are forgotten."""
COSTLY = 5.0
"""A pause is so many times as long as what the failed trial took."""
LONGEST_PAUSE = 300.0

ULP = 1e-6
"""Seconds that two readings of one moment may differ by, after some arithmetic."""

_TOTAL: frozenset[Cause] = frozenset({"failures", "unreachable", "silent", "told"})
"""Causes that leave nothing to hope for: `most_out` does not bind them."""


class Breaker:
    """One target's. `since` and `until` of the present state; `reason` in words, for people."""

    __slots__ = (
        "_at", "_bad", "_draw", "_healed", "_pause", "_proofs", "_relapses", "_room", "_row", "_slow", "_total",
        "_trials", "cause", "reason", "settings", "since", "state", "suspected", "until",
    )  # fmt: skip

    def __init__(self, settings: HealthSettings, draw: Callable[[], float]) -> None:
        self.settings = settings
        self.state: State = "closed"
        self.since = float("-inf")
        self.until = float("-inf")
        self.cause: Cause | None = None
        self.reason = ""
        self._draw = draw
        self._relapses = 0
        self._pause = 0.0
        self._healed = float("-inf")
        self._forget(float("-inf"))

    def _forget(self, now: float) -> None:
        """Begin to count anew."""
        self._at = now
        self._total = self._bad = self._slow = 0.0
        self._row = self._trials = self._proofs = 0
        self._room = 1.0
        self.suspected = False
        """Somebody else has found it out."""

    # ── What is asked ──────────────────────────────────────────────────────────────────────────────────────────────

    def refuses(self, now: float) -> bool:
        """Whether a call should rather go elsewhere. Changes nothing."""
        match self.state:
            case "closed":
                return False
            case "open":
                return now < self.until
            case "trial":
                return self._trials >= min(1 + int((now - self.since) / PATIENCE), MAX_TRIALS)
            case "returning":
                return self._trials >= self._room

    @property
    def hopeless(self) -> bool:
        return self.cause in _TOTAL

    def success(self, now: float) -> float | None:
        """The share of calls that have gone well lately; None where there were none."""
        total = self._total * exp((self._at - now) / self.settings.window) if self._total else 0.0
        return 1.0 - self._bad / self._total if total > 0.01 else None

    # ── What happens ───────────────────────────────────────────────────────────────────────────────────────────────

    def began(self, now: float) -> bool:
        """A call begins while the breaker is not closed. Whether that changes the state: the first one on trial."""
        changed = self.state == "open" and now >= self.until
        if changed:
            self.state, self.since = "trial", now
            self._forget(now)
        self._trials += 1
        return changed

    def answered(self, start: float, now: float, slow: str) -> bool:
        """A call that began at `start` has got its first byte; `slow`: how late, "" where in time. Whether that changes
        the state."""
        if self.state == "closed":
            return bool(slow or self._slow) and self._weigh(now, slow)
        if self._stale(start):
            return False
        self._trials = max(0, self._trials - 1)
        if not slow:
            return self._proved(now)
        if self.state == "trial":
            return self.trip(now, "slow", f"a call on trial was slow: {slow}", now - start)
        return self.state == "returning" and self._weigh(now, slow)

    def _stale(self, start: float) -> bool:
        """The call was in work before the present state, which it says nothing of."""
        return start < self.since - ULP

    def _weigh(self, now: float, slow: str) -> bool:
        self._slow += ((1.0 if slow else 0.0) - self._slow) * SLOW_SAY
        return self._slow > SLOW_SHARE and self.trip(now, "slow", slow)

    def _proved(self, now: float) -> bool:
        """A call on trial has gone well so far."""
        if self.state == "returning":
            most = 2.0 ** min((now - self._healed) / DOUBLING + 1.0, 10.0)
            self._room = min(self._room + 1.0, most)
            if self._room < WIDE:
                return False
            self.state, self.since, self.cause, self.reason = "closed", now, None, ""
            return True
        self._proofs += 1
        if self._proofs < self.settings.trials:
            return False
        self.state, self.since, self._healed = "returning", now, now
        self._forget(now)
        return True

    def ended(self, start: float, now: float, bad: str, begun: bool) -> bool:
        """A call has come to its end; `bad`: what went wrong, "" for a good answer; `begun`: it had got its first byte.
        Whether that changes the state."""
        if self.state == "closed":
            return self._count(now, bad)
        if self._stale(start):
            return False
        if not begun:
            self._trials = max(0, self._trials - 1)
        match self.state:
            case "returning":
                return self._count(now, bad)
            case "trial" if bad:
                return self.trip(now, self.cause or "failures", f"a call on trial failed: {bad}", now - start)
            case _:
                return False

    def given_up(self, start: float, begun: bool) -> None:
        """A call has ended that says nothing of the target."""
        if not begun and self.state != "closed" and not self._stale(start):
            self._trials = max(0, self._trials - 1)

    def _count(self, now: float, bad: str) -> bool:
        keep = KEEP * exp((self._at - now) / self.settings.window)
        self._at = now
        self._total = self._total * keep + 1.0
        if not bad:
            self._bad *= keep
            if self._row:
                self._row, self.suspected = 0, False
            return False
        self._bad = self._bad * keep + 1.0
        self._row += 1
        self._room = max(1.0, self._room / 2)
        if self.suspected:
            return self.trip(now, "told", f"another process has found it out, and here it failed too: {bad}")
        if self._row >= self.settings.failures:
            return self.trip(now, "failures", f"{self._row} failures in a row, the last of them: {bad}")
        share, total = self.settings.share, self._total
        if total >= 0.9 * self.settings.calls and self._bad > share * total + sqrt(share * (1.0 - share) * total):
            words = f"{self._bad / self._total:.0%} of the last calls failed, the last of them: {bad}"
            return self.trip(now, "share", words)
        return False

    def trip(self, now: float, cause: Cause, reason: str, cost: float = 0.0) -> bool:
        """Open, for `reason`. `cost`: seconds that the trial took which failed. Whether anything changed."""
        if not self.settings.enabled:
            return False
        if self.state == "closed" and now - self._healed > max(CALM, 2.0 * self._pause):
            self._relapses = 0
        bound = min(self.settings.first * 2.0 ** min(self._relapses, 20), self.settings.longest)
        self._pause = max(bound * (0.5 + 0.5 * self._draw()), min(COSTLY * cost, LONGEST_PAUSE))
        self._relapses += 1
        self._forget(now)
        self.state, self.since, self.until = "open", now, now + self._pause
        self.cause, self.reason = cause, reason
        return True

    def suspect(self) -> None:
        """Somebody else has found it out: one more failure opens it, unless a call goes well before."""
        self._row, self.suspected = max(self._row, 1), True

    def heal(self, now: float) -> None:
        """Somebody has asked beside the calls, and it is well: the next call is on trial."""
        if self.state == "open":
            self.until = min(self.until, now)
