"""What the upstream edge asks of an HTTP client, and how clients fail."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from trunkline.core.call import Headers

CLOCK_SLACK = 0.005
"""Seconds by which a timer may strike before the loop's clock, which counts in milliseconds, says so."""


class TransportSettings(Struct, forbid_unknown_fields=True, frozen=True):
    """The `transport:` section of the configuration. Times in seconds, sizes in bytes."""

    client: str = "lean"
    """`lean` or `general` (aiohttp: HTTP proxies from the environment)."""
    connect_timeout: float = 5.0
    """To a connection that is ready for a request: address found, connected, TLS agreed."""
    first_byte_timeout: float = 300.0
    """From the request sent to the response's head."""
    idle_timeout: float = 300.0
    """The longest silence inside a response."""
    keep_alive: float = 60.0
    """How long an idle connection is kept."""
    max_connections: int = 1000
    """To one upstream origin; a call that finds none free waits until its own deadline."""
    max_header_size: int = 65_536
    """Of a response's head, all header fields together."""
    max_body_size: int = 256 * 1024 * 1024
    """Of one whole (non-streamed) response, after decompression."""
    read_buffer: int = 262_144
    """Bytes of a response held before reading from the socket pauses."""
    ca_file: str | None = None
    """Certificates to trust instead of the system's."""


class Origin(Struct, frozen=True, cache_hash=True):
    """Where to connect: connections are pooled by it."""

    scheme: str
    host: str
    port: int


class TransportError(Exception):
    """The upstream could not be reached or did not speak HTTP. `sent` tells whether a byte of the request may have
    been processed: if not, trying again is safe."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class ConnectFailed(TransportError):
    """No connection: refused, unresolvable, TLS not trusted, or the pool stayed full."""


class TimedOut(TransportError):
    pass


class BrokenOff(TransportError):
    """The connection ended inside a response, or spoke something that is not HTTP/1.1."""


class Oversized(BrokenOff):
    """The response is larger than `setting`, of this section, allows."""

    def __init__(self, message: str, setting: str) -> None:
        super().__init__(message, sent=True)
        self.setting = setting


class Response(Protocol):
    """A response whose head has arrived."""

    status: int
    headers: Headers

    async def read(self) -> bytes:
        """The next bytes of the (decompressed) body, as they arrive; b"" at its end. Raises TransportError."""
        ...

    async def body(self) -> bytes:
        """All of the body. Raises TransportError; `Oversized` past `max_body_size`."""
        ...

    def close(self) -> None:
        """Back to the pool if the body was read to its end, else abort. Idempotent, never raises."""
        ...


class Transport(Protocol):
    async def send(
        self, origin: Origin, method: bytes, path: bytes, headers: Headers, body: bytes, deadline: float | None = None
    ) -> Response:
        """Send a request and wait for the response's head. `path` is the request target, percent-encoded.

        `host` and `content-length` are added; `deadline` (loop time) bounds the whole exchange, body included.
        A pooled connection that turns out to be closed is replaced silently where nothing of a response had come.
        Cancelling the caller aborts the connection. Raises TransportError.
        """
        ...

    def stats(self) -> dict[str, int]:
        """Counts for the metrics: `open`, `idle`, `opened`, `reused`, `failed`, `waiting`."""
        ...

    async def aclose(self) -> None: ...
