"""CPU per chunk of streams that arrive one event at a time, and how many of them one core carries without a stall."""

from __future__ import annotations

from collections.abc import Iterator

import uvloop

from bench.figures import Figure
from bench.gateway import Source
from bench.meter import Meter, ratio
from bench.processes import Process, StartFailed
from bench.readers import Asked, Fleet, asked
from bench.rig import Rig

STREAMS = 120
"""At 50 chunks a second each: 6,000 a second keep the core busy and do not fill it."""
COALESCED = 0.9
"""Reads per event below which chunks did not travel one by one, so that the figure would flatter."""
WARM_UP = 10
"""Chunks of the first answer, which opens the connections on both sides."""
STALL = 0.1
"""Seconds without a chunk that a reader notices."""
SPREAD = 1.0
"""Seconds over which the requests of one round begin."""
SLOW = 1.1
"""A round that takes longer than this times what its pace asks for has not kept it."""
CAPACITY_STEP, CAPACITY_MAX = 50, 1200


def per_chunk(rig: Rig, process: Process, question: Asked) -> Meter:
    """Raises StartFailed where chunks came in clumps."""
    chunks = round(rig.seconds * Source.PACE)

    meter = Meter(process)

    async def run() -> None:
        fleet = await Fleet.connect(question.port, STREAMS)
        await fleet.run(question, WARM_UP)
        for _ in range(rig.rounds):
            with meter.round() as units:
                seen = await fleet.run(question, chunks)
                units.append(STREAMS * chunks)
            if seen.events < STREAMS * chunks or seen.reads < COALESCED * seen.events:
                raise StartFailed(f"{seen.events} events in {seen.reads} reads, for {STREAMS} streams of {chunks}")
        fleet.close()

    uvloop.run(run())
    return meter


PAIRS = (
    # name, target, client's family, upstream's family, whose chunks the yardstick relays
    ("stream, OpenAI to OpenAI", 2.5, "chat", "chat"),
    ("stream, Anthropic to Anthropic", 2.5, "anthropic", "anthropic"),
    ("stream, OpenAI to Anthropic", 4.0, "chat", "anthropic"),
    ("stream, Anthropic to OpenAI", 4.0, "anthropic", "chat"),
)


def chunks(rig: Rig) -> Iterator[Figure]:
    base = {family: yardstick(rig, family) for family in ("chat", "anthropic")}
    for name, target, client, upstream in PAIRS:
        ours = per_chunk(rig, rig.gateway.process, rig.gateway.asked(client, upstream, stream=True))
        yield ratio(name, target, ours, base[upstream], f"{STREAMS} streams, 50 chunks/s each")


def yardstick(rig: Rig, family: str) -> Meter:
    """What nginx uses to relay a family's chunks."""
    return per_chunk(rig, rig.yardstick.process, asked(rig.yardstick.streams, family))


def carries(rig: Rig, question: Asked, streams: int) -> tuple[bool, float]:
    """Whether so many streams all flow at their pace and without a stall, and the longest wait in seconds. The better
    of two rounds."""
    chunks = round(rig.seconds * Source.PACE)
    due = chunks / Source.PACE + SPREAD

    async def run() -> list[tuple[bool, float]]:
        fleet = await Fleet.connect(question.port, streams)
        try:
            await fleet.run(question, WARM_UP, SPREAD)
            seen = [await fleet.run(question, chunks, SPREAD) for _ in range(2)]
        finally:
            fleet.close()
        # A source or a gateway that cannot keep up slows all streams alike: no wait is long, and the end comes late.
        return [(max(each.gaps) <= STALL and each.seconds <= SLOW * due, max(each.gaps)) for each in seen]

    rounds = uvloop.run(run())
    return any(fits for fits, _ in rounds), min(longest for _, longest in rounds)


def most(rig: Rig, question: Asked) -> tuple[int, dict[str, list[float]]]:
    """The most streams carried, by halving, to within `CAPACITY_STEP`; and every count tried with its longest wait in
    milliseconds."""
    low, high = 0, CAPACITY_MAX
    tried: dict[str, list[float]] = {"streams": [], "longest wait ms": []}
    while high - low > CAPACITY_STEP:
        streams = (low + high) // 2 // CAPACITY_STEP * CAPACITY_STEP
        fits, longest = carries(rig, question, streams)
        tried["streams"].append(streams)
        tried["longest wait ms"].append(longest * 1e3)
        low, high = (streams, high) if fits else (low, streams)
    return low, tried


def capacity(rig: Rig) -> Iterator[Figure]:
    found, tried = most(rig, rig.gateway.asked("chat", "chat", stream=True))
    fits, longest = carries(rig, asked(rig.source.port, "chat"), found + CAPACITY_STEP)
    control = f"source and reader alone at {found + CAPACITY_STEP}: longest wait {longest * 1e3:.0f} ms"
    if not fits:
        control += ", so the load may be the limit"
    name = "streams at 50 chunks/s, no stall over 100 ms"
    yield Figure(name, found, "streams", 500, "at least", note=control, samples=tried)
