"""A value that expires, and is fetched again before it does: a token, a command's output, temporary keys.

Calls never wait for a renewal as long as the value is good: it happens in the background, once, however many calls ask.
Only a value that has expired, or was refused, is waited for. A fetch that failed is not repeated by every call of a
storm: the failure is the answer for a moment that grows.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from trunkline.core.errors import CredentialUnavailable

log = logging.getLogger("trunkline.credentials")

T = TypeVar("T")

EARLY = 0.2
"""The part of its life in which a value is renewed."""
EARLIEST = 300.0
"""Seconds before its end, at most."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds after a failed fetch before the next."""
FORCED_EVERY = 5.0
"""Seconds within which a value that is refused again is not fetched again: the account itself is refused."""


class Closed(Protocol):
    async def aclose(self) -> None: ...


class Held(Struct, Generic[T], frozen=True):
    """A value and its times, seconds since the epoch."""

    value: T
    renew_at: float
    expires_at: float

    @classmethod
    def lasting(cls, value: T, now: float, seconds: float) -> Held[T]:
        """One that is good for so many seconds from now."""
        return cls(value, now + seconds - min(seconds * EARLY, EARLIEST), now + seconds)


class Renewed(Generic[T]):
    """`fetch` raises CredentialUnavailable. `clock`: seconds since the epoch. `beneath`: what the fetch itself uses, to
    be closed with it."""

    def __init__(
        self, fetch: Callable[[], Awaitable[Held[T]]], clock: Callable[[], float], *beneath: Closed | None
    ) -> None:
        self._fetch = fetch
        self._beneath = beneath
        self._clock = clock
        self._held: Held[T] | None = None
        self._fetched = float("-inf")
        self._task: asyncio.Task[Held[T]] | None = None
        self._failure: CredentialUnavailable | None = None
        self._failures = 0
        self._again = float("-inf")

    async def get(self) -> T:
        """Raises CredentialUnavailable."""
        held, now = self._held, self._clock()
        if held is None or now >= held.expires_at:
            return (await self._renewal()).value
        if now >= held.renew_at and self._task is None and now >= self._again:
            self._start()
        return held.value

    async def renew(self, used: object) -> bool:
        """See `Source.renew`."""
        if self._held is not None and self._held.value != used:
            return True
        if self._clock() - self._fetched < FORCED_EVERY:
            return False
        return (await self._renewal()).value != used

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        for each in self._beneath:
            if each is not None:
                await each.aclose()

    async def _renewal(self) -> Held[T]:
        """The fetch that is under way, or a new one; a call that goes away does not end it for the others."""
        if self._task is None:
            if self._failure is not None and self._clock() < self._again:
                raise CredentialUnavailable(self._failure.detail)
            self._start()
        assert self._task is not None
        return await asyncio.shield(self._task)

    def _start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._fetch_once())
        self._task.add_done_callback(self._ended)

    async def _fetch_once(self) -> Held[T]:
        return await self._fetch()

    def _ended(self, task: asyncio.Task[Held[T]]) -> None:
        self._task = None
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._held, self._failure, self._failures = task.result(), None, 0
            self._fetched = self._clock()
            return
        self._failure = error if isinstance(error, CredentialUnavailable) else CredentialUnavailable("was not fetched")
        self._again = self._clock() + min(FIRST_PAUSE * 2**self._failures, LONGEST_PAUSE)
        self._failures = min(self._failures + 1, 10)
        log.warning("a credential could not be renewed: %s", self._failure.detail)
