"""What a provider remembers of an answer, to be deleted there: the one thing that our own copy cannot do."""

from __future__ import annotations

from urllib.parse import quote

from trunkline.core.call import Call
from trunkline.core.reply import Reply
from trunkline.edge.flows import Plain
from trunkline.edge.operations.asking import unsupported
from trunkline.edge.sender import Sender
from trunkline.providers.target import BoundApi


class Stored:
    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def __call__(self, call: Call) -> Reply:
        assert call.peek is not None
        api: BoundApi = call.api
        answers = api.path("generate", call.peek)
        if answers is None or api.dialect.name != call.surface.dialect.name:
            raise unsupported(call)
        path, mark, query = answers.partition(b"?")
        path += b"/" + quote(call.addressed.id, safe="").encode()
        response = await self._sender.send(call, path + mark + query, [], b"", call.surface.method.encode())
        flow = Plain()
        return Reply(flow, body=flow.feed(await self._sender.body(call, response)))
