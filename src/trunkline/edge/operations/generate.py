"""An answer from a model, whole or streamed.

Same dialect on both sides: the body passes with the model's name replaced, and a tap reads the answer's usage. Two
dialects: the request is read and written anew, what cannot be carried is listed, the answer goes through events.
"""

from __future__ import annotations

import asyncio

from msgspec import structs

from trunkline.core.call import Call, Headers
from trunkline.core.errors import UpstreamBroken, UpstreamError
from trunkline.core.reply import Flow, Reply
from trunkline.dialects.base import Envelope
from trunkline.dialects.custom import CustomReader, custom_names
from trunkline.dialects.namespaced import ScopedReader, scopes_of
from trunkline.dialects.openai_responses.vocabulary import NAME as RESPONSES
from trunkline.edge.flows import Told, Translation
from trunkline.edge.learned import Learner
from trunkline.edge.lines import printable
from trunkline.edge.operations.asking import going_on, is_identity, passed, translated, unsupported
from trunkline.edge.operations.body import Body, Nothing
from trunkline.edge.resumable import led
from trunkline.edge.sender import Sender
from trunkline.edge.transport.base import Response
from trunkline.policy.continuation import Recovery
from trunkline.providers.target import BoundApi


class Generate:
    """`patience`: seconds to wait for a stream's first bytes before the answer is committed without them, so that the
    client can be kept alive with pings."""

    def __init__(self, sender: Sender, learner: Learner, patience: float) -> None:
        self._sender = sender
        self._learner = learner
        self._patience = patience

    async def __call__(self, call: Call) -> Reply:
        assert call.peek is not None
        api: BoundApi = call.api
        recovery: Recovery | None = call.recovery
        identity = is_identity(call) and (recovery is None or recovery.flow is None)
        peek = call.peek if recovery is None else structs.replace(call.peek, framing="")
        path = api.path(call.surface.operation if identity else "generate", peek)
        if path is None:
            raise unsupported(call)
        body, headers = passed(call) if identity else self._translated(call)
        body = self._learner.taught(call, headers, body)
        try:
            response = await self._sender.send(call, path, headers, body)
        except UpstreamError as error:
            response = await self._learner.again(call, path, headers, body, error)
        try:
            reply = await self._reply(call, identity and recovery is None, response)
            reply.heard = response.headers
            return reply
        except BaseException as error:
            if isinstance(error, UpstreamBroken):
                error.retryable = True  # nothing of it was sent: another target may still answer
            response.close()
            raise

    def _translated(self, call: Call) -> tuple[bytes, Headers]:
        if call.parsed is None:
            call.parsed = call.surface.dialect.read_request(call.body, call.peek)
        recovery: Recovery | None = call.recovery
        if recovery is None or not recovery.words:
            return translated(call, call.parsed, call.api.dialect.write_request)
        return going_on(call, call.parsed, recovery)

    async def _reply(self, call: Call, identity: bool, response: Response) -> Reply:
        assert call.peek is not None
        if not call.peek.stream:
            return await self._whole(call, identity, response, False)
        framing = call.peek.framing
        if _content_type(response.headers).startswith(call.api.dialect.stream_type(framing if identity else "")):
            return await self._stream(call, self._flow(call, identity, True, True), response)
        # A host that does not stream answers whole: the client still gets the stream that it asked for.
        reply = await self._whole(call, False, response, True)
        content_type = call.surface.dialect.stream_type(framing)
        return Reply(reply.flow, head=reply.body or b"", source=Nothing(), content_type=content_type)

    def _flow(self, call: Call, identity: bool, streamed: bool, stream: bool) -> Flow:
        """`streamed`: how the upstream answers; `stream`: how the client is answered."""
        peek = call.peek
        assert peek is not None
        spoken, dialect = call.api.dialect, call.surface.dialect
        if identity:
            tap: Flow = spoken.tap(peek, call.id)
            return tap
        reader = spoken.reader(streamed)
        if spoken.name != dialect.name:
            if names := custom_names(call.parsed):
                reader = CustomReader(reader, names)
            if spoken.name != RESPONSES and (scopes := scopes_of(call.parsed)):
                reader = ScopedReader(reader, scopes)
        if call.recovery is not None:
            return led(call.recovery, reader, lambda: dialect.writer(_envelope(call, stream)))
        return Translation(reader, dialect.writer(_envelope(call, stream)))

    async def _whole(self, call: Call, identity: bool, response: Response, stream: bool) -> Reply:
        data = await self._sender.body(call, response)
        plainly = None if identity or stream else _plainly(call, data)
        flow, body = plainly or self._taken(call, identity, stream, data)
        spoken = call.api.dialect
        told = spoken.told_beside(response.headers) if identity else _lost_in_answer(flow)
        reply = Reply(flow, body=body, headers=told)
        if flow.usage is None:
            reply.usage = spoken.usage_of(response.headers)
        return reply

    def _taken(self, call: Call, identity: bool, stream: bool, data: bytes) -> tuple[Flow, bytes]:
        """A whole answer by its tap, or by way of events."""
        flow = self._flow(call, identity, False, stream)
        body = flow.feed(data) + flow.eof()
        if flow.error is not None:
            raise flow.error
        return flow, body

    async def _stream(self, call: Call, flow: Flow, response: Response) -> Reply:
        """Wait for the first event: until it has come, another target may still be tried."""
        assert call.peek is not None
        source = Body(response, call.deadline)
        loop = asyncio.get_running_loop()
        patience = loop.time() + self._patience
        head = b""
        content_type = call.surface.dialect.stream_type(call.peek.framing)
        while not _begun(head, content_type):
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
            head += flow.feed(data) if data else flow.eof()
            if flow.error is not None and not (head and _goes_on(call)):
                raise flow.error
            if not data:
                source = Nothing()
                break
        return Reply(flow, head=head, source=source, content_type=content_type)


def _begun(head: bytes, content_type: bytes) -> bool:
    """Whether this is the beginning of an answer. Comments, with which some hosts keep a stream alive, are none."""
    return b"data:" in head or (bool(head) and content_type != b"text/event-stream")


def _goes_on(call: Call) -> bool:
    """Whether it is led into an answer that has begun: what comes out is part of that one already."""
    return call.attempt is not None and call.attempt.kind == "continuation"


def _envelope(call: Call, stream: bool) -> Envelope:
    peek, dialect = call.peek, call.surface.dialect
    assert peek is not None
    repeated = dialect.repeats(call.body)
    return Envelope(stream, peek.include_usage, peek.model, int(call.arrived), call.id, peek.framing, repeated)


def _plainly(call: Call, data: bytes) -> tuple[Flow, bytes] | None:
    """A whole answer translated in one step; None for one that must go by way of events."""
    answer = call.api.dialect.read_plain(data)
    if answer is None:
        return None
    body = call.surface.dialect.write_plain(answer, _envelope(call, False))
    return (Told(answer), body) if body is not None else None


def _content_type(headers: Headers) -> bytes:
    return next((value.strip().lower() for name, value in headers if name == b"content-type"), b"")


def _lost_in_answer(flow: Flow) -> Headers:
    if not isinstance(flow, Translation) or not flow.lost:
        return []
    return [(b"x-trunkline-lost-answer", printable(", ".join(dict.fromkeys(flow.lost))))]
