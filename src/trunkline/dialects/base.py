"""What every dialect provides. One object a dialect, in its package's `DIALECT`; it holds no state of its own.

    client body ── read_request ──▶ Request ── write_request ──▶ upstream body
    client bytes ◀── Writer.feed ── events ◀── Reader.feed ── upstream bytes
    identity: client body ── patch ──▶ upstream body;  upstream bytes ── Tap ──▶ client bytes

Parse upstream loosely (unknown fields and values pass, missing ones default), emit strictly.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct

from trunkline.core.call import Headers, Peek
from trunkline.core.errors import GatewayError, UpstreamError
from trunkline.core.events import Event
from trunkline.core.reply import Flow
from trunkline.core.request import Request


class Quirks(Struct, frozen=True):
    """How a provider (or one of its models) departs from its dialect. A table's row, never an `if` on a name."""

    max_tokens_field: str = "max_completion_tokens"
    """Chat: what the limit is called (`max_tokens` on compatible hosts)."""
    max_tokens_default: int = 8192
    """Anthropic: the limit sent where the caller set none (the field is required there)."""
    stream_usage: bool = True
    """Chat: whether `stream_options.include_usage` may be sent."""
    drop: frozenset[str] = frozenset()
    """`core.request.Request` attributes that this model refuses: left out and reported as lost."""
    adaptive_thinking: bool = False
    """Anthropic: the model wants `thinking: adaptive` with `output_config.effort` rather than a token budget."""
    system_turns: bool = False
    """Anthropic: the model takes role `system` among the messages; a user turn carries the text otherwise."""
    prefill: bool = True
    """Anthropic: the model continues a conversation that ends with an assistant message."""
    developer_role: bool = True
    """Chat: whether role `developer` is known; `system` is sent otherwise."""


class Envelope(Struct, frozen=True):
    """What a writer must know of the call besides its events."""

    stream: bool
    include_usage: bool = True
    """Chat streams: send the final usage chunk."""
    model: str = ""
    """As the caller named it: shown where the upstream names none."""
    created: int = 0
    """When the call arrived, seconds since the epoch: shown where the upstream gives no time."""
    request_id: str = ""
    """The call's own, for an error inside the stream."""


class Reader(Protocol):
    """Upstream bytes, in pieces of any size, to events. One reader an answer."""

    def feed(self, data: bytes) -> Iterable[Event]: ...

    def eof(self) -> Iterable[Event]:
        """The body has ended. Yields `Failed(UpstreamBroken)` where it cannot have been whole."""
        ...


class Writer(Protocol):
    """Events to the client's bytes. One writer an answer. A whole answer comes out of `eof`, a stream as it goes."""

    lost: list[str]
    """JSON paths of answer fields that could not be carried (whole answers only; a stream's head has left)."""

    def feed(self, event: Event) -> bytes: ...

    def eof(self) -> bytes: ...


class Dialect(Protocol):
    name: str
    ping: bytes
    """What is sent into a silent stream so that nothing in between thinks it dead."""

    def peek(self, body: bytes) -> Peek:
        """The few fields that every call needs. Raises `BadRequest` naming the field."""
        ...

    def patch(self, body: bytes, model: str, peek: Peek, quirks: Quirks) -> bytes:
        """The client's body for an upstream of the same dialect: the model's upstream name, usage asked for; every
        other byte of a value as it came."""
        ...

    def read_request(self, body: bytes) -> Request:
        """Raises `BadRequest` naming the field."""
        ...

    def write_request(self, request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
        """The upstream body; appends to `lost` the client's JSON path of whatever it cannot carry."""
        ...

    def tap(self, peek: Peek, request_id: str = "") -> Flow:
        """The identity path: bytes pass, usage is read. `request_id` goes into an error inside the stream."""
        ...

    def reader(self, stream: bool) -> Reader: ...

    def writer(self, envelope: Envelope) -> Writer: ...

    def read_error(self, status: int, headers: Headers, body: bytes) -> UpstreamError:
        """An upstream's error answer, classified; `body` is kept for the identity path."""
        ...

    def write_error(self, error: GatewayError, request_id: str) -> bytes:
        """The body of an error answer; its status is `error_status(error)`."""
        ...

    def error_status(self, error: GatewayError) -> int:
        """The HTTP status with which this family's SDK raises the right class."""
        ...

    def stream_error(self, error: GatewayError, request_id: str) -> bytes:
        """An error inside a stream that has begun, as a typed event."""
        ...
