"""The measures, by name, in the order in which they are run. Each takes a rig and gives figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.figures import Figure
from bench.measures import controls, families, footprint, latency, requests, streams
from bench.rig import Rig

MEASURES: dict[str, Callable[[Rig], Iterator[Figure]]] = {
    "start": footprint.start,
    "memory": footprint.memory,
    "requests": requests.same_dialect,
    "translated": requests.translated,
    "streams": streams.chunks,
    "latency": latency.added,
    "controls": controls.guarded,
    "capacity": streams.capacity,
    "families": families.whole,
    "family-streams": families.streamed,
}
