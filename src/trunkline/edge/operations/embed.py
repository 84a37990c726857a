"""Vectors of texts, from any family's request to any family's provider.

Same wire format on both sides: the bytes pass, the count is read. Otherwise the texts go out in as many requests as the
target's limit makes of them, a few at a time, and come back in their order as one answer: one entry in the ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec import structs

from trunkline.core.call import Call, Headers
from trunkline.core.embedding import Embeddings, EmbedRequest
from trunkline.core.errors import UpstreamBroken, UpstreamProtocol
from trunkline.core.reply import Reply
from trunkline.core.usage import Usage
from trunkline.dialects.embeddings import FORMATS
from trunkline.dialects.embeddings.base import Format, batches
from trunkline.edge.flows import Plain
from trunkline.edge.operations.asking import said_lost, unsupported
from trunkline.edge.sender import Sender
from trunkline.edge.surfaces import Surface
from trunkline.policy.estimate import estimate_tokens
from trunkline.providers.target import BoundApi, Target

AT_ONCE = 8
"""Requests of one call that are on their way together."""


class Embed:
    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def __call__(self, call: Call) -> Reply:
        surface: Surface = call.surface
        api: BoundApi = call.api
        try:
            if api.at("embed", surface.form) is not None:
                return await self._passed(call, FORMATS[surface.form])
            spoken = api.forms("embed")
            if not spoken:
                raise unsupported(call)
            return await self._translated(call, FORMATS[surface.form], FORMATS[spoken[0]])
        except UpstreamBroken as error:
            error.retryable = True  # nothing of it was sent: another target may still answer
            raise

    async def _passed(self, call: Call, form: Format) -> Reply:
        target: Target = call.target
        path = call.api.at("embed", form.name)
        body = form.patch(call.body, target.model)
        response = await self._sender.send(call, path, [], body)
        answer = await self._sender.body(call, response)
        tokens = form.tokens(answer, response.headers)
        counted = [field for field in response.headers if field[0].startswith(b"x-amzn-bedrock-")]
        return _reply(answer, tokens, counted)

    async def _translated(self, call: Call, client: Format, spoken: Format) -> Reply:
        assert call.peek is not None
        request = client.read_request(call.body)
        answer = await self._gathered(call, request, spoken)
        estimated = answer.tokens is None
        if estimated:
            answer.tokens = estimate_tokens([item.text for item in request.items])
        headers = client.answer_headers(answer)
        if estimated:
            headers.append((b"x-trunkline-estimated", b"input_tokens"))
        reply = _reply(client.write_answer(answer, request, call.peek), answer.tokens, headers)
        reply.usage = Usage(input=answer.tokens or 0, estimated=estimated)
        return reply

    async def _gathered(self, call: Call, request: EmbedRequest, spoken: Format) -> Embeddings:
        """Raises UpstreamProtocol where a text has no vector."""
        target: Target = call.target
        lost: list[str] = []
        runs = list(batches(request.items, spoken.limit(target.model)))
        bodies = [spoken.write_request(structs.replace(request, items=run), target.model, lost) for run in runs]
        said_lost(call, lost)
        answers = await self._asked(call, spoken, bodies)
        for run, answer in zip(runs, answers, strict=True):
            if len(answer.vectors) != len(run):
                raise UpstreamProtocol(f"The upstream answered {len(run)} texts with {len(answer.vectors)} vectors.")
        counts = [answer.tokens for answer in answers if answer.tokens is not None]
        return Embeddings(
            [vector for answer in answers for vector in answer.vectors],
            sum(counts) if len(counts) == len(answers) else None,
            answers[0].model,
        )

    async def _asked(self, call: Call, spoken: Format, bodies: Sequence[bytes]) -> list[Embeddings]:
        """All answers, in order. One that fails ends the others."""
        path = call.api.at("embed", spoken.name)
        free = asyncio.Semaphore(AT_ONCE)

        async def ask(body: bytes) -> Embeddings:
            async with free:
                response = await self._sender.send(call, path, [], body)
                return spoken.read_answer(await self._sender.body(call, response), response.headers)

        if len(bodies) == 1:
            return [await ask(bodies[0])]
        tasks = [asyncio.create_task(ask(body)) for body in bodies]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _reply(body: bytes, tokens: int | None, headers: Headers) -> Reply:
    """Where nobody counted, the ledger estimates."""
    flow = Plain()
    reply = Reply(flow, body=flow.feed(body), headers=headers)
    reply.usage = Usage(input=tokens) if tokens is not None else None
    return reply
