"""Finds the one server that decides: the primary of a pair, of what sentinels watch, of the slot that our keys share.

Whatever the URL says, the found server must be a primary and must own our slot: it is asked, and where it answers MOVED
the redirection is followed. So a failover needs no protocol of its own: the connection ends or refuses (READONLY,
MOVED), and the search begins anew.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from trunkline.core.redis_url import Address, Login, RedisLocation
from trunkline.core.stores import StoreError
from trunkline.state.location import StateError
from trunkline.state.redis.connection import Connection, RedisError, RedisLost

PATIENCE = 1.0
"""Seconds for one server to take the connection and greet."""
MAX_MOVES = 4
NAME = "trunkline"
"""What `CLIENT LIST` shows."""

Make = Callable[[], Connection]


class Finder:
    """`make` makes the protocol of a new connection; `key` is any of our keys, all of which share one slot."""

    def __init__(self, location: RedisLocation, make: Make, key: str) -> None:
        self._location = location
        self._make = make
        self._key = key
        self._tls = _tls(location)

    async def find(self) -> Connection:
        """A connection to the server that decides, ready for commands. Raises StoreError, which says what each server
        answered, or OSError."""
        faults = []
        for address in self._location.hosts:
            try:
                watched = self._location.mode == "sentinel"
                return await self._primary(await self._watched(address) if watched else address)
            except (StoreError, OSError) as error:
                faults.append(f"{address[0]}:{address[1]}: {error or type(error).__name__}")
        raise RedisLost("; ".join(faults))

    async def _watched(self, sentinel: Address) -> Address:
        """Who is the primary, by a sentinel's word."""
        connection = await self._greeted(sentinel, self._location.sentinel_login)
        try:
            found = await _within(connection.send("SENTINEL", "get-master-addr-by-name", self._location.service))
        finally:
            connection.abort()
        if not found:
            raise RedisLost(f"this sentinel knows no service {self._location.service!r}")
        return found[0].decode(), int(found[1])

    async def _primary(self, address: Address) -> Connection:
        """Connect there, and go on to wherever that server sends us."""
        for _ in range(MAX_MOVES):
            connection = await self._greeted(address, self._location.login, self._location.database)
            try:
                await _within(connection.send("EXISTS", self._key))
                role = (await _within(connection.send("ROLE")))[0]
                if role != b"master":
                    raise RedisLost(f"is a {role.decode()}, not the primary")
            except RedisError as error:
                connection.abort()
                moved = _moved(str(error), address)
                if moved is None:
                    raise
                address = moved
            except BaseException:
                connection.abort()
                raise
            else:
                return connection
        raise RedisLost("the servers send us round in circles")

    async def _greeted(self, address: Address, login: Login, database: int = 0) -> Connection:
        """A connection that is logged in. Sentinels do not know databases: 0 is not asked for."""
        loop = asyncio.get_running_loop()
        host, port = address
        tls: dict[str, Any] = {"ssl": self._tls, "server_hostname": host} if self._tls is not None else {}
        connection: Connection
        _, connection = await _within(loop.create_connection(self._make, host, port, **tls))
        who = ("AUTH", login.user or "default", login.password) if login.password else ()
        try:
            await _within(connection.send("HELLO", 3, *who, "SETNAME", NAME))
            if database:
                await _within(connection.send("SELECT", database))
        except BaseException:
            connection.abort()
            raise
        return connection


async def _within(awaitable: Any) -> Any:
    try:
        async with asyncio.timeout(PATIENCE):
            return await awaitable
    except TimeoutError:
        raise RedisLost(f"no answer within {PATIENCE:g} s") from None


def _moved(error: str, asked: Address) -> Address | None:
    """Where `MOVED slot host:port` points; a server that does not know its own name leaves the host out."""
    words = error.split()
    if len(words) != 3 or words[0] != "MOVED":
        return None
    host, _, port = words[2].rpartition(":")
    return host.strip("[]") or asked[0], int(port)


def _tls(location: RedisLocation) -> ssl.SSLContext | None:
    """Raises StateError where a file that the URL names cannot be used."""
    if not location.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=location.ca)
        if location.cert is not None:
            context.load_cert_chain(location.cert, location.key)
    except OSError as error:
        raise StateError(f"state.hot: ca, cert and key name PEM files that can be read: {error}") from None
    return context
