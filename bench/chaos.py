"""`python -m bench.chaos`: three simulated providers, of which one fails and heals and one turns slow and heals.

What the clients notice of it, at a fixed rate of calls: errors, the time to the first byte, and how a provider
that has healed gets its calls back. The gateway has no setting but the targets' names. The verdict is printed, and the
whole course drawn into `docs/figures/chaos.png` where matplotlib is installed.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import click
import msgspec
import uvloop
from msgspec import Struct, structs

from bench.chaos_figure import draw
from bench.gateway import command, environment
from bench.machine import UNDER_TEST, free_port
from bench.pacer import Pacer, Sample, percentile
from bench.processes import Process
from trunkline.sim.server import Handle, start
from trunkline.sim.settings import Settings

ADMIN = "benchmark-of-chaos"
HEALTHY = Settings(ttft=0.2, faults="length=5", keep_calls=1)
PROVIDERS = ("one", "two", "three")
EVERY = 0.5
"""Seconds between two looks at the gateway's health page."""
WARM = 12.0
"""Seconds after the start from which on the run counts as healthy."""
SETTLED = 5.0
"""Seconds after a change from which on the first byte must come in time."""
FAIR = 0.8
"""A provider is back once it gets this share of what is its due."""

MOST_ERRORS, MOST_LATER, MOST_RECOVERY, MOST_RUSH = 0.001, 1.5, 30.0, 1.5
"""The share of calls that fail; the 99th percentile of the first byte over that of the healthy run; seconds until a
healed provider is back; calls a second that it gets over its due, at most."""

_CONFIG = """\
listen: 127.0.0.1:{port}
auth: open
admin_key: {admin}
providers:
{providers}
models:
  demo: {{strategy: weighted, targets: [{targets}]}}
state: {{durable: null, directory: "{directory}"}}
log: {{format: json, level: warning}}
"""


class Phase(Struct, frozen=True):
    """A stretch of the run, in which one provider is changed."""

    name: str
    seconds: float
    provider: int = 0
    settings: Settings = HEALTHY


PHASES = (
    Phase("all well", 25.0),
    Phase("two: 30 % fail", 20.0, 1, structs.replace(HEALTHY, faults="length=5+503+no-retry-after+rate=0.3")),
    Phase("two has healed", 35.0, 1),
    Phase("three: 10 x slower", 20.0, 2, structs.replace(HEALTHY, ttft=2.0)),
    Phase("three has healed", 35.0, 2),
)


class Look(Struct, frozen=True):
    """What the health page says of a provider's target. `ended`: attempts so far."""

    at: float
    provider: str
    state: str
    ended: int


class Course(Struct, frozen=True):
    rate: float
    stream: bool
    samples: list[Sample]
    looks: list[Look]
    cpu: tuple[float, float]
    """Seconds: the gateway's, and those of the load with the providers."""

    def starts(self) -> list[float]:
        """When each phase begins."""
        return [sum(each.seconds for each in PHASES[:number]) for number in range(len(PHASES))]

    def first_bytes(self, start: float, end: float) -> list[float]:
        return [each.first for each in self.samples if start <= each.at < end and each.good]

    def attempts(self, provider: str) -> list[tuple[float, float]]:
        """Attempts a second at a provider, over two looks each."""
        seen = [each for each in self.looks if each.provider == provider]
        return [(b.at, (b.ended - a.ended) / (b.at - a.at)) for a, b in zip(seen[:-2], seen[2:], strict=True)]


async def _get(port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"GET {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {ADMIN}\r\nconnection: close\r\n\r\n"
    writer.write(head.encode())
    answer = await reader.read()
    writer.close()
    return answer.partition(b"\r\n\r\n")[2]


async def _looked(port: int, looks: list[Look]) -> None:
    clock = asyncio.get_running_loop().time
    begun = clock()
    while True:
        rows = msgspec.json.decode(await _get(port, "/admin/v1/health"))["targets"]
        for row in rows:
            provider = row["target"].partition("/")[0]
            looks.append(Look(clock() - begun, provider, row["state"], row["successes"] + row["failures"]))
        await asyncio.sleep(EVERY)


async def _played(sims: Sequence[Handle]) -> None:
    """Change the providers as the phases say."""
    for phase in PHASES:
        click.echo(phase.name, err=True)
        sims[phase.provider].app.settings = phase.settings
        await asyncio.sleep(phase.seconds)


def _post(port: int, stream: bool) -> bytes:
    asked = {"model": "demo", "stream": stream, "messages": [{"role": "user", "content": "How are you?"}]}
    body = msgspec.json.encode(asked)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


def _configuration(port: int, directory: Path, urls: Sequence[str]) -> str:
    named = zip(PROVIDERS, urls, strict=True)
    rows = [f'  {name}: {{kind: openai, base_url: "{url}/v1", api_key: any}}' for name, url in named]
    targets = ", ".join(f"{{target: {name}/sim-small}}" for name in PROVIDERS)
    where = {"port": port, "directory": directory / "state", "admin": ADMIN}
    return _CONFIG.format(providers="\n".join(rows), targets=targets, **where)


async def course(rate: float, stream: bool, directory: Path) -> Course:
    async with AsyncExitStack() as opened:
        sims = [await start(settings=HEALTHY) for _ in PROVIDERS]
        for sim in sims:
            opened.push_async_callback(sim.aclose)
        port = free_port()
        config = directory / "trunkline.yaml"
        config.write_text(_configuration(port, directory, [sim.url for sim in sims]))
        words = command("serve", "--config", str(config))
        gateway = Process(words, UNDER_TEST, directory / "output", directory, environment())
        opened.callback(gateway.stop)
        await asyncio.to_thread(gateway.wait_for, port)
        looks: list[Look] = []
        looking = asyncio.ensure_future(_looked(port, looks))
        load = asyncio.ensure_future(Pacer([port], _post(port, stream)).run(rate, sum(each.seconds for each in PHASES)))
        await _played(sims)
        samples = await load
        looking.cancel()
        return Course(rate, stream, samples, looks, (gateway.cpu, time.process_time()))


class Verdict(Struct, frozen=True):
    what: str
    value: float
    most: float

    @property
    def good(self) -> bool:
        return self.value <= self.most


def judged(run: Course) -> list[Verdict]:
    begins, due = run.starts(), run.rate / len(PROVIDERS)
    failed = sum(not each.good for each in run.samples)
    verdicts = [Verdict("calls that failed, of all", failed / len(run.samples), MOST_ERRORS)]
    healthy = percentile(run.first_bytes(WARM, begins[1]), 0.99)
    what = f"p99 of the first byte over the healthy {healthy:.3f} s"
    for begin, phase in zip(begins[1:], PHASES[1:], strict=True):
        late = percentile(run.first_bytes(begin + SETTLED, begin + phase.seconds), 0.99)
        verdicts.append(Verdict(f"{phase.name}: {what}", late / healthy, MOST_LATER))
    for begin, phase in zip(begins, PHASES, strict=True):
        if phase.name.endswith("healed"):
            name, end = PROVIDERS[phase.provider], begin + phase.seconds
            shares = [(at - begin, rate / due) for at, rate in run.attempts(name) if begin < at < end]
            back = next((at for at, share in shares if share >= FAIR), float("inf"))
            verdicts.append(Verdict(f"{name}: seconds until it is back", back, MOST_RECOVERY))
            most = max(share for _, share in shares)
            verdicts.append(Verdict(f"{name}: calls a second over its due, at most", most, MOST_RUSH))
    return verdicts


@click.command(help=__doc__)
@click.option("--rate", type=click.IntRange(10, 2000), default=500, show_default=True, help="Calls a second.")
@click.option("--figure", type=click.Path(path_type=Path), default=Path("docs/figures/chaos.png"), show_default=True)
@click.option("--whole", is_flag=True, help="Ask for whole answers rather than streams.")
def main(rate: int, figure: Path, whole: bool) -> None:
    with ExitStack() as opened:
        directory = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        run = uvloop.run(course(rate, not whole, directory))
        said = [line for line in (directory / "output").read_text().splitlines() if "trunkline.health" in line]
    verdicts = judged(run)
    for each in verdicts:
        click.echo(f"{'ok ' if each.good else 'NOT'} {each.what}: {each.value:.4g} (at most {each.most:g})")
    statuses = Counter(each.status for each in run.samples)
    click.echo(f"{len(run.samples)} calls at {rate} a second, by status: {dict(statuses)}")
    spent = [seconds / len(run.samples) * 1e6 for seconds in run.cpu]
    click.echo(f"CPU: {spent[0]:.0f} us a call in the gateway, {spent[1]:.0f} us in the load and the providers")
    for line in said:
        told = msgspec.json.decode(line)
        click.echo(f"{told['time'][11:19]} {told['message']}", err=True)
    draw(run, figure)
    sys.exit(0 if all(each.good for each in verdicts) else 1)


if __name__ == "__main__":
    main()
