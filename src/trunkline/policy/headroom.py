"""How much of a target's rate limits is left: by what its provider says, and by what the configuration allows.

Providers tell limit, remainder and reset of requests and tokens in each answer's header fields (OpenAI and Azure as
`x-ratelimit-…`, Anthropic as `anthropic-ratelimit-…`; Gemini and Bedrock say nothing). Both refill steadily, as a token
bucket does, so what is left between two answers is the last remainder, more by the hour and less by the calls in work.
What the configuration allows is counted here, by the calls of this process alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

from msgspec import Struct

from trunkline.policy.outcome import Outcome
from trunkline.policy.resets import span_of

MINUTE = 60.0
DAY = 86_400.0
NO_RESET = MINUTE
"""Seconds in which a limit is full again whose provider does not say when."""
LONGEST = DAY

_FIELD = re.compile(
    rb"(?:x|anthropic)-ratelimit-(?:(limit|remaining|reset)-(requests|tokens|input-tokens|output-tokens)"
    rb"|(requests|tokens|input-tokens|output-tokens)-(limit|remaining|reset))"
)


class Told(Struct):
    """What a provider said of one dimension, at `at` (any clock that only goes forward): full again at `reset`."""

    limit: float
    remaining: float
    at: float
    reset: float

    def left(self, now: float) -> float:
        """Of the limit, at this moment."""
        if now >= self.reset:
            return self.limit
        share = (now - self.at) / (self.reset - self.at)
        return self.remaining + (self.limit - self.remaining) * share


class Quota(Struct, frozen=True):
    """What the configuration allows; None: no bound."""

    rpm: float | None = None
    tpm: float | None = None
    rpd: float | None = None

    def tightened(self, other: Quota) -> Quota:
        """Both at once."""
        return Quota(_least(self.rpm, other.rpm), _least(self.tpm, other.tpm), _least(self.rpd, other.rpd))


def _least(one: float | None, other: float | None) -> float | None:
    return min((each for each in (one, other) if each is not None), default=None)


class Window:
    """What was used in the present window, and by how much it is bound."""

    __slots__ = ("limit", "seconds", "start", "used")

    def __init__(self, limit: float, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self.start = float("-inf")
        self.used = 0.0

    def add(self, amount: float, now: float) -> None:
        if now >= self.start + self.seconds:
            self.start, self.used = now, 0.0
        self.used += amount

    def left(self, now: float) -> float:
        return self.limit if now >= self.start + self.seconds else self.limit - self.used


class Headroom:
    """One target. That it rests after a 429 is `Standing`'s."""

    __slots__ = ("_requests", "_tokens", "told")

    def __init__(self) -> None:
        self.told: dict[str, Told] = {}
        """By dimension."""
        self._requests: dict[str, Window] = {}
        self._tokens: dict[str, Window] = {}

    def allow(self, quota: Quota) -> None:
        """Bound by this from now on; what has been used stays used where the bound was there before."""
        self._requests = self._kept(self._requests, {"rpm": (quota.rpm, MINUTE), "rpd": (quota.rpd, DAY)})
        self._tokens = self._kept(self._tokens, {"tpm": (quota.tpm, MINUTE)})

    def _kept(
        self, before: Mapping[str, Window], wanted: Mapping[str, tuple[float | None, float]]
    ) -> dict[str, Window]:
        windows = {}
        for name, (limit, seconds) in wanted.items():
            if limit is not None:
                window = windows[name] = before.get(name) or Window(limit, seconds)
                window.limit = limit
        return windows

    def began(self, now: float) -> None:
        for window in self._requests.values():
            window.add(1.0, now)

    def ended(self, outcome: Outcome, now: float) -> None:
        if outcome.usage is not None:
            for window in self._tokens.values():
                window.add(outcome.usage.total, now)

    def hear(self, headers: Iterable[tuple[bytes, bytes]], now: float) -> None:
        """What an answer's header fields say of the limits. Whatever cannot be read is left out."""
        said: dict[str, dict[str, bytes]] = {}
        date = b""
        for name, value in headers:
            if name == b"date":
                date = value
            elif found := _FIELD.fullmatch(name):
                what, dimension = (found[1], found[2]) if found[1] else (found[4], found[3])
                said.setdefault(dimension.decode(), {})[what.decode()] = value
        for dimension, values in said.items():
            told = _told(values, date, now)
            if told is not None:
                self.told[dimension] = told

    def share(self, pending: int, now: float) -> float:
        """What is left of the tightest limit, as a share of it: 1 all, 0 (or less) nothing."""
        tightest = 1.0
        for dimension, told in self.told.items():
            left = told.left(now) - (pending if dimension == "requests" else 0)
            tightest = min(tightest, left / told.limit)
        for windows in (self._requests, self._tokens):
            for window in windows.values():
                tightest = min(tightest, window.left(now) / window.limit)
        return tightest

    def why(self, pending: int, now: float) -> str | None:
        """Why nothing is left, in a sentence; None where something is."""
        for dimension, told in self.told.items():
            if told.left(now) - (pending if dimension == "requests" else 0) <= 0.0:
                return f"its provider's limit of {dimension} is used up"
        for name, window in {**self._requests, **self._tokens}.items():
            if window.left(now) <= 0.0:
                return f"its quota.{name} is used up; {window.start + window.seconds - now:.1f} s to go"
        return None

    def shown(self, now: float) -> dict[str, float]:
        """What is left, by dimension."""
        told = {dimension: round(each.left(now), 1) for dimension, each in self.told.items()}
        own = {name: window.left(now) for name, window in {**self._requests, **self._tokens}.items()}
        return told | own


def _told(values: Mapping[str, bytes], date: bytes, now: float) -> Told | None:
    """Azure says -1 where it does not know."""
    try:
        limit, remaining = float(values["limit"]), float(values["remaining"])
        seconds = _seconds(values["reset"].decode("ascii"), date.decode("ascii")) if "reset" in values else NO_RESET
    except (KeyError, ValueError, TypeError):
        return None
    if not (0.0 < limit < 1e15 and 0.0 <= remaining < 1e15):
        return None
    return Told(limit, remaining, now, now + min(max(seconds, 0.001), LONGEST))


def _seconds(reset: str, date: str) -> float:
    """From now: `12ms`, `6m0s`, `59` are spans; a moment (RFC 3339) is told apart from the answer's own `date`, since
    nobody's clock is like another's. Raises ValueError, TypeError."""
    if "T" in reset:
        moment = datetime.fromisoformat(reset)
        return (moment - parsedate_to_datetime(date)).total_seconds() if date else NO_RESET
    span = span_of(reset)
    if span is None:
        raise ValueError(reset)
    return span
