"""One attempt at one target: what it is called in the ledger, and what the target's standing learns from it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from trunkline.core.call import Attempt, AttemptKind, Call
from trunkline.core.errors import GatewayError, UpstreamError, known
from trunkline.core.pipeline import Handler
from trunkline.core.reply import Reply
from trunkline.policy.outcome import Outcome
from trunkline.policy.standing import Standing
from trunkline.stages.routing.route import Candidate

log = logging.getLogger("trunkline.calls")


class Attempts:
    """`clock`: seconds, monotonic; `freed` hears where an attempt has ended."""

    def __init__(self, clock: Callable[[], float], freed: Callable[[Standing], None] = lambda standing: None) -> None:
        self._clock = clock
        self._freed = freed

    async def make(
        self, call: Call, candidate: Candidate, proceed: Handler, start: float, kind: AttemptKind = ""
    ) -> Reply:
        assert call.peek is not None
        standing, stream = candidate.standing, call.peek.stream
        call.attempt = Attempt(candidate.name, start - call.started, kind=kind, choice=call.choice)
        call.target, call.api = candidate.target, None
        call.attempts.append(call.attempt)
        call.lost.clear()
        standing.began(start, stream)
        try:
            reply = await proceed(call)
        except BaseException as raised:
            error, attempt = known(raised), call.attempt
            attempt.status, attempt.reason = error.status, error.code
            now = self._clock()
            attempt.duration = now - call.started - attempt.start
            standing.ended(_failure(attempt.duration, error, None, stream), now)
            if standing.headroom is not None and isinstance(error, UpstreamError):
                standing.headroom.hear(error.headers, now)
            self._freed(standing)
            raise
        if standing.headroom is not None:
            standing.headroom.hear(reply.heard, start)
        attempt, clock = call.attempt, self._clock
        attempt.status = reply.status
        now = clock()
        begun = now - start
        standing.answered(begun, now, stream)
        reply.on_finish.append(partial(self._answered, call, reply, candidate, attempt, begun))
        return reply

    def _answered(
        self, call: Call, reply: Reply, candidate: Candidate, attempt: Attempt, begun: float, error: GatewayError | None
    ) -> None:
        """The answer has come to an end, a good one or a bad one: its status was sent long since."""
        assert call.peek is not None
        clock, stream = self._clock, call.peek.stream
        now = clock()
        attempt.duration = now - call.started - attempt.start
        error = error or reply.flow.error
        if error is None:
            usage = reply.flow.usage or reply.usage
            outcome = Outcome(attempt.duration, begun, stream, usage)
        else:
            attempt.reason = error.code
            outcome = _failure(attempt.duration, error, begun, stream)
        candidate.standing.ended(outcome, now)
        self._freed(candidate.standing)


def _failure(duration: float, error: GatewayError, begun: float | None, stream: bool) -> Outcome:
    return Outcome(duration, begun, stream, None, error.kind, error.blame, error.retry_after, error.code)


async def affordable(call: Call) -> bool:
    """Whether the limits that apply to this call have room for one more attempt that is paid for."""
    return call.grant is None or await call.grant.extend()


def tell(call: Call, error: GatewayError) -> None:
    """The log gets what the caller does not: the transport's own words, and what the provider said of our account."""
    attempt = call.attempts[-1]
    level = logging.DEBUG if error.blame == "client" else logging.WARNING
    facts = {"request_id": call.id, "target": attempt.target, "code": error.code, "status": error.status}
    log.log(level, "attempt %d, at %s, failed: %s", len(call.attempts), attempt.target, error.full, extra=facts)
