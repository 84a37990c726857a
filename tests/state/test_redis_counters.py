"""Counters on a real Redis: the same as the plain list, step by step and from several processes at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.state.counters_model import Machine
from tests.state.redis_process import Process
from tests.state.redis_server import RedisServer
from trunkline.core.limit import Grant, Refusal, Want
from trunkline.policy.quota import FIXED, NOW, ROLLING
from trunkline.state.redis import client
from trunkline.state.redis.counters import RedisCounters
from trunkline.state.redis.debts import Unsettled
from trunkline.state.redis.scripts import Script, read_scripts


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def processes(redis: RedisServer) -> AsyncIterator[list[Process]]:
    """Three of them, on an empty Redis."""
    redis.command("FLUSHALL")
    made = [Process(redis.url) for _ in range(3)]
    for each in made:
        await each.open()
    yield made
    for each in made:
        await each.client.aclose()


# ── The same arithmetic ──────────────────────────────────────────────────────────────────────────────────────────────

_SERVER: list[RedisServer] = []


@pytest.fixture(scope="module", autouse=True)
def _of_the_machine(redis: RedisServer) -> Iterator[None]:
    """Its event loop stands still between steps, so nothing may be expected of it in the meantime."""
    _SERVER.append(redis)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "BEAT", 3600.0)
        yield
    _SERVER.clear()


def _by_a_clock_of_ours() -> dict[str, Script]:
    """The scripts, with the one thing replaced that a test must decide: the time."""
    real = b"redis.call('TIME')"
    made = {}
    for name, script in read_scripts().items():
        assert script.text.count(real) == 1
        made[name] = Script.of(name, script.text.replace(real, b"cjson.decode(redis.call('GET', 'clock'))"))
    return made


class RedisMachine(Machine):
    def opened(self) -> RedisCounters:
        _SERVER[0].command("FLUSHALL")
        self.process = Process(_SERVER[0].url)
        self.process.client.scripts = _by_a_clock_of_ours()
        self._set_clock()
        self.run(self.process.open())
        return self.process.counters

    def _set_clock(self) -> None:
        _SERVER[0].command("SET", "clock", f'["{self.now // 1000}", "{self.now % 1000 * 1000}"]')

    def run(self, awaitable):  # type: ignore[no-untyped-def]
        self._set_clock()
        return self.loop.run_until_complete(awaitable)

    def settled(self) -> None:
        self.run(self._all_done())

    async def _all_done(self) -> None:
        await self.process.client.send("PING")

    def teardown(self) -> None:
        assert self.process.alone.admitted == 0, "a decision was not Redis's"
        self.run(self.process.client.aclose())
        super().teardown()


TestRedisCounters = RedisMachine.TestCase
TestRedisCounters.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


# ── Several processes ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_processes_together_get_what_there_is_and_no_more(processes: list[Process]) -> None:
    wants = (
        Want("requests", FIXED["day"], 150, kept=True),
        Want("tokens", ROLLING["hour"], 990),
        Want("calls", NOW, 120),
    )

    async def round_of_calls() -> list[tuple[Process, Grant]]:
        answers = await asyncio.gather(
            *(each.counters.take(wants, (1, 10, 1), 60_000) for _ in range(100) for each in processes)
        )
        pairs = zip([each for _ in range(100) for each in processes], answers, strict=True)
        return [(process, answer) for process, answer in pairs if isinstance(answer, Grant)]

    granted = await round_of_calls()
    assert len(granted) == 99  # the tokens are what there is least of
    for process, grant in granted[:50]:
        process.counters.settle(grant, (1, 4, 0))
    asked = [(want.counter, want.window) for want in wants]
    await processes[0].holds(asked, [99, 690, 49])
    assert len(await round_of_calls()) == 30


async def test_what_a_dead_process_held_returns_when_its_lease_ends(processes: list[Process]) -> None:
    wants = (Want("calls", NOW, 1), Want("requests", FIXED["day"], 10, kept=True))
    assert isinstance(await processes[0].counters.take(wants, (1, 1), 1000), Grant)
    refusal = await processes[1].counters.take(wants, (1, 1), 1000)
    assert isinstance(refusal, Refusal)
    assert (refusal.want.counter, refusal.total, refusal.wait) == ("calls", 1, 0)
    end = time.monotonic() + 5
    while not isinstance(answer := await processes[1].counters.take(wants, (1, 1), 1000), Grant):
        assert time.monotonic() < end
        await asyncio.sleep(0.05)
    assert answer.totals == (1, 2)  # a call that was let in was let in


async def test_a_refusal_names_the_tightest_limit_and_when_to_come_back(processes: list[Process]) -> None:
    wants = (Want("a", FIXED["minute"], 5), Want("b", FIXED["month"], 5), Want("c", ROLLING["hour"], 5))
    assert isinstance(await processes[0].counters.take(wants, (5, 5, 5), 60_000), Grant)
    refusal = await processes[0].counters.take(wants, (1, 1, 1), 60_000)
    assert isinstance(refusal, Refusal)
    assert refusal.want.counter == "b"
    assert refusal.wait is not None
    assert 0 < refusal.wait <= 31 * 86_400_000
    never = await processes[0].counters.take(wants, (6, 1, 1), 60_000)
    assert isinstance(never, Refusal)
    assert (never.want.counter, never.wait) == ("a", None)


async def test_every_key_is_ours_shares_a_slot_and_expires(processes: list[Process], redis: RedisServer) -> None:
    wants = (Want("a", FIXED["day"], 5), Want("b", FIXED["month"], 5), Want("c", NOW, 5))
    grant = await processes[0].counters.take(wants, (1, 1, 1), 500)
    assert isinstance(grant, Grant)
    await processes[0].counters.take(wants, (1, 1, 1), 60_000)
    await asyncio.sleep(1.5)
    assert await processes[0].counters.read([("c", NOW)]) == [1]
    keys = [bytes(key) for key in await processes[0].client.send("KEYS", "*")]
    assert len(keys) == 8  # three counters; leases, held, ended; living, name
    for key in keys:
        assert key.startswith(b"{trunkline}:")
        assert await processes[0].client.send("PTTL", key) > 0


async def test_a_settlement_counts_once_however_often_it_is_sent(processes: list[Process]) -> None:
    one = processes[0]
    wants = (Want("a", FIXED["day"], 100),)
    grant = await one.counters.take(wants, (10,), 60_000)
    assert isinstance(grant, Grant)
    for first in (True, False, False):
        one.debts._settle(Unsettled(grant, (7,), first))
    await one.holds([("a", FIXED["day"])], [7])


async def test_scripts_that_redis_forgot_are_loaded_again(processes: list[Process], redis: RedisServer) -> None:
    wants = (Want("a", FIXED["day"], 100),)
    redis.command("SCRIPT", "FLUSH")
    assert isinstance(await processes[0].counters.take(wants, (1,), 60_000), Grant)  # decided alone
    assert isinstance(await processes[0].counters.take(wants, (1,), 60_000), Grant)
    assert processes[0].alone.admitted == 1
    assert processes[0].client.up
