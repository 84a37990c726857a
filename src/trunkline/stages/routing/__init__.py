"""Which target answers: chosen, asked, and as long as no answer has begun, another one after it.

Each error says by its class what it means for the rest of the call (`policy.failover`); what follows is bounded by the
call's deadline and by budgets for further attempts. Once a Reply exists the answer is committed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from functools import partial

from trunkline.core.call import Attempt, Call
from trunkline.core.errors import GatewayError, InternalError, why_cancelled
from trunkline.core.pipeline import Handler
from trunkline.core.reply import Reply
from trunkline.policy.failover import again, step
from trunkline.policy.outcome import Outcome
from trunkline.policy.retry import RetryBudget, pause
from trunkline.stages.routing.able import Offer, able
from trunkline.stages.routing.choose import Ask, choose
from trunkline.stages.routing.route import Candidate, Route, Routes
from trunkline.stages.routing.settings import RoutingSettings

log = logging.getLogger("trunkline.calls")


class Routing:
    """`clock`: seconds, monotonic; `draw`: numbers from 0 to 1."""

    def __init__(
        self,
        routes: Routes,
        settings: RoutingSettings,
        clock: Callable[[], float],
        draw: Callable[[], float],
        offer: Offer | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._draw = draw
        self._sleep = sleep
        self._settings: RoutingSettings | None = None
        self.take(routes, settings, offer)

    def take(self, routes: Routes, settings: RoutingSettings, offer: Offer | None = None) -> None:
        """Choose among these from now on; a call in work goes on with the route that it has."""
        self.routes = routes
        self._offer = offer
        if settings != self._settings:
            self._settings = settings
            self.retries = RetryBudget(settings.retry_share, settings.floor)
            self.failovers = RetryBudget(settings.failover_share, settings.floor)

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        assert call.peek is not None
        route = self.routes.of(call.peek.model)
        journey = Journey(call, route, Ask(call, self._clock(), able(call, route, self._offer), set()))
        if call.follows is not None:
            journey.ask.preferred = call.follows.target
        self.retries.calls += 1
        self.failovers.calls += 1
        candidate = self._chosen(journey)
        while True:
            try:
                return await self._attempt(call, candidate, proceed, journey.ask.now)
            except GatewayError as error:
                onward = await self._onward(journey, candidate, error)
                if onward is None:
                    raise
                candidate = onward

    def _chosen(self, journey: Journey) -> Candidate:
        """The first to be asked."""
        only = journey.route.only
        if only is not None:
            return only
        candidate = choose(journey.route.legs, journey.ask, self._draw)
        assert candidate is not None  # there is at least one that is able
        return candidate

    async def _onward(self, journey: Journey, failed: Candidate, error: GatewayError) -> Candidate | None:
        """Whom to ask after this error, when it is time to; None: nobody."""
        _tell(journey.call, error)
        ask = journey.ask
        ask.now = self._clock()
        if journey.late(ask.now):
            return None
        ask.tried.add(failed)
        match step(error):
            case "stop":
                return None
            case "refused" if journey.route.settings.refusal == "stop":
                return None
            case "longer":
                ask.able = _roomier(ask.able, failed)
            case _:
                pass
        if again(error):
            journey.passing[failed] = error
        other = choose(journey.route.legs, ask, self._draw)
        if other is not None:
            return other if self.failovers.withdraw(ask.now) else None
        return await self._again(journey, error)

    async def _again(self, journey: Journey, error: GatewayError) -> Candidate | None:
        """Every candidate has failed: one of those whose trouble may pass, after a pause."""
        ask, settings = journey.ask, journey.route.settings.retry
        if journey.rounds + journey.call.retries >= settings.again or not journey.passing:
            return None
        advice = min(each.retry_after or 0.0 for each in journey.passing.values())
        seconds = pause(journey.rounds, settings.base, settings.longest, self._draw, advice or None)
        if advice > settings.longest or journey.late(ask.now + seconds) or not self.retries.withdraw(ask.now):
            return None
        journey.rounds += 1
        await self._sleep(seconds)
        ask.now = self._clock()
        ask.tried.difference_update(
            [each for each, error in journey.passing.items() if (error.retry_after or 0.0) <= seconds]
        )
        journey.passing.clear()
        return choose(journey.route.legs, ask, self._draw)

    async def _attempt(self, call: Call, candidate: Candidate, proceed: Handler, start: float) -> Reply:
        standing = candidate.standing
        call.attempt = Attempt(candidate.name, start - call.started)
        call.target, call.api = candidate.target, None
        call.attempts.append(call.attempt)
        call.lost.clear()
        standing.began(start)
        try:
            reply = await proceed(call)
        except BaseException as raised:
            error, attempt = _known(raised), call.attempt
            attempt.status, attempt.reason = error.status, error.code
            now = self._clock()
            attempt.duration = now - call.started - attempt.start
            standing.ended(_failure(attempt.duration, error), now)
            raise
        attempt = call.attempt
        attempt.status = reply.status
        begun = self._clock() - start
        reply.on_finish.append(partial(self._answered, call, reply, candidate, attempt, begun))
        return reply

    def _answered(
        self, call: Call, reply: Reply, candidate: Candidate, attempt: Attempt, begun: float, error: GatewayError | None
    ) -> None:
        """The answer has come to an end, a good one or a bad one: its status was sent long since."""
        now = self._clock()
        attempt.duration = now - call.started - attempt.start
        error = error or reply.flow.error
        stream = reply.body is None
        if error is None:
            usage = reply.flow.usage or reply.usage
            outcome = Outcome(attempt.duration, begun, stream, usage)
        else:
            attempt.reason = error.code
            outcome = _failure(attempt.duration, error, begun, stream)
        candidate.standing.ended(outcome, now)


class Journey:
    """One call on its route: what has been tried and how."""

    __slots__ = ("ask", "call", "passing", "rounds", "route")

    def __init__(self, call: Call, route: Route, ask: Ask) -> None:
        self.call = call
        self.route = route
        self.ask = ask
        self.rounds = 0
        """How often all was tried again."""
        self.passing: dict[Candidate, GatewayError] = {}
        """Candidates that have failed in a way that may pass."""

    def late(self, now: float) -> bool:
        return self.call.deadline is not None and now >= self.call.deadline


def _roomier(candidates: Collection[Candidate], than: Candidate) -> list[Candidate]:
    """Those that are known to take a longer prompt."""
    room = than.ability.input or 0
    return [each for each in candidates if (each.ability.input or 0) > room]


def _failure(duration: float, error: GatewayError, begun: float | None = None, stream: bool = False) -> Outcome:
    return Outcome(duration, begun, stream, None, error.kind, error.blame, error.retry_after)


def _known(raised: BaseException) -> GatewayError:
    match raised:
        case GatewayError():
            return raised
        case asyncio.CancelledError():
            return why_cancelled(raised)
        case _:
            return InternalError("")


def _tell(call: Call, error: GatewayError) -> None:
    """The log gets what the caller does not: the transport's own words, and what the provider said of our account."""
    attempt = call.attempts[-1]
    level = logging.DEBUG if error.blame == "client" else logging.WARNING
    facts = {"request_id": call.id, "target": attempt.target, "code": error.code, "status": error.status}
    log.log(level, "attempt %d, at %s, failed: %s", len(call.attempts), attempt.target, error.full, extra=facts)
