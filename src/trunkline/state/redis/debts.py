"""What Redis has not been told yet: settlements, grants that nobody got, and what was used while it was away.

All of it is done once, however often it is sent: a settlement that is repeated says so, a grant can be annulled twice,
and what is owed goes in bills with a number. So whatever a connection took with it when it ended is sent again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from msgspec import Struct

from trunkline.core.limit import Grant, Window
from trunkline.core.stores import StoreError
from trunkline.state.redis.client import RedisClient
from trunkline.state.redis.connection import RedisError

log = logging.getLogger(__name__)

MAX_UNSETTLED = 100_000
"""Settlements that wait; what is beyond is never told, and returns when its lease ends."""
MAX_OWED = 200_000
"""Buckets of counters in which something was used; what is beyond is never told."""
AT_ONCE = 100
"""Commands between two waits, and buckets in a bill."""
HOPELESS = ("ERR", "WRONGTYPE")
"""Errors that would come again: somebody else's data lies where ours should."""

Owed = dict[tuple[str, Window, int], int]
"""By counter, window and bucket: what was used."""


class Unsettled(Struct):
    grant: Grant
    used: tuple[int, ...]
    first: bool = True
    """Whether it was certainly not done before."""


class Debts:
    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._unsettled: dict[str, Unsettled] = {}
        self._void: set[str] = set()
        self._owed: Owed = {}
        self._bills: dict[str, Owed] = {}
        self._bill = 0
        self.forgotten = 0
        """What was beyond the bounds."""

    def __len__(self) -> int:
        return len(self._unsettled) + len(self._void) + len(self._owed) + len(self._bills)

    def settle(self, grant: Grant, used: Sequence[int]) -> None:
        """Now, or when Redis is back."""
        one = Unsettled(grant, tuple(used))
        if self._client.up:
            self._client.post(self._settlement(one), _Told(self.failed, one))
        else:
            self._later(one)

    def annul(self, name: str) -> asyncio.Future[Any]:
        """Whatever Redis makes of this grant: nobody has got it."""
        self._void.add(name)
        return self._sent("void", (), (name,), lambda: self._void.discard(name), lambda _: None)

    def owe(self, grant: Grant, used: Sequence[int]) -> None:
        """This was used, of a grant that Redis never made."""
        for want, bucket, amount in zip(grant.wants, grant.buckets, used, strict=True):
            where = (want.counter, want.window, bucket)
            if amount and (where in self._owed or self._room(len(self._owed), MAX_OWED)):
                self._owed[where] = self._owed.get(where, 0) + amount

    def plant(self, counter: str, window: Window, held: Mapping[int, int]) -> None:
        """This was used of a counter before Redis began to count; once for its data."""
        bill = {(counter, window, bucket): amount for bucket, amount in held.items() if amount}
        if bill and self._room(len(self._bills), MAX_OWED):
            self._bills[f"{self._client.name.decode()}:{counter}"] = bill

    async def pay(self) -> None:
        """Tell all of it. Raises StoreError; what was not done then stays."""
        while self:
            await done(self._portion())

    def _portion(self) -> list[asyncio.Future[Any]]:
        settling = [self._unsettled.pop(name) for name in list(islice(self._unsettled, AT_ONCE))]
        if self._owed:
            bill = {where: self._owed.pop(where) for where in list(islice(self._owed, AT_ONCE))}
            self._bill += 1
            self._bills[f"{self._client.salt}{self._bill:x}"] = bill
        return [
            *[self._settle(one) for one in settling],
            *[self.annul(name) for name in list(islice(self._void, AT_ONCE))],
            *[self._charge(number, bill) for number, bill in list(islice(self._bills.items(), AT_ONCE))],
        ]

    # ── Commands ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _settlement(self, one: Unsettled) -> bytes:
        grant = one.grant
        frame = self._client.prepared(grant.wants).settle
        return frame.filled(grant.id, int(one.first), *grant.buckets, *grant.amounts, *one.used)

    def _settle(self, one: Unsettled) -> asyncio.Future[Any]:
        """What could not be settled at once."""
        future = asyncio.get_running_loop().create_future()
        self._client.post(self._settlement(one), future)
        future.add_done_callback(_looking(lambda: None, lambda error: self.failed(one, error)))
        return future

    def _charge(self, number: str, bill: Owed) -> asyncio.Future[Any]:
        facts: list[Any] = [self._client.key(f"bill:{number}")]
        for (_, window, bucket), amount in bill.items():
            facts += (window.width, window.kept, bucket, amount)
        keys = [self._client.counter(counter) for counter, _, _ in bill]

        def paid() -> None:
            self._bills.pop(number, None)

        return self._sent("add", keys, facts, paid, lambda _: None)

    def _sent(
        self,
        script: str,
        keys: Sequence[bytes],
        facts: Sequence[Any],
        succeeded: Callable[[], None],
        failed: Callable[[StoreError], None],
    ) -> asyncio.Future[Any]:
        future = self._client.run(script, keys, facts, lazily=True)
        future.add_done_callback(_looking(succeeded, failed))
        return future

    def failed(self, one: Unsettled, error: StoreError) -> None:
        """The connection ended, and nobody knows whether this was settled; where Redis answered, it was not."""
        if not isinstance(error, RedisError):
            one.first = False
        self._later(one)

    def _later(self, one: Unsettled) -> None:
        if self._room(len(self._unsettled), MAX_UNSETTLED):
            self._unsettled[one.grant.id] = one

    def _room(self, size: int, most: int) -> bool:
        if size >= most:
            self.forgotten += 1
        return size < most


class _Told(Struct):
    """`state.redis.connection.Receiver` for a settlement: nobody waits for its answer, and hardly any is an error."""

    failed: Callable[[Unsettled, StoreError], None]
    one: Unsettled

    def done(self) -> bool:
        return False

    def set_result(self, answer: Any) -> None:
        """It is settled."""

    def set_exception(self, error: StoreError) -> None:
        if not _hopeless(error):
            self.failed(self.one, error)


def _looking(
    succeeded: Callable[[], None], failed: Callable[[StoreError], None]
) -> Callable[[asyncio.Future[Any]], None]:
    """To be called with a future that is done. An error that would come again counts as success, for the debt cannot be
    paid."""

    def look(future: asyncio.Future[Any]) -> None:
        error = None if future.cancelled() else future.exception()
        if isinstance(error, StoreError) and not _hopeless(error):
            failed(error)
        else:
            succeeded()

    return look


def _hopeless(error: StoreError) -> bool:
    if not isinstance(error, RedisError) or str(error).partition(" ")[0] not in HOPELESS:
        return False
    log.error("Redis cannot take what it is told of limits: %s", error)
    return True


async def done(futures: Iterable[asyncio.Future[Any]]) -> None:
    """Wait for all of them. Raises the first StoreError that is not hopeless."""
    for answer in await asyncio.gather(*futures, return_exceptions=True):
        if isinstance(answer, RedisError) and str(answer).partition(" ")[0] in HOPELESS:
            continue
        if isinstance(answer, BaseException):
            raise answer
