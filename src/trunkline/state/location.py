"""Where the durable state is: one URL, checked before anything is opened.

Light on purpose (no SQLAlchemy): a start with a wrong URL fails at once, with an error that names the setting. The URL
may hold a password, so nothing but `shown` and `scrub` may reach a log or an error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from msgspec import Struct

from trunkline.core.stores import StoreError, StoreUnavailable

SETTING = "state.durable"
HIDDEN = "***"
EXAMPLES = "use sqlite:///trunkline.db or postgresql://user:password@host:5432/database"

Engine = Literal["sqlite", "postgresql"]

ENGINES: dict[str, Engine] = {"sqlite": "sqlite", "postgresql": "postgresql", "postgres": "postgresql"}


SHORTEST = 4
"""Characters; a shorter password is a piece of too many words to be taken out of a text."""


class StateError(StoreError):
    """The durable state cannot be used as asked. The message names the setting or the argument, and the fix."""


class StateUnavailable(StateError, StoreUnavailable):
    """The database cannot be reached, or another process holds its lock."""


class Location(Struct, frozen=True):
    engine: Engine
    url: str
    """As given: it may hold a password."""
    shown: str
    """The same with passwords hidden."""
    path: Path | None = None
    """The SQLite file."""
    passwords: tuple[str, ...] = ()

    def scrub(self, text: str) -> str:
        """The text without the URL's passwords, for errors that drivers word."""
        for password in self.passwords:
            if len(password) >= SHORTEST:
                text = text.replace(password, HIDDEN)
        return text


def locate(url: str) -> Location:
    """Read a database URL. Raises `StateError` where the scheme, the path or the port is wrong."""
    parts = urlsplit(url)
    # The driver is ours to choose: `postgresql+psycopg` says no more than `postgresql`.
    engine = ENGINES.get(parts.scheme.partition("+")[0])
    if engine is None:
        raise StateError(f"{SETTING}: the scheme {parts.scheme!r} is not known; {EXAMPLES}")
    return _sqlite(url, parts) if engine == "sqlite" else _postgresql(url, parts)


def _sqlite(url: str, parts: SplitResult) -> Location:
    name = unquote(parts.path[1:])
    if parts.netloc or parts.query or name in ("", ":memory:"):
        raise StateError(f"{SETTING}: SQLite needs a file and takes no options; write sqlite:///trunkline.db")
    return Location("sqlite", url, url, Path(name))


def _postgresql(url: str, parts: SplitResult) -> Location:
    try:
        port = parts.port
    except ValueError as error:
        raise StateError(f"{SETTING}: the port is not a number from 0 to 65535; {EXAMPLES}") from error
    query = parse_qsl(parts.query)
    raw = [value for value in (parts.password, *(v for k, v in query if k == "password")) if value]
    passwords = {form for value in raw for form in (value, unquote(value))}
    host = (parts.hostname or "") + (f":{port}" if port is not None else "")
    user = f"{parts.username}:{HIDDEN}@" if parts.password else f"{parts.username}@" if parts.username else ""
    options = urlencode([(k, HIDDEN if k == "password" else v) for k, v in query], safe="*/")
    shown = urlunsplit(("postgresql", user + host, parts.path, options, ""))
    return Location("postgresql", url, shown, passwords=tuple(sorted(passwords, key=len, reverse=True)))
