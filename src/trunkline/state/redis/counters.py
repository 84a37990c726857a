"""Counters that all workers and machines share: each decision one script in Redis, within a deadline of milliseconds.

Where Redis does not decide in time, the process does (`alone.py`), and Redis is told afterwards. What a grant needs for
that is its name, which this process gives it. A grant that Redis does not know when it returns is adopted; whatever
else it has missed are debts (`debts.py`).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from trunkline.core.errors import Overloaded
from trunkline.core.limit import Grant, Refusal, Want, Window
from trunkline.core.stores import StoreError, StoreUnavailable
from trunkline.policy.quota import opening, tightest
from trunkline.state.redis.alone import Alone
from trunkline.state.redis.client import RedisClient, unheeded
from trunkline.state.redis.debts import Debts, done

LONGEST_LEASE = 24 * 3_600_000
"""Milliseconds. Redis forgets what belongs to leases an hour later."""
AT_ONCE = 100
"""Grants that are adopted between two waits for Redis."""


class RedisCounters:
    """`core.stores.Counters`."""

    at_once = None

    def __init__(self, client: RedisClient, alone: Alone, debts: Debts) -> None:
        self._client = client
        self._alone = alone
        self._numbers = itertools.count()
        self._held: dict[str, Grant] = {}
        """All that this process has taken and not settled."""
        self._foreign: set[str] = set()
        """Those of them that Redis does not know."""
        self._debts = debts
        client.returning.append(self._return)
        client.tending.append(debts.pay)
        client.leaving.append(lambda: alone.begin(list(self._held.values())))

    # ── core.stores.Counters ───────────────────────────────────────────────────────────────────────────────────────

    async def take(self, wants: tuple[Want, ...], amounts: Sequence[int], lease: int) -> Grant | Refusal:
        client = self._client
        name = f"{client.salt}{next(self._numbers):x}"
        lease = min(lease, LONGEST_LEASE)
        if client.up:
            try:
                answer = await client.decide(client.prepared(wants).take.filled(name, lease, *amounts))
            except asyncio.CancelledError:
                self._debts.annul(name)
                raise
            except StoreError:
                self._debts.annul(name)
            else:
                return self._granted(name, wants, amounts, answer) if answer[0] else _refused(wants, amounts, answer)
        return await self._take_alone(f"{name}~", wants, amounts, lease)

    def settle(self, grant: Grant, used: Sequence[int]) -> None:
        if self._held.pop(grant.id, None) is None:
            return
        self._alone.settle(grant, used)
        if grant.id in self._foreign and not self._client.up:
            self._debts.owe(grant, used)
        else:
            self._debts.settle(grant, used)
        self._foreign.discard(grant.id)

    def renew(self, lease: int) -> None:
        lease = min(lease, LONGEST_LEASE)
        end = self._alone.now() // 1_000_000 + lease
        self._alone.renew(lease)
        for name, grant in self._held.items():
            grant.expires = end
            if self._client.up:
                unheeded(self._client.run("renew", (), (name, lease), lazily=True))

    @property
    def held(self) -> int:
        return len(self._held)

    async def read(self, counters: Sequence[tuple[str, Window]]) -> list[int]:
        if not self._client.up:
            raise StoreUnavailable("Redis does not answer: nobody knows what all processes together have used")
        facts = [fact for _, window in counters for fact in (window.width, window.kept)]
        keys = [self._client.counter(name) for name, _ in counters]
        totals: list[int] = await self._client.decide(self._client.packed("read", keys, facts))
        return totals

    # ── Deciding ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _granted(self, name: str, wants: tuple[Want, ...], amounts: Sequence[int], answer: list[int]) -> Grant:
        at, expires = answer[1], answer[2]
        grant = Grant(wants, tuple(amounts), tuple(answer[3::2]), tuple(answer[4::2]), at, expires, name)
        self._held[name] = grant
        self._alone.heard(grant)
        return grant

    async def _take_alone(
        self, name: str, wants: tuple[Want, ...], amounts: Sequence[int], lease: int
    ) -> Grant | Refusal:
        if self._client.settings.when_down == "refuse":
            raise Overloaded("The limits cannot be checked now; try again shortly.", retry_after=1.0)
        answer = await self._alone.take(name, wants, amounts, lease)
        if isinstance(answer, Grant):
            self._held[name] = answer
            self._foreign.add(name)
        return answer

    # ── When Redis returns ─────────────────────────────────────────────────────────────────────────────────────────

    async def _return(self) -> None:
        """Tell Redis what it does not know, or no longer. Calls go on meanwhile, each alone; the last of them are
        adopted by commands for which nobody waits, and which Redis gets before it decides anything. Raises
        StoreError."""
        for names in _portions(self._held):
            await done([self._adopt(grant) for name in names if (grant := self._held.get(name)) is not None])
        await self._debts.pay()
        for name in list(self._foreign):
            unheeded(self._adopt(self._held[name]))

    def _adopt(self, grant: Grant) -> asyncio.Future[Any]:
        self._foreign.discard(grant.id)
        facts: list[Any] = [grant.id, max(1, grant.expires - self._alone.now() // 1_000_000)]
        for want, bucket, amount in zip(grant.wants, grant.buckets, grant.amounts, strict=True):
            facts += (want.window.width, want.window.kept, bucket, amount, int(want.kept))
        return self._client.run("adopt", self._client.prepared(grant.wants).keys, facts)


def _portions(held: Iterable[str]) -> Iterator[list[str]]:
    """Of those that there are now."""
    names = iter(list(held))
    while portion := list(islice(names, AT_ONCE)):
        yield portion


def _refused(wants: tuple[Want, ...], amounts: Sequence[int], answer: list[int]) -> Refusal:
    """The tightest of the limits that refuse, by the arithmetic that all stores share."""
    now, at = answer[1], 2
    refused, totals = [], {}
    while at < len(answer):
        position, totals[position], living = answer[at : at + 3]
        numbers = answer[at + 3 : at + 3 + 2 * living]
        held = list(zip(numbers[::2], numbers[1::2], strict=True))
        want = wants[position]
        refused.append((position, opening(want.window, held, amounts[position], want.most, now)))
        at += 3 + 2 * living
    position, wait = tightest(refused)
    return Refusal(wants[position], amounts[position], totals[position], now, wait)
