"""Operations that only providers of the caller's own family have: moderation, images, sound.

The request passes with the model's name replaced, JSON or form; the answer passes as it comes. A small JSON answer is
read whole, so that its cost can be told in its head; anything else streams.
"""

from __future__ import annotations

from trunkline.core.call import Call, Headers
from trunkline.core.reply import Flow, Reply
from trunkline.dialects import multipart
from trunkline.dialects.renamed import renamed
from trunkline.dialects.whole import WholeTap
from trunkline.edge.operations.asking import unsupported
from trunkline.edge.operations.body import Body
from trunkline.edge.operations.passing import Passing, PassingEvents, usage_of_answer
from trunkline.edge.sender import Sender
from trunkline.edge.surfaces import Surface
from trunkline.edge.transport.base import Response
from trunkline.providers.target import BoundApi, Target

SMALL = 1024 * 1024
"""Bytes of a JSON answer up to which it is read whole."""
_EVENTS = b"text/event-stream"
_JSON = b"application/json"


class Passthrough:
    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def __call__(self, call: Call) -> Reply:
        surface: Surface = call.surface
        api: BoundApi = call.api
        path = api.at(surface.operation, surface.form)
        if path is None or api.dialect.name != surface.dialect.name:
            raise unsupported(call)
        body, headers = _named(call)
        response = await self._sender.send(call, path, headers, body)
        try:
            return await self._reply(call, response)
        except BaseException:
            response.close()
            raise

    async def _reply(self, call: Call, response: Response) -> Reply:
        content_type = _field(response.headers, b"content-type") or b"application/octet-stream"
        kind = content_type.split(b";")[0].strip().lower()
        length = _field(response.headers, b"content-length")
        if kind == _JSON and length is not None and length.isdigit() and int(length) <= SMALL:
            flow: Flow = WholeTap(usage_of_answer)
            body = flow.feed(await self._sender.body(call, response))
            return Reply(flow, body=body, content_type=content_type)
        source = Body(response, call.deadline)
        if kind == _EVENTS:
            return Reply(PassingEvents(call.surface.dialect, call.id), source=source, content_type=content_type)
        reply = Reply(Passing(), source=source, content_type=content_type)
        reply.raw = True
        return reply


def _named(call: Call) -> tuple[bytes, Headers]:
    """The body with the target's name of the model, and the client's header fields that belong to it."""
    target: Target = call.target
    forwarded: Headers = [field for field in call.headers if field[0] in call.api.api.forward]
    boundary = multipart.boundary(call.header(b"content-type")) if call.surface.multipart else None
    if boundary is None:
        return renamed(call.body, target.model), forwarded
    body = multipart.replaced(call.body, boundary, b"model", target.model)
    return body, [*forwarded, (b"content-type", multipart.content_type(boundary))]


def _field(headers: Headers, name: bytes) -> bytes | None:
    return next((value for key, value in headers if key == name), None)
