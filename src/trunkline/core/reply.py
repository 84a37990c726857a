"""An answer that has begun. Before it exists a stage may fail over; once it exists the answer is committed.

A reply is bytes on their way: `source` brings the upstream's bytes as they arrive, `flow` turns them into the client's.
On the identity path the flow is a tap (bytes pass, usage is read); otherwise it reads events and writes them in the
client's dialect. Both are synchronous: nothing that understands a format awaits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

from trunkline.core.call import Headers
from trunkline.core.errors import GatewayError
from trunkline.core.usage import Usage


class Source(Protocol):
    """The upstream's body, as it arrives."""

    async def read(self) -> bytes:
        """The next bytes, b"" at the end. Raises `UpstreamError` if it breaks off."""
        ...

    def close(self) -> None:
        """Give the connection back if the body was read to its end, abort it otherwise. Idempotent, never raises."""
        ...


class Flow(Protocol):
    """Upstream bytes in, client bytes out. Streams come out in whole events, so that a ping or an error may follow any
    output. The attributes tell what has gone by so far."""

    @property
    def usage(self) -> Usage | None:
        """What the upstream has counted, None where it said nothing. `estimated` where the answer broke off before the
        last count: what it said of the input, and `produced` for the output."""
        ...

    @property
    def complete(self) -> bool:
        """The answer's terminal marker has been seen: bytes returned by this feed are the client's whole answer."""
        ...

    @property
    def error(self) -> GatewayError | None:
        """An error that came inside the stream, and went out in it."""
        ...

    @property
    def produced(self) -> int:
        """A rough count of tokens that went by, for an estimate where no usage arrives."""
        ...

    def feed(self, data: bytes) -> bytes: ...

    def eof(self) -> bytes:
        """The upstream's body has ended: what is left to say, the family's typed error if the end came too early."""
        ...

    def fail(self, error: GatewayError) -> bytes:
        """The upstream broke off: the family's typed error, as a stream event."""
        ...


class Watched(ABC):
    """A stream's flow that a stage looks at: all that goes to the client passes `seen`."""

    __slots__ = ("_flow",)

    def __init__(self, flow: Flow) -> None:
        self._flow = flow

    @property
    def usage(self) -> Usage | None:
        return self._flow.usage

    @property
    def complete(self) -> bool:
        return self._flow.complete

    @property
    def error(self) -> GatewayError | None:
        return self._flow.error

    @property
    def produced(self) -> int:
        return self._flow.produced

    def feed(self, data: bytes) -> bytes:
        return self.seen(self._flow.feed(data))

    def eof(self) -> bytes:
        return self.seen(self._flow.eof())

    def fail(self, error: GatewayError) -> bytes:
        return self.seen(self._flow.fail(error))

    @abstractmethod
    def seen(self, out: bytes) -> bytes:
        """What has come out of the flow; what is returned goes on its way."""


class Reply:
    """`body` is set for a whole answer (the flow is then spent); a stream has a `source`, and in `head` what has come
    out of its flow already."""

    __slots__ = (
        "body", "content_type", "flow", "head", "headers", "heard", "on_finish", "raw", "source", "status",
        "usage",
    )  # fmt: skip

    def __init__(
        self,
        flow: Flow,
        *,
        source: Source | None = None,
        body: bytes | None = None,
        head: bytes = b"",
        status: int = 200,
        content_type: bytes = b"application/json",
        headers: Headers | None = None,
    ) -> None:
        self.flow = flow
        self.source = source
        self.body = body
        self.head = head
        self.status = status
        self.content_type = content_type
        self.headers: Headers = headers if headers is not None else []
        self.heard: Headers = []
        """The upstream's own header fields: for what they say of its limits."""
        self.usage: Usage | None = None
        """What the upstream told beside its body, where the flow knows of none."""
        self.raw = False
        """A stream of bytes rather than of events (sound, say): nothing may be put into it, no ping and no error."""
        self.on_finish: list[Callable[[GatewayError | None], None]] = []

    def finish(self, error: GatewayError | None = None) -> None:
        """The answer's end is known and about to be sent: tell those who wait for it, innermost first. Idempotent."""
        callbacks, self.on_finish = self.on_finish, []
        for callback in callbacks:
            callback(error)

    def close(self) -> None:
        """Let go of the upstream."""
        if self.source is not None:
            self.source.close()
