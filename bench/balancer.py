"""A balancer as plain as they come: each connection to the next server in turn, or to the one after it where that does
not answer. It knows nothing of HTTP."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence

CHUNK = 65_536


class Balancer:
    def __init__(self, ports: Sequence[int]) -> None:
        self._turns = itertools.cycle(range(len(ports)))
        self._ports = ports
        self._server: asyncio.Server

    async def start(self) -> int:
        """Listen; the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def close(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened = await self._open()
        if opened is None:
            writer.transport.abort()
            return
        other, onward = opened
        try:
            await asyncio.gather(_pump(reader, onward), _pump(other, writer))
        except asyncio.CancelledError:  # it ends with the loop: asyncio's own servers complain of that before 3.12
            writer.transport.abort()
            onward.transport.abort()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        first = next(self._turns)
        for step in range(len(self._ports)):
            try:
                return await asyncio.open_connection("127.0.0.1", self._ports[(first + step) % len(self._ports)])
            except OSError:
                continue
        return None


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.transport.abort()
