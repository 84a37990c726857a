"""The later life of a remembered answer: it is shown, streamed again, its input listed, cancelled, deleted.

The gateway's own copy answers. Only to delete, the provider is asked too: what it remembers is to be gone as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import msgspec

from trunkline.core.call import Call, Peek
from trunkline.core.errors import BadRequest, Elsewhere, ModelNotFound, NotFound, UpstreamError
from trunkline.core.pipeline import Handler
from trunkline.core.reply import Reply
from trunkline.core.stores import Kept, Responses
from trunkline.dialects.openai_responses.remembered import listed, read_answer
from trunkline.stages.conversation.background import LISTENING, Runs, Told

MAX_PAGE = 100
"""Items of one page (OpenAI API reference, "List input items")."""

LOOKS = 40
"""How often to look whether another process has ended an answer."""
MAX_PARAMETERS = 64
"""Of a query."""

_encode = msgspec.json.Encoder().encode
_YES_NO = {"true": True, "1": True, "false": False, "0": False}


class Retrieval:
    def __init__(self, store: Responses, runs: Runs) -> None:
        self._store = store
        self._runs = runs

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        assert call.key is not None
        kept = await self._store.find(call.key.id, call.addressed.id)
        if kept is None:
            raise NotFound(f"Response with id {call.addressed.id[:80]!r} not found.")
        match call.surface.form:
            case "input_items":
                return _input_items(call, kept)
            case "cancel":
                return await self._cancel(kept)
            case "delete":
                return await self._delete(call, kept, proceed)
            case _:
                return self._show(call, kept)

    def _show(self, call: Call, kept: Kept) -> Reply:
        query = _query(call)
        run = self._runs.find(kept)
        if not _flag(query, "stream"):
            return _whole(run.response if run is not None else kept.response)
        if run is None and kept.running:
            raise _elsewhere()
        if run is None:
            raise BadRequest(
                "This response cannot be streamed: it was not created with background set to true, or its stream is no "
                "longer kept.",
                param="stream",
            )
        return run.resumed(_number(query, "starting_after", -1, (0, 2**53)))

    async def _cancel(self, kept: Kept) -> Reply:
        run = self._runs.find(kept)
        if run is not None:
            await run.cancel()
            return _whole(run.response)
        if kept.running:
            return _whole((await self._ended_elsewhere(kept)).response)
        answer = read_answer(kept.response)
        if answer is None or not answer.background:
            raise BadRequest("Cannot cancel a synchronous response.")
        return _whole(kept.response)

    async def _delete(self, call: Call, kept: Kept, proceed: Handler) -> Reply:
        """At its provider first: whoever asks again after a failure there finds ours still."""
        run = self._runs.find(kept)
        if run is not None:
            await run.cancel()
            self._runs.drop(run)
        elif kept.running:
            await self._ended_elsewhere(kept)
        if kept.native:
            await _delete_there(call, kept, proceed)
        await self._store.forget(kept.key, kept.id)
        return _whole(_encode({"id": kept.id, "object": "response", "deleted": True}))

    async def _ended_elsewhere(self, kept: Kept) -> Kept:
        """What another process made of it, once that has ended it for us. Raises Elsewhere."""
        now: Kept | None = kept
        if self._store.interrupt(kept.key, kept.id):
            for _ in range(LOOKS):
                await asyncio.sleep(LISTENING)
                now = await self._store.find(kept.key, kept.id)
                if now is None or not now.running:
                    return now or kept
        raise _elsewhere()


def _elsewhere() -> Elsewhere:
    return Elsewhere("Another gateway makes this response: there alone it can be streamed or cancelled.")


async def _delete_there(call: Call, kept: Kept, proceed: Handler) -> None:
    call.peek = Peek(kept.target)
    call.addressed = msgspec.structs.replace(call.addressed, id=kept.native)
    try:
        (await proceed(call)).close()
    except ModelNotFound:
        pass  # its provider is no longer configured
    except UpstreamError as error:
        if error.status != 404:
            raise


def _whole(body: bytes) -> Reply:
    flow = Told()
    return Reply(flow, body=flow.feed(body))


def _input_items(call: Call, kept: Kept) -> Reply:
    """Newest first unless `order=asc`, in pages."""
    query = _query(call)
    limit, order, after = _number(query, "limit", 20, (1, MAX_PAGE)), query.get("order", "desc"), query.get("after")
    if order not in {"asc", "desc"}:
        raise BadRequest("order must be asc or desc.", param="order")
    items = listed(kept.input, kept.id)
    if order == "desc":
        items.reverse()
    begin = 0
    if after is not None:
        begin = next((number for number, item in enumerate(items, 1) if item["id"] == after), -1)
        if begin < 0:
            raise BadRequest("after must be the id of an item of this response.", param="after")
    page = items[begin : begin + limit]
    shown: dict[str, Any] = {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": begin + len(page) < len(items),
    }
    return _whole(_encode(shown))


def _query(call: Call) -> Mapping[str, str]:
    """The last of each parameter."""
    try:
        fields = parse_qs(call.query.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError:
        raise BadRequest(f"The query has more than {MAX_PARAMETERS} parameters.") from None
    return {name: values[-1] for name, values in fields.items()}


def _number(query: Mapping[str, str], name: str, default: int, bounds: tuple[int, int]) -> int:
    text = query.get(name)
    if text is None:
        return default
    low, high = bounds
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(high)) and low <= int(text) <= high):
        raise BadRequest(f"{name} must be a whole number between {low} and {high}.", param=name)
    return int(text)


def _flag(query: Mapping[str, str], name: str) -> bool:
    said = _YES_NO.get(query.get(name, "false").lower())
    if said is None:
        raise BadRequest(f"{name} must be true or false.", param=name)
    return said
