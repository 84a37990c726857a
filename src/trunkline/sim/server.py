"""Running the simulator: inside the current event loop (the gateway, tests) or as a program.

uvicorn's protocol and parser are used without its `Server`, whose signal handlers and once-a-tenth-second tick belong
to a program of its own; so an embedded simulator is listening within milliseconds and gone as quickly.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from trunkline.sim.settings import Settings

if TYPE_CHECKING:
    from trunkline.sim.app import SimulatorApp

BACKLOG = 2048
CLOSING = 2.0
"""Seconds given to calls in work when the simulator closes."""


class Handle:
    """A running simulator."""

    def __init__(self, app: SimulatorApp, server: asyncio.Server, state: Any) -> None:
        self.app = app
        self._server = server
        self._state = state
        address = server.sockets[0].getsockname()
        self.host: str = address[0]
        self.port: int = address[1]

    @property
    def url(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    async def aclose(self) -> None:
        """Stop listening and end every connection, at once. Idempotent."""
        self._server.close()
        for connection in list(self._state.connections):
            connection.transport.abort()
        if self._state.tasks:
            await asyncio.wait(list(self._state.tasks), timeout=CLOSING)
        await self._server.wait_closed()


async def start(host: str = "127.0.0.1", port: int = 0, settings: Settings | None = None) -> Handle:
    """Listen in the running event loop; port 0 lets the system choose.

    Raises:
        OSError: the address is in use or not ours.
        faults.CueError: the settings hold a cue that cannot be understood.
    """
    from uvicorn import Config
    from uvicorn.server import ServerState

    from trunkline.sim.app import SimulatorApp
    from trunkline.sim.wire import WireProtocol

    app = SimulatorApp(settings)
    config = Config(
        app, http=WireProtocol, ws="none", lifespan="off", log_config=None, access_log=False,
        proxy_headers=False, date_header=False, server_header=False, timeout_keep_alive=75,
    )  # fmt: skip
    config.load()
    loop, state = asyncio.get_running_loop(), ServerState()
    server = await loop.create_server(
        lambda: WireProtocol(config=config, server_state=state, app_state={}, _loop=loop), host, port, backlog=BACKLOG
    )
    return Handle(app, server, state)


async def start_embedded(settings: Settings | None = None) -> tuple[str, int, Callable[[], Awaitable[None]]]:
    """A simulator on a loopback port of its own: host, port, and how to close it."""
    handle = await start(settings=settings)
    return handle.host, handle.port, handle.aclose


def serve(host: str, port: int, settings: Settings, ready: Callable[[Handle], None]) -> None:
    """Run until SIGINT or SIGTERM. `ready` is called once, when it listens. Raises what `start` raises."""

    async def main() -> None:
        handle = await start(host, port, settings)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        ready(handle)
        await stop.wait()
        await handle.aclose()

    with asyncio.Runner(loop_factory=_fastest_loop()) as runner:
        runner.run(main())


def _fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where the system has it."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return None
    return new_event_loop
