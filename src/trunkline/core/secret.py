"""Values that must not be seen: a log line, a traceback or a dumped struct shows the mask, never the text.

`Secret` is deliberately no `str`: formatting it, joining it or sending it by accident yields the mask, and a type
checker objects. Whoever needs the text says so with `reveal()`.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from typing import Annotated
from urllib.parse import quote

from msgspec import Meta, Struct

MASK = "********"
SHORTEST_SECRET = 8
"""Bytes."""
_BEYOND_WORDS = re.compile(r"[^A-Za-z0-9_.-]")


class Credential:
    """A credential, or where it is to be had: `Secret`, `SecretFile` or `SecretCommand`."""

    __slots__ = ()


class SecretFile(Credential, Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A credential as `{file: path}`."""

    file: str
    """A file that holds the credential and nothing else. It is read again when it changes."""


class SecretCommand(Credential, Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A credential as `{command: […], ttl: seconds}`."""

    command: Annotated[tuple[str, ...], Meta(min_length=1, max_length=64)]
    """A program and its arguments, run without a shell, that writes the credential to its standard output."""
    ttl: Annotated[float, Meta(ge=1)] = 300.0
    """Seconds for which its output is used."""

    def __repr__(self) -> str:
        """Arguments may hold secrets of their own."""
        return f"SecretCommand({self.command[0]!r}, ttl={self.ttl})"


class Secret(Credential):
    """A credential in itself. Compares in constant time; hashes by its text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __str__(self) -> str:
        return MASK

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)


_ESCAPES = (
    lambda text: text,
    lambda text: quote(text, safe=""),
    lambda text: text.replace("/", "\\/"),
    lambda text: _BEYOND_WORDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text),
    lambda text: _BEYOND_WORDS.sub(lambda found: f"\\u{ord(found[0]):04X}", text),
)
"""How a text may stand in somebody's error: as it is, in a URL, and as JSON writers of several languages escape it."""


def without(body: bytes, secrets: Iterable[bytes]) -> bytes:
    """The body with every secret in it masked. One too short could be any word, and is left."""
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            text = secret.decode("latin-1")
            for escape in _ESCAPES:
                body = body.replace(escape(text).encode("latin-1"), MASK.encode())
    return body


class Dsn(str):
    """A database's URL. A plain string to those who connect; its repr, and so every struct's, hides the password."""

    __slots__ = ()

    def masked(self) -> str:
        """The URL with its password and its query's values replaced by the mask."""
        head, _, query = self.partition("?")
        scheme, separator, rest = head.partition("://")
        credentials, at, host = rest.rpartition("@")
        user = credentials.partition(":")
        shown = f"{user[0]}:{MASK}@" if user[1] else f"{user[0]}{at}"
        return f"{scheme}{separator}{shown}{host}" + (f"?{MASK}" if query else "")

    def __repr__(self) -> str:
        return repr(self.masked())

    @property
    def scheme(self) -> str:
        """Without SQLAlchemy's driver suffix, in lower case: `postgresql+psycopg://…` is `postgresql`."""
        return self.partition("://")[0].partition("+")[0].lower()
