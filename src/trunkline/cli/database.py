"""What the commands that open the database share: its URL, its errors and how its values are written."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from trunkline.core.usage import NANO

if TYPE_CHECKING:
    from trunkline.state.database import Database

Command = TypeVar("Command", bound=Callable[..., Any])

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"(\d{1,9})([smhdw])")


def options(command: Command) -> Command:
    """`--config` and `--database`, on every command that needs one."""
    url = click.option("--database", metavar="URL", help="Use this database rather than the configuration's.")
    file = click.option(
        "--config",
        metavar="FILE",
        type=click.Path(dir_okay=False),
        help="The configuration; default: none, all defaults.",
    )
    return file(url(command))


@contextmanager
def opened(config: str | None, url: str | None, create: bool = False) -> Iterator[tuple[Database, bytes]]:
    """The migrated database and its server secret. What goes wrong inside ends the command with one clear line; so does
    a file that is not there, unless the command may create it: a typing error must not look like no spend."""
    from sqlalchemy.exc import SQLAlchemyError

    from trunkline.config import ConfigError
    from trunkline.state.auth_secret import server_secret
    from trunkline.state.database import Database
    from trunkline.state.location import StateError, locate
    from trunkline.state.migrations import migrate

    try:
        durable, auth_secret = _configured(config, url)
        location = locate(durable)
        if location.path is not None and not location.path.exists() and not create:
            raise StateError(f"state.durable: there is no database at {location.shown} yet; is the path right?")
        database = Database(location)
    except (ConfigError, StateError) as error:
        raise click.ClickException(str(error)) from None
    try:
        migrate(database)
        yield database, server_secret(database, auth_secret)
    except StateError as error:
        raise click.ClickException(str(error)) from None
    except SQLAlchemyError as error:
        shown = database.location.shown
        raise click.ClickException(f"state.durable: {shown} cannot be used: {database.describe(error)}") from None
    finally:
        database.close()


def _configured(config: str | None, url: str | None) -> tuple[str, str | None]:
    """The database URL and the server secret that the configuration or the command line name."""
    from trunkline.config import load
    from trunkline.state.location import StateError

    loaded = load(config, insecure=True)  # nothing is served here
    secret = None if loaded.auth_secret is None else loaded.auth_secret.reveal()
    if url is not None:
        return url, secret
    if loaded.state.durable is None:
        raise StateError("state.durable: the configuration names no database; name one, or give --database URL")
    return str(loaded.state.durable), secret


def moment(text: str, now: float) -> float:
    """Seconds since the epoch of `7d` (that long ago), a date, or a date and time (UTC where it says no zone).

    Raises `click.BadParameter`.
    """
    ago = _SPAN.fullmatch(text)
    if ago:
        return now - int(ago[1]) * UNITS[ago[2]]
    try:
        at = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r}: expected 7d, 12h, 2026-01-31 or 2026-01-31T12:00+01:00") from None
    return (at if at.tzinfo else at.replace(tzinfo=datetime.UTC)).timestamp()


def seconds(text: str) -> float:
    """A span such as `30s`, `15m`, `12h`, `90d` or `2w`, in seconds. Raises `click.BadParameter`."""
    span = _SPAN.fullmatch(text)
    if span is None:
        raise click.BadParameter(f"{text!r}: expected a number and a unit, such as 30s, 15m, 12h, 90d or 2w")
    return float(int(span[1]) * UNITS[span[2]])


def dollars(nano: int) -> str:
    """Nano-dollars as an exact decimal number of dollars, with no fewer than two digits after the point."""
    whole, part = divmod(abs(nano), NANO)
    digits = f"{part:09d}".rstrip("0").ljust(2, "0")
    return f"{'-' if nano < 0 else ''}{whole}.{digits}"


def shown_time(at: float | None) -> str:
    """A moment as people and other programs read it: UTC, to the second; empty for None."""
    return "" if at is None else datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def print_json(value: Any) -> None:
    """For programs, and indented for people."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(headings: list[str], rows: list[list[str]], numeric: frozenset[str] = frozenset()) -> None:
    """A table on standard output: as wide as the terminal, or as its content where nobody looks."""
    import sys

    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE)
    for heading in headings:
        table.add_column(heading, justify="right" if heading in numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 10_000, markup=False, highlight=False).print(table)
