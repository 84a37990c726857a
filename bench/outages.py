"""`python -m bench.outages`: Redis and PostgreSQL die, stall, slow down and flap under load; what the clients notice.

One gateway with limits in Redis and its keys and ledger in PostgreSQL, a fixed rate of calls, and for each trouble
three stretches: before it, while it lasts, and after it has ended. Told: how many answers came of those that were due,
how much later than before it the slowest hundredth came, and whether the ledger has every answer in the end.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

import click
import uvloop
from msgspec import Struct

from bench.gateway import command, environment
from bench.machine import LOAD, UNDER_TEST, free_port
from bench.pacer import Pacer, Sample, percentile
from bench.processes import Process, StartFailed
from bench.readers import Asked
from bench.servers import Postgres, Redis, Relay, Server

BEFORE, DURING, AFTER = 2.0, 4.0, 2.0
"""Seconds."""
LEAST, LATEST = 0.9, 20.0
"""Share of the answers that must come, and milliseconds that the 99th percentile may come later."""
SLOW = 0.2
FLAP = 0.5
"""Seconds of each turn of a server that comes and goes."""
SHIPPED = 60.0

_CONFIG = """\
listen: 127.0.0.1:{port}
auth: required
providers:
  one: {{kind: openai, base_url: "http://127.0.0.1:{sim}/v1", api_key: any}}
models:
  demo: {{targets: [{{target: one/sim-small}}]}}
limits:
  - {{scope: key, allow: ["requests=1000000/minute", "tokens=1000000000/minute", "concurrent_requests=1000"]}}
auth_secret: "one secret for every run of this measurement"
state: {{hot: "redis://127.0.0.1:{redis}/0", durable: "{durable}", directory: "{directory}"}}
log: {{format: json, level: error}}
"""

Trouble = Callable[[Server, Relay], Awaitable[None]]
"""Makes trouble for `DURING` seconds, and ends it."""


async def _killed(server: Server, relay: Relay) -> None:
    await asyncio.to_thread(server.kill)
    await asyncio.sleep(DURING)
    await asyncio.to_thread(server.start)


async def _paused(server: Server, relay: Relay) -> None:
    server.pause()
    await asyncio.sleep(DURING)
    server.resume()


async def _slow(server: Server, relay: Relay) -> None:
    relay.delay = SLOW
    await asyncio.sleep(DURING)
    relay.delay = 0.0


async def _flapping(server: Server, relay: Relay) -> None:
    for _ in range(int(DURING / FLAP / 2)):
        server.pause()
        await asyncio.sleep(FLAP)
        server.resume()
        await asyncio.sleep(FLAP)


TROUBLES: dict[str, Trouble] = {"killed": _killed, "paused": _paused, "slow by 200 ms": _slow, "flapping": _flapping}


class Told(Struct, frozen=True):
    share: float
    """Of the calls that were due while the trouble lasted: answered."""
    later: float
    """Milliseconds: their 99th percentile above that of the time before."""
    samples: list[Sample]

    @property
    def good(self) -> bool:
        return self.share >= LEAST and self.later <= LATEST


async def _measured(asked: Asked, rate: float, trouble: Trouble, server: Server, relay: Relay) -> Told:
    load = asyncio.ensure_future(Pacer([asked.port], asked.http(asked.body(1000))).run(rate, BEFORE + DURING + AFTER))
    await asyncio.sleep(BEFORE)
    await trouble(server, relay)
    samples = await load
    before = [each.whole for each in samples if 0.5 < each.at < BEFORE]
    during = [each for each in samples if BEFORE <= each.at < BEFORE + DURING]
    later = percentile([each.whole for each in during], 0.99) - percentile(before, 0.99)
    return Told(sum(each.good for each in during) / len(during), later * 1e3, samples)


def _missing(url: str, wanted: set[str]) -> int:
    """Answers that are not in the ledger when everything had time to get there."""
    import psycopg

    deadline = time.monotonic() + SHIPPED
    while True:
        with psycopg.connect(url) as connection:
            rows = {row[0] for row in connection.execute("SELECT id FROM ledger WHERE status = 200")}
        if wanted <= rows or time.monotonic() > deadline:
            return len(wanted - rows)
        time.sleep(0.5)


class _Gateway:
    def __init__(self, directory: Path, **facts: object) -> None:
        self.port = free_port()
        config = directory / "trunkline.yaml"
        config.write_text(_CONFIG.format(port=self.port, directory=directory / "state", **facts))
        words = command("keys", "create", "demo", "--config", str(config))
        made = subprocess.run(words, capture_output=True, text=True, check=False, env=environment())
        if made.returncode:
            raise StartFailed(f"no key could be made: {made.stderr}")
        self.secret = made.stdout.strip()
        words = command("serve", "--config", str(config))
        self.process = Process(words, UNDER_TEST, directory / "output", directory, environment())
        self.process.wait_for(self.port)


@click.command(help=__doc__)
@click.option("--rate", type=click.IntRange(10, 2000), default=300, show_default=True, help="Calls a second.")
def main(rate: int) -> None:
    good = True
    with tempfile.TemporaryDirectory(prefix="trunkline-outages-") as name, ExitStack() as stack:
        directory = Path(name)
        redis = Redis(directory / "redis")
        stack.callback(redis.stop)
        postgres = Postgres()
        stack.callback(postgres.stop)
        sim = free_port()
        provider = Process(command("sim", "--port", str(sim), "--pace", "0", "--ttft", "0"), LOAD, directory / "sim")
        stack.callback(provider.stop)
        provider.wait_for(sim)
        hot, durable = stack.enter_context(Relay(redis.port)), stack.enter_context(Relay(postgres.port))
        gateway = _Gateway(directory, sim=sim, redis=hot.port, durable=postgres.url(durable.port))
        stack.callback(gateway.process.stop)
        asked = Asked(gateway.port, "chat", "demo", gateway.secret)
        uvloop.run(Pacer([asked.port], asked.http(asked.body(1000))).run(rate, BEFORE))
        wanted: set[str] = set()
        click.echo(f"{rate} calls a second; {DURING:.0f} s of trouble each\n")
        for server, relay, who in ((redis, hot, "Redis"), (postgres, durable, "PostgreSQL")):
            for what, trouble in TROUBLES.items():
                told = uvloop.run(_measured(asked, rate, trouble, server, relay))
                wanted |= {each.id for each in told.samples if each.good}
                good &= told.good
                line = f"{told.share:7.2%} answered, p99 {told.later:+7.1f} ms"
                click.echo(f"  {'yes' if told.good else 'NO ':3}  {who + ' ' + what:28} {line}")
        missing = _missing(postgres.url(), wanted)
        click.echo(
            f"  {'NO ' if missing else 'yes':3}  {'the ledger has every answer':28} {len(wanted)}, {missing} missing"
        )
    sys.exit(0 if good and not missing else 1)


if __name__ == "__main__":
    main()
