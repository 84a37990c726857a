"""What outlives a request, as the consumers see it. The backends are in `state`; only `app` opens them."""

from __future__ import annotations

from typing import Protocol

from trunkline.core.call import Entry, Key


class KeyRing(Protocol):
    """Keys in memory, as the hot path looks them up; a background thread keeps them fresh within a second."""

    def find(self, secret: bytes) -> Key | None:
        """The key of this secret, disabled and expired ones included, or None. Never touches the disk."""
        ...

    async def ready(self) -> None:
        """Wait until the keys have been loaded once. Raises `Overloaded` after a bounded wait."""
        ...


class Journal(Protocol):
    def append(self, entry: Entry) -> None:
        """Keep an entry, before the last byte of its answer leaves. Never raises, never waits for the database."""
        ...


class Meters(Protocol):
    def record(self, entry: Entry) -> None:
        """Count a finished call in the metrics."""
        ...


class Prices(Protocol):
    def cost(self, entry: Entry) -> tuple[int, str] | None:
        """(nano-dollars, date of the price) of an entry's usage, or None where no price is known (yet)."""
        ...
