"""Counters of workers that know nothing of each other: each has its share of every limit in its own memory.

Together they never admit more than the limit. One of them may refuse while another still has room, and a call that
needs more than a share never passes: who wants limits to be exact, or to be used up, needs Redis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import structs

from trunkline.core.limit import Grant, Refusal, Want, Window
from trunkline.state.counters_memory import MemoryCounters

MAX_DIVIDED = 4096
"""Sets of wants whose division is kept."""


class DividedCounters:
    """`core.stores.Counters`: `own`, of which each limit is one of `workers` equal parts; what is left over by the
    division nobody has, so that the sum holds to the unit."""

    def __init__(self, own: MemoryCounters, workers: int) -> None:
        self._own = own
        self._workers = workers
        self._divided: dict[int, tuple[tuple[Want, ...], tuple[Want, ...]]] = {}
        self.settle = own.settle
        self.renew = own.renew
        self.read = own.read

    @property
    def held(self) -> int:
        return self._own.held

    async def take(self, wants: tuple[Want, ...], amounts: Sequence[int], lease: int) -> Grant | Refusal:
        return self.at_once(wants, amounts, lease)

    def at_once(self, wants: tuple[Want, ...], amounts: Sequence[int], lease: int) -> Grant | Refusal:
        return self._own.at_once(self._division(wants), amounts, lease)

    def seed(self, counter: str, window: Window, held: Mapping[int, int]) -> None:
        """What was used before; each worker has used its share of it."""
        self._own.seed(counter, window, {bucket: -(-amount // self._workers) for bucket, amount in held.items()})

    def _division(self, wants: tuple[Want, ...]) -> tuple[Want, ...]:
        """By identity, as callers keep their wants."""
        known = self._divided.get(id(wants))
        if known is None or known[0] is not wants:
            if len(self._divided) >= MAX_DIVIDED:
                self._divided.clear()
            divided = tuple([structs.replace(want, most=want.most // self._workers) for want in wants])
            known = self._divided[id(wants)] = wants, divided
        return known[1]
