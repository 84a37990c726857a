"""What outlives a request, as the consumers see it. The backends are in `state`; only `app` opens them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from msgspec import Struct

from trunkline.core.call import Entry, Key, KeyChange, KeySpec
from trunkline.core.limit import Grant, Refusal, Want, Window


class StoreError(Exception):
    """A store refuses what was asked; the message is for whoever asked."""


class StoreUnavailable(StoreError):
    """The store cannot be reached, or is busy: the same may succeed later."""


class KeyRing(Protocol):
    """Keys in memory, as the hot path looks them up; a background thread keeps them fresh within a second."""

    def find(self, secret: bytes) -> Key | None:
        """The key of this secret, disabled and expired ones included, or None. Never touches the disk."""
        ...

    @property
    def loaded(self) -> bool:
        """Whether there are keys to look up, be they none."""
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


class Tariff(Protocol):
    """Prices as they are asked for before a call is made."""

    @property
    def loaded(self) -> bool:
        """Whether prices are known yet."""
        ...

    def ceiling(self, price_model: str | None, at: float, input: int, output: int) -> int | None:
        """Nano-dollars that a call of at most so many tokens, at that time (seconds since the epoch), cannot exceed; 0
        where nothing is to be paid, None where no price is known (yet)."""
        ...


class Counters(Protocol):
    """What has been used, and what may be. Each method is one step that nothing else comes between; the clock is the
    store's own. `policy.quota` is the arithmetic.

    `take` first gives back what leases that have ended held (a bounded number of them): `amount` leaves the bucket
    it went into, unless its want is `kept`. Then every want that is not soft is checked (`total + amount <= most`), and
    either all amounts are added to their counters' present buckets or none is.
    """

    async def take(self, wants: tuple[Want, ...], amounts: Sequence[int], lease: int) -> Grant | Refusal:
        """All of it or nothing. `lease`: milliseconds until it returns by itself, the store rounds them up."""
        ...

    @property
    def at_once(self) -> Callable[[tuple[Want, ...], Sequence[int], int], Grant | Refusal] | None:
        """The same from a store that need not wait for anybody; None: this one must."""
        ...

    def settle(self, grant: Grant, used: Sequence[int]) -> None:
        """What was really used, one amount for each want (0 of what went on: it has ended): each bucket that still
        lives gets `used - amount`. Once a grant; where its lease has ended before, a bucket gets what it now lacks
        (`used`, or `used - amount` where it is `kept`). Never raises, never waits: a store that is away does it
        later."""
        ...

    def renew(self, lease: int) -> None:
        """The calls of this process go on: the leases of all that it has taken and not settled end so many milliseconds
        from now, but for those that have ended. Never raises, never waits."""
        ...

    @property
    def held(self) -> int:
        """How many grants of this process are not settled."""
        ...

    async def read(self, counters: Sequence[tuple[str, Window]]) -> list[int]:
        """What each counter holds in its window now. Raises StoreUnavailable."""
        ...


class Hints(Protocol):
    """Small messages to the other processes, which know sooner by them what they would find out anyway: any may be
    lost."""

    def publish(self, topic: str, body: Any) -> None:
        """Tell the others, if they can be reached. `body`: whatever msgspec writes as JSON, 64 kB at most. Never
        raises, never waits."""
        ...

    def listen(self, topic: str, type: type[Any], take: Callable[[Any], None]) -> None:
        """Have what others tell of a topic, decoded to that type, on the event loop. `take` must neither raise nor
        block. One listener a topic."""
        ...


class Used(Struct, frozen=True):
    """What was used, of one key, team, tag or model (`value`; "" for all together), by calls for one model, in one
    bucket of a window."""

    value: str
    model: str
    bucket: int
    calls: int
    input: int
    output: int
    cost: int
    """Nano-dollars."""


class Past(Protocol):
    """What was used before a process began. Slow: for threads."""

    def used(self, scope: str, window: Window, calls: bool, until: float) -> Iterable[Used]:
        """All that counts in the window of the moment `until` (seconds since the epoch), of calls that arrived before.
        `scope`: `global`, `key`, `team`, `tag` or `model`; `calls`: whether their number matters. Raises StoreError."""
        ...


class Kept(Struct, frozen=True, omit_defaults=True):
    """An answer of the Responses API as it is remembered, by its id and the key that asked for it."""

    id: str
    key: str
    created: float
    """Seconds since the epoch."""
    expires: float
    """Seconds since the epoch."""
    response: bytes
    """The response object as the client got it, JSON."""
    input: bytes = b"[]"
    """The items that it answers, those of the conversation before it among them: a JSON array."""
    makers: tuple[tuple[str, int], ...] = ()
    """Which provider said how many of these items, in their order; "" the client."""
    target: str = ""
    """`provider/model` that answered."""
    native: str = ""
    """What that provider calls the answer, where it remembers it too."""
    running: bool = False
    """It runs in the background, and is not complete."""

    @property
    def size(self) -> int:
        """Bytes, but for a few."""
        return len(self.response) + len(self.input)


class Responses(Protocol):
    """What the gateway remembers of answers. Whatever has expired is not found."""

    def keep(self, kept: Kept) -> None:
        """Remember, before the last byte of the answer leaves; one of the same id and key is replaced. Never raises,
        never waits for the database."""
        ...

    async def find(self, key: str, id: str) -> Kept | None:
        """Raises StoreUnavailable where the database cannot be asked in time."""
        ...

    async def forget(self, key: str, id: str) -> None:
        """Raises StoreUnavailable; nothing is forgotten for certain then."""
        ...

    def interrupt(self, key: str, id: str) -> bool:
        """Ask whoever makes this answer to end it; False where that is nobody within reach."""
        ...

    def interrupted(self, key: str, id: str) -> bool:
        """Whether somebody has asked for that, of us; once."""
        ...


class Memory(Protocol):
    """Answers that a connection remembers, for the calls that come on it and for no longer than it lasts."""

    def keep(self, kept: Kept) -> None:
        """Never raises."""
        ...

    def find(self, key: str, id: str) -> Kept | None: ...


class KeyAdmin(Protocol):
    """Keys in the database, as those who manage them see them. Slow: for threads. All raise StoreError."""

    def list(self) -> list[Key]: ...

    def get(self, reference: str) -> Key:
        """By id or by name."""
        ...

    def create(self, spec: KeySpec) -> tuple[Key, str]:
        """The key and its secret, which is shown now or never."""
        ...

    def change(self, reference: str, change: KeyChange) -> Key: ...

    def rotate(self, reference: str, grace: float = 0.0) -> tuple[Key, str]:
        """A new secret; the old one works for `grace` more seconds."""
        ...

    def delete(self, reference: str) -> Key: ...
