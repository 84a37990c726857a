"""uvicorn with a drain: a stop signal ends new calls at once and running ones in their own time.

While draining the port stays open: calls in work finish, new ones get 503 with Retry-After and /readyz says no, so that
a load balancer moves on without an error seen by anybody. A second signal stops the wait.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from typing import Any

import uvicorn

from trunkline.core.errors import ShuttingDown
from trunkline.edge.protocol import protocol_class
from trunkline.edge.server import Edge
from trunkline.edge.settings import ServerSettings

log = logging.getLogger("trunkline.server")

BACKLOG = 2048
CUT_TIME = 1
"""Seconds that connections get to close once the drain is over."""


class Listener(uvicorn.Server):
    """`supervisor`: the process whose worker this one is. When it is gone, however it ended, so is the reason to serve:
    nobody would restart this worker or pass a stop signal on."""

    def __init__(self, edge: Edge, settings: ServerSettings, supervisor: int | None = None) -> None:
        super().__init__(
            uvicorn.Config(
                edge,
                interface="asgi3",
                http=protocol_class(settings),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                timeout_keep_alive=int(settings.keep_alive),
                timeout_graceful_shutdown=CUT_TIME,
            )
        )
        self._edge = edge
        self._settings = settings
        self._supervisor = supervisor
        self._drain_until: float | None = None

    def handle_exit(self, sig: int, frame: Any) -> None:
        if self._drain_until is not None:
            self._drain_until = time.monotonic()
            return
        self._edge.draining = True
        self._drain_until = time.monotonic() + self._settings.drain_timeout
        log.info("stopping: %d calls are in work", self._edge.busy)

    async def on_tick(self, counter: int) -> bool:
        if self._supervisor not in (None, os.getppid()) and self._drain_until is None:
            log.error("the supervisor is gone: this worker stops")
            self.handle_exit(signal.SIGTERM, None)
        if self._drain_until is not None:
            if not self._edge.busy:
                self.should_exit = True
            elif time.monotonic() >= self._drain_until:
                log.warning("stopping: %d calls did not finish in time and are cut", self._edge.busy)
                for task in list(self.server_state.tasks):
                    task.cancel(ShuttingDown("This gateway shut down before the answer was complete."))
                self.should_exit = True
        return await super().on_tick(counter)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError. Said to be TCP, since asyncio sends small pieces without delay only then."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    listening.listen(BACKLOG)
    listening.set_inheritable(True)
    return listening
