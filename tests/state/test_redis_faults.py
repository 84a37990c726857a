"""Redis killed, paused, slow, flapping and failing over, under load: nobody waits longer than the deadline, nobody gets
more than the stated bound, and what happened meanwhile is known to Redis afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import uvloop

from tests.state.redis_process import Process, until
from tests.state.redis_server import RedisServer, SlowWay
from trunkline.core.errors import Overloaded
from trunkline.core.limit import Grant, Refusal, Want
from trunkline.core.stores import StoreUnavailable
from trunkline.policy.outage import RedisSettings
from trunkline.policy.quota import FIXED, NOW, ROLLING, bucket_at

LOOPS = {"uvloop": uvloop.new_event_loop}
SETTINGS = RedisSettings(deadline=0.02, processes=2)
GENEROUS = (Want("calls", FIXED["day"], 10**9, kept=True), Want("tokens", ROLLING["minute"], 10**12))


@pytest.fixture
async def way(redis: RedisServer) -> AsyncIterator[SlowWay]:
    way = SlowWay(redis.port)
    await way.open()
    yield way
    await way.cut()


@pytest.fixture
async def processes(way: SlowWay) -> AsyncIterator[list[Process]]:
    """Two of them."""
    made = [Process(way.url, SETTINGS) for _ in range(2)]
    for each in made:
        await each.open()
    yield made
    for each in made:
        await each.client.aclose()


async def drive(process: Process, seconds: float, rate: int = 200) -> list[float]:
    """Calls at a steady rate; what each take cost, in seconds, sorted. Each uses one call and seven tokens."""
    costs: list[float] = []

    async def call() -> None:
        began = time.perf_counter()
        grant = await process.counters.take(GENEROUS, (1, 10), 60_000)
        costs.append(time.perf_counter() - began)
        assert isinstance(grant, Grant)
        process.counters.settle(grant, (1, 7))

    began, made, tasks = time.perf_counter(), 0, []
    while (passed := time.perf_counter() - began) < seconds:
        tasks += [asyncio.create_task(call()) for _ in range(int(passed * rate) - made)]
        made = len(tasks)
        await asyncio.sleep(0.005)
    await asyncio.gather(*tasks)
    return sorted(costs)


def p99(costs: list[float]) -> float:
    return costs[int(len(costs) * 0.99)]


async def accounted(process: Process, calls: int) -> None:
    """Redis knows of all of them."""
    await process.holds([(want.counter, want.window) for want in GENEROUS], [calls, 7 * calls])


async def test_killed_nothing_is_lost_but_what_redis_held_for_nobody(
    redis: RedisServer, processes: list[Process]
) -> None:
    one = processes[0]
    before = len(await drive(one, 0.3))
    await accounted(one, before)
    held = await one.counters.take(GENEROUS, (1, 10), 60_000)
    redis.stop()
    costs = await drive(one, 0.5)
    assert costs[-1] < 0.1
    assert p99(costs) < 0.02
    assert one.alone.admitted > 0.9 * len(costs)
    redis.start()
    # What Redis had kept is lost with it; what went on and what came since is told.
    await one.holds([(want.counter, want.window) for want in GENEROUS], [len(costs) + 1, 7 * len(costs) + 10])
    assert isinstance(held, Grant)
    one.counters.settle(held, (1, 3))
    await one.holds([(want.counter, want.window) for want in GENEROUS], [len(costs) + 1, 7 * len(costs) + 3])


async def test_paused_nobody_waits_and_all_is_told_afterwards(redis: RedisServer, processes: list[Process]) -> None:
    one = processes[0]
    made = len(await drive(one, 0.2))
    redis.pause()
    costs = await drive(one, 1.5)
    assert p99(costs) < 0.025
    assert one.client.counts.outages == 1
    redis.resume()
    await accounted(one, made + len(costs))
    more = await drive(one, 0.2)
    await accounted(one, made + len(costs) + len(more))


async def test_slow_by_200_ms_it_is_left_alone(way: SlowWay, processes: list[Process]) -> None:
    one = processes[0]
    made = len(await drive(one, 0.2))
    way.delay = 0.2
    costs = await drive(one, 1.5)
    assert p99(costs) < 0.025
    assert one.client.counts.late < 20
    assert not one.client.up
    way.delay = 0.0
    await accounted(one, made + len(costs))


async def test_flapping_it_is_asked_ever_more_rarely(way: SlowWay, processes: list[Process]) -> None:
    one = processes[0]
    costs: list[float] = []
    for _ in range(5):
        await way.cut()
        costs += await drive(one, 0.2)
        await way.open()
        costs += await drive(one, 0.3)
    costs.sort()
    assert p99(costs) < 0.025
    assert one.client.counts.outages <= 3
    await accounted(one, len(costs))


async def test_a_connection_that_ends_takes_no_settlement_with_it(way: SlowWay, processes: list[Process]) -> None:
    one = processes[0]
    grants = [await one.counters.take(GENEROUS, (1, 10), 60_000) for _ in range(50)]
    way.delay = 0.1  # settled, and the answer never comes
    for grant in grants[:25]:
        assert isinstance(grant, Grant)
        one.counters.settle(grant, (1, 7))
    await asyncio.sleep(0.02)
    await way.cut()
    await until(lambda: not one.client.up)
    for grant in grants[25:]:
        assert isinstance(grant, Grant)
        one.counters.settle(grant, (1, 7))
    way.delay = 0.0
    await way.open()
    await accounted(one, 50)


async def test_a_decision_that_nobody_waited_for_is_undone(way: SlowWay, processes: list[Process]) -> None:
    one = processes[0]
    wants = (Want("calls", NOW, 100), Want("requests", FIXED["day"], 100, kept=True))
    way.delay = 0.1
    late = await one.counters.take(wants, (1, 1), 60_000)
    gone = asyncio.create_task(one.counters.take(wants, (1, 1), 60_000))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    way.delay = 0.0
    assert isinstance(late, Grant)
    one.counters.settle(late, (0, 1))  # decided alone, and used
    await one.holds([(want.counter, want.window) for want in wants], [0, 1])


async def test_alone_the_processes_admit_no_more_than_was_left(way: SlowWay, processes: list[Process]) -> None:
    wants = (Want("requests", FIXED["day"], 100, kept=True),)

    async def admitted(calls: int) -> int:
        answers = [await each.counters.take(wants, (1,), 60_000) for _ in range(calls) for each in processes]
        return sum(isinstance(each, Grant) for each in answers)

    assert await admitted(20) == 40
    await way.cut()
    for each in processes:
        await until(lambda each=each: not each.client.up)
    assert 58 <= await admitted(100) <= 61  # 60 were left; one of the two had not heard of the last call
    await way.open()
    for each in processes:
        await until(lambda each=each: each.client.up)
    assert await admitted(100) <= 2
    found = (await processes[0].counters.read([("requests", FIXED["day"])]))[0]
    assert 98 <= found <= 101


async def test_calls_that_go_on_count_against_the_share(way: SlowWay, processes: list[Process]) -> None:
    one, two = processes
    wants = (Want("calls", NOW, 10),)
    before = [await one.counters.take(wants, (1,), 60_000) for _ in range(4)]
    await way.cut()
    for each in processes:
        await until(lambda each=each: not each.client.up)
    mine = [await one.counters.take(wants, (1,), 60_000) for _ in range(5)]
    assert [isinstance(each, Grant) for each in mine] == [True, False, False, False, False]  # its share is five
    assert sum([isinstance(await two.counters.take(wants, (1,), 60_000), Grant) for _ in range(9)]) == 5
    for grant in before:
        assert isinstance(grant, Grant)
        one.counters.settle(grant, (0,))
    assert sum([isinstance(await one.counters.take(wants, (1,), 60_000), Grant) for _ in range(9)]) == 4
    await way.open()
    await one.holds([("calls", NOW)], [10])


async def test_a_call_larger_than_a_share_may_try_again(way: SlowWay, processes: list[Process]) -> None:
    await way.cut()
    await until(lambda: not processes[0].client.up)
    refusal = await processes[0].counters.take((Want("tokens", FIXED["day"], 100),), (80,), 60_000)
    assert isinstance(refusal, Refusal)
    assert (refusal.want.most, refusal.wait) == (100, 1000)


async def test_refusing_is_a_choice(redis: RedisServer) -> None:
    one = Process(redis.url, RedisSettings(when_down="refuse"))
    await one.open()
    redis.stop()
    await until(lambda: not one.client.up)
    with pytest.raises(Overloaded):
        await one.counters.take(GENEROUS, (1, 1), 60_000)
    with pytest.raises(StoreUnavailable):
        await one.counters.read([("calls", FIXED["day"])])
    await one.client.aclose()


async def test_a_redis_that_is_not_there_at_the_start_is_found_later(redis: RedisServer) -> None:
    redis.stop()
    one = Process(redis.url, SETTINGS)
    await one.client.open(2.0)
    assert not one.client.up
    made = len(await drive(one, 0.2))
    redis.start()
    await accounted(one, made)
    await one.client.aclose()


async def test_emptied_under_our_feet_it_is_told_what_goes_on(redis: RedisServer, processes: list[Process]) -> None:
    one = processes[0]
    wants = (Want("calls", NOW, 5),)
    grants = [await one.counters.take(wants, (1,), 60_000) for _ in range(5)]
    told: list[float] = []
    for each in processes:
        each.client.emptied = told.append
    redis.command("FLUSHALL")
    await until(lambda: one.client.counts.outages == 1)
    await one.holds([("calls", NOW)], [5])
    assert len(told) == 1  # one of the two found it so
    assert abs(told[0] - time.time()) < 60
    assert isinstance(grants[0], Grant)
    one.counters.settle(grants[0], (0,))
    await one.holds([("calls", NOW)], [4])


async def test_what_was_used_before_redis_began_is_told_once(processes: list[Process]) -> None:
    one, two = processes
    window = FIXED["day"]
    present = bucket_at(window, time.time_ns() // 1_000_000)
    await one.counters.take((Want("requests", window, 100),), (1,), 60_000)
    for each in (one, one, two):
        each.debts.plant("requests", window, {present - 1: 50, present: 20})
        await each.debts.pay()
    await one.holds([("requests", window)], [21])
    assert await two.counters.read([("requests", window)]) == [21]
