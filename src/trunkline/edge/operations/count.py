"""Counting the tokens of a request: by the provider where it can, else an estimate, and said to be one."""

from __future__ import annotations

import msgspec

from trunkline.core.call import Call
from trunkline.core.reply import Reply
from trunkline.edge.flows import Plain
from trunkline.edge.operations.asking import is_identity, passed, translated
from trunkline.edge.sender import Sender
from trunkline.policy.estimate import estimate_tokens
from trunkline.providers.target import BoundApi


class Count:
    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def __call__(self, call: Call) -> Reply:
        assert call.peek is not None
        api: BoundApi = call.api
        path = api.path("count_tokens", call.peek)
        if path is None:
            return _estimated(call)
        if is_identity(call):
            body, headers = passed(call)
            answer = await self._sender.body(call, await self._sender.send(call, path, headers, body))
            return _reply(answer)
        request = call.surface.dialect.read_count_request(call.body, call.peek)
        body, headers = translated(call, request, api.dialect.write_count_request)
        answer = await self._sender.body(call, await self._sender.send(call, path, headers, body))
        return _reply(call.surface.dialect.write_count(api.dialect.read_count(answer)))


def _reply(body: bytes, estimated: bool = False) -> Reply:
    flow = Plain()
    headers = [(b"x-trunkline-estimated", b"input_tokens")] if estimated else []
    return Reply(flow, body=flow.feed(body), headers=headers)


def _estimated(call: Call) -> Reply:
    count = estimate_tokens(msgspec.json.decode(call.body))
    return _reply(call.surface.dialect.write_count(count), estimated=True)
