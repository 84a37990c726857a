"""The bounds of the client-facing edge: every one of them answers a way of being attacked."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class ServerSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The `server:` section of the configuration. Times in seconds, sizes in bytes."""

    max_body_size: int = 32 * 1024 * 1024
    """The largest request body, in bytes; a larger one is answered with 413."""
    max_json_depth: Annotated[int, Meta(ge=8, le=512)] = 128
    """How deep a request's JSON may nest; a deeper one is answered with 400."""
    max_header_size: Annotated[int, Meta(ge=1024)] = 65_536
    """Bytes of a request's head, all header fields together."""
    header_timeout: float = 10.0
    """Seconds in which a request's head must have arrived, counted from its first byte."""
    body_timeout: float = 60.0
    """The longest silence, in seconds, while a request's body arrives."""
    max_connections: int = 10_000
    """Client connections open at once, per worker; further ones are refused."""
    request_timeout: float = 600.0
    """Seconds a call may take in all, retries and the whole stream included, where the caller sets no deadline."""
    drain_timeout: float = 30.0
    """Seconds that running calls are given to finish after a stop signal."""
    ping_interval: float = 15.0
    """Seconds of silence in a stream after which a ping is sent, so that nothing in between thinks it dead."""
    keep_alive: float = 75.0
    """Seconds that an idle client connection is kept open."""
    websocket_idle: float = 600.0
    """Seconds that a client's WebSocket is kept open without a message to answer."""
    websocket_lifetime: float = 3600.0
    """Seconds after which a WebSocket is ended, once it is idle; clients open a new one."""
    websocket_memory: int = 256 * 1024 * 1024
    """Bytes of answers that WebSockets remember for their own next messages where nothing is stored (`store: false`),
    per worker, all together; the oldest go first."""
    trusted_proxies: Annotated[tuple[str, ...], Meta(max_length=64)] = ()
    """Networks, such as `10.0.0.0/8`, of the proxies in front whose `x-forwarded-for` is believed: it tells whose
    address a request comes from (see docs/abuse.md)."""
    workers: Annotated[int, Meta(ge=1, le=256)] = 1
    """Processes that serve; the operating system spreads connections over them."""
