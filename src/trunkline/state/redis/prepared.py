"""What is the same in all commands for the same wants: packed once, as callers keep their wants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from trunkline.core.limit import Want
from trunkline.state.redis.connection import pack

MAX_PREPARED = 4096
"""Sets of wants; then all are forgotten."""


class Frame(Struct, frozen=True):
    """A command but for some arguments in its midst, as Redis's protocol has it (RESP: `*` and how many elements, each
    as `$`, its length and its bytes). To pack all of it each time costs five times as much."""

    before: bytes
    after: bytes

    def filled(self, *given: Any) -> bytes:
        return b"%b%b%b" % (self.before, _elements(given), self.after)


def framed(before: Sequence[Any], given: int, after: Sequence[Any]) -> Frame:
    """`given`: how many elements will be filled in."""
    count = b"*%d\r\n" % (len(before) + given + len(after))
    return Frame(count + _elements(tuple(before)), _elements(tuple(after)))


def _elements(arguments: tuple[Any, ...]) -> bytes:
    packed = pack(arguments)
    return packed[packed.index(b"\n") + 1 :]


class Prepared(Struct, frozen=True):
    wants: tuple[Want, ...]
    keys: list[bytes]
    take: Frame
    """To be filled with a grant's name, its lease, and all amounts."""
    settle: Frame
    """To be filled with a grant's name, 1 or 0 for whether this is surely the first time, then all buckets, all amounts
    as they were taken, and all as they were used."""


class Preparations:
    """By identity: to hash the wants would cost more than to make this anew. `key` gives a counter's key; `frame` makes
    one for a script, its keys, a number of arguments, and those that follow them."""

    def __init__(
        self, key: Callable[[str], bytes], frame: Callable[[str, Sequence[bytes], int, Sequence[Any]], Frame]
    ) -> None:
        self._key = key
        self._frame = frame
        self._made: dict[int, Prepared] = {}

    def of(self, wants: tuple[Want, ...]) -> Prepared:
        made = self._made.get(id(wants))
        if made is None or made.wants is not wants:
            if len(self._made) >= MAX_PREPARED:
                self._made.clear()
            made = self._made[id(wants)] = self._of(wants)
        return made

    def _of(self, wants: tuple[Want, ...]) -> Prepared:
        keys, count = [self._key(want.counter) for want in wants], len(wants)
        taking: list[int] = []
        settling: list[int] = []
        for want in wants:
            window = want.window
            taking += (window.width, window.kept, want.most, int(want.soft), int(want.kept))
            settling += (window.width, window.kept, int(want.kept))
        return Prepared(
            wants,
            keys,
            take=self._frame("take", keys, 2 + count, taking),
            settle=self._frame("settle", keys, 2 + 3 * count, settling),
        )
