"""The upstream edge, the pipeline's last handler: a Call to the upstream's bytes, its bytes to a Reply.

Same dialect on both sides: the body passes with the model's name replaced, and a tap reads the answer's usage. Two
dialects: the request is read and written anew, what cannot be carried is listed, the answer goes through events.
"""

from __future__ import annotations

import asyncio

import msgspec

from trunkline.core.call import Call, Headers
from trunkline.core.errors import (
    DeadlineExceeded,
    GatewayError,
    LossyTranslation,
    UpstreamBroken,
    UpstreamError,
    UpstreamProtocol,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from trunkline.core.reply import Flow, Reply
from trunkline.core.secret import MASK
from trunkline.dialects.base import Envelope
from trunkline.edge.flows import Plain, Translation
from trunkline.edge.transport.base import (
    CLOCK_SLACK,
    BrokenOff,
    ConnectFailed,
    Origin,
    Oversized,
    Response,
    TimedOut,
    Transport,
    TransportError,
)
from trunkline.policy.estimate import estimate_tokens
from trunkline.providers.target import Provider, Target

EVENT_STREAM = b"text/event-stream"
MAX_ERROR_BODY = 1024 * 1024


class Upstream:
    """`patience`: seconds to wait for a stream's first bytes before the answer is committed without them, so that the
    client can be kept alive with pings."""

    def __init__(self, transport: Transport, patience: float) -> None:
        self._transport = transport
        self._patience = patience
        self._origins: dict[str, Origin] = {}

    async def __call__(self, call: Call) -> Reply:
        target: Target = call.target
        path = target.paths.get(call.surface.operation)
        if path is None:
            return _count_here(call)
        identity = target.dialect is call.surface.dialect
        body, headers = self._identity(call, target) if identity else self._translate(call, target)
        response = await self._send(call, target.provider, path, headers, body)
        try:
            if response.status >= 400:
                raise await self._error(target, path, response)
            return await self._reply(call, target, identity, response)
        except BaseException as error:
            if isinstance(error, UpstreamBroken):
                error.retryable = True  # nothing of it was sent: another target may still answer
            response.close()
            raise

    # ── The request ────────────────────────────────────────────────────────────────────────────────────────────────

    def _identity(self, call: Call, target: Target) -> tuple[bytes, Headers]:
        assert call.peek is not None
        kind = target.provider.kind
        headers = target.provider.headers
        if kind.forward:
            passed = [field for field in call.headers if field[0] in kind.forward]
            names = {name for name, _ in passed}
            headers = [*headers, *passed, *(field for field in kind.defaults if field[0] not in names)]
        return target.dialect.patch(call.body, target.model, call.peek, target.quirks), headers

    def _translate(self, call: Call, target: Target) -> tuple[bytes, Headers]:
        if call.parsed is None:
            call.parsed = call.surface.dialect.read_request(call.body)
        lost: list[str] = []
        body = target.dialect.write_request(call.parsed, target.model, target.quirks, lost)
        call.lost = list(dict.fromkeys(lost))
        if call.lost and call.strict:
            raise LossyTranslation(
                f"{target.name} cannot be told: {', '.join(call.lost)}. Leave these fields out, choose a model of the "
                "same family, or drop x-trunkline-strict.",
                param=call.lost[0],
            )
        translated = target.provider.kind.translated
        more = translated(call.parsed) if translated is not None else []
        return body, [*target.provider.headers, *more]

    async def _send(self, call: Call, provider: Provider, path: bytes, headers: Headers, body: bytes) -> Response:
        origin = self._origins.get(provider.name)
        if origin is None:
            origin = self._origins[provider.name] = Origin(provider.scheme, provider.host, provider.port)
        deadline = call.deadline
        if provider.timeout is not None:
            limit = asyncio.get_running_loop().time() + provider.timeout
            deadline = limit if deadline is None else min(limit, deadline)
        try:
            return await self._transport.send(origin, b"POST", path, headers, body, deadline)
        except TransportError as error:
            raise mapped(error, call.deadline) from error

    # ── The answer ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _reply(self, call: Call, target: Target, identity: bool, response: Response) -> Reply:
        if response.status >= 300:
            raise UpstreamProtocol(f"The upstream answered with status {response.status}.")
        assert call.peek is not None
        streaming = _content_type(response.headers).startswith(EVENT_STREAM)
        if call.surface.operation == "count_tokens":
            return await self._whole(call, Plain(), response)
        if not call.peek.stream:
            return await self._whole(call, self._flow(call, target, identity, False, False), response)
        if streaming:
            return await self._stream(call, self._flow(call, target, identity, True, True), response)
        # A host that does not stream answers whole: the client still gets the stream that it asked for.
        reply = await self._whole(call, self._flow(call, target, False, False, True), response)
        return Reply(reply.flow, head=reply.body or b"", source=_Nothing(), content_type=EVENT_STREAM)

    def _flow(self, call: Call, target: Target, identity: bool, streamed: bool, stream: bool) -> Flow:
        """`streamed`: how the upstream answers; `stream`: how the client is answered."""
        assert call.peek is not None
        dialect = call.surface.dialect
        if identity:
            return target.dialect.tap(call.peek, call.id)
        asked = call.peek.include_usage
        envelope = Envelope(stream, asked, call.peek.model, int(call.arrived), call.id)
        return Translation(target.dialect.reader(streamed), dialect.writer(envelope), dialect, call.id)

    async def _whole(self, call: Call, flow: Flow, response: Response) -> Reply:
        try:
            data = await response.body()
        except TransportError as error:
            raise mapped(error, call.deadline) from error
        response.close()
        body = flow.feed(data) + flow.eof()
        if flow.error is not None:
            raise flow.error
        lost = flow.lost if isinstance(flow, Translation) else None
        return Reply(flow, body=body, headers=_lost_in_answer(lost))

    async def _stream(self, call: Call, flow: Flow, response: Response) -> Reply:
        """Wait for the first event: until it has come, another target may still be tried."""
        source = _Body(response, call.deadline)
        loop = asyncio.get_running_loop()
        patience = loop.time() + self._patience
        head = b""
        while not head:
            first = loop.create_task(source.read())
            try:
                await asyncio.wait((first,), timeout=max(0.0, patience - loop.time()))
            except asyncio.CancelledError:
                first.cancel()
                raise
            if not first.done():
                source.pending = first
                break
            data = first.result()
            head = flow.feed(data) if data else flow.eof()
            if flow.error is not None:
                raise flow.error
            if not data:
                source = _Nothing()
                break
        return Reply(flow, head=head, source=source, content_type=EVENT_STREAM)

    async def _error(self, target: Target, path: bytes, response: Response) -> UpstreamError:
        try:
            body = await response.body()
        except TransportError:
            body = b""
        response.close()
        body = body[:MAX_ERROR_BODY]
        for secret in target.provider.secrets:
            body = body.replace(secret, MASK.encode())
        error = target.dialect.read_error(response.status, response.headers, body)
        if error.kind == "not_found":  # a wrong deployment or base URL
            error.detail = f"asked at {path.decode()}"
        return error


def _count_here(call: Call) -> Reply:
    """Counting tokens for a provider that has no endpoint for it: an estimate, and said to be one."""
    count = estimate_tokens(msgspec.json.decode(call.body))
    flow = Plain()
    answer = flow.feed(b'{"input_tokens":%d}' % count)
    return Reply(flow, body=answer, headers=[(b"x-trunkline-estimated", b"input_tokens")])


class _Body:
    """A stream's source: transport failures come out as upstream errors."""

    __slots__ = ("_deadline", "_response", "pending")

    def __init__(self, response: Response, deadline: float | None) -> None:
        self._response = response
        self._deadline = deadline
        self.pending: asyncio.Task[bytes] | None = None
        """A read that was begun before the reply was made."""

    async def read(self) -> bytes:
        try:
            if self.pending is not None:
                task, self.pending = self.pending, None
                return await task
            return await self._response.read()
        except TransportError as error:
            raise mapped(error, self._deadline) from error

    def close(self) -> None:
        if self.pending is not None:
            self.pending.cancel()
        self._response.close()


class _Nothing(_Body):
    """The source of a stream that is already over."""

    __slots__ = ()

    def __init__(self) -> None:
        self.pending = None

    async def read(self) -> bytes:
        return b""

    def close(self) -> None:
        pass


def mapped(error: TransportError, deadline: float | None) -> GatewayError:
    """The transport's error in the gateway's tree. Its text names hosts, so it is for the operator alone. `deadline`:
    the call's own, loop time, which is told apart from a provider that is too slow."""
    out = _told(error, deadline)
    out.detail = str(error)
    return out


def _told(error: TransportError, deadline: float | None) -> GatewayError:
    match error:
        case ConnectFailed():
            return UpstreamUnreachable("The provider could not be reached.")
        case TimedOut() if deadline is not None and asyncio.get_running_loop().time() >= deadline - CLOCK_SLACK:
            return DeadlineExceeded("The call's deadline passed before its answer was complete.")
        case TimedOut():
            return UpstreamTimeout("The provider did not answer in time.")
        case Oversized():
            return UpstreamProtocol(f"The provider's answer is larger than transport.{error.setting} allows.")
        case BrokenOff() if error.sent:
            return UpstreamBroken("The provider's answer broke off.", retryable=True)
        case _:
            return UpstreamProtocol("The provider's answer could not be read.")


def _content_type(headers: Headers) -> bytes:
    return next((value.strip().lower() for name, value in headers if name == b"content-type"), b"")


def _lost_in_answer(lost: list[str] | None) -> Headers:
    if not lost:
        return []
    return [(b"x-trunkline-lost-answer", ", ".join(dict.fromkeys(lost)).encode("ascii", "backslashreplace"))]
