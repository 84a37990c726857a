"""A performance as one client gets it: a reply of its own, from the answer's beginning to its end.

Who asked first pays: its entry in the ledger has the usage, and waits for it where the client leaves before the end.
Whoever listens besides has used nothing.
"""

from __future__ import annotations

import asyncio

from trunkline.core.call import Call
from trunkline.core.errors import DeadlineExceeded, GatewayError
from trunkline.core.reply import Reply
from trunkline.core.usage import Usage
from trunkline.stages.idempotency.performance import Performance

REPLAYED = (b"x-trunkline-replayed", b"true")


class Ear:
    """A source: what the performance tells. `until`: loop time at which patience ends, where it does not end with the
    performance's own."""

    def __init__(self, performance: Performance, until: float | None) -> None:
        self._performance = performance
        self._until = until
        performance.join(self)

    async def read(self) -> bytes:
        try:
            async with asyncio.timeout_at(self._until):
                return await self._performance.heard(self)
        except TimeoutError:
            raise DeadlineExceeded("The call's deadline passed before its answer was complete.") from None

    @property
    def up_to_date(self) -> bool:
        return self._performance.up_to_date(self)

    def close(self) -> None:
        self._performance.leave(self)


class Heard:
    """A flow for what has been through the performance's own flow. It ends where that one has, once all is heard."""

    def __init__(self, performance: Performance, call: Call, ear: Ear | None, pays: bool) -> None:
        self._performance = performance
        self._call = call
        self._ear = ear
        self._pays = pays
        self._error: GatewayError | None = None

    @property
    def _through(self) -> bool:
        return self._ear is None or self._ear.up_to_date

    @property
    def usage(self) -> Usage | None:
        if not self._pays:
            return Usage()
        reply = self._performance.reply
        return (reply.flow.usage or reply.usage) if reply is not None else None

    @property
    def complete(self) -> bool:
        return self._performance.complete and self._through

    @property
    def error(self) -> GatewayError | None:
        flow = self._performance.flow
        return self._error or (flow.error if flow is not None and self._through else None)

    @property
    def produced(self) -> int:
        flow = self._performance.flow
        return flow.produced if flow is not None and self._pays else 0

    def feed(self, data: bytes) -> bytes:
        return data

    def eof(self) -> bytes:
        return b""

    def fail(self, error: GatewayError) -> bytes:
        """This client's own end: the others go on, unless it is the one that pays, whose deadline and whose gateway are
        those of the performance."""
        self._error = error
        if self._pays:
            self._performance.stop(error)
        told: bytes = self._call.surface.dialect.stream_error(error, self._call.id)
        return told


class _Paying(Reply):
    """Whose end is that of the performance's own reply: the client may leave before it, and what is paid is known no
    sooner."""

    __slots__ = ("_performance", "_told")

    def __init__(self, performance: Performance, told: Reply, flow: Heard, ear: Ear | None) -> None:
        super().__init__(
            flow,
            source=ear,
            body=told.body,
            status=told.status,
            content_type=told.content_type,
            headers=told.headers,
        )
        self._performance = performance
        self._told: Reply | None = told

    def finish(self, error: GatewayError | None = None) -> None:
        if self._performance.concluded:
            super().finish(error)
        elif self._told is not None:
            self._told.on_finish.append(self._conclude)
            self._told = None  # once

    def _conclude(self, error: GatewayError | None) -> None:
        told = self._performance.reply
        if told is not None:
            self.status = told.status
        super().finish(error)


def listening(performance: Performance, call: Call, *, pays: bool) -> Reply:
    """The answer for this call, which has begun. Raises what it failed with."""
    told = performance.reply
    if told is None:
        assert performance.error is not None
        raise performance.error
    ear = Ear(performance, None if pays else call.deadline) if told.body is None else None
    flow = Heard(performance, call, ear, pays)
    if pays:
        reply: Reply = _Paying(performance, told, flow, ear)
    else:
        headers = [*told.headers, REPLAYED]
        reply = Reply(
            flow,
            source=ear,
            body=told.body,
            status=told.status,
            content_type=told.content_type,
            headers=headers,
        )
    reply.raw = told.raw
    return reply
