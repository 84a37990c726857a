"""An upstream's answer as the source of a reply."""

from __future__ import annotations

import asyncio

from trunkline.edge.sender import mapped
from trunkline.edge.transport.base import Response, TransportError


class Body:
    """A stream's source: transport failures come out as upstream errors."""

    __slots__ = ("_deadline", "_response", "pending")

    def __init__(self, response: Response, deadline: float | None) -> None:
        self._response = response
        self._deadline = deadline
        self.pending: asyncio.Task[bytes] | None = None
        """A read that was begun before the reply was made."""

    async def read(self) -> bytes:
        try:
            if self.pending is not None:
                task, self.pending = self.pending, None
                return await task
            return await self._response.read()
        except TransportError as error:
            raise mapped(error, self._deadline) from error

    def close(self) -> None:
        if self.pending is not None:
            self.pending.cancel()
        self._response.close()


class Nothing(Body):
    """The source of a stream that is already over."""

    __slots__ = ()

    def __init__(self) -> None:
        self.pending = None

    async def read(self) -> bytes:
        return b""

    def close(self) -> None:
        pass
