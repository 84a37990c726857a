"""The bench that measures stand on: upstream and source on one core; gateway and yardstick, in turn, on the other."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec import Struct

from bench.gateway import Gateway, Source
from bench.machine import LOAD
from bench.nginx import Upstream, Yardstick


class Rig(Struct, frozen=True):
    directory: Path
    """Thrown away at the end."""
    upstream: Upstream
    source: Source
    yardstick: Yardstick
    gateway: Gateway
    seconds: float
    """How long one round lasts."""
    rounds: int
    """The best of so many counts: what the rest of the machine does only ever adds."""


@contextmanager
def rig(seconds: float, rounds: int = 3) -> Iterator[Rig]:
    """Everything started, and stopped whatever happens. This process moves to the core of the load."""
    os.sched_setaffinity(0, LOAD)
    with tempfile.TemporaryDirectory(prefix="trunkline-bench-") as name, ExitStack() as stack:
        directory = Path(name)
        upstream = Upstream(directory / "upstream")
        stack.callback(upstream.process.stop)
        source = Source(directory / "source.log")
        stack.callback(source.process.stop)
        yardstick = Yardstick(directory / "yardstick", upstream.port, source.port)
        stack.callback(yardstick.process.stop)
        gateway = Gateway(directory / "gateway", upstream.port, source.port, source.slow)
        stack.callback(gateway.process.stop)
        yield Rig(directory, upstream, source, yardstick, gateway, seconds, rounds)
