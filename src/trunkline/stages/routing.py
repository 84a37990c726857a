"""Which target answers: the first of the model's targets, and the next one as long as no answer has begun.

Once a Reply exists the answer is committed. An error that another target cannot have either (a malformed request, say)
ends the call at once; so does the deadline.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from trunkline.core.call import Attempt, Call
from trunkline.core.errors import GatewayError, InternalError, UpstreamTimeout, why_cancelled
from trunkline.core.pipeline import Handler
from trunkline.core.reply import Reply

log = logging.getLogger("trunkline.calls")


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
            call.target, call.api = target, None
            attempt = Attempt(target.name, self._clock() - call.started)
            call.attempts.append(attempt)
            call.lost.clear()
            try:
                reply = await proceed(call)
            except GatewayError as error:
                self._ended(call, attempt, error)
                _tell(call, attempt, error)
                if not error.retryable or number == last or self._late(call):
                    raise
            except asyncio.CancelledError as cancelled:
                self._ended(call, attempt, why_cancelled(cancelled))
                raise
            except BaseException:
                self._ended(call, attempt, InternalError(""))
                raise
            else:
                attempt.status = reply.status
                reply.on_finish.append(partial(self._answered, call, reply))
                return reply
        raise UpstreamTimeout("No target is left.")  # not reached: a model has at least one

    def _ended(self, call: Call, attempt: Attempt, error: GatewayError) -> None:
        """No answer came of it."""
        attempt.status = error.status
        attempt.reason = error.code
        attempt.duration = self._clock() - call.started - attempt.start

    def _answered(self, call: Call, reply: Reply, error: GatewayError | None) -> None:
        """The last attempt's answer has come to an end, a good one or a bad one: its status was sent long since."""
        attempt = call.attempts[-1]
        attempt.duration = self._clock() - call.started - attempt.start
        error = error or reply.flow.error
        if error is not None:
            attempt.reason = error.code

    def _late(self, call: Call) -> bool:
        return call.deadline is not None and self._clock() >= call.deadline


def _tell(call: Call, attempt: Attempt, error: GatewayError) -> None:
    """The log gets what the caller does not: the transport's own words, and what the provider said of our account."""
    level = logging.DEBUG if error.blame == "client" else logging.WARNING
    facts = {"request_id": call.id, "target": attempt.target, "code": error.code, "status": error.status}
    log.log(level, "attempt %d, at %s, failed: %s", len(call.attempts), attempt.target, error.full, extra=facts)
