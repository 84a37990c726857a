"""Which of several equals is next: by weight, evenly spread, and leaving out for a while what has just failed.

Smooth weighted round robin, as nginx does it: each turn every candidate gains its weight, the richest is chosen and
pays the sum. With weights 5, 1, 1 the order is a a b a c a a rather than a a a a a b c.

One that has failed is *held*: it *rests* for what was advised, or it is *retired*, since what is wrong with it (a key
that is revoked, an account without money) does not pass by itself. A retired one is tried once in a long while, by one
call. Both hold for one model or for all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from msgspec import Struct

FIRST_REST = 2.0
"""Seconds that a failed one rests where nobody says how long; doubled each time that it fails again."""
LONGEST_REST = 300.0
LONGEST_ADVICE = 3600.0
"""Seconds: of a rest that was asked for, no more is believed (Azure asks for a day)."""
FIRST_RETIREMENT = 300.0
"""Seconds until a retired one is tried; doubled each time that it fails again."""
LONGEST_RETIREMENT = 3600.0
TRIAL = 30.0
"""Seconds that the one call has that tries it."""
_DOUBLINGS = 10
MAX_MODELS = 256
"""Models that one may be held for at once: their names come from callers."""

ALL = ""
"""In the place of a model: all of them."""


class Held(Struct):
    """`until`: the rotation's clock."""

    until: float = float("-inf")
    reason: str = ""
    retired: bool = False
    tried: bool = False
    """A call is trying whether it is well again."""
    failures: int = 0


class Rotation:
    """Positions 0 to n-1. `now` is any clock in seconds that only goes forward."""

    def __init__(self, weights: Sequence[float]) -> None:
        self._weights = tuple(weights)
        self._credit = [0.0] * len(self._weights)
        self._held: list[dict[str, Held]] = [{} for _ in self._weights]

    def choose(self, now: float, tried: Collection[int] = (), model: str = ALL) -> int | None:
        """The next one. Where all are held, the one that is free first, unless some were tried already: then there is
        nothing to hope for, and the answer is None."""
        able = [each for each in range(len(self._held)) if each not in tried and self.free(each, now, model)]
        if not able:
            return None if tried else min(range(len(self._held)), key=lambda each: self._remoteness(each, model))
        for each in able:
            self._credit[each] += self._weights[each]
        best = max(able, key=self._credit.__getitem__)
        self._credit[best] -= sum(self._weights[each] for each in able)
        for held in self._of(best, model):
            if held.retired:
                held.until, held.tried = now + TRIAL, True
        return best

    def at(self, lot: float, now: float, model: str = ALL) -> int | None:
        """The one that a lot from 0 to 1 falls to, always the same; None where that is held."""
        left = lot * sum(self._weights)
        for each, weight in enumerate(self._weights):
            left -= weight
            if left < 0.0:
                return each if self.free(each, now, model) else None
        return None

    def free(self, position: int, now: float, model: str = ALL) -> bool:
        """Whether it may be used for this model."""
        return not self._held[position] or all(held.until <= now for held in self._of(position, model))

    def rest(self, position: int, now: float, advice: float | None, reason: str = "", model: str = ALL) -> float:
        """It failed: let it rest, for as long as was advised. Returns the seconds."""
        held = self._hold(position, model, now)
        seconds = min(FIRST_REST * (1 << held.failures), LONGEST_REST)
        if advice is not None:
            seconds = min(advice, LONGEST_ADVICE)
        if not held.retired or held.tried:
            held.retired, held.reason = False, reason
        held.until = max(held.until, now + seconds)
        return self._failed(held, seconds)

    def retire(self, position: int, now: float, reason: str, model: str = ALL) -> float:
        """It is of no use until somebody does something about it. Returns the seconds until it is tried again."""
        held = self._hold(position, model, now)
        failures = held.failures if held.retired else 0
        seconds = min(FIRST_RETIREMENT * (1 << failures), LONGEST_RETIREMENT)
        held.retired, held.reason, held.until, held.failures = True, reason, now + seconds, failures
        return self._failed(held, seconds)

    def well(self, position: int, now: float, model: str = ALL) -> bool:
        """It did what was asked of it. Whether it was retired before: a call that began earlier frees nothing."""
        held, freed = self._held[position], False
        for name in (ALL, model):
            one = held.get(name)
            if one is not None and (one.tried or one.until <= now):
                freed |= one.retired
                del held[name]
        return freed

    def renew(self, position: int) -> None:
        """It is another one now, of which nothing is known."""
        self._held[position].clear()

    def held(self) -> Iterator[tuple[int, str, Held]]:
        """All that are held or have been lately, each with the model or `ALL`."""
        for position, models in enumerate(self._held):
            for model, one in models.items():
                yield position, model, one

    def _of(self, position: int, model: str) -> Iterator[Held]:
        models = self._held[position]
        for name in (ALL, model) if model else (ALL,):
            if name in models:
                yield models[name]

    def _remoteness(self, position: int, model: str) -> tuple[bool, float]:
        held = [*self._of(position, model)]
        return any(each.retired for each in held), max((each.until for each in held), default=float("-inf"))

    def _hold(self, position: int, model: str, now: float) -> Held:
        models = self._held[position]
        if len(models) >= MAX_MODELS:
            single = [name for name in models if name != ALL]
            over = [name for name in single if models[name].until <= now]
            for name in over or single[:1]:
                del models[name]
        return models.setdefault(model, Held())

    def _failed(self, held: Held, seconds: float) -> float:
        held.tried = False
        held.failures = min(held.failures + 1, _DOUBLINGS)
        return seconds
