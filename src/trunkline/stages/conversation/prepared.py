"""`generate: false`, which WebSocket clients send ahead of a turn: nothing is generated, and what was said is
remembered under an id from which the next turn goes on. OpenAI warms its caches by it; here no provider is asked.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from trunkline.core.call import Call
from trunkline.core.events import Finished
from trunkline.core.reply import Reply
from trunkline.core.usage import Usage
from trunkline.dialects.base import Envelope
from trunkline.dialects.openai_responses.output import Output
from trunkline.dialects.openai_responses.remembered import renumbered, rewritten
from trunkline.stages.conversation.background import Told

_EVENTS = (("response.created", "in_progress"), ("response.completed", "completed"))
_encode = msgspec.json.Encoder().encode


class _Said:
    """A source of what is said already."""

    def __init__(self, out: bytes) -> None:
        self._out = out

    async def read(self) -> bytes:
        out, self._out = self._out, b""
        return out

    def close(self) -> None:
        pass


class _Unused(Told):
    """Nothing was used: without that word an estimate would be accounted for."""

    @property
    def usage(self) -> Usage:
        return Usage()


def prepared(call: Call, changes: dict[str, Any], take: Callable[[bytes], None] | None) -> Reply:
    """The answer, a stream without output. `changes`: fields of the response that the request decides; `take`: gets
    the response."""
    assert call.peek is not None
    envelope = Envelope(stream=True, model=call.peek.model, created=int(call.arrived), request_id=call.id)
    output = Output(envelope)
    changes = changes | {"id": f"resp_{secrets.token_hex(24)}"}
    out, response = b"", b""
    for number, (kind, status) in enumerate(_EVENTS):
        response = rewritten(_encode(output.response(status, Finished("stop"), Usage())), **changes)
        out += renumbered(kind, _encode({"type": kind, "response": Raw(response)}), number)
    if take is not None:
        take(response)
    return Reply(_Unused(), source=_Said(out), content_type=b"text/event-stream")
