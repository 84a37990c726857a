"""A process that calls until the limit is used up: `python -m tests.state.redis_worker URL SEED CALLERS`.

What it does it says at once, a word a line: `took`, and when a call has ended `used N`. So whoever kills it knows what
it had done.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys

from trunkline.core.limit import Grant, Want
from trunkline.policy.outage import RedisSettings
from trunkline.policy.quota import FIXED, NOW, ROLLING
from trunkline.state.hot import RedisHot

WANTS = (
    Want("key:k requests", FIXED["day"], 3000, kept=True),
    Want("key:k tokens", ROLLING["hour"], 30_000),
    Want("team:t cost", FIXED["month"], 10**12),
    Want("key:k calls", NOW, 250),
)
AMOUNTS = (1, 100, 10**6, 1)
LEASE = 2000


def say(what: str) -> None:
    os.write(1, f"{what}\n".encode())


async def caller(hot: RedisHot, rng: random.Random) -> None:
    """Calls that succeed, fail or are cancelled, until there is nothing left to call for."""
    while True:
        grant = await hot.counters.take(WANTS, AMOUNTS, LEASE)
        if not isinstance(grant, Grant):
            if grant.want is WANTS[0]:
                return
            await asyncio.sleep(rng.random() * 0.5)
            continue
        say("took")
        assert all(total <= want.most for want, total in zip(WANTS, grant.totals, strict=True))
        used = rng.choice([0, 0, rng.randrange(12)])
        try:
            async with asyncio.timeout(0.005 if rng.random() < 0.2 else None):
                await asyncio.sleep(rng.random() * 0.02)
        except TimeoutError:
            used = 0
        say(f"used {used}")
        hot.counters.settle(grant, (1, used, used * 1000, 0))


async def main(url: str, seed: str, callers: str) -> None:
    hot = RedisHot(url, RedisSettings(deadline=1.0))
    await hot.open()
    async with asyncio.timeout(10.0):
        while not hot.status()["up"]:  # on a busy machine the first answer may come too late
            await asyncio.sleep(0.01)
    await asyncio.gather(*(caller(hot, random.Random(f"{seed} {number}")) for number in range(int(callers))))
    assert hot.gauges()["trunkline_hot_decisions_alone"] == 0
    await hot.aclose()
    say("done")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
