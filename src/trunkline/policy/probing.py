"""When a target is asked without a caller: while it is out, or when nobody else asks it; and how often at most."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from trunkline.policy.standing import Standing

HOUR = 3600.0


class ProbeSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A provider's `probe:`: its targets are asked without a caller while they are out, so that no caller's own call
    has to try them. Off where left out."""

    how: Literal["generate", "reach"] = "generate"
    """`generate`: one token of an answer, with the provider's credential; it is paid for, and no call of the ledger.
    `reach`: any answer below status 500 to HEAD at its address; free, and it shows that there is a way, no more."""
    every: Annotated[float, Meta(ge=1, le=3600)] = 10.0
    """Seconds between two probes of a target that is out. One that goes well ends its time, and calls are let through
    on trial."""
    idle: Annotated[float, Meta(ge=10, le=86_400)] | None = None
    """Seconds: a target that nobody has asked for so long is probed too. Where left out: not at all."""
    budget: Annotated[int, Meta(ge=1, le=100_000)] = 60
    """Probes an hour, of all the provider's targets."""
    timeout: Annotated[float, Meta(ge=0.1, le=60)] = 10.0
    """Seconds after which a probe without an answer has failed."""


class Budget:
    """Probes of one provider: a bucket that an hour fills."""

    def __init__(self, settings: ProbeSettings) -> None:
        self.settings = settings
        self._left = float(settings.budget)
        self._at: float | None = None

    def take(self, now: float) -> bool:
        """Whether one more is in the budget; then it is taken."""
        if self._at is not None:
            most = float(self.settings.budget)
            self._left = min(most, self._left + (now - self._at) * most / HOUR)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


def due(standing: Standing, settings: ProbeSettings, last: float, now: float) -> bool:
    """Whether it is time to probe a target. `last`: when it was probed last."""
    if standing.state(now) == "out":
        return now - max(last, standing.breaker.since) >= settings.every
    if settings.idle is None or standing.pending or standing.state(now) == "resting":
        return False
    return now - max(last, standing.asked) >= settings.idle
