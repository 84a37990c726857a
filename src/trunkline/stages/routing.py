"""Which target answers: the first of the model's targets, and the next one as long as no answer has begun.

Once a Reply exists the answer is committed. An error that another target cannot have either (a malformed request, say)
ends the call at once; so does the deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from trunkline.core.call import Attempt, Call
from trunkline.core.errors import GatewayError, UpstreamTimeout
from trunkline.core.pipeline import Handler
from trunkline.core.reply import Reply


class Named(Protocol):
    @property
    def name(self) -> str: ...


class Routing:
    """`resolve` gives the targets of a model's name, in order; it raises ModelNotFound."""

    def __init__(self, resolve: Callable[[str], Sequence[Named]], clock: Callable[[], float]) -> None:
        self._resolve = resolve
        self._clock = clock

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        assert call.peek is not None
        targets = self._resolve(call.peek.model)
        last = len(targets) - 1
        for number, target in enumerate(targets):
            call.target = target
            attempt = Attempt(target.name, self._clock() - call.started)
            call.attempts.append(attempt)
            call.lost.clear()
            try:
                reply = await proceed(call)
            except GatewayError as error:
                self._ended(call, attempt, error.status, error.code)
                if not error.retryable or number == last or self._late(call):
                    raise
            except BaseException:
                self._ended(call, attempt, 499, "cancelled")
                raise
            else:
                self._ended(call, attempt, reply.status, None)
                return reply
        raise UpstreamTimeout("No target is left.")  # not reached: a model has at least one

    def _ended(self, call: Call, attempt: Attempt, status: int, reason: str | None) -> None:
        attempt.duration = self._clock() - call.started - attempt.start
        attempt.status = status
        attempt.reason = reason

    def _late(self, call: Call) -> bool:
        return call.deadline is not None and self._clock() >= call.deadline
