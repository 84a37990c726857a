"""Keys in memory, as the hot path looks them up: one keyed hash and one dict look-up, never the disk.

Only keyed hashes are kept. A secret holds 256 random bits, so a slow password hash would buy nothing (there is no
dictionary to try), and the look-up is by the whole hash, so its timing tells an attacker nothing about a secret. The
server secret in the hash makes a stolen table useless for checking guesses or for linking keys across installations.
The hash is BLAKE2b with a key (RFC 7693, section 2.9), a quarter of the cost of HMAC-SHA256 for so short a text.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from hashlib import blake2b

from msgspec import Struct

from trunkline.core.call import Key
from trunkline.core.errors import Overloaded

SECRET_PREFIX = "tl-"  # noqa: S105 - marks a secret as ours, for people and for secret scanners
SECRET_BYTES = 32
SHOWN_CHARACTERS = 9
"""Of a secret, in `Key.prefix`: six random characters, 36 bits of its 256."""
MAX_SECRET = 512
"""Bytes; a longer one is not ours and is not hashed."""
LOAD_TIMEOUT = 10.0
"""Seconds that a call waits for the first load."""


class StoredKey(Struct, frozen=True):
    """A key, and the hash of the secret it had before its last rotation."""

    key: Key
    old_hash: str | None = None
    old_until: float | None = None
    """Seconds since the epoch until which the old secret is valid."""


class _Snapshot(Struct, frozen=True):
    """All that a look-up reads, replaced as a whole: the reader needs no lock."""

    keyed: blake2b
    current: dict[bytes, Key]
    old: dict[bytes, tuple[Key, float]]


def new_secret() -> str:
    """A new secret: `tl-` and 43 URL-safe characters."""
    return SECRET_PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def digest(server_secret: bytes, secret: bytes) -> bytes:
    """The keyed hash by which a secret is known, 32 bytes."""
    return _finish(_keyed(server_secret), secret)


def _keyed(server_secret: bytes) -> blake2b:
    """The hash with its key taken in. A BLAKE2b key has at most 64 bytes, a server secret may be longer."""
    return blake2b(key=blake2b(server_secret).digest(), digest_size=32)


def _finish(keyed: blake2b, secret: bytes) -> bytes:
    hasher = keyed.copy()
    hasher.update(secret)
    return hasher.digest()


class MemoryKeyRing:
    """`core.stores.KeyRing`, filled by the shipper's thread. `clock`: seconds since the epoch."""

    def __init__(self, clock: Callable[[], float] = time.time, load_timeout: float = LOAD_TIMEOUT) -> None:
        self._clock = clock
        self._load_timeout = load_timeout
        self._snapshot: _Snapshot | None = None
        self._lock = threading.Lock()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    def find(self, secret: bytes) -> Key | None:
        """The key of this secret, disabled and expired ones included, or None."""
        snapshot = self._snapshot
        if snapshot is None or len(secret) > MAX_SECRET:
            return None
        hashed = _finish(snapshot.keyed, secret)
        key = snapshot.current.get(hashed)
        if key is not None:
            return key
        rotated = snapshot.old.get(hashed)
        if rotated is not None and self._clock() < rotated[1]:
            return rotated[0]
        return None

    def replace(self, server_secret: bytes, keys: Iterable[StoredKey]) -> None:
        """Take these keys instead of those before. From any thread."""
        current: dict[bytes, Key] = {}
        old: dict[bytes, tuple[Key, float]] = {}
        for stored in keys:
            current[bytes.fromhex(stored.key.hash)] = stored.key
            if stored.old_hash is not None and stored.old_until is not None:
                old[bytes.fromhex(stored.old_hash)] = (stored.key, stored.old_until)
        with self._lock:
            self._snapshot = _Snapshot(_keyed(server_secret), current, old)
            waiting, self._waiting = self._waiting, []
        for loop, future in waiting:
            try:
                loop.call_soon_threadsafe(_release, future)
            except RuntimeError:
                # That loop was closed while its call waited: nobody is left to tell.
                continue

    @property
    def loaded(self) -> bool:
        """Whether there are keys to look up, be they none."""
        return self._snapshot is not None

    async def ready(self) -> None:
        """Wait until the keys have been loaded once. Raises `Overloaded` after `load_timeout` seconds."""
        if self.loaded:
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        if not self._enlist((loop, future)):
            return
        try:
            await asyncio.wait_for(future, self._load_timeout)
        except TimeoutError:
            raise Overloaded("The keys have not been loaded yet; try again shortly.", retry_after=1.0) from None
        finally:
            with self._lock:
                self._waiting = [waiter for waiter in self._waiting if waiter[1] is not future]

    def _enlist(self, waiter: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]) -> bool:
        """Have the waiter told of the first load; False where it has just happened."""
        with self._lock:
            if self._snapshot is None:
                self._waiting.append(waiter)
            return self._snapshot is None

    def status(self) -> dict[str, int | bool]:
        """`loaded`, and how many `keys` there are."""
        snapshot = self._snapshot
        return {"loaded": self.loaded, "keys": 0 if snapshot is None else len(snapshot.current)}


def _release(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
