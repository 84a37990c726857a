"""What every dialect provides. One object a dialect, in its package's `DIALECT`; it holds no state of its own.

    client body ── read_request ──▶ Request ── write_request ──▶ upstream body
    client bytes ◀── Writer.feed ── events ◀── Reader.feed ── upstream bytes
    identity: client body ── patch ──▶ upstream body;  upstream bytes ── Tap ──▶ client bytes

Parse upstream loosely (unknown fields and values pass, missing ones default), emit strictly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from msgspec import Struct

from trunkline.core.call import NOWHERE, Addressed, Headers, Peek
from trunkline.core.errors import GatewayError, UpstreamError
from trunkline.core.events import Event
from trunkline.core.reply import Flow
from trunkline.core.request import Request
from trunkline.core.usage import Usage
from trunkline.dialects.plain import Plain


class Quirks(Struct, frozen=True):
    """How a provider (or one of its models) departs from its dialect. A table's row, never an `if` on a name."""

    max_tokens_field: str = "max_completion_tokens"
    """Chat: what the limit is called (`max_tokens` on compatible hosts)."""
    max_tokens_default: int = 8192
    """Anthropic: the limit sent where the caller set none (the field is required there)."""
    folds_names: bool = False
    """Chat: it may take a field whose name is written in other letters (`Max_Tokens`), as programs in Go do."""
    stream_usage: bool = True
    """Chat: whether `stream_options.include_usage` may be sent."""
    drop: frozenset[str] = frozenset()
    """`core.request.Request` attributes that this model refuses: left out and reported as lost."""
    adaptive_thinking: bool = False
    """Anthropic: the model wants `thinking: adaptive` with `output_config.effort` rather than a token budget."""
    efforts: tuple[str, ...] = ()
    """The levels of thinking that the model takes, for `effort.nearest`; none listed: any."""
    system_turns: bool = False
    """Anthropic: the model takes role `system` among the messages; a user turn carries the text otherwise."""
    prefill: bool = True
    """Anthropic: the model continues a conversation that ends with an assistant message."""
    developer_role: bool = True
    """Chat: whether role `developer` is known; `system` is sent otherwise."""
    allowed_tools: bool = True
    """Chat: whether a choice among some of the tools is known; the others are left out otherwise."""
    thinking_budget: bool = False
    """Gemini: thinking is asked for by a number of tokens; by a level otherwise."""
    signed_calls: bool = False
    """Gemini: the first call of a turn must bring the signature that it came with."""
    media_results: bool = False
    """Gemini: a function's result may hold images and documents; they follow the results otherwise."""
    json_with_tools: bool = True
    """Gemini: JSON may be asked for beside functions."""
    json_schema: bool = True
    """Gemini: JSON Schema is taken as it is; the service's own `Schema` otherwise."""
    counts_whole: bool = True
    """Gemini: countTokens takes a whole request in `generateContentRequest` (AI Studio); its fields otherwise."""
    encrypted_thoughts: bool = False
    """Responses: the model thinks, and gives its thoughts encrypted where it is asked for them."""
    known_as: str = ""
    """Which model it really is, where the name it is called by is opaque (a deployment, an inference profile)."""
    tools_by: str = ""
    """The dialect in which alone the model calls tools while it thinks."""


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
    """The call's own: for an error inside the stream, and the answer's where the upstream gave it none."""
    framing: str = ""
    """How the client wants its stream cut, where its dialect has several ways."""
    repeated: Mapping[str, Any] = {}
    """What the answer repeats of the request: see `Dialect.repeats`."""


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


def _uncounted(name: str) -> NotImplementedError:
    return NotImplementedError(f"{name} counts no tokens: ask only an API with a path for it")


class Dialect(Protocol):
    """Methods with a body are what most dialects do; those that differ override them."""

    name: str
    """Two dialects of one name differ in the request's envelope alone: between them the bytes pass."""
    id_headers: tuple[bytes, bytes] = (b"x-request-id", b"request-id")
    """Where the family's SDK looks for a request's id."""
    ping: bytes
    """What is sent into a silent stream so that nothing in between thinks it dead; b"" where nothing may be."""

    def peek(self, body: bytes, addressed: Addressed = NOWHERE) -> Peek:
        """The few fields that every call needs, from the body or from where it was sent. Raises `BadRequest` naming
        the field."""
        ...

    def patch(self, body: bytes, model: str, peek: Peek, quirks: Quirks) -> bytes:
        """The client's body for an upstream of the same dialect: the model's upstream name, usage asked for; every
        other byte of a value as it came."""
        ...

    def read_request(self, body: bytes, peek: Peek | None = None) -> Request:
        """`peek` holds what the path said, for families that put the model there. Raises `BadRequest` naming the
        field."""
        ...

    def write_request(self, request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
        """The upstream body; appends to `lost` the client's JSON path of whatever it cannot carry."""
        ...

    def tap(self, peek: Peek, request_id: str = "") -> Flow:
        """The identity path: bytes pass, usage is read. `request_id` goes into an error inside the stream."""
        ...

    def repeats(self, body: bytes) -> Mapping[str, Any]:
        """Settings of a client's request that answers in this dialect repeat, by their names."""
        return {}

    def reader(self, stream: bool) -> Reader: ...

    def writer(self, envelope: Envelope) -> Writer: ...

    def read_plain(self, body: bytes) -> Plain | None:
        """A whole answer that is one text; None for one that is more, or that this dialect has no short way for."""
        return None

    def write_plain(self, answer: Plain, envelope: Envelope) -> bytes | None:
        """The same bytes as the writer's; None where this dialect has no short way."""
        return None

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

    def stream_type(self, framing: str) -> bytes:
        """The content type of a stream."""
        return b"text/event-stream"

    def error_headers(self, error: GatewayError) -> Headers:
        """What the family says of an error in header fields."""
        return []

    def told_beside(self, headers: Headers) -> Headers:
        """The header fields of an upstream's answer that belong to it, for a client of the same dialect."""
        return []

    def usage_of(self, headers: Headers) -> Usage | None:
        """Usage that the upstream tells in its answer's header fields, where the body says nothing."""
        return None

    # ── Counting a request's tokens ────────────────────────────────────────────────────────────────────────────────

    def read_count_request(self, body: bytes, peek: Peek | None = None) -> Request:
        """What shall be counted. Raises `BadRequest` naming the field."""
        return self.read_request(body, peek)

    def write_count_request(self, request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
        """As `write_request`, for the endpoint that counts."""
        raise _uncounted(self.name)

    def read_count(self, body: bytes) -> int:
        """The count in an upstream's answer. Raises `UpstreamProtocol`."""
        raise _uncounted(self.name)

    def write_count(self, tokens: int) -> bytes:
        """The answer that tells the client its count."""
        raise _uncounted(self.name)
