"""Load at a fixed rate, as users bring it: a call that is slow does not make the next one wait.

Each call has its moment, whatever became of those before it, and its time is counted from that moment (so that a
server which stalls is charged with all that it kept waiting: "coordinated omission"). Connections are kept, and as
many are opened as there are calls at once, up to a bound.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import cast

from msgspec import Struct

PATIENCE = 30.0
"""Seconds after the last call's moment for which answers are waited for."""
MAX_CONNECTIONS = 2000
HUNG = 0
"""In the place of a status: no answer in time, or none that could be read."""


class Sample(Struct, frozen=True):
    """Seconds. `at`: the call's moment since the load began; `first` and `whole`: from there to the first byte of the
    answer and to its last."""

    at: float
    first: float
    whole: float
    status: int
    target: str = ""
    """Who answered, by the gateway's word."""
    id: str = ""
    """Of the call, by the gateway's word."""

    @property
    def good(self) -> bool:
        return self.status == 200


class _Line(asyncio.Protocol):
    """One connection, one call at a time."""

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer
        self._transport: asyncio.Transport
        self._data = bytearray()
        self._moment = self._first = 0.0
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def ask(self, post: bytes, moment: float) -> None:
        self._data.clear()
        self._moment, self._first, self._busy = moment, 0.0, True
        self._transport.write(post)

    def data_received(self, data: bytes) -> None:
        if not self._busy:
            return
        self._first = self._first or time.perf_counter()
        self._data += data
        head = self._data.find(b"\r\n\r\n")
        if head < 0 or not _complete(self._data, head):
            return
        target, request = (_field(self._data, head, name) for name in (b"x-trunkline-target", b"x-request-id"))
        self._end(int(self._data[9:12]), target, request)
        self._pacer.idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._busy:
            self._first = self._first or time.perf_counter()
            self._end(HUNG, "", "")
        elif self in self._pacer.idle:
            self._pacer.idle.remove(self)

    def close(self) -> None:
        self._transport.abort()

    def _end(self, status: int, target: str, id: str) -> None:
        self._busy = False
        self._pacer.ended(self._moment, self._first, status, target, id)


def _complete(data: bytearray, head: int) -> bool:
    at = data.find(b"content-length: ", 0, head)
    if at >= 0:
        return len(data) >= head + 4 + int(data[at + 16 : data.find(b"\r\n", at)])
    return data.endswith(b"0\r\n\r\n")


def _field(data: bytearray, head: int, name: bytes) -> str:
    at = data.find(b"\r\n" + name + b": ", 0, head)
    return data[at + len(name) + 4 : data.find(b"\r\n", at + 2)].decode() if at >= 0 else ""


class Pacer:
    def __init__(self, ports: Sequence[int], post: bytes) -> None:
        self._ports = ports
        self._post = post
        self._samples: list[Sample] = []
        self._begun = 0.0
        self._opened = 0
        self._due = 0
        self.idle: deque[_Line] = deque()

    async def run(self, rate: float, seconds: float) -> list[Sample]:
        """`rate` calls a second for so long, in the order of their ends. A call without an answer has status 0."""
        self._begun = time.perf_counter()
        total = int(rate * seconds)
        opening: set[asyncio.Task[None]] = set()
        for number in range(total):
            moment = self._begun + number / rate
            while (wait := moment - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            if number % 64 == 0:
                await asyncio.sleep(0)  # behind time: answers must be read all the same
            self._due += 1
            if self.idle:
                self.idle.pop().ask(self._post, moment)
            else:
                task = asyncio.ensure_future(self._open(moment))
                opening.add(task)
                task.add_done_callback(opening.discard)
        deadline = time.perf_counter() + PATIENCE
        while len(self._samples) < self._due and time.perf_counter() < deadline:
            await asyncio.sleep(0.01)
        missing = self._due - len(self._samples)
        now = time.perf_counter() - self._begun
        self._samples += [Sample(seconds, now - seconds, now - seconds, HUNG) for _ in range(missing)]
        for line in self.idle:
            line.close()
        return self._samples

    async def _open(self, moment: float) -> None:
        if self._opened >= MAX_CONNECTIONS:
            self.ended(moment, time.perf_counter(), HUNG)
            return
        self._opened += 1
        port = self._ports[self._opened % len(self._ports)]
        try:
            _, line = await asyncio.get_running_loop().create_connection(lambda: _Line(self), "127.0.0.1", port)
        except OSError:
            self.ended(moment, time.perf_counter(), HUNG)
            return
        line.ask(self._post, moment)

    def ended(self, moment: float, first: float, status: int, target: str = "", id: str = "") -> None:
        now = time.perf_counter()
        self._samples.append(Sample(moment - self._begun, first - moment, now - moment, status, target, id))


def percentile(values: Sequence[float], share: float) -> float:
    """By the nearest rank; NaN of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
