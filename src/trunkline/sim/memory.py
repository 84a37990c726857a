"""What the simulator keeps of the Responses that it gave: to be retrieved, continued and referred to.

The oldest go first when there are too many. How far a response in the background is, is counted in the times that it
was asked for and not by the clock, so that a test sees each state.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from msgspec import Struct

MAX_RESPONSES = 1000

Json = dict[str, Any]


class Kept(Struct):
    """One response."""

    response: Json
    """As it ends."""
    input: list[Json]
    """What it answers, with all that came before."""
    events: list[bytes]
    """Its stream, for those who come back to it; none of a response that was not in the background."""
    asked: int | None = None
    """How often it was retrieved while in the background; None: it is done."""

    @property
    def conversation(self) -> list[Json]:
        """All items up to its answer."""
        return [*self.input, *self.response["output"]]


class Memory:
    """The last responses, and which reasoning each of their items came from."""

    def __init__(self, keep: int = MAX_RESPONSES) -> None:
        self._keep = keep
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._reasons: dict[str, str] = {}

    def add(self, kept: Kept) -> None:
        self._kept[kept.response["id"]] = kept
        self._reasons.update(_reasons(kept.response["output"]))
        if len(self._kept) > self._keep:
            self.forget(next(iter(self._kept)))

    def get(self, id: str) -> Kept | None:
        return self._kept.get(id)

    def forget(self, id: str) -> None:
        for item in self._kept.pop(id).response["output"]:
            self._reasons.pop(item["id"], None)

    def reason(self, id: str | None) -> str | None:
        """The id of the reasoning that must stand before this item; None: there is none, or it is not known."""
        return None if id is None else self._reasons.get(id)

    def items(self, ids: Iterable[str]) -> dict[str, Json]:
        """The items of these ids that any response took or gave."""
        wanted = set(ids)
        return {item["id"]: item for item in self._items() if item.get("id") in wanted} if wanted else {}

    def _items(self) -> Iterator[Json]:
        for kept in self._kept.values():
            yield from kept.conversation


def _reasons(output: list[Json]) -> Iterator[tuple[str, str]]:
    """Each item that stands right behind reasoning, and that reasoning."""
    for before, item in pairwise(output):
        if before["type"] == "reasoning":
            yield item["id"], before["id"]
