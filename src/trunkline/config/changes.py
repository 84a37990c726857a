"""What of a new configuration a running gateway can take up, and what has to wait for a start."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from msgspec import Struct, structs

from trunkline.config.schema import Config
from trunkline.core.secret import Dsn, Secret

AT_START = (
    "listen", "auth", "admin_key", "auth_secret", "state", "transport", "server", "responses",
)  # fmt: skip
"""Sections whose sockets, files and threads are opened once. All others change while calls go on."""

_VERSION_BYTES = 8
_SECRET_BYTES = 2


class Change(Struct, frozen=True):
    """From one configuration to another."""

    config: Config
    """What is in force afterwards: the new one, but for what waits."""
    applied: tuple[str, ...]
    """Sections that change at once."""
    waiting: tuple[str, ...]
    """Sections that change with the next start."""


def change(running: Config, wanted: Config) -> Change:
    """What comes of it when a gateway that runs by one configuration is given another."""
    different = [name for name in Config.__struct_fields__ if getattr(running, name) != getattr(wanted, name)]
    waiting = tuple(name for name in different if name in AT_START)
    config = structs.replace(wanted, **{name: getattr(running, name) for name in waiting})
    return Change(config, tuple(name for name in different if name not in waiting), waiting)


def version(config: Config) -> str:
    """A hash that is the same wherever the same configuration is in force.

    It is shown, so of each secret it holds 16 bits of a hash: enough to notice a change, too few to guess by.
    """
    data = msgspec.json.encode(_plain(config), order="sorted")
    return hashlib.blake2b(data, digest_size=_VERSION_BYTES).hexdigest()


def _plain(config: Config) -> Any:
    return msgspec.to_builtins(config, enc_hook=_trace)


def _trace(value: object) -> str:
    match value:
        case Secret():
            return hashlib.blake2b(value.reveal().encode(), digest_size=_SECRET_BYTES).hexdigest()
        case Dsn():
            return value.masked()
        case _:
            raise NotImplementedError(f"no way to write a {type(value).__name__}")
