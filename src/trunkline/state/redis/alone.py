"""Limits while Redis does not answer: each process admits its share, by counters of its own.

Its share of a limit is what was left of it when this process last heard of it, divided by the number of processes; of
what nothing has been heard in this window, the limit divided so. Together the processes thereby admit about what was
left, and never more than the limit once more, with any number of outages in a window: what was admitted alone stays
counted in this process's own counters.

Of calls that go on (no window) what this process still holds from before counts against its share.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from msgspec import structs

from trunkline.core.limit import Grant, Refusal, Want
from trunkline.core.stores import Counters
from trunkline.policy.outage import share
from trunkline.policy.quota import bucket_at, lives

MAX_SEEN = 100_000
"""Counters of which the last known sum is remembered; then all is forgotten, and the share is that of the limit."""
ALONE_WAIT = 1000
"""Milliseconds until a call that is too large for a share, and not for the limit, may try again."""


class Alone:
    """`counters` are this process's own; `processes` tells how many share the limits."""

    def __init__(self, counters: Callable[[Callable[[], int]], Counters], processes: Callable[[], int]) -> None:
        self._counters = counters(self.now)
        self._processes = processes
        self._ahead = 0
        """Nanoseconds by which Redis's clock is ahead of ours."""
        self._seen: dict[str, tuple[int, int]] = {}
        self._ongoing: dict[str, int] = {}
        self._mine: dict[str, Grant] = {}
        """What was admitted alone, by the id that it has for others: as our own counters know it."""
        self.admitted = 0
        self.refused = 0

    def now(self) -> int:
        """Nanoseconds since the epoch, by Redis's clock as last heard."""
        return time.time_ns() + self._ahead

    # ── While Redis answers ────────────────────────────────────────────────────────────────────────────────────────

    def heard(self, grant: Grant) -> None:
        """What Redis said of its counters."""
        if len(self._seen) > MAX_SEEN:
            self._seen.clear()
        seen = self._seen
        for want, bucket, total in zip(grant.wants, grant.buckets, grant.totals, strict=True):
            seen[want.counter] = bucket, total
        self._ahead = grant.at * 1_000_000 - time.time_ns()

    def begin(self, held: Sequence[Grant]) -> None:
        """Redis answers no longer. `held`: what it has granted us and what is not settled."""
        self._ongoing.clear()
        for grant in held:
            if grant.id not in self._mine:
                self._count(grant, 1)

    # ── While it does not ──────────────────────────────────────────────────────────────────────────────────────────

    async def take(self, id: str, wants: tuple[Want, ...], amounts: Sequence[int], lease: int) -> Grant | Refusal:
        """As `Counters.take`, of this process's share. The grant goes by this id."""
        answer = await self._counters.take(tuple([self._part(want) for want in wants]), amounts, lease)
        if isinstance(answer, Refusal):
            self.refused += 1
            want = next(want for want in wants if want.counter == answer.want.counter)
            wait = ALONE_WAIT if answer.wait is None and answer.amount <= want.most else answer.wait
            return structs.replace(answer, want=want, wait=wait)
        self.admitted += 1
        self._mine[id] = answer
        buckets = [bucket_at(want.window, answer.at) for want in wants]
        return structs.replace(answer, wants=wants, buckets=buckets, id=id)

    def settle(self, grant: Grant, used: Sequence[int]) -> None:
        """For our own counters: this grant has ended, wherever it came from."""
        mine = self._mine.pop(grant.id, None)
        if mine is not None:
            self._counters.settle(mine, used)
        elif self._ongoing:
            self._count(grant, -1)

    def renew(self, lease: int) -> None:
        """What was admitted alone goes on."""
        self._counters.renew(lease)

    def _count(self, grant: Grant, sign: int) -> None:
        for want, amount in zip(grant.wants, grant.amounts, strict=True):
            if want.window.width == 0:
                self._ongoing[want.counter] = max(0, self._ongoing.get(want.counter, 0) + sign * amount)

    def _part(self, want: Want) -> Want:
        """The same limit, as this process alone may use it."""
        processes = self._processes()
        if want.window.width == 0:
            most = share(want.most, processes) - self._ongoing.get(want.counter, 0)
        else:
            bucket, total = self._seen.get(want.counter, (0, 0))
            known = lives(want.window, bucket, bucket_at(want.window, self.now() // 1_000_000))
            most = share(max(0, want.most - total) if known else want.most, processes)
        return structs.replace(want, most=max(0, most))
