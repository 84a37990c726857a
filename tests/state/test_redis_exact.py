"""Several processes with many calls each against the same limits, one of them killed: what was allowed was admitted, to
the unit, and what was reserved is back."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE

from tests.state.redis_process import Process
from tests.state.redis_server import RedisServer
from tests.state.redis_worker import LEASE, WANTS

PROCESSES, CALLERS = 8, 200
SWEPT_AT_ONCE = 50
"""As in the scripts."""


async def test_admitted_is_what_was_allowed(redis: RedisServer) -> None:
    command = [sys.executable, "-m", "tests.state.redis_worker", redis.url]
    workers = [
        await asyncio.create_subprocess_exec(*command, str(seed), str(CALLERS), stdout=PIPE)
        for seed in range(PROCESSES)
    ]
    victim = workers[0]
    assert victim.stdout is not None
    early = [await victim.stdout.readline() for _ in range(20)]
    victim.kill()
    outputs = [(await each.communicate())[0] for each in workers]
    words = [output.decode().split("\n") for output in outputs]
    assert [each[-2] for each in words[1:]] == ["done"] * (PROCESSES - 1)
    words[0] += [line.decode().strip() for line in early]

    took = sum(each.count("took") for each in words)
    used = [sum(int(word[5:]) for word in each if word.startswith("used ")) for each in words]
    assert WANTS[0].most - CALLERS <= took <= WANTS[0].most  # what is missing the killed one took and could not say
    observer = Process(redis.url)
    await observer.open()
    await asyncio.sleep(LEASE / 1000 + 1)
    for _ in range(CALLERS // SWEPT_AT_ONCE + 1):  # each look gives back a bounded number of leases
        counted = await observer.counters.read([(want.counter, want.window) for want in WANTS])
    await observer.client.aclose()
    assert counted[0] == WANTS[0].most
    assert sum(used[1:]) <= counted[1] <= sum(used)  # what the killed one used and could not settle returns
    assert counted[2] == counted[1] * 1000
    assert counted[3] == 0
