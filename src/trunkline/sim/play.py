"""Playing a planned exchange on its connection: the only place that waits and writes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from email.utils import formatdate
from typing import Any

from trunkline.sim.calls import Call
from trunkline.sim.exchange import Break, Exchange, Headers, Pause, Step
from trunkline.sim.wire import Wire

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

CLOSING = 5.0
"""Seconds that a connection may take to close after a break."""
BREATH = 32
"""Events written in a row before other connections get their turn."""


async def play(exchange: Exchange, wire: Wire, send: Send, call: Call) -> None:
    """Wait, write and break as planned; stop where the client has gone."""
    due = time.monotonic()
    for step in exchange.before:
        due = await _wait(step, wire, due)
        if wire.lost:
            return
    call.status = exchange.status
    call.first_byte = time.monotonic()
    await send({"type": "http.response.start", "status": exchange.status, "headers": _head(exchange)})
    due = time.monotonic()
    for number, step in enumerate(exchange.body):
        if isinstance(step, bytes):
            await send({"type": "http.response.body", "body": step, "more_body": True})
            call.events += 1
            if number % BREATH == BREATH - 1:
                await asyncio.sleep(0)
        else:
            due = await _wait(step, wire, due)
        if wire.lost:
            return
    # All has been said: that the client may leave now is no longer news, and its leaving could overtake this task.
    wire.on_lost = None
    call.finished = time.monotonic()
    await send({"type": "http.response.body", "body": b""})


async def _wait(step: Step, wire: Wire, due: float) -> float:
    """Wait for one step; returns when it was due. Pauses add up from the first, so that a late one does not delay the
    rest: the pace is kept on average."""
    if isinstance(step, Pause):
        due += step.seconds
        late = due - time.monotonic()
        if late > 0:
            await wire.pause(late)
    elif isinstance(step, Break):
        wire.on_lost = None
        wire.reset() if step is Break.RESET else wire.close()
        await wire.pause(CLOSING)
    return due


def _head(exchange: Exchange) -> Headers:
    """The planned headers, the date, and the length where the body is whole. One byte more than will come is promised
    of a body that breaks off."""
    headers = [*exchange.headers, (b"date", _date())]
    if not exchange.stream and exchange.status != 204:
        broken = any(isinstance(step, Break) for step in exchange.body)
        headers.append((b"content-length", b"%d" % (len(exchange.whole()) + broken)))
    return headers


_dated: tuple[int, bytes] = (0, b"")


def _date() -> bytes:
    """The date header's value, made once a second."""
    global _dated
    now = int(time.time())
    if _dated[0] != now:
        _dated = (now, formatdate(now, usegmt=True).encode())
    return _dated[1]


async def receive_body(receive: Receive, limit: int) -> bytes | None:
    """The request's body; None where it is longer than `limit` bytes."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        parts.append(message["body"])
        size += len(message["body"])
        if size > limit:
            return None
        if not message["more_body"]:
            return b"".join(parts)
