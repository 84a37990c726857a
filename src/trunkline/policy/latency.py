"""How long a target is likely to take: peak-sensitive averages that forget.

The peak-EWMA of Finagle (twitter/finagle, `Ewma` of its load balancers): an observation above the average becomes the
average at once, one below it is mixed in by its age, so that trouble is believed immediately and its end with care. An
answer of a model has two times, that to its first byte and one for each token after it; both are averaged so.

Two things are different here. A target that nobody asks becomes attractive with time (that is how it is found to have
recovered), but time alone would send every second call of a quiet gateway to the slowest target: so age counts only as
far as calls went elsewhere meanwhile. And a failure is never quick, however soon it came.
"""

from __future__ import annotations

from math import exp

from trunkline.policy.outcome import Outcome

DECAY = 10.0
"""Seconds in which an observation loses all but 1/e of its weight: Finagle's default."""
PASSED_OVER = 0.5
"""Seconds of age that each call which went elsewhere is worth, at most: of a target that is ten times slower, one call
in fifty finds out whether it still is."""
TYPICAL_OUTPUT = 256
"""Tokens of an answer for which the two times are added up, so that targets compare by one number."""
COLD = 0.03
"""Seconds, in the place of the unknown: low, so that each target is tried once (Linkerd's `default_rtt`)."""
PENALTY = 2.0
"""Seconds: what a failure counts for at least."""
WORSE = 4.0
"""Times the average that a failure counts for at least."""
LONGEST_ADVICE = 60.0
"""Seconds of a provider's own advice to wait that count."""
UNPROVEN = 1e6
"""Rank of a target that has not answered yet while it is being asked: behind all that have."""


class PeakEwma:
    """One average, in whatever unit is observed. `at`: when it was last observed."""

    __slots__ = ("at", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self.at = 0.0

    def observe(self, value: float, now: float) -> None:
        if value >= self.value:
            self.value = value
        else:
            weight = exp((self.at - now) / DECAY) if now > self.at else 1.0
            self.value = self.value * weight + value * (1.0 - weight)
        self.at = now


class Latency:
    """One target. Times in seconds; `now` is any clock that only goes forward."""

    __slots__ = ("expected", "first", "known", "pace", "passed")

    def __init__(self) -> None:
        self.expected = 0.0
        """For a typical answer, by both averages."""
        self.first = PeakEwma()
        """To the first byte."""
        self.pace = PeakEwma()
        """For each token of output."""
        self.passed = 0
        """Calls that went elsewhere since the last observation."""
        self.known = False

    def cost(self, pending: int, now: float) -> float:
        """What a further call is likely to wait, as a number to compare targets by: the lowest is best."""
        if not self.known:
            return COLD if pending == 0 else UNPROVEN + pending
        expected = self.expected * (pending + 1)
        passed = self.passed
        if not passed:
            return expected
        age, most = now - self.first.at, passed * PASSED_OVER
        if age > most:
            age = most
        return expected * exp(-age / DECAY) if age > 0.0 else expected

    def observe(self, outcome: Outcome, now: float) -> None:
        """An attempt has ended."""
        if outcome.error is None:
            self._answered(outcome, now)
        elif outcome.failed:
            advice = min(outcome.retry_after or 0.0, LONGEST_ADVICE)
            self._seen(max(outcome.duration, self.first.value * WORSE, PENALTY, advice), now)
        elif outcome.begun is None and outcome.duration > self.first.value > 0.0:  # it was given up: at least so long
            self._seen(outcome.duration, now)

    def _answered(self, outcome: Outcome, now: float) -> None:
        """Of an answer that is no stream only the sum of both times is seen: it is shared out as the averages would
        have it."""
        duration, first, pace = outcome.duration, self.first.value, self.pace.value
        tokens = outcome.usage.output if outcome.usage is not None else 0
        expected = first + tokens * pace
        if outcome.stream and outcome.begun is not None:
            first = outcome.begun
        elif pace and expected:
            first *= duration / expected
        else:
            first = duration / 2 if tokens else duration
        if tokens > 1:
            self.pace.observe((duration - first) / tokens, now)
        self._seen(first, now)

    def _seen(self, first: float, now: float) -> None:
        self.first.observe(first, now)
        self.expected = self.first.value + TYPICAL_OUTPUT * self.pace.value
        self.passed = 0
        self.known = True

    def shown(self) -> dict[str, float]:
        """Seconds to the first byte, and for each token after it."""
        return {"first_byte": round(self.first.value, 6), "per_token": round(self.pace.value, 6)}
