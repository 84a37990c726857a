"""`trunkline serve`: run the gateway."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import socket

    from trunkline.config import Config

log = logging.getLogger("trunkline")


@click.command()
@click.option("--config", "file", metavar="FILE", type=click.Path(dir_okay=False), help="The configuration.")
@click.option("--host", help="Listen here instead of where the configuration says.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Listen on this port instead; 0: any free one.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes that serve.")
@click.option("--insecure", is_flag=True, help="Allow `auth: open` on an address that others can reach.")
@click.option("--fd", type=int, hidden=True, help="A worker's listening socket.")
def serve(
    file: str | None, host: str | None, port: int | None, workers: int | None, insecure: bool, fd: int | None
) -> None:
    """Run the gateway.

    Without --config, the providers come from the usual environment variables (OPENAI_API_KEY, ANTHROPIC_API_KEY,
    AZURE_OPENAI_API_KEY …), it listens on 127.0.0.1:4000 and asks for no key. With no provider at all, the built-in
    simulator answers.

    \b
    Examples:
      trunkline serve
      OPENAI_API_KEY=sk-... trunkline serve --port 8080
      trunkline serve --config trunkline.yaml --workers 4
    """
    from trunkline.config import ConfigError, load
    from trunkline.config.logs import configure
    from trunkline.state.location import StateError

    try:
        config = _overridden(load(file, insecure=insecure), host, port, workers, insecure)
        configure(config.log)
        listening = _socket(config, fd)
        if config.server.workers > 1 and fd is None:
            from trunkline.edge.workers import supervise

            command = [sys.executable, "-m", "trunkline", "serve", "--fd", str(listening.fileno())]
            command += ["--config", file] if file is not None else []
            command += ["--insecure"] if insecure else []
            supervise(command, listening, config.server.workers, config.server.drain_timeout)
        else:
            _run(config, listening, banner=fd is None)
    except (ConfigError, StateError) as error:
        raise click.ClickException(str(error)) from None


def _overridden(config: Config, host: str | None, port: int | None, workers: int | None, insecure: bool) -> Config:
    """The command line over the file. Raises click.ClickException where that would open the gateway to others."""
    from msgspec import structs

    from trunkline.config.schema import is_loopback

    old_host, old_port = config.address
    new_host, new_port = host or old_host, old_port if port is None else port
    if config.auth == "open" and not insecure and not is_loopback(new_host):
        raise click.ClickException(
            f"--host {new_host}: this configuration asks for no key (auth: open), so anyone who reaches that address "
            "could spend your money. Set `auth: required` in a configuration, or say --insecure."
        )
    shown = f"[{new_host}]" if ":" in new_host else new_host
    server = config.server if workers is None else structs.replace(config.server, workers=workers)
    return structs.replace(config, listen=f"{shown}:{new_port}", server=server)


def _socket(config: Config, fd: int | None) -> socket.socket:
    import socket

    from trunkline.edge.listener import bind

    if fd is not None:
        return socket.socket(fileno=fd)
    host, port = config.address
    try:
        return bind(host, port)
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {config.listen}: {error.strerror}. Choose another address with --host and --port."
        ) from None


def _run(config: Config, listening: socket.socket, banner: bool) -> None:
    """Serve on one socket until a signal."""
    import uvloop

    uvloop.run(_serve(config, listening, banner))


async def _serve(config: Config, listening: socket.socket, banner: bool) -> None:
    import asyncio

    from trunkline.app import Gateway
    from trunkline.edge.listener import Listener

    gateway = await Gateway.start(config)
    listener = Listener(gateway.edge, config.server)
    if banner:
        _say(config, gateway, listening)
    asyncio.get_running_loop().call_later(0.05, gateway.begin)
    try:
        await listener.serve(sockets=[listening])
    finally:
        await gateway.aclose()
        log.info("stopped")


def _say(config: Config, gateway: object, listening: socket.socket) -> None:
    host, port = listening.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    log.info("trunkline listens on %s (auth: %s)", url, config.auth)
    if not config.providers:
        log.info(
            "no provider is configured, so the built-in simulator answers: %s/v1/models lists its models, sim/…. "
            "For real ones set OPENAI_API_KEY, ANTHROPIC_API_KEY or AZURE_OPENAI_API_KEY, or write a configuration.",
            url,
        )
