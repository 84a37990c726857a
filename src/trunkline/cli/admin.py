"""What the commands share that ask a running gateway: where it is, the admin key, and what may go wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

PATIENCE = 10.0
"""Seconds."""
MAX_ANSWER = 64 * 1024 * 1024
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - what to ask where a gateway listens on all
"""Addresses to listen on, and where to find who does."""


def options(command: Command) -> Command:
    """`--config`, `--url` and the admin key's variable, on every command that asks a running gateway."""
    file = click.option(
        "-c", "--config", metavar="FILE", help="The gateway's configuration: its address and admin key."
    )
    url = click.option("--url", envvar="TRUNKLINE_URL", metavar="URL", help="Where it is, if not where that says.")
    key = click.option("--admin-key", envvar="TRUNKLINE_ADMIN_KEY", hidden=True)
    return file(url(key(command)))


def asked(config: str | None, url: str | None, admin_key: str | None, path: str, body: bytes | None = None) -> Any:
    """What the gateway answers at a path of its admin API: GET, or POST with a body of JSON. Raises ClickException."""
    import json
    import urllib.error
    import urllib.request

    if url is None or admin_key is None:
        known, secret = _configured(config)
        url, admin_key = url or known, admin_key or secret
    if admin_key is None:
        raise click.ClickException(
            "This asks a running gateway by its admin API: set `admin_key` in its configuration and name that with "
            "--config, or put the key into TRUNKLINE_ADMIN_KEY."
        )
    if not url.startswith(("http://", "https://")):
        raise click.BadParameter(f"{url!r}: expected http://host:port", param_hint="--url")
    headers = {"authorization": f"Bearer {admin_key}", "content-type": "application/json"}
    request = urllib.request.Request(url.rstrip("/") + path, body, headers)  # noqa: S310 - http and https alone
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            return json.loads(answer.read(MAX_ANSWER))
    except urllib.error.HTTPError as error:
        raise click.ClickException(f"{url} refused: {_message(error.read(65_536)) or error.reason}") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", error)
        raise click.ClickException(f"No gateway answers at {url}: {why}. Is `trunkline serve` running?") from None


def _configured(path: str | None) -> tuple[str, str | None]:
    """Where the configured gateway is, and its admin key."""
    from trunkline.config import ConfigError, load

    try:
        config = load(path)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    host, port = config.address
    host = ANYWHERE.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{host}:{port}", config.admin_key.reveal() if config.admin_key is not None else None


def _message(body: bytes) -> str:
    """The words of an error in the gateway's envelope, "" where it is none."""
    import json

    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return ""
