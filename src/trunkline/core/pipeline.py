"""One shape for every stage: take a Call and the way onward, return a Reply or raise a GatewayError."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from trunkline.core.call import Call
from trunkline.core.reply import Reply

Handler = Callable[[Call], Awaitable[Reply]]
Stage = Callable[[Call, Handler], Awaitable[Reply]]


def stack(*stages: Stage, terminal: Handler) -> Handler:
    """Nest stages around the terminal handler, the first one outermost."""
    handler = terminal
    for stage in reversed(stages):
        handler = _bind(stage, handler)
    return handler


def _bind(stage: Stage, inner: Handler) -> Handler:
    def handler(call: Call) -> Awaitable[Reply]:
        return stage(call, inner)

    return handler
