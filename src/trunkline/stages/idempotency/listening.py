"""A performance as one client gets it: a reply of its own, from the answer's beginning to its end.

Who asked first pays: its entry in the ledger has the usage, and waits for it where the client leaves before the end.
Whoever listens besides has used nothing.
"""

from __future__ import annotations

import asyncio

from trunkline.core.call import Call, Headers
from trunkline.core.errors import ClientGone, DeadlineExceeded, GatewayError
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
    """Whose end, where the client leaves before it, is that of the performance."""

    __slots__ = ("_performance",)

    def __init__(self, performance: Performance, flow: Heard, ear: Ear, told: Reply) -> None:
        super().__init__(flow, source=ear, status=told.status, content_type=told.content_type, headers=told.headers)
        self._performance = performance

    def finish(self, error: GatewayError | None = None) -> None:
        if isinstance(error, ClientGone) and not self._performance.over:
            self._performance.then(super().finish)
        else:
            super().finish(error)


def listening(performance: Performance, call: Call, *, pays: bool) -> Reply:
    """The answer for this call, which has begun. Raises what it failed with."""
    told = performance.reply
    if told is None:
        assert performance.error is not None
        raise performance.error
    headers: Headers = told.headers if pays else [*told.headers, REPLAYED]
    if told.body is not None:
        flow = Heard(performance, call, None, pays)
        return Reply(flow, body=told.body, status=told.status, content_type=told.content_type, headers=headers)
    ear = Ear(performance, None if pays else call.deadline)
    flow = Heard(performance, call, ear, pays)
    if pays:
        reply: Reply = _Paying(performance, flow, ear, told)
    else:
        reply = Reply(flow, source=ear, status=told.status, content_type=told.content_type, headers=headers)
    reply.raw = told.raw
    return reply
