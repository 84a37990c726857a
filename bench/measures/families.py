"""Every family's client to every family's provider: what translation costs beside the identity path.

A cell of the first table is CPU per request above that of the client's own family, which the bytes pass untouched; a
cell of the second is CPU per chunk beside nginx, which relays the provider's chunks. Shorter rounds than the other
measures take: there are fifty cells.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench import wrk
from bench.families import FAMILIES
from bench.figures import Figure
from bench.measures.requests import SMALL
from bench.measures.streams import per_chunk, yardstick
from bench.meter import Meter, ratio
from bench.rig import Rig

MORE = 60.0
"""Microseconds of CPU that a translation may cost above the identity path."""
PER_CHUNK = 4.0
SAME_CHUNK = 2.5
ROUND = 1.0
"""Seconds of load, the least that wrk takes."""
BRIDGED = {("chat", "responses"), ("responses", "chat")}
"""OpenAI has both: its clients are answered in their own format there."""


def whole(rig: Rig) -> Iterator[Figure]:
    for client in FAMILIES:
        meters = {upstream: _per_request(rig, client, upstream) for upstream in _upstreams(client)}
        base = min(meters[client].costs)
        for upstream, meter in meters.items():
            if upstream != client:
                best = min(meter.costs)
                samples = {"gateway": meter.costs, "identity": meters[client].costs, "foreign": meter.foreign}
                yield Figure(
                    f"{client} to {upstream}, above identity",
                    best - base,
                    "µs",
                    MORE,
                    ours=best,
                    note=f"identity {base:.0f} µs",
                    samples=samples,
                )


def streamed(rig: Rig) -> Iterator[Figure]:
    base = {upstream: yardstick(rig, upstream) for upstream in FAMILIES}
    for client in FAMILIES:
        for upstream in _upstreams(client):
            ours = per_chunk(rig, rig.gateway.process, rig.gateway.asked(client, upstream, stream=True))
            target = SAME_CHUNK if client == upstream else PER_CHUNK
            yield ratio(f"stream, {client} to {upstream}", target, ours, base[upstream])


def _upstreams(client: str) -> list[str]:
    return [upstream for upstream in FAMILIES if (client, upstream) not in BRIDGED]


def _per_request(rig: Rig, client: str, upstream: str) -> Meter:
    meter, question = Meter(rig.gateway.process), rig.gateway.asked(client, upstream)
    wrk.run(question, question.body(SMALL), ROUND, rig.directory)
    for _ in range(rig.rounds):
        with meter.round() as units:
            units.append(wrk.run(question, question.body(SMALL), ROUND, rig.directory).requests)
    return meter
