"""Keeping an answer while it passes: the response object is taken out of the event that ends a stream, or is the whole
body, before its last bytes leave. What the gateway knows better than the upstream is put into it on the way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import inf
from typing import Any

from msgspec import Raw, structs

from trunkline.core.call import Call
from trunkline.core.reply import Flow, Reply, Watched
from trunkline.core.stores import Kept
from trunkline.dialects.openai_responses.remembered import (
    FINAL,
    Makers,
    encode_items,
    input_items,
    portable,
    read_answer,
    rewritten,
    told,
)
from trunkline.stages.conversation.following import Following

log = logging.getLogger("trunkline.calls")

Keep = Callable[[Kept | None], None]


class Memo:
    """What is to be remembered of one call's answer. `before`: the conversation that it goes on with, if any."""

    def __init__(self, call: Call, before: Following | None, body: bytes, expires: float) -> None:
        self._call = call
        self._expires = expires
        self._input: list[Raw] = before.items if before is not None else input_items(body)
        self._makers: Makers = before.makers if before is not None else (("", len(self._input)),)

    @property
    def size(self) -> int:
        """Bytes of the items, but for a few."""
        return sum(len(bytes(item)) + 1 for item in self._input) + 2

    def kept(self, response: bytes, *, id: str = "", running: bool = False) -> Kept | None:
        """None where this is no response. `id`: ours, where it is not the upstream's."""
        answer = read_answer(response)
        if answer is None:
            return None
        call = self._call
        assert call.key is not None
        own = call.api is not None and call.api.dialect.name == call.surface.dialect.name
        return Kept(
            id=id or answer.id,
            key=call.key.id,
            created=call.arrived,
            expires=self._expires,
            response=response,
            input=encode_items(self._input),
            makers=self._makers,
            target=call.target.name if call.target is not None else "",
            native=answer.id if own and not running else "",
            running=running,
        )

    def unstored(self, response: bytes) -> Kept | None:
        """The same for a connection, which forgets it in its own time; nobody else remembers it."""
        kept = self.kept(response)
        if kept is None:
            return None
        return structs.replace(kept, response=portable(response), expires=inf, native="")


def remember(reply: Reply, changes: dict[str, Any], take: Callable[[bytes], None]) -> None:
    """Have `take` get the response of this answer before its last byte leaves. `changes`: fields of the response that
    the upstream does not know."""
    if reply.body is None:
        flow = Remembering(reply.flow, changes, take)
        reply.head = flow.seen(reply.head)
        reply.flow = flow
        return
    body = rewritten(reply.body, **changes) if changes else reply.body
    reply.body = body
    reply.on_finish.append(lambda error: take(body) if error is None else None)


class Remembering(Watched):
    """A stream's flow that gives the response in its last event to `take`."""

    __slots__ = ("_changes", "_take")

    def __init__(self, flow: Flow, changes: dict[str, Any], take: Callable[[bytes], None]) -> None:
        super().__init__(flow)
        self._changes = changes
        self._take = take

    def seen(self, out: bytes) -> bytes:
        if self._changes:
            return told(out, self._changed)
        told(out, self._passed)
        return out

    def _changed(self, kind: str, response: bytes) -> bytes:
        response = rewritten(response, **self._changes)
        return self._passed(kind, response)

    def _passed(self, kind: str, response: bytes) -> bytes:
        if kind in FINAL:
            self._take(response)
        return response
