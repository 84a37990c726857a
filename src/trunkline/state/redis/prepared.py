"""What is the same in all commands for the same wants: made once, as callers keep their wants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from trunkline.core.limit import Want

MAX_PREPARED = 4096
"""Sets of wants; then all are forgotten."""


class Prepared(Struct, frozen=True):
    wants: tuple[Want, ...]
    keys: list[bytes]
    facts: tuple[Any, ...]
    """Five for each want, as `take.lua` reads them."""


class Preparations:
    """By identity: to hash the wants would cost more than to make this anew. `key` gives a counter's key."""

    def __init__(self, key: Callable[[str], bytes]) -> None:
        self._key = key
        self._made: dict[int, Prepared] = {}

    def of(self, wants: tuple[Want, ...]) -> Prepared:
        made = self._made.get(id(wants))
        if made is None or made.wants is not wants:
            if len(self._made) >= MAX_PREPARED:
                self._made.clear()
            facts = [
                fact
                for want in wants
                for fact in (want.window.width, want.window.kept, want.most, int(want.soft), int(want.kept))
            ]
            made = self._made[id(wants)] = Prepared(wants, [self._key(want.counter) for want in wants], tuple(facts))
        return made
