"""Where a conversation is at home: the target that has its beginning in the cache, as long as moving is not cheaper.

Providers charge a tenth to a half for what they have cached of a prompt, so the next turn of a long conversation is
cheapest where the last one was. What is known of a conversation is a *bond*; bonds are kept in a table of bounded size,
the one that was not used for longest goes first.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

MAX_BONDS = 65_536


class Bond(Struct, frozen=True):
    target: str
    """`provider/model` that answered last."""
    cached: int
    """Tokens that it had in its cache then, read or written."""
    expires: float


class Affinities(Protocol):
    """By a conversation's name. `now` is any clock that only goes forward, in seconds. Never raises, never waits: what
    is shared among processes comes and goes behind."""

    def find(self, name: bytes, now: float) -> Bond | None: ...

    def keep(self, name: bytes, target: str, cached: int, ttl: float, now: float) -> None: ...


class MemoryAffinities:
    """Those of one process."""

    def __init__(self, most: int = MAX_BONDS) -> None:
        self._most = most
        self._bonds: dict[bytes, Bond] = {}

    def __len__(self) -> int:
        return len(self._bonds)

    def find(self, name: bytes, now: float) -> Bond | None:
        bond = self._bonds.get(name)
        if bond is None or bond.expires > now:
            return bond
        del self._bonds[name]
        return None

    def keep(self, name: bytes, target: str, cached: int, ttl: float, now: float) -> None:
        """A dict keeps the order of insertion, so taking out and putting back makes a bond the youngest."""
        self._bonds.pop(name, None)
        while len(self._bonds) >= self._most:
            del self._bonds[next(iter(self._bonds))]
        self._bonds[name] = Bond(target, cached, now + ttl)


def stays(at_home: int | None, elsewhere: int | None) -> bool:
    """Whether a conversation stays, from what its next call costs at home, with what is cached there, and elsewhere,
    with nothing: nano-dollars, None where no price is known. Of equals the home is better: it is quicker too."""
    return at_home is None or elsewhere is None or at_home <= elsewhere
