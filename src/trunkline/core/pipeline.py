"""One shape for every stage: take a Call and the way onward, return a Reply or raise a GatewayError."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from trunkline.core.call import Call
from trunkline.core.reply import Reply

Handler = Callable[[Call], Awaitable[Reply]]


class Stage(Protocol):
    def __call__(self, call: Call, proceed: Handler, /) -> Awaitable[Reply]: ...


def stack(*stages: Stage, terminal: Handler) -> Handler:
    """Nest stages around the terminal handler, the first one outermost."""
    handler = terminal
    for stage in reversed(stages):
        handler = _bind(stage, handler)
    return handler


def _bind(stage: Stage, inner: Handler) -> Handler:
    step = stage.__call__  # Python calls a method sooner than the object that has it under this name

    def handler(call: Call) -> Awaitable[Reply]:
        return step(call, inner)

    return handler
