"""One row a wire format: who may ask, how an answer is planned, and how an error looks."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from trunkline.sim import anthropic, openai, rates
from trunkline.sim.asked import Asked
from trunkline.sim.errors import (
    ANTHROPIC,
    AZURE,
    OPENAI,
    ErrorStyle,
    anthropic_envelope,
    azure_envelope,
    openai_envelope,
)
from trunkline.sim.exchange import Headers
from trunkline.sim.problems import Problem


class Family(Struct, frozen=True):
    """A wire format."""

    name: str
    credentials: tuple[bytes, ...]
    """Request headers of which one must be there."""
    unauthenticated: str
    """What is said where none is."""
    errors: ErrorStyle
    id_header: bytes
    rates: Callable[[bool], Headers]
    """The rate-limit headers of a success."""
    stream_error: Callable[[bytes], bytes]
    """An error's JSON as an event of a stream."""
    terminator: bytes
    """What the last event of a whole stream, and no other, has among its first bytes."""
    oddity: bytes
    """An event that no client has heard of."""
    guard: Callable[[Asked], None] | None = None
    """Judges credentials where one header of several is not the whole rule. Raises Problem."""
    garbage: bytes = b"these lines: are no event\n{\x00\xff}\ndata {}\n\n"
    """What is no event at all."""
    broken: bytes = b'data: {"id":"broken","choices":[{"delta":{"content":\n\n'
    """An event whose JSON breaks off."""
    opening: bytes = b""
    between: bytes = b""
    closing: bytes = b""
    """What a stream that is one JSON array writes before, between and after its events."""
    lines: bool = True
    """Whether a stream consists of lines that end in LF."""

    def authenticate(self, asked: Asked) -> None:
        """Raises Problem where no credential is sent. Any value is accepted: the simulator guards nothing."""
        if self.guard is not None:
            self.guard(asked)
            return
        for name in self.credentials:
            value = asked.headers.get(name, b"")
            if value.removeprefix(b"Bearer").strip():
                return
        raise Problem(self.unauthenticated, name="401")


OPENAI_FAMILY = Family(
    name="openai",
    credentials=(b"authorization",),
    unauthenticated="You didn't provide an API key. You need to provide your API key in an Authorization header using "
    "Bearer auth (i.e. Authorization: Bearer YOUR_KEY). The simulator accepts any.",
    errors=ErrorStyle(OPENAI, openai_envelope, lambda after: rates.openai(False, after), milliseconds=True),
    id_header=b"x-request-id",
    rates=rates.openai,
    stream_error=openai.stream_error,
    terminator=b"data: [DONE]",
    oddity=b'data: {"id":"","object":"simulator.oddity","choices":[],"novelty":{"depth":1}}\n\n',
)

AZURE_FAMILY = Family(
    name="azure",
    credentials=(b"api-key", b"authorization"),
    unauthenticated="Access denied due to missing subscription key. Make sure to include a subscription key (header "
    "api-key) when making requests to an API. The simulator accepts any.",
    errors=ErrorStyle(AZURE, azure_envelope, lambda after: rates.azure(False, after), milliseconds=True),
    id_header=b"apim-request-id",
    rates=rates.azure,
    stream_error=openai.stream_error,
    terminator=b"data: [DONE]",
    oddity=OPENAI_FAMILY.oddity,
)

ANTHROPIC_FAMILY = Family(
    name="anthropic",
    credentials=(b"x-api-key", b"authorization"),
    unauthenticated="x-api-key header is required (or Authorization: Bearer). The simulator accepts any.",
    errors=ErrorStyle(ANTHROPIC, anthropic_envelope, lambda after: rates.anthropic(False, after), should_retry=True),
    id_header=b"request-id",
    rates=rates.anthropic,
    stream_error=anthropic.stream_error,
    terminator=b"event: message_stop",
    oddity=b'event: simulator_oddity\ndata: {"type":"simulator_oddity","novelty":{"depth":1}}\n\n',
)
