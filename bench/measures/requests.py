"""CPU per request, not streamed: the same dialect on both sides, and translated."""

from __future__ import annotations

from collections.abc import Iterator

from bench import wrk
from bench.figures import Figure
from bench.meter import Meter, ratio
from bench.payloads import request
from bench.readers import asked
from bench.rig import Rig

SMALL, LARGE = 1000, 5900
"""Bytes of a request: a short question, and a conversation that has gone on for a while."""
WARM_UP = 1.0


def compare(rig: Rig, name: str, target: float, provider: str, size: int) -> Figure:
    """An OpenAI client to one of the gateway's providers, beside the yardstick; the rounds alternate."""
    pairs = (
        (Meter(rig.gateway.process), rig.gateway.asked("openai", provider)),
        (Meter(rig.yardstick.process), asked(rig.yardstick.port, "openai")),
    )
    for _, question in pairs:
        wrk.run(question, request(question.model, size), WARM_UP, rig.directory)
    for _ in range(rig.rounds):
        for meter, question in pairs:
            with meter.round() as units:
                load = wrk.run(question, request(question.model, size), rig.seconds, rig.directory)
                units.append(load.requests)
    return ratio(name, target, pairs[0][0], pairs[1][0])


def same_dialect(rig: Rig) -> Iterator[Figure]:
    yield compare(rig, "OpenAI to OpenAI, 1 kB", 4.5, "openai", SMALL)
    yield compare(rig, "OpenAI to OpenAI, 5.9 kB", 4.5, "openai", LARGE)


def translated(rig: Rig) -> Iterator[Figure]:
    yield compare(rig, "OpenAI to Anthropic, 1 kB", 6.5, "anthropic", SMALL)
