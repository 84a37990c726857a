"""Counters in the memory of one process: exact, because nothing comes between two steps of one event loop.

A call costs a dictionary look-up and an addition for each limit, twice. What it must not cost is time that grows with
what is counted: a tally keeps its sum, and forgets its dead buckets when the present one changes. Leases are looked
through once a second: there are as many as calls in work.

What is here dies with the process. For windows of an hour and longer the ledger remembers: see `seed`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import final

from trunkline.core.limit import Grant, Refusal, Want, Window
from trunkline.policy.quota import LEASE_STEP, bucket_at, lease_end, lives, opening, start_of, tightest

log = logging.getLogger(__name__)

MAX_COUNTERS = 200_000
"""About a hundred megabytes. Callers can name tags and so make counters: once there are so many, a call that needs one
more is refused."""
FULL_WAIT = 1000
"""Milliseconds until such a call may try again."""
MAX_ENDED = 1000
"""Leases that one call gives back, if they have ended."""
MAX_LOOKED_AT = 500
"""Counters that one call looks at, whether they can be forgotten: once a second."""
MAX_SETS = 4096
"""Kinds of calls whose tallies are kept at hand."""
_NEVER = 1 << 62


class Tally:
    """One counter: the sum of its living buckets, and what those hold that are over."""

    __slots__ = ("before", "present", "since", "total", "until", "window")

    def __init__(self, window: Window) -> None:
        self.window = window
        self.before: dict[int, int] = {}
        """Buckets that still count and are not the present one, the oldest first. That one holds the rest."""
        self.total = 0
        self.present = 0
        self.since = 0
        """When `present` began, milliseconds since the epoch."""
        self.until = 0 if window.width else _NEVER
        """When it ends."""

    @property
    def held(self) -> int:
        """In the present bucket."""
        return self.total - sum(self.before.values())

    def turn(self, now: int) -> None:
        """The present bucket is over: forget those that no longer count."""
        window, before = self.window, self.before
        present = bucket_at(window, now)
        if present != self.present:
            before[self.present] = self.held
            before.pop(present, None)
            self.present = present
        self.since, self.until = start_of(window, present), start_of(window, present + 1)
        dead = []
        for bucket in before:
            if lives(window, bucket, present):
                break
            dead.append(bucket)
        for bucket in dead:
            self.total -= before.pop(bucket)

    def correct(self, at: int, change: int) -> None:
        """What was taken at that time. Where it no longer counts, nothing is changed."""
        bucket = bucket_at(self.window, at)
        if bucket in self.before:
            self.before[bucket] += change
        elif bucket != self.present:
            return
        self.total += change

    def buckets(self) -> list[tuple[int, int]]:
        """The living ones and what they hold, the oldest first."""
        return [*self.before.items(), (self.present, self.held)]

    def idle(self, now: int) -> bool:
        """Whether a new counter would be the same: the last bucket that was used is forgotten."""
        if not self.window.width:
            return self.total == 0
        return not lives(self.window, self.present, bucket_at(self.window, now))


class Set:
    """The wants of a kind of call, the tally of each, what each must not exceed, and until when none of them turns."""

    __slots__ = ("bounds", "tallies", "until", "wants")

    def __init__(self, wants: tuple[Want, ...], tallies: list[Tally]) -> None:
        self.wants = wants
        self.tallies = tallies
        self.bounds = [_NEVER if want.soft else want.most for want in wants]
        self.until = 0

    def turn(self, now: int) -> None:
        for tally in self.tallies:
            if now >= tally.until:
                tally.turn(now)
        self.until = min([tally.until for tally in self.tallies], default=_NEVER)


@final
class Held(Grant, eq=False):
    """A grant that knows its tallies. One that has been forgotten meanwhile held nothing any more. It names no buckets:
    they are those of its moment."""

    tallies: Sequence[Tally] = ()


class MemoryCounters:
    """`core.stores.Counters`. `clock`: nanoseconds since the epoch, as `time.time_ns` gives them; should it be set
    back, time stands still until it has caught up. For one thread, that of the event loop."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._now = 0
        self._tallies: dict[str, Tally] = {}
        self._sets: dict[int, Set] = {}
        """By the identity of the wants that were met lately."""
        self._held: set[Held] = set()
        """What has been granted and not settled."""
        self._tidy_at = 0
        self._waiting: list[str] = []
        """Counters that are yet to be looked at, whether they can be forgotten."""
        self._told = False

    async def take(self, wants: tuple[Want, ...], amounts: Sequence[int], lease: int) -> Grant | Refusal:
        return self.at_once(wants, amounts, lease)

    def at_once(self, wants: tuple[Want, ...], amounts: Sequence[int], lease: int) -> Grant | Refusal:
        clock = self._clock
        now = clock() // 1_000_000
        if now < self._now:
            now = self._now
        self._now = now
        if now >= self._tidy_at:
            self._tidy(now)
        those = self._sets.get(id(wants))
        if those is None or those.wants is not wants:
            those = self._set_of(wants)
            if those is None:
                return self._full(wants, amounts, now)
        if now >= those.until:
            those.turn(now)
        tallies = those.tallies
        totals: list[int] = []
        for tally, amount, most in zip(tallies, amounts, those.bounds):  # noqa: B905 - strict costs a third more
            total = tally.total + amount
            if total > most:
                for other, added in zip(tallies, amounts[: len(totals)]):  # noqa: B905 - those before it
                    other.total -= added
                return self._refuse(wants, amounts, now)
            tally.total = total
            totals.append(total)
        grant = Held(wants, amounts, (), totals, now, lease_end(now, lease), "", tallies)
        self._held.add(grant)
        return grant

    def _set_of(self, wants: tuple[Want, ...]) -> Set | None:
        """With tallies that are made where there are none. None where there are too many."""
        tallies = []
        for want in wants:
            tally = self._tallies.get(want.counter)
            if tally is None:
                if len(self._tallies) >= MAX_COUNTERS:
                    return None
                tally = self._tallies[want.counter] = Tally(want.window)
            tallies.append(tally)
        if len(self._sets) >= MAX_SETS:
            self._sets.clear()
        those = self._sets[id(wants)] = Set(wants, tallies)
        return those

    def settle(self, grant: Grant, used: Sequence[int]) -> None:
        assert type(grant) is Held
        counted = grant.amounts
        if grant in self._held:
            self._held.remove(grant)
        else:
            counted = [amount if want.kept else 0 for want, amount in zip(grant.wants, counted, strict=True)]
        at = grant.at
        for tally, amount, real in zip(grant.tallies, counted, used):  # noqa: B905
            if real != amount:
                if at >= tally.since:
                    tally.total += real - amount
                else:
                    tally.correct(at, real - amount)

    def renew(self, lease: int) -> None:
        self._now = now = max(self._now, self._clock() // 1_000_000)
        end = lease_end(now, lease)
        for grant in self._held:
            if grant.expires > now:
                grant.expires = end

    @property
    def held(self) -> int:
        return len(self._held)

    async def read(self, counters: Sequence[tuple[str, Window]]) -> list[int]:
        self._now = now = max(self._now, self._clock() // 1_000_000)
        self._tidy(now)
        return [self._total(counter, now) for counter, _ in counters]

    def seed(self, counter: str, window: Window, held: Mapping[int, int]) -> None:
        """Add what was used before this process began: amounts by bucket."""
        self._now = now = max(self._now, self._clock() // 1_000_000)
        tally = self._tallies.setdefault(counter, Tally(window))
        tally.turn(now)
        living = {bucket: amount for bucket, amount in held.items() if lives(window, bucket, tally.present)}
        tally.total += sum(living.values())
        living.pop(tally.present, None)
        for bucket, amount in living.items():
            tally.before[bucket] = tally.before.get(bucket, 0) + amount
        tally.before = dict(sorted(tally.before.items()))

    # ── One counter ────────────────────────────────────────────────────────────────────────────────────────────────

    def _total(self, counter: str, now: int) -> int:
        tally = self._tallies.get(counter)
        if tally is None:
            return 0
        if now >= tally.until:
            tally.turn(now)
        return tally.total

    # ── Refusals ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _refuse(self, wants: tuple[Want, ...], amounts: Sequence[int], now: int) -> Refusal:
        """The tightest of the limits that refuse."""
        refused = []
        for position, want in enumerate(wants):
            amount = amounts[position]
            if want.soft or self._total(want.counter, now) + amount <= want.most:
                continue
            tally = self._tallies.get(want.counter)
            held = tally.buckets() if tally is not None else []
            refused.append((position, opening(want.window, held, amount, want.most, now)))
        position, wait = tightest(refused)
        want = wants[position]
        return Refusal(want, amounts[position], self._total(want.counter, now), now, wait)

    def _full(self, wants: tuple[Want, ...], amounts: Sequence[int], now: int) -> Refusal:
        if not self._told:
            self._told = True
            log.error("there are %d counters: calls that need another one are refused from now on", MAX_COUNTERS)
        at = next(at for at, want in enumerate(wants) if want.counter not in self._tallies)
        return Refusal(wants[at], amounts[at], 0, now, FULL_WAIT)

    # ── Leases ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _tidy(self, now: int) -> None:
        """Give back what leases held that have ended, and forget counters that are empty. Once a second: leases end on
        whole seconds."""
        self._tidy_at = now - now % LEASE_STEP + LEASE_STEP
        ended = sorted([grant for grant in self._held if grant.expires <= now], key=lambda each: each.expires)
        if len(ended) > MAX_ENDED:
            self._tidy_at = now  # the next call goes on with it
        for grant in ended[:MAX_ENDED]:
            self._give_back(grant)
        if not self._waiting:
            self._waiting = list(self._tallies)
        looked_at, self._waiting = self._waiting[-MAX_LOOKED_AT:], self._waiting[:-MAX_LOOKED_AT]
        for counter in looked_at:
            if counter in self._tallies and self._tallies[counter].idle(now):
                del self._tallies[counter]
                self._sets.clear()

    def _give_back(self, grant: Held) -> None:
        self._held.remove(grant)
        for tally, want, amount in zip(grant.tallies, grant.wants, grant.amounts, strict=True):
            if not want.kept:
                tally.correct(grant.at, -amount)
