"""`trunkline serve`: run the gateway."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from trunkline.app import Gateway
    from trunkline.config import Config
    from trunkline.config.source import FileSource
    from trunkline.edge.listener import Listener

log = logging.getLogger("trunkline")

BEHIND = 0.05
"""Seconds after the port is open until database and prices are loaded: the first call comes first."""


@click.command()
@click.option("--config", "file", metavar="FILE", type=click.Path(dir_okay=False), help="The configuration.")
@click.option("--host", help="Listen here instead of where the configuration says.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Listen on this port instead; 0: any free one.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes that serve.")
@click.option("--insecure", is_flag=True, help="Allow `auth: open` on an address that others can reach.")
@click.option("--worker", type=(int, int, str), hidden=True, help="Socket, supervisor, where to share metrics.")
def serve(
    file: str | None,
    host: str | None,
    port: int | None,
    workers: int | None,
    insecure: bool,
    worker: tuple[int, int, str] | None,
) -> None:
    """Run the gateway.

    Without --config, the providers come from the variables that their own SDKs read (OPENAI_API_KEY,
    ANTHROPIC_API_KEY, GEMINI_API_KEY, AWS_REGION with AWS's credentials …), it listens on 127.0.0.1:4000 and asks for
    no key. With no provider at all, the built-in simulator answers.

    \b
    Examples:
      trunkline serve
      OPENAI_API_KEY=sk-... trunkline serve --port 8080
      trunkline serve --config trunkline.yaml --workers 4
    """
    from trunkline.config import ConfigError
    from trunkline.config.logs import configure
    from trunkline.config.source import FileSource
    from trunkline.state.location import StateError

    # Until there is somebody to read the configuration again: it would end the process.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    override = partial(_overridden, host=host, port=port, workers=workers)
    path = Path(file) if file is not None else None
    source = FileSource(path, insecure or host is not None, override)
    try:
        if worker is not None:
            descriptor, supervisor, share = worker
            source.shared = Path(share)
            config = source.joined()
            configure(config.log)
            _run(config, source, socket.socket(fileno=descriptor), supervisor)
            return
        config = source.load()
        _check_host(config, host, insecure)
        configure(config.log)
        listening = _bound(config)
        _say(config, listening)
        if config.server.workers > 1:
            _supervise(config, source, listening, insecure)
        else:
            _run(config, source, listening)
    except (ConfigError, StateError) as error:
        raise click.ClickException(str(error)) from None


def _supervise(config: Config, source: FileSource, listening: socket.socket, insecure: bool) -> None:
    """Serve with several processes until a signal."""
    from trunkline.edge.workers import supervise

    with tempfile.TemporaryDirectory(prefix="trunkline-") as share:
        source.share(Path(share))
        # A worker is told whose it is: one that asked for its parent might ask when that is gone already.
        worker = ["--worker", str(listening.fileno()), str(os.getpid()), share]
        command = [sys.executable, "-m", "trunkline", "serve", *worker]
        command += ["--config", str(source.path)] if source.path is not None else []
        command += ["--insecure"] if insecure else []
        # What the others do is counted on: limits are shared out among as many.
        command += ["--workers", str(config.server.workers)]
        supervise(command, listening, config.server.workers, config.server.drain_timeout)


def _run(config: Config, source: FileSource, listening: socket.socket, supervisor: int | None = None) -> None:
    """Serve in this process until a signal."""
    import uvloop

    uvloop.run(_serve(config, source, listening, supervisor))


async def _serve(config: Config, source: FileSource, listening: socket.socket, supervisor: int | None) -> None:
    import asyncio

    from trunkline.app import Gateway
    from trunkline.edge.listener import Listener

    gateway = await Gateway.start(config, source)
    listener = Listener(gateway.edge, config.server, supervisor)
    asyncio.get_running_loop().call_later(BEHIND, gateway.begin, source.shared)
    try:
        with _reloading(gateway, source, listener, supervisor):
            await listener.serve(sockets=[listening])
    finally:
        await gateway.aclose()
        log.info("stopped")


@contextmanager
def _reloading(gateway: Gateway, source: FileSource, listener: Listener, supervisor: int | None) -> Iterator[None]:
    """Meanwhile the configuration is read again on SIGHUP, and when the file changes if that is wanted."""
    import asyncio

    from trunkline.edge.watch import Watch
    from trunkline.edge.workers import hung_up

    loop, reloader = asyncio.get_running_loop(), gateway.reloader

    def hang_up() -> None:
        if supervisor is None and hung_up():
            listener.handle_exit(signal.SIGTERM, None)
        else:
            reloader.soon("SIGHUP")

    def changed() -> None:
        if gateway.config.reload == "watch":
            loop.call_soon_threadsafe(reloader.soon, "the file has changed")

    if source.refused is not None:
        reloader.refuse(source.refused)
    if supervisor is not None:
        reloader.others = partial(os.kill, supervisor, signal.SIGHUP)
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    watch = Watch(source.path, changed) if source.path is not None else None
    try:
        yield
    finally:
        if watch is not None:
            watch.close()


def _overridden(config: Config, host: str | None, port: int | None, workers: int | None) -> Config:
    """The command line over the file. Raises ConfigError for more workers than can keep its limits."""
    from msgspec import structs

    from trunkline.config import ConfigError, Problem
    from trunkline.config.checks import uncounted

    old_host, old_port = config.address
    new_host, new_port = host or old_host, old_port if port is None else port
    shown = f"[{new_host}]" if ":" in new_host else new_host
    server = config.server if workers is None else structs.replace(config.server, workers=workers)
    wanted = structs.replace(config, listen=f"{shown}:{new_port}", server=server)
    if (why := uncounted(wanted)) is not None:
        raise ConfigError([Problem("command line", 0, "state.hot", why)])
    return wanted


def _check_host(config: Config, host: str | None, insecure: bool) -> None:
    """Raises click.ClickException where the command line would open the gateway to others."""
    from trunkline.config.schema import is_loopback

    if host is not None and config.auth == "open" and not insecure and not is_loopback(host):
        raise click.ClickException(
            f"--host {host}: this configuration asks for no key (auth: open), so anyone who reaches that address "
            "could spend your money. Set `auth: required` in a configuration, or say --insecure."
        )


def _bound(config: Config) -> socket.socket:
    from trunkline.edge.listener import bind

    host, port = config.address
    try:
        return bind(host, port)
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {config.listen}: {error.strerror}. Choose another address with --host and --port."
        ) from None


def _say(config: Config, listening: socket.socket) -> None:
    host, port = listening.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    log.info("trunkline listens on %s (auth: %s)", url, config.auth)
    if config.server.workers > 1 and config.state.durable is not None and config.state.durable.scheme == "sqlite":
        log.info(
            "%d workers share one SQLite file: keys and ledger are the same for all, on this machine and a local disk; "
            "several machines need PostgreSQL",
            config.server.workers,
        )
    if config.server.workers > 1 and config.state.hot == "memory://":
        log.warning(
            "%d workers, and no Redis in state.hot: each admits its share of the limits that keys have",
            config.server.workers,
        )
    if not config.providers:
        log.info(
            "no provider is configured, so the built-in simulator answers: %s/v1/models lists its models, sim/…. "
            "For real ones set what their own SDKs read (OPENAI_API_KEY, ANTHROPIC_API_KEY, GEMINI_API_KEY, AWS_REGION "
            "with AWS's credentials …: docs/configuration.md), or write a configuration.",
            url,
        )
