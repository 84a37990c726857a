"""Keys: one suite for both engines, and the ring that the hot path reads."""

from __future__ import annotations

import asyncio
import re
import threading
from typing import Any

import msgspec
import pytest

from trunkline.core.errors import Overloaded
from trunkline.state.auth_secret import server_secret
from trunkline.state.database import Database
from trunkline.state.keyring import MAX_SECRET, MemoryKeyRing
from trunkline.state.keys import MAX_GRACE, KeySpec, KeyStore
from trunkline.state.location import StateError

SECRET = b"s" * 32


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(database: Database, clock: Clock) -> KeyStore:
    return KeyStore(database, SECRET, clock)


def ring_of(store: KeyStore, clock: Clock) -> MemoryKeyRing:
    ring = MemoryKeyRing(clock)
    ring.replace(SECRET, store.load())
    return ring


FULL = KeySpec(
    name="ci ünï",
    owner="team@example.com",
    tags=("a", "b"),
    models=("gpt-*", "smart"),
    expires_at=2_000_000.0,
    capture="full",
    metadata={"cost": {"centre": 42}},
    team="research",
    limits=("requests=600/minute", "cost=5/day soft"),
    priority="batch",
)


def test_a_key_is_kept_as_asked_and_its_secret_is_not(store: KeyStore, database: Database) -> None:
    key, secret = store.create(FULL)
    assert re.fullmatch(r"tl-[A-Za-z0-9_-]{43}", secret)
    assert key.prefix == secret[:9]
    assert {name: getattr(key, name) for name in FULL.__struct_fields__} == msgspec.structs.asdict(FULL)
    assert [stored.key for stored in store.load()] == [key] == [store.get(key.id)] == [store.get("ci ünï")]
    with database.read() as connection:
        rows = [str(row) for row in connection.exec_driver_sql("SELECT * FROM keys")]
    assert secret[9:] not in "".join(rows)


def test_the_ring_finds_a_key_by_its_secret_alone(store: KeyStore, clock: Clock) -> None:
    key, secret = store.create(FULL)
    plain, other = store.create(KeySpec("plain"))
    ring = ring_of(store, clock)
    assert ring.find(secret.encode()) == key
    assert ring.find(other.encode()) == plain
    assert plain.models is None
    for wrong in (b"", b"tl-", secret[:-1].encode(), b"x" * (MAX_SECRET + 1), "tl-ü".encode("latin-1")):
        assert ring.find(wrong) is None
    assert ring.status() == {"loaded": True, "keys": 2}


def test_disabled_and_expired_keys_are_found_as_such(store: KeyStore, clock: Clock) -> None:
    _, secret = store.create(FULL)
    store.set_disabled("ci ünï", True)
    found = ring_of(store, clock).find(secret.encode())
    assert found is not None
    assert found.disabled
    store.set_disabled("ci ünï", False)
    clock.now = 3_000_000.0
    found = ring_of(store, clock).find(secret.encode())
    assert found is not None
    assert (found.disabled, found.expires_at) == (False, 2_000_000.0)


def test_rotation_ends_the_old_secret_at_once_or_after_its_grace(store: KeyStore, clock: Clock) -> None:
    key, first = store.create(KeySpec("k"))
    rotated, second = store.rotate("k", grace=60)
    assert (rotated.id, rotated.name) == (key.id, key.name)
    ring = ring_of(store, clock)
    assert ring.find(first.encode()) == ring.find(second.encode()) == rotated
    clock.now += 60
    assert ring.find(first.encode()) is None
    assert ring.find(second.encode()) == rotated
    _, third = store.rotate(key.id)
    ring = ring_of(store, clock)
    assert [ring.find(s.encode()) is not None for s in (first, second, third)] == [False, False, True]


def test_every_change_shows_in_the_revision(store: KeyStore) -> None:
    seen = [store.revision()]
    key, _ = store.create(KeySpec("k"))
    for change in (
        lambda: None,
        lambda: store.set_disabled("k", True),
        lambda: store.rotate("k"),
        lambda: store.delete(key.id),
    ):
        change()
        seen.append(store.revision())
    assert seen[0] is None
    assert len(set(seen)) == len(seen)
    assert store.load() == []


def test_rotations_at_once_follow_one_another(store: KeyStore, clock: Clock) -> None:
    store.create(KeySpec("k"))
    secrets: list[str] = []
    threads = [threading.Thread(target=lambda: secrets.append(store.rotate("k", 60)[1])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    ring = ring_of(store, clock)
    assert sum(ring.find(secret.encode()) is not None for secret in secrets) == 2


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "key_x"}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"owner": ""}, "owner"),
        ({"tags": ("x" * 201,)}, "tags"),
        ({"tags": ("t",) * 101}, "tags"),
        ({"models": ()}, "models"),
        ({"models": ("",)}, "models"),
        ({"expires_at": 999_999.0}, "expires_at"),
        ({"expires_at": float("nan")}, "expires_at"),
        ({"capture": "everything"}, "capture"),
        ({"metadata": {"x": "y" * 17_000}}, "metadata"),
    ],
)
def test_a_bad_field_is_named(store: KeyStore, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(StateError, match=f"^{field}: "):
        store.create(msgspec.structs.replace(FULL, **changes))
    assert store.load() == []


def test_what_cannot_be_done_says_why(store: KeyStore) -> None:
    store.create(KeySpec("k"))
    with pytest.raises(StateError, match=r"^name: there is a key named 'k' already"):
        store.create(KeySpec("k"))
    for act in (store.get, store.rotate, store.delete, lambda ref: store.set_disabled(ref, True)):
        with pytest.raises(StateError, match=r"^key: there is none with the id or name 'nobody'"):
            act("nobody")
    with pytest.raises(StateError, match=r"^key: there is none"):
        store.get("no\0body")
    for grace in (-1, MAX_GRACE + 1, float("nan")):
        with pytest.raises(StateError, match=r"^grace: "):
            store.rotate("k", grace)


def test_another_server_secret_is_noticed(database: Database, store: KeyStore) -> None:
    other = KeyStore(database, b"t" * 32)
    assert other.secret_matches()
    store.create(KeySpec("k"))
    assert store.secret_matches()
    assert not other.secret_matches()
    for act in (lambda: other.create(KeySpec("l")), lambda: other.rotate("k")):
        with pytest.raises(StateError, match=r"^auth_secret: the keys in this database were made with another"):
            act()
    store.delete("k")
    other.create(KeySpec("l"))
    assert other.secret_matches()


def test_the_server_secret_is_made_once_and_kept(database: Database) -> None:
    made = server_secret(database, None)
    assert len(made) == 64
    assert server_secret(database, None) == made
    assert server_secret(database, "c" * 32) == b"c" * 32
    with pytest.raises(StateError, match=r"^auth_secret: at least 32 characters"):
        server_secret(database, "short")


async def test_ready_waits_for_the_first_load_and_no_longer() -> None:
    ring = MemoryKeyRing()
    waiting = [asyncio.create_task(ring.ready()) for _ in range(3)]
    await asyncio.sleep(0)
    assert ring.find(b"tl-x") is None
    thread = threading.Thread(target=ring.replace, args=(SECRET, []))
    thread.start()
    await asyncio.gather(*waiting)
    await ring.ready()
    thread.join()


async def test_ready_gives_up_in_bounded_time() -> None:
    with pytest.raises(Overloaded) as caught:
        await MemoryKeyRing(load_timeout=0.01).ready()
    assert caught.value.retry_after == 1.0
