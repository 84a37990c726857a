"""The general transport: aiohttp, for upstreams that are reached through an HTTP proxy.

Proxies come from the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`). Costs several times the CPU of `lean` and
behaves alike: the same suite runs on both. What aiohttp calls its failures is translated here, at one seam.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
from yarl import URL

from trunkline.core.call import Headers
from trunkline.edge.transport.base import (
    CLOCK_SLACK,
    BrokenOff,
    ConnectFailed,
    Origin,
    Oversized,
    TimedOut,
    TransportError,
    TransportSettings,
)
from trunkline.edge.transport.coding import Decoder, decoder_for
from trunkline.edge.transport.head import authority, request_head
from trunkline.edge.transport.tls import client_context

_LARGE = 1 << 20
"""Bytes from which aiohttp wants a body as a file."""

_LOOK = 0.25
"""Seconds between two looks at the state of a connection that says nothing."""


class GeneralResponse:
    """See `base.Response`."""

    def __init__(self, inner: aiohttp.ClientResponse, settings: TransportSettings, deadline: float | None) -> None:
        self.status = inner.status
        self.headers: Headers = [(name.lower(), value) for name, value in inner.raw_headers]
        self._inner = inner
        self._decoder = decoder_for(self.headers)
        self._protocol = inner.connection.protocol if inner.connection is not None else None
        self._settings = settings
        self._deadline = deadline
        self._error: TransportError | None = None

    async def read(self) -> bytes:
        if self._error is not None:
            raise self._error
        try:
            with _translated():
                return await (self._next() if self._decoder is None else self._decoded(self._decoder))
        except asyncio.CancelledError:
            self.close()
            raise
        except TransportError as error:
            self._error = error
            self._inner.close()
            raise

    async def body(self) -> bytes:
        chunks: list[bytes] = []
        room = self._settings.max_body_size
        while chunk := await self.read():
            room -= len(chunk)
            if room < 0:
                self._inner.close()
                limit = self._settings.max_body_size
                raise Oversized(f"the body is larger than max_body_size ({limit})", "max_body_size")
            chunks.append(chunk)
        return b"".join(chunks)

    async def _decoded(self, decoder: Decoder) -> bytes:
        data = decoder.decode(b"", self._settings.read_buffer)
        while not data:
            raw = await self._next()
            if not raw:
                decoder.finish()
                return b""
            data = decoder.decode(raw, self._settings.read_buffer)
        return data

    async def _next(self) -> bytes:
        data = self._inner.content.read_nowait()
        if data or self._inner.content.at_eof():
            return data
        loop = asyncio.get_running_loop()
        limit = loop.time() + self._settings.idle_timeout
        if self._deadline is not None:
            limit = min(limit, self._deadline)
        while True:
            try:
                async with asyncio.timeout_at(min(limit, loop.time() + _LOOK)):
                    return await self._inner.content.readany()
            except TimeoutError:
                # aiohttp 3.14 leaves the reader waiting when the framing breaks inside a body: ask the connection.
                fault = self._protocol.exception() if self._protocol is not None else None
                if fault is not None:
                    raise BrokenOff(f"the response is not valid HTTP/1.1: {fault}", sent=True) from fault
                if loop.time() >= limit:
                    raise TimedOut("silent for idle_timeout, or the deadline passed", sent=True) from None

    def close(self) -> None:
        if not self._inner.content.at_eof():
            self._error = BrokenOff("the response was closed before its end", sent=True)
        self._inner.close()  # at its end aiohttp has given the connection back already


class GeneralTransport:
    """See `base.Transport`. Belongs to the event loop of its first `send`."""

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None
        self._connector: aiohttp.TCPConnector | None = None
        self._proxies: dict[Origin, URL | None] = {}
        self._closed = False
        self._opened = self._reused = self._failed = self._waiting = 0

    async def send(
        self, origin: Origin, method: bytes, path: bytes, headers: Headers, body: bytes, deadline: float | None = None
    ) -> GeneralResponse:
        request_head(origin, method, path, headers, len(body))  # for its checks: both transports refuse the same
        if deadline is not None and deadline <= asyncio.get_running_loop().time():
            raise TimedOut("the deadline had passed before the request was sent", sent=False)
        request = {
            "method": method.decode(),
            "url": URL(f"{origin.scheme}://{authority(origin)}{path.decode()}", encoded=True),
            "headers": _text(headers),
            "data": _content(body),
            "allow_redirects": False,
            "proxy": self._proxy(origin),
        }
        try:
            inner = await self._exchange(request, deadline)
            return self._begun(inner, deadline)
        except TransportError:
            self._failed += 1
            raise

    def stats(self) -> dict[str, int]:
        idle = busy = 0
        if self._connector is not None:
            # aiohttp has no public count.
            idle = sum(len(connections) for connections in self._connector._conns.values())
            busy = len(self._connector._acquired)
        return {
            "open": idle + busy,
            "idle": idle,
            "opened": self._opened,
            "reused": self._reused,
            "failed": self._failed,
            "waiting": self._waiting,
        }

    async def aclose(self) -> None:
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def _begun(self, inner: aiohttp.ClientResponse, deadline: float | None) -> GeneralResponse:
        try:
            if inner.status == 101:
                raise BrokenOff("the upstream switched protocols unasked", sent=True)
            return GeneralResponse(inner, self._settings, deadline)
        except BrokenOff:
            inner.close()
            raise

    async def _exchange(self, request: dict[str, Any], deadline: float | None) -> aiohttp.ClientResponse:
        """Send and wait for the head; once more where a reused connection ended before any byte of a response."""
        first = _Progress(self._settings, deadline)
        try:
            return await self._attempt(request, first)
        except BrokenOff as error:
            if not (first.reused and _nothing_came(error.__cause__)):
                raise
        return await self._attempt(request, _Progress(self._settings, deadline))

    async def _attempt(self, request: dict[str, Any], progress: _Progress) -> aiohttp.ClientResponse:
        if self._closed:
            raise ConnectFailed("the transport is closed", sent=False)
        session = self._session or self._open()
        try:
            async with progress.clock:
                with _translated():
                    return await session.request(trace_request_ctx=progress, **request)
        except TimeoutError:
            raise progress.expired() from None
        finally:
            self._opened += int(progress.connected and not progress.reused)
            self._reused += int(progress.reused)
            self._waiting -= int(progress.queued)

    def _proxy(self, origin: Origin) -> URL | None:
        # Asked once an origin: aiohttp's own `trust_env` asks again in a thread for every request, half a millisecond.
        if origin not in self._proxies:
            self._proxies[origin] = proxy_from_environment(origin)
        return self._proxies[origin]

    def _open(self) -> aiohttp.ClientSession:
        settings = self._settings
        self._connector = aiohttp.TCPConnector(
            limit=0,
            limit_per_host=settings.max_connections,
            keepalive_timeout=settings.keep_alive,
            ssl=client_context(settings.ca_file),
        )
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),  # ours: see _Progress and GeneralResponse.read
            auto_decompress=False,  # ours: the same codings and bounds as in `lean`
            skip_auto_headers=("Accept", "Content-Type", "User-Agent"),
            read_bufsize=settings.read_buffer // 2,  # aiohttp pauses at twice this
            max_line_size=settings.max_header_size,
            max_field_size=settings.max_header_size,
            trace_configs=[self._trace()],
        )
        return self._session

    def _trace(self) -> aiohttp.TraceConfig:
        async def queued(_: object, context: SimpleNamespace, params: object) -> None:
            context.trace_request_ctx.queued = True
            self._waiting += 1

        async def connecting(_: object, context: SimpleNamespace, params: object) -> None:
            context.trace_request_ctx.connect()

        async def connected(_: object, context: SimpleNamespace, params: object) -> None:
            context.trace_request_ctx.send(reused=False)

        async def reused(_: object, context: SimpleNamespace, params: object) -> None:
            context.trace_request_ctx.send(reused=True)

        trace = aiohttp.TraceConfig()
        trace.on_connection_queued_start.append(queued)
        trace.on_connection_create_start.append(connecting)
        trace.on_connection_create_end.append(connected)
        trace.on_connection_reuseconn.append(reused)
        return trace


def proxy_from_environment(origin: Origin) -> URL | None:
    """The proxy that the environment names for an origin, if any; `NO_PROXY` as `urllib` understands it."""
    proxy = getproxies().get(origin.scheme)
    if not proxy or proxy_bypass(f"{origin.host}:{origin.port}"):
        return None
    return URL(proxy if "://" in proxy else f"http://{proxy}")


class _Progress:
    """How far one attempt has come: which time limit holds now, and what it means when it passes."""

    def __init__(self, settings: TransportSettings, deadline: float | None) -> None:
        self.queued = self.connecting = self.connected = self.reused = False
        self._settings = settings
        self._deadline = deadline
        self._loop = asyncio.get_running_loop()
        self.clock = asyncio.timeout_at(self._within(settings.connect_timeout) if deadline is None else deadline)

    def connect(self) -> None:
        self.connecting = True
        self.clock.reschedule(self._within(self._settings.connect_timeout))

    def send(self, reused: bool) -> None:
        self.connected, self.reused = True, reused
        self.clock.reschedule(self._within(self._settings.first_byte_timeout))

    def expired(self) -> TransportError:
        late = self._deadline is not None and self._loop.time() >= self._deadline - CLOCK_SLACK
        if self.connected:
            return TimedOut("no response within first_byte_timeout or the deadline", sent=True)
        if self.connecting and late:
            return TimedOut("the deadline passed while connecting", sent=False)
        if self.connecting:
            return ConnectFailed(f"no connection within {self._settings.connect_timeout} s", sent=False)
        full = f"all {self._settings.max_connections} connections (max_connections) stayed busy"
        return ConnectFailed(full, sent=False)

    def _within(self, seconds: float) -> float:
        limit = self._loop.time() + seconds
        return limit if self._deadline is None else min(limit, self._deadline)


_CONNECTING = (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, aiohttp.ServerTimeoutError)


_TOO_LONG = "Got more than"
"""How aiohttp 3.14 says it of a header field: its parser in C wraps the class, LineTooLong, in a more general one."""


@contextmanager
def _translated() -> Iterator[None]:
    """aiohttp's failures as ours."""
    try:
        yield
    except _CONNECTING as error:
        raise ConnectFailed(str(error), sent=False) from error
    except aiohttp.ClientResponseError as error:
        if error.message.startswith(_TOO_LONG):
            raise Oversized(f"header fields larger than max_header_size: {error.message}", "max_header_size") from error
        raise BrokenOff(f"the response is not valid HTTP/1.1: {error}", sent=True) from error
    except (aiohttp.ClientError, ConnectionError) as error:
        raise BrokenOff(f"the connection broke off or spoke no HTTP/1.1: {error}", sent=True) from error


def _nothing_came(error: BaseException | None) -> bool:
    """Whether the connection ended before a byte of the response, as far as aiohttp tells."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return isinstance(error.message, str)  # otherwise: the part of the head that had come
    return isinstance(error, OSError)


def _text(headers: Headers) -> list[tuple[str, str]]:
    """As aiohttp wants them: it writes text as UTF-8. Raises ValueError on a value that is not."""
    text: list[tuple[str, str]] = []
    for name, value in headers:
        try:
            text.append((name.decode(), value.decode()))
        except UnicodeDecodeError:
            raise ValueError(f"header {name.decode('latin-1')}: not UTF-8, which this transport needs") from None
    if all(name != "accept-encoding" for name, _ in text):
        text.append(("accept-encoding", "identity"))
    return text


def _content(body: bytes) -> bytes | io.BytesIO | None:
    """aiohttp takes small bodies as bytes, and warns about large ones unless they are files."""
    if not body:
        return None
    return body if len(body) < _LARGE else io.BytesIO(body)
