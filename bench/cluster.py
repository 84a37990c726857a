"""`python -m bench.cluster`: two gateways of two workers each share Redis and PostgreSQL; one of them is killed.

Everything runs on this machine's loopback: the stores, a simulated provider, the gateways, and a plain TCP balancer in
front of them. Calls come at a fixed rate, more of them than the limit lets in. In the middle one gateway loses its
power (SIGKILL to all its processes), and is started again later. Told at the end: what the clients saw, whether the
limit held to the call, and whether the ledger has every answer.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import uvloop

from bench.balancer import Balancer
from bench.gateway import command, environment
from bench.machine import LOAD, UNDER_TEST, free_port, tree
from bench.pacer import HUNG, Pacer, Sample
from bench.processes import Process, StartFailed
from bench.readers import Asked
from bench.servers import Postgres, Redis

_CONFIG = """\
listen: 127.0.0.1:{port}
auth: required
providers:
  one: {{kind: openai, base_url: "http://127.0.0.1:{sim}/v1", api_key: any}}
  two: {{kind: openai, base_url: "http://127.0.0.1:{sim}/v1", api_key: any}}
models:
  demo: {{strategy: least_busy, targets: [{{target: one/sim-small}}, {{target: two/sim-small}}]}}
  warm: {{targets: [{{target: one/sim-small}}]}}
limits:
  - {{models: [demo], allow: ["requests={limit}/month"]}}
auth_secret: "the same secret for every gateway of the demonstration"
state: {{hot: "redis://127.0.0.1:{redis}/0", durable: "{durable}", directory: "{directory}"}}
server: {{workers: 2}}
log: {{format: json, level: warning}}
"""
SHIPPED = 30.0
"""Seconds for the last entries to reach the database."""
WARM = 60.0
"""Seconds until a gateway must answer quickly."""
FLIGHT = 3.0
"""Seconds: no call takes so long here, so what fails was in work when the gateway died if it came so soon before."""


class Machine:
    """One gateway with its own directory, which it keeps over its death."""

    def __init__(self, directory: Path, name: str, **facts: Any) -> None:
        self.port = free_port()
        self._directory = directory / name
        self._directory.mkdir()
        self.config = self._directory / "trunkline.yaml"
        self.config.write_text(_CONFIG.format(port=self.port, directory=self._directory / "state", **facts))
        self.process: Process

    def start(self) -> None:
        words = command("serve", "--config", str(self.config))
        cores = UNDER_TEST | LOAD
        self.process = Process(words, cores, self._directory / "output", self._directory, environment())
        self.process.wait_for(self.port)

    def stop(self) -> None:
        self.process.stop()

    def kill(self) -> None:
        """As a power cut does: every process at once."""
        for each in tree(self.process.pid):
            os.kill(each, signal.SIGKILL)
        self.process.stop()


def _made_key(machine: Machine) -> str:
    words = command("keys", "create", "demo", "--config", str(machine.config))
    made = subprocess.run(words, capture_output=True, text=True, check=False, env=environment())
    if made.returncode:
        raise StartFailed(f"no key could be made: {made.stderr}")
    return made.stdout.strip()


async def _warmed(port: int, asked: Asked) -> None:
    """Every worker has its keys and prices: new connections go to any of them. Raises StartFailed."""
    post, deadline = asked.http(asked.body(1000)), time.monotonic() + WARM
    while time.monotonic() < deadline:
        samples = await Pacer([port], post).run(200, 0.1)
        if all(sample.good and sample.whole < 0.5 for sample in samples):
            return
    raise StartFailed(f"the gateway at port {port} is not ready")


async def _load(machines: list[Machine], secret: str, rate: float, seconds: float) -> tuple[list[Sample], float]:
    """The samples, and the moment of the kill."""
    for machine in machines:
        await _warmed(machine.port, Asked(machine.port, "chat", "warm", secret))
    balancer = Balancer([machine.port for machine in machines])
    port = await balancer.start()
    asked = Asked(port, "chat", "demo", secret)
    load = asyncio.ensure_future(Pacer([port], asked.http(asked.body(1000))).run(rate, seconds))
    await asyncio.sleep(seconds / 3)
    killed = seconds / 3
    await asyncio.to_thread(machines[0].kill)
    click.echo(f"  {killed:5.1f} s  one gateway is killed")
    await asyncio.sleep(seconds / 3)
    await asyncio.to_thread(machines[0].start)
    click.echo(f"  {2 * seconds / 3:5.1f} s  it is started again")
    samples = await load
    balancer.close()
    return samples, killed


def _in_ledger(url: str, wanted: set[str]) -> tuple[int, int]:
    """(answers with status 200 in the ledger, wanted ones that are missing), once nothing more arrives."""
    import psycopg

    deadline = time.monotonic() + SHIPPED
    while True:
        with psycopg.connect(url) as connection:
            rows = [row[0] for row in connection.execute("SELECT id FROM ledger WHERE status = 200 AND model = 'demo'")]
        missing = len(wanted - set(rows))
        if missing == 0 or time.monotonic() > deadline:
            return len(rows), missing
        time.sleep(0.2)


def _verdict(name: str, good: bool, said: str) -> bool:
    click.echo(f"  {'yes' if good else 'NO ':3}  {name:44} {said}")
    return good


def _judge(samples: list[Sample], killed: float, limit: int, durable: str) -> bool:
    answered = [sample for sample in samples if sample.good]
    refused = [sample for sample in samples if sample.status == 429]
    broken = [sample for sample in samples if sample.status == HUNG]
    beyond = [sample for sample in broken if not killed - FLIGHT < sample.at < killed + 0.1]
    others = len(samples) - len(answered) - len(refused) - len(broken)
    rows, missing = _in_ledger(durable, {sample.id for sample in answered})
    click.echo(f"\n{len(samples)} calls: {len(answered)} answered, {len(refused)} refused, {len(broken)} broken off")
    return all(
        [
            _verdict("no error but of calls in work at the kill", not beyond and not others, f"{len(beyond) + others}"),
            _verdict(
                "the limit holds to the call",
                limit - len(broken) <= len(answered) <= limit,
                f"{limit} allowed = {len(answered)} answered + {limit - len(answered)} that died with the gateway",
            ),
            _verdict("the ledger has every answer, once", missing == 0, f"{rows} rows, {missing} answers missing"),
        ]
    )


@click.command(help=__doc__)
@click.option("--rate", type=click.IntRange(10, 500), default=150, show_default=True, help="Calls a second.")
@click.option("--seconds", type=click.IntRange(6, 120), default=18, show_default=True, help="Length of the load.")
def main(rate: int, seconds: int) -> None:
    limit = rate * seconds * 9 // 10
    with tempfile.TemporaryDirectory(prefix="trunkline-cluster-") as name, ExitStack() as stack:
        directory = Path(name)
        click.echo("Starting Redis, PostgreSQL, a simulated provider and two gateways of two workers …")
        redis = Redis(directory / "redis")
        stack.callback(redis.stop)
        postgres = Postgres()
        stack.callback(postgres.stop)
        sim = free_port()
        provider = Process(command("sim", "--port", str(sim), "--pace", "0", "--ttft", "50ms"), LOAD, directory / "sim")
        stack.callback(provider.stop)
        provider.wait_for(sim)
        facts = {"sim": sim, "limit": limit, "redis": redis.port, "durable": postgres.url()}
        machines = [Machine(directory, each, **facts) for each in ("a", "b")]
        secret = _made_key(machines[0])
        for machine in machines:
            machine.start()
            stack.callback(machine.stop)
        click.echo(f"{rate} calls a second for {seconds} s, of which the limit lets in {limit}:")
        samples, killed = uvloop.run(_load(machines, secret, rate, seconds))
        good = _judge(samples, killed, limit, postgres.url())
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
