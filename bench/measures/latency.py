"""Latency that the gateway adds: direct and proxied calls in turn, one connection each, one loop.

Blocking sockets: nothing of the measuring program runs between the last byte written and the first byte read. Taking
turns puts whatever else the machine does on both sides of the comparison.
"""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Iterator

from bench.figures import Figure
from bench.processes import StartFailed
from bench.readers import Asked, asked
from bench.rig import Rig

CALLS = 2000
"""A round: of each kind."""
WARM_UP = 200


class Line:
    """One keep-alive connection."""

    def __init__(self, question: Asked) -> None:
        self._socket = socket.create_connection(("127.0.0.1", question.port), 10.0)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._post = question.http(question.body(1000))

    def call(self) -> float:
        """Seconds until the whole answer is here. Raises StartFailed."""
        begun = time.perf_counter()
        self._socket.sendall(self._post)
        received = b""
        missing = 1
        while missing > 0:
            piece = self._socket.recv(65_536)
            if not piece:
                raise StartFailed("the connection closed")
            received += piece
            head, found, body = received.partition(b"\r\n\r\n")
            if found:
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                missing = int(length[15:]) - len(body)
        taken = time.perf_counter() - begun
        if not received.startswith(b"HTTP/1.1 200"):
            raise StartFailed(received[:300].decode("latin-1"))
        return taken

    def close(self) -> None:
        self._socket.close()


def added(rig: Rig) -> Iterator[Figure]:
    questions = {
        "direct": asked(rig.upstream.port, "chat"),
        "gateway": rig.gateway.asked("chat", "chat"),
        "nginx": asked(rig.yardstick.port, "chat"),
    }
    lines = {name: Line(question) for name, question in questions.items()}
    rounds: dict[str, list[dict[str, float]]] = {"p50": [], "p99": []}
    for _ in range(rig.rounds):
        for line in lines.values():
            for _ in range(WARM_UP):
                line.call()
        times: dict[str, list[float]] = {name: [] for name in lines}
        for _ in range(CALLS):
            for name, line in lines.items():
                times[name].append(line.call())
        cuts = {name: statistics.quantiles(taken, n=100) for name, taken in times.items()}
        for label, position in (("p50", 49), ("p99", 98)):
            rounds[label].append({name: cut[position] * 1e3 for name, cut in cuts.items()})
    for line in lines.values():
        line.close()
    for label, target in (("p50", 0.3), ("p99", 1.0)):
        ours = [each["gateway"] - each["direct"] for each in rounds[label]]
        nginx = [each["nginx"] - each["direct"] for each in rounds[label]]
        yield Figure(
            f"added latency, {label}",
            min(ours),
            "ms",
            target,
            ours=min(ours),
            yardstick=min(nginx),
            detail_unit="ms",
            samples={"gateway": ours, "nginx": nginx, "direct": [each["direct"] for each in rounds[label]]},
        )
