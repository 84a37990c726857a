"""Several processes on one listening socket: started, restarted when they die, and stopped together."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger("trunkline.workers")

LOOK = 0.2
"""Seconds between looks at the workers."""
RESTARTS = 10
"""A worker that dies more often than this within `WINDOW` seconds will not live: the whole gateway stops."""
WINDOW = 60.0
GRACE = 10.0
"""Seconds beyond the drain after which a worker is killed."""


def supervise(command: list[str], listening: socket.socket, count: int, drain: float) -> None:
    """Run `count` processes of `command` until SIGTERM or SIGINT; a second signal cuts the calls in work. SIGHUP is
    passed on to all of them.

    Workers begin with SIGHUP blocked and unblock it once they know what to do with it, so none dies of it. Raises
    SystemExit where they will not live.
    """
    fd = listening.fileno()
    stopping = False
    workers: list[subprocess.Popen[bytes]] = []

    def stop(signum: int, frame: object) -> None:
        nonlocal stopping
        if stopping:
            _terminate(workers)
        stopping = True

    def hang_up(signum: int, frame: object) -> None:
        if hung_up():
            stop(signum, frame)
        for worker in workers:
            if worker.returncode is None:
                worker.send_signal(signal.SIGHUP)

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, stop)
    signal.signal(signal.SIGHUP, hang_up)

    def start() -> subprocess.Popen[bytes]:
        with held():
            return subprocess.Popen(command, pass_fds=(fd,), start_new_session=True)  # noqa: S603

    workers += [start() for _ in range(count)]
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    deaths: list[float] = []
    log.debug("%d workers are started", count)
    while not stopping:
        time.sleep(LOOK)
        for position, worker in enumerate(workers):
            if worker.poll() is None or stopping:
                continue
            log.error("worker %d ended with status %d; starting another", worker.pid, worker.returncode)
            now = time.monotonic()
            deaths = [at for at in deaths if at > now - WINDOW] + [now]
            if len(deaths) > RESTARTS:
                log.critical("workers keep dying: giving up")
                _stop(workers, drain)
                raise SystemExit(1)
            workers[position] = start()
    _stop(workers, drain)


@contextmanager
def held() -> Iterator[None]:
    """SIGHUP waits meanwhile; so it does in a process that is started meanwhile, until that unblocks it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def hung_up() -> bool:
    """Whether the terminal that this process was started on is gone: then SIGHUP means what it meant first."""
    try:
        os.tcgetpgrp(0)
    except OSError as error:
        return error.errno == errno.EIO
    return False


def _terminate(workers: list[subprocess.Popen[bytes]]) -> None:
    for worker in workers:
        if worker.returncode is None:
            worker.terminate()


def _stop(workers: list[subprocess.Popen[bytes]], drain: float) -> None:
    _terminate(workers)
    deadline = time.monotonic() + drain + GRACE
    for worker in workers:
        try:
            worker.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()
