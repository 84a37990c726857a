"""What it costs to be careful: limits, budgets, breaker and the latency strategy, beside the same call without them.

Both models are in one gateway, so that nothing else differs. The breaker and the adaptive ceiling watch every target
and cannot be switched off: the plain model has one target, of which it makes no choice.
"""

from __future__ import annotations

from collections.abc import Iterator

import uvloop

from bench import wrk
from bench.figures import Figure
from bench.gateway import GUARDED, PLAIN, Gateway
from bench.measures.requests import SMALL, WARM_UP
from bench.meter import Meter, above
from bench.pacer import Pacer, percentile
from bench.processes import StartFailed
from bench.readers import Asked, asked
from bench.rig import Rig
from bench.servers import Redis

EMBEDDED, SHARED = 25.0, 80.0
"""Microseconds of CPU that they may cost, counters in memory or in Redis (whose own CPU is not counted)."""
RATE = 2000
"""Calls a second at which the latency is measured."""
LATER = 2.0
"""Milliseconds that they may add to its 99th percentile."""


def guarded(rig: Rig) -> Iterator[Figure]:
    yield _above(rig, rig.gateway, "limits, budgets, breaker, latency strategy: embedded", EMBEDDED)
    redis = Redis(rig.directory / "redis")
    try:
        hot = f"redis://127.0.0.1:{redis.port}/0"
        gateway = Gateway(rig.directory / "sharing", rig.upstream.port, rig.source.port, hot=hot)
        try:
            yield _above(rig, gateway, "the same on Redis", SHARED)
            yield _later(rig, gateway)
        finally:
            gateway.process.stop()
    finally:
        redis.stop()


def _above(rig: Rig, gateway: Gateway, name: str, target: float) -> Figure:
    """CPU per request above the plain model's; the rounds alternate, nginx's among them."""
    pairs = (
        (Meter(gateway.process), gateway.public(PLAIN)),
        (Meter(gateway.process), gateway.public(GUARDED)),
        (Meter(rig.yardstick.process), asked(rig.yardstick.port, "chat")),
    )
    for _, question in pairs:
        wrk.run(question, question.body(SMALL), WARM_UP, rig.directory)
    for _ in range(rig.rounds):
        for meter, question in pairs:
            with meter.round() as units:
                units.append(wrk.run(question, question.body(SMALL), rig.seconds, rig.directory).requests)
    return above(name, target, *(meter for meter, _ in pairs))


def _later(rig: Rig, gateway: Gateway) -> Figure:
    """The 99th percentile at a fixed rate, above the plain model's: the least of the rounds."""
    rounds: dict[str, list[float]] = {PLAIN: [], GUARDED: []}
    for _ in range(rig.rounds):
        for name, times in rounds.items():
            times.append(_slowest(gateway.public(name), rig.seconds))
    added = [ours - base for ours, base in zip(rounds[GUARDED], rounds[PLAIN], strict=True)]
    title = f"added p99 on Redis at {RATE} calls a second"
    return Figure(title, min(added), "ms", LATER, ours=min(rounds[GUARDED]), detail_unit="ms", samples=rounds)


def _slowest(question: Asked, seconds: float) -> float:
    """Milliseconds. Raises StartFailed where calls fail."""
    samples = uvloop.run(Pacer([question.port], question.http(question.body(SMALL))).run(RATE, seconds))
    bad = [sample.status for sample in samples if not sample.good]
    if bad:
        raise StartFailed(f"{len(bad)} of {len(samples)} calls failed: {bad[:3]}")
    return percentile([sample.whole for sample in samples], 0.99) * 1e3
