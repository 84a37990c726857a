"""CPU per request, not streamed: the same dialect on both sides, and translated."""

from __future__ import annotations

from collections.abc import Iterator

from bench import wrk
from bench.figures import Figure
from bench.meter import Meter, ratio
from bench.readers import asked
from bench.rig import Rig

SMALL, LARGE = 1000, 5900
"""Bytes of a request: a short question, and a conversation that has gone on for a while."""
WARM_UP = 1.0


def compare(rig: Rig, name: str, target: float, target_family: str, size: int) -> Figure:
    """An OpenAI client to a provider of some family, beside the yardstick; the rounds alternate."""
    pairs = (
        (Meter(rig.gateway.process), rig.gateway.asked("chat", target_family)),
        (Meter(rig.yardstick.process), asked(rig.yardstick.port, "chat")),
    )
    for _, question in pairs:
        wrk.run(question, question.body(size), WARM_UP, rig.directory)
    for _ in range(rig.rounds):
        for meter, question in pairs:
            with meter.round() as units:
                load = wrk.run(question, question.body(size), rig.seconds, rig.directory)
                units.append(load.requests)
    return ratio(name, target, pairs[0][0], pairs[1][0])


def same_dialect(rig: Rig) -> Iterator[Figure]:
    yield compare(rig, "OpenAI to OpenAI, 1 kB", 4.5, "chat", SMALL)
    yield compare(rig, "OpenAI to OpenAI, 5.9 kB", 4.5, "chat", LARGE)


def translated(rig: Rig) -> Iterator[Figure]:
    yield compare(rig, "OpenAI to Anthropic, 1 kB", 6.5, "anthropic", SMALL)
