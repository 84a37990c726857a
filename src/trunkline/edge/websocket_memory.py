"""What a connection remembers of its own answers, where nothing shall be stored (`store: false`).

All connections share one room: the answers that came first go first. A connection that ends takes its own with it.
"""

from __future__ import annotations

from collections import OrderedDict

from trunkline.core.stores import Kept


class Room:
    """Answers by connection, key and id, up to `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.size = 0
        self._kept: OrderedDict[tuple[Own, str, str], Kept] = OrderedDict()

    def keep(self, own: Own, kept: Kept) -> None:
        self.drop(own, kept.key, kept.id)
        self._kept[own, kept.key, kept.id] = kept
        own.ids.add((kept.key, kept.id))
        self.size += kept.size
        while self.size > self._limit:
            self.drop(*next(iter(self._kept)))

    def find(self, own: Own, key: str, id: str) -> Kept | None:
        return self._kept.get((own, key, id))

    def drop(self, own: Own, key: str, id: str) -> None:
        kept = self._kept.pop((own, key, id), None)
        if kept is not None:
            own.ids.discard((key, id))
            self.size -= kept.size


class Own:
    """Those of one connection. Implements `core.call.Memory`."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.ids: set[tuple[str, str]] = set()

    def keep(self, kept: Kept) -> None:
        self._room.keep(self, kept)

    def find(self, key: str, id: str) -> Kept | None:
        return self._room.find(self, key, id)

    def clear(self) -> None:
        for each in list(self.ids):
            self._room.drop(self, *each)
