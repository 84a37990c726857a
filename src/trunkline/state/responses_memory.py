"""Answers remembered by this process alone, where there is no database: the latest, up to a number of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from trunkline.core.stores import Kept


class MemoryResponses:
    """Implements `core.stores.Responses`. `clock`: seconds since the epoch; `limit`: bytes."""

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._clock = clock
        self._size = 0
        self._kept: OrderedDict[tuple[str, str], Kept] = OrderedDict()

    def keep(self, kept: Kept) -> None:
        self._drop(kept.key, kept.id)
        self._kept[kept.key, kept.id] = kept
        self._size += kept.size
        while self._size > self._limit:
            self._drop(*next(iter(self._kept)))

    async def find(self, key: str, id: str) -> Kept | None:
        kept = self._kept.get((key, id))
        if kept is not None and kept.expires <= self._clock():
            self._drop(key, id)
            return None
        return kept

    async def forget(self, key: str, id: str) -> None:
        self._drop(key, id)

    def interrupt(self, key: str, id: str) -> bool:
        """What is remembered here, is made here: nobody else could be asked."""
        return False

    def interrupted(self, key: str, id: str) -> bool:
        return False

    def _drop(self, key: str, id: str) -> None:
        kept = self._kept.pop((key, id), None)
        if kept is not None:
            self._size -= kept.size
