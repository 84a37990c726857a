"""Signs that keys are guessed, shared, or in the wrong hands: what counts as one, and what is known so far.

Three tables, each of bounded size, the longest unused forgotten first. All of it is one process's own.

Pure: `now` is seconds, on any clock that only goes forward.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Annotated, Generic, Literal, TypeVar

from msgspec import Meta, Struct, field

from trunkline.core.usage import NANO

MAX_TRACKED = 10_000
"""Addresses, and keys, of which something is known."""
MAX_PLACES = 100_000
"""Addresses of all keys together."""
FIRST_MINUTES = 10
"""Minutes of which a key must be known before anything of it can be unusual."""
FADING = 1.0 / 60
"""How much the latest minute counts in what is usual: that is about the last hour."""
LONGEST_BLOCK = 3600.0

T = TypeVar("T")

Action = Literal["off", "observe", "throttle", "suspend"]


class GuessingSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """`abuse.guessing:` an address that tries many keys which do not exist. `throttle`: it is told to wait (429), but
    for the keys that have been used from there before."""

    action: Literal["off", "observe", "throttle"] = "throttle"
    """What follows; `observe` only tells of it."""
    guesses: Annotated[int, Meta(ge=1, le=1000)] = 20
    """So many different ones ..."""
    window: Annotated[float, Meta(gt=0, le=86_400)] = 60.0
    """... within so many seconds."""
    block: Annotated[float, Meta(gt=0, le=LONGEST_BLOCK)] = 60.0
    """Seconds that it has to wait; twice as long each further time, an hour at most."""


class SharingSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """`abuse.sharing:` a key that is used from many addresses. `throttle`: from those that came too many it is refused
    (429); `suspend`: the key is disabled."""

    action: Action = "observe"
    """What follows; `observe` only tells of it."""
    addresses: Annotated[int, Meta(ge=1, le=10_000)] = 100
    """So many different ones ..."""
    window: Annotated[float, Meta(gt=0, le=7 * 86_400)] = 3600.0
    """... within so many seconds."""


class SpikeSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """`abuse.spikes:` a key that calls, or spends, far more than it usually does. `throttle`: it is refused (429) until
    the minute is over; `suspend`: the key is disabled."""

    action: Action = "observe"
    """What follows; `observe` only tells of it."""
    factor: Annotated[float, Meta(gt=1, le=10_000)] = 20.0
    """So many times as much in a minute as usual in the last hour."""
    requests: Annotated[int, Meta(ge=1)] = 600
    """Requests a minute, up to which nothing is unusual."""
    cost: Annotated[float, Meta(gt=0)] = 10.0
    """Dollars a minute, up to which nothing is unusual."""


class AbuseSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The `abuse:` section: signs that keys are guessed, shared or stolen. See docs/abuse.md."""

    guessing: GuessingSettings = field(default_factory=GuessingSettings)
    """Keys that do not exist, tried from one address."""
    sharing: SharingSettings = field(default_factory=SharingSettings)
    """One key, used from many addresses."""
    spikes: SpikeSettings = field(default_factory=SpikeSettings)
    """One key, against its own history."""


class _Recent(OrderedDict[str, T], Generic[T]):
    """The latest used of so many."""

    def touch(self, name: str) -> T | None:
        found = self.get(name)
        if found is not None:
            self.move_to_end(name)
        return found

    def add(self, name: str, value: T) -> T:
        self[name] = value
        if len(self) > MAX_TRACKED:
            self.popitem(last=False)
        return value


class _Tries:
    __slots__ = ("blocks", "guessed", "since", "until")

    def __init__(self, now: float) -> None:
        self.since = now
        self.guessed: set[int] = set()
        """Hashes, by this process's own secret. One wrong key, again and again, is a mistake and no guess."""
        self.until = float("-inf")
        self.blocks = 0


class Guesses:
    """By address."""

    def __init__(self) -> None:
        self._tries: _Recent[_Tries] = _Recent()

    def __len__(self) -> int:
        return len(self._tries)

    def blocked(self, address: str, now: float) -> float:
        """Seconds that it still has to wait; 0 for none."""
        tries = self._tries.get(address)
        return max(0.0, tries.until - now) if tries is not None else 0.0

    def wrong(self, address: str, secret: bytes, settings: GuessingSettings, now: float) -> bool:
        """It has tried this one, which does not exist. Whether that was one too many."""
        tries = self._tries.touch(address) or self._tries.add(address, _Tries(now))
        if now < tries.until:
            return False  # a block ends when it was said to
        if now - tries.since > settings.window:
            tries.since, tries.guessed = now, set()
            if now - tries.until > LONGEST_BLOCK:
                tries.blocks = 0
        tries.guessed.add(hash(secret))
        if len(tries.guessed) < settings.guesses:
            return False
        tries.until = now + min(settings.block * 2.0**tries.blocks, LONGEST_BLOCK)
        tries.blocks = min(tries.blocks + 1, 20)
        tries.since, tries.guessed = tries.until, set()
        return True


class Places:
    """The addresses that each key has been used from."""

    def __init__(self) -> None:
        self._keys: _Recent[OrderedDict[str, float]] = _Recent()
        self._count = 0
        """Of all keys together."""

    def __len__(self) -> int:
        return len(self._keys)

    def familiar(self, key: str, address: str) -> bool:
        """Whether it has been used from there."""
        places = self._keys.get(key)
        return places is not None and address in places

    def used(self, key: str, address: str, settings: SharingSettings, now: float) -> Literal["known", "new", "many"]:
        """It is used from there: from where it was used before, from elsewhere, or from one place too many. That one is
        not remembered."""
        places = self._keys.get(key)
        if places is None:
            places = self._keys[key] = OrderedDict()
        if address in places:
            places[address] = now
            places.move_to_end(address)
            return "known"
        self._keys.move_to_end(key)
        while places and next(iter(places.values())) <= now - settings.window:
            places.popitem(last=False)
            self._count -= 1
        if len(places) >= settings.addresses:
            return "many"
        places[address] = now
        self._count += 1
        while self._count > MAX_PLACES or len(self._keys) > MAX_TRACKED:
            self._count -= len(self._keys.popitem(last=False)[1])
        return "new"


class _Minutes:
    """What a key does in a minute. `usual…`: sums that fade, of which a mean is made."""

    __slots__ = ("cost", "first", "minute", "requests", "told", "usual_cost", "usual_requests")

    def __init__(self, minute: int) -> None:
        self.first = self.minute = minute
        self.requests = 0
        self.cost = 0
        self.usual_requests = 0.0
        self.usual_cost = 0.0
        self.told = False


class Spike(Struct, frozen=True):
    """Far more than usual, in the present minute. `of`: requests, or nano-dollars."""

    of: Literal["requests", "cost"]
    now: int
    usual: float


class History:
    """What each key does, minute by minute."""

    def __init__(self) -> None:
        self._keys: _Recent[_Minutes] = _Recent()

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: str, cost: int, settings: SpikeSettings, now: float) -> Spike | None:
        """A call has ended, for so many nano-dollars. What is unusual since, once a minute."""
        minute = int(now // 60.0)
        known = self._keys.get(key)
        if known is None:
            known = self._keys.add(key, _Minutes(minute))
        elif known.minute != minute:
            self._keys.move_to_end(key)
            _turn(known, minute)
        known.requests += 1
        known.cost += cost
        if known.told or minute - known.first < FIRST_MINUTES:
            return None
        found = _unusual(known, settings)
        known.told = found is not None
        return found


def _turn(known: _Minutes, minute: int) -> None:
    """The minute is over, and so are those since in which there was nothing."""
    idle = (1.0 - FADING) ** (minute - known.minute - 1)
    known.usual_requests = (known.usual_requests + FADING * (known.requests - known.usual_requests)) * idle
    known.usual_cost = (known.usual_cost + FADING * (known.cost - known.usual_cost)) * idle
    known.minute, known.requests, known.cost, known.told = minute, 0, 0, False


def _unusual(known: _Minutes, settings: SpikeSettings) -> Spike | None:
    part = 1.0 - (1.0 - FADING) ** (known.minute - known.first)  # of a mean's weights, so young a key has this much
    requests, cost = known.usual_requests / part, known.usual_cost / part
    if known.requests > max(settings.requests, settings.factor * requests):
        return Spike("requests", known.requests, requests)
    if known.cost > max(settings.cost * NANO, settings.factor * cost):
        return Spike("cost", known.cost, cost)
    return None
