"""What the Responses API remembers: answers by their ids, conversations that go on from one, answers in the background.

The gateway keeps its own copy of every answer whose request does not say `store: false`, under the key that asked for
it, whoever answered: so a conversation may go from one family's model to another's, outlives a restart, and nobody
reads another's. A stage after `auth`, because it must know whose conversation it is, and before `routing`, because it
does not ask the store once more for each target.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import structs

from trunkline.core.call import Call
from trunkline.core.errors import BadRequest, GatewayError, Overloaded, TooLarge, UpstreamError
from trunkline.core.pipeline import Handler, Stage
from trunkline.core.reply import Reply
from trunkline.core.stores import Kept, Responses, StoreUnavailable
from trunkline.dialects.openai_responses.remembered import DROP, Life, read_life, rewritten
from trunkline.dialects.openai_responses.vocabulary import NAME
from trunkline.stages.conversation.background import Runs
from trunkline.stages.conversation.following import Following
from trunkline.stages.conversation.prepared import prepared
from trunkline.stages.conversation.remembering import Memo, remember
from trunkline.stages.conversation.retrieval import Retrieval
from trunkline.stages.conversation.settings import ResponsesSettings

log = logging.getLogger("trunkline.calls")

_FORGOTTEN = "previous_response_not_found"
"""OpenAI's code for an id that it does not know."""


def _admitted(call: Call, proceed: Handler) -> Awaitable[Reply]:
    return proceed(call)


class Conversation:
    """`clock`: seconds since the epoch. `admit` is the stage that whatever is asked of the store itself must pass, as
    the rest does further on. `runs` is what goes on in the background."""

    def __init__(
        self, store: Responses, settings: ResponsesSettings, clock: Callable[[], float], admit: Stage = _admitted
    ) -> None:
        self._admit = admit
        self._store = store
        self._settings = settings
        self._clock = clock
        self.runs = Runs(settings, self._keep, store.interrupted)
        self._retrieval = Retrieval(store, self.runs)

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        if call.surface.dialect.name != NAME:
            return await proceed(call)
        try:
            if call.surface.operation == "response":
                return await self._admit(call, lambda call: self._retrieval(call, proceed))
            return await self._ask(call, proceed)
        except StoreUnavailable as error:
            busy = Overloaded(
                "The store of responses cannot be reached; what needs no earlier response is answered all the same.",
                code="responses_unavailable",
                retry_after=1.0,
            )
            busy.detail = str(error)
            raise busy from error

    async def _ask(self, call: Call, proceed: Handler) -> Reply:
        assert call.peek is not None
        life = read_life(call.body)
        streamed = call.peek.stream
        if life.background and call.surface.operation == "generate":
            self._may_run()
            call.body = rewritten(call.body, background=DROP, stream=True)
            call.peek = structs.replace(call.peek, stream=True)
        sent, before = call.body, None
        if life.previous_response_id is not None:
            before = await self._before(call, life.previous_response_id)
        if call.surface.operation != "generate":
            return await self._proceed(call, proceed, before)
        memo = Memo(call, before, sent, self._clock() + self._settings.ttl)
        changes = _changes(life)
        take = self._taking(call, life, memo)
        if call.memory is not None and life.generate is False:
            return prepared(call, changes, take)
        if life.background:
            return self.runs.begin(call, lambda: self._proceed(call, proceed, before), memo, changes, streamed)
        reply = await self._proceed(call, proceed, before)
        if take is not None:
            remember(reply, changes, take)
        return reply

    def _taking(self, call: Call, life: Life, memo: Memo) -> Callable[[bytes], None] | None:
        """What remembers the answer: for the key, or for the connection alone; None nobody."""
        if life.store is not False and self._settings.ttl:
            return lambda response: self._keep(memo.kept(response))
        connection = call.memory
        if connection is None:
            return None
        return lambda response: self._keep(memo.unstored(response), connection.keep)

    def _may_run(self) -> None:
        if not self._settings.ttl:
            raise BadRequest(
                "This gateway remembers no responses (responses.ttl is 0), so none can run in the background.",
                param="background",
            )

    async def _before(self, call: Call, previous: str) -> Following:
        """The conversation that the call goes on with; its body holds all of it from here on. Raises BadRequest,
        TooLarge, StoreUnavailable."""
        assert call.key is not None
        kept = call.memory.find(call.key.id, previous) if call.memory is not None else None
        if kept is None:
            kept = await self._store.find(call.key.id, previous)
        if kept is None:
            raise BadRequest(
                f"Previous response with id {previous[:80]!r} not found.",
                code="previous_response_not_found",
                param="previous_response_id",
            )
        if kept.running:
            raise BadRequest(
                f"The response {previous[:80]!r} is still in progress: wait until it is completed.",
                code="previous_response_in_progress",
                param="previous_response_id",
            )
        if kept.size + len(call.body) > self._settings.max_size:
            raise TooLarge(
                f"This conversation is larger than {self._settings.max_size} bytes (responses.max_size).",
                param="previous_response_id",
            )
        following = Following(call.body, kept)
        call.follows, call.body = following, following.whole()
        return following

    async def _proceed(self, call: Call, proceed: Handler, before: Following | None) -> Reply:
        """Onward; once more with the whole conversation where the provider has forgotten it."""
        try:
            return await proceed(call)
        except UpstreamError as error:
            if before is None or not before.target or error.upstream_code != _FORGOTTEN:
                raise
            before.forgotten()
            return await proceed(call)

    def _keep(self, kept: Kept | None, keep: Callable[[Kept], None] | None = None) -> None:
        """`keep`: where to, if not in the store."""
        if kept is None:
            log.warning("an answer is not remembered: it is no response object")
        elif kept.size > self._settings.max_size:
            log.warning("the response %s is not remembered: %d bytes with its conversation", kept.id, kept.size)
        else:
            (keep or self._store.keep)(kept)

    async def aclose(self, error: GatewayError) -> None:
        """End what goes on in the background."""
        await self.runs.aclose(error)


def _changes(life: Life) -> dict[str, Any]:
    """What the gateway knows of the response, and the upstream may not."""
    changes: dict[str, Any] = {}
    if life.previous_response_id is not None:
        changes["previous_response_id"] = life.previous_response_id
    if life.background:
        changes["background"] = True
    return changes
