"""One HTTP/1.1 connection: bytes from the socket through llhttp into the response that waits for them.

    idle ── start ──▶ waiting for a head ── 1xx ──▶ (same) ── head ──▶ body ── end ──▶ idle, or closed

A connection that ends before any byte of a response, and that had served one before, was most likely closed by the peer
for being idle just as we wrote. RFC 9110 section 9.2.2 lets a client repeat even a POST when it can tell that the
request was not processed, and RFC 9112 section 9.3.1 names this case. So that failure is a type of its own, `Stale`.

The parser is fed as the bytes come; it is strict (its leniencies stay off). Bytes that belong to no response end the
connection: whoever came next would otherwise read them as the answer (response splitting).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from trunkline.edge.transport.base import BrokenOff, Oversized, TimedOut, TransportError, TransportSettings
from trunkline.edge.transport.coding import decoder_for
from trunkline.edge.transport.response import LeanResponse
from trunkline.edge.transport.tls import ResumingContext

_JOIN_LIMIT = 65_536
"""Bytes up to which joining head and body is cheaper than handing over two buffers."""


class Stale(BrokenOff):
    """A reused connection ended before any byte of the response."""


class Connection(asyncio.Protocol):
    __slots__ = (
        "_in_body", "_keep", "_last", "_now", "_on_free", "_on_lost", "_overhead", "_parser", "_paused", "_response",
        "_settings", "_transport", "_used", "closed", "gone",
    )  # fmt: skip

    def __init__(self, settings: TransportSettings, loop: asyncio.AbstractEventLoop) -> None:
        self.closed = False
        self.gone: asyncio.Future[None] = loop.create_future()
        """Done when the socket is closed, a moment after `closed`."""
        self._settings = settings
        self._now = loop.time
        self._last = loop.time()
        """When something last happened, loop time."""
        self._parser = HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._response: LeanResponse | None = None
        self._on_free: Callable[[Connection], None] | None = None
        self._on_lost: Callable[[Connection], None] | None = None
        self._overhead = 0
        """Bytes since the request, or since the last byte of body, that were head, framing or trailers. Bounded: it is
        what a peer could otherwise send for ever."""
        self._in_body = False
        self._keep = False
        self._paused = False
        self._used = False

    def adopt(self, on_free: Callable[[Connection], None], on_lost: Callable[[Connection], None]) -> None:
        """From now on the pool hears when the connection is free for another request, and once when it is lost."""
        self._on_free = on_free
        self._on_lost = on_lost

    def start(self, response: LeanResponse, head: bytes, body: bytes) -> None:
        """Send a request; `response` gets the answer."""
        transport = self._transport
        if self.closed or transport is None or transport.is_closing():
            response.fail(Stale("the connection was closed", sent=False))
            return
        self._response = response
        response.wire = self
        self._last = self._now()
        self._overhead = 0
        self._in_body = False
        if len(body) <= _JOIN_LIMIT:
            transport.write(head + body)
        else:
            transport.writelines((head, body))

    def abort(self) -> None:
        """Close at once, whatever is under way. Idempotent."""
        self._end(BrokenOff("the connection was aborted", sent=True))

    def pause(self) -> None:
        transport = self._transport
        if not self._paused and transport is not None and not transport.is_closing():
            self._paused = True
            transport.pause_reading()

    def resume(self) -> None:
        transport = self._transport
        if self._paused and transport is not None and not transport.is_closing():
            self._paused = False
            self._last = self._now()
            transport.resume_reading()

    def sweep(self, now: float) -> None:
        """Enforce the time limits, as of `now` (loop time)."""
        response, settings = self._response, self._settings
        silence = now - self._last
        if response is None:
            if silence > settings.keep_alive:
                self.abort()
        elif response.deadline is not None and now > response.deadline:
            self._end(TimedOut("the deadline passed before the response ended", sent=True))
        elif not self._in_body:
            if silence > settings.first_byte_timeout:
                self._end(
                    TimedOut(f"no response within first_byte_timeout ({settings.first_byte_timeout} s)", sent=True)
                )
        elif silence > settings.idle_timeout and not self._paused:
            self._end(TimedOut(f"the response was silent for idle_timeout ({settings.idle_timeout} s)", sent=True))

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        response = self._response
        if response is None:
            self.abort()
            return
        in_body, received = self._in_body, response.received
        if not in_body:
            self._overhead += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._keep = False
            if not response.complete:
                self._end(_reason(error))
                return
        if response.complete:
            self._free(response)
            return
        if response.received != received:
            self._overhead = 0
        else:
            self._overhead += len(data) if in_body else 0
            if self._overhead > self._settings.max_header_size:
                self._end(_oversized(self._settings.max_header_size))
                return
        if self._in_body:
            self._last = self._now()
            response.arrived()

    def eof_received(self) -> None:
        self._lost("")

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(f": {exc}" if exc is not None else "")
        if not self.gone.done():
            self.gone.set_result(None)

    # llhttp's side. An exception that leaves a callback ends the parsing.

    def on_message_begin(self) -> None:
        if self._in_body:
            self._keep = False  # a second response, which nobody asked for

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_body and self._response is not None:  # else a trailer
            self._response.headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        response = self._response
        if self._in_body or response is None:
            return
        status = self._parser.get_status_code()
        if status < 200:
            response.headers.clear()
            return
        if self._overhead > self._settings.max_header_size:
            _measure_head(response, self._settings.max_header_size)
        _check_framing(response)
        response.begin(status, decoder_for(response.headers))
        self._in_body = True
        self._keep = self._parser.should_keep_alive()
        if response.head_only:
            # The parser cannot be told that no body follows, so this connection is not used again.
            self._keep = False
            response.complete = True

    def on_body(self, data: bytes) -> None:
        response = self._response
        if response is not None and not response.complete:
            response.append(data)

    def on_message_complete(self) -> None:
        if self._in_body and self._response is not None:
            self._response.complete = True

    # How an exchange ends.

    def _free(self, response: LeanResponse) -> None:
        self._response = None
        self.resume()
        response.finish()
        transport = self._transport
        # An answer that came before the request was sent to its end leaves a connection in the middle of a message.
        if (
            self._keep
            and transport is not None
            and not transport.is_closing()
            and not transport.get_write_buffer_size()
        ):
            if not self._used:
                self._used = True
                self._remember_session(transport)
            self._last = self._now()
            if self._on_free is not None:
                self._on_free(self)
        else:
            self.abort()

    def _remember_session(self, transport: asyncio.Transport) -> None:
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and isinstance(tls.context, ResumingContext):
            tls.context.remember(tls)

    def _lost(self, why: str) -> None:
        """The peer has gone; `why` is empty where it closed in good order."""
        response = self._response
        if response is not None and self._in_body and not why and _until_close(response):
            self._keep = False
            self._free(response)
        elif self._overhead or self._in_body:
            self._end(BrokenOff(f"the connection ended inside the response{why}", sent=True))
        elif self._used:
            self._end(Stale(f"the reused connection ended before a response{why}", sent=True))
        else:
            self._end(BrokenOff(f"the connection ended before a response{why}", sent=True))

    def _end(self, error: TransportError) -> None:
        if self.closed:
            return
        self.closed = True
        response, self._response = self._response, None
        if self._transport is not None:
            self._transport.abort()
        del self._parser  # it holds our bound methods: a cycle
        if self._on_lost is not None:
            self._on_lost(self)
        if response is not None:
            response.fail(error)


def _until_close(response: LeanResponse) -> bool:
    """Whether the body is framed by the connection's end alone (RFC 9112 section 6.3, the last rule)."""
    return not any(name in (b"content-length", b"transfer-encoding") for name, _ in response.headers)


def _measure_head(response: LeanResponse, limit: int) -> None:
    size = sum(len(name) + len(value) + len(b": \r\n") for name, value in response.headers)
    if size > limit:
        raise _oversized(limit)


def _oversized(limit: int) -> Oversized:
    return Oversized(f"header fields or framing larger than max_header_size ({limit})", "max_header_size")


def _check_framing(response: LeanResponse) -> None:
    """The parser takes the body of a transfer coding it does not know as it comes; we do not."""
    for name, value in response.headers:
        if name == b"transfer-encoding" and value.lower() != b"chunked":
            raise BrokenOff(f"transfer-encoding {value.decode('latin-1')!r} is not supported: chunked is", sent=True)


def _reason(error: Exception) -> TransportError:
    """Why parsing ended: our own refusal, raised in a callback, or the parser's complaint."""
    if isinstance(error.__context__, TransportError):
        return error.__context__
    if isinstance(error, HttpParserUpgrade):
        return BrokenOff("the upstream switched protocols unasked", sent=True)
    return BrokenOff(f"the response is not valid HTTP/1.1: {error}", sent=True)
