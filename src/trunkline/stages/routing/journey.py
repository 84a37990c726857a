"""One call on its route: whom it has met, and where it goes from there.

What an error means is `policy.failover`'s to say. Here it is weighed against what is left: candidates, time, and the
budgets for further attempts, which all calls share.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from trunkline.core.call import Call
from trunkline.core.errors import GatewayError
from trunkline.policy.failover import again, step
from trunkline.policy.retry import RetryBudget, pause
from trunkline.stages.routing.choose import SOFT, Ask, choose, refused
from trunkline.stages.routing.route import Candidate, Route
from trunkline.stages.routing.settings import RoutingSettings


class Journey:
    __slots__ = ("ask", "call", "home", "passing", "rounds", "route")

    def __init__(self, call: Call, route: Route, ask: Ask) -> None:
        self.call = call
        self.route = route
        self.ask = ask
        self.home = b""
        """What its conversation is called, where that has a home."""
        self.rounds = 0
        """How often all was tried again."""
        self.passing: dict[Candidate, GatewayError] = {}
        """Candidates that have failed in a way that may pass."""

    def late(self, now: float) -> bool:
        return self.call.deadline is not None and now >= self.call.deadline


class Guide:
    """Says whom to ask. `clock`: seconds, monotonic; `draw`: numbers from 0 to 1."""

    def __init__(
        self, clock: Callable[[], float], draw: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._clock = clock
        self._draw = draw
        self._sleep = sleep
        self.retries = RetryBudget(0.0, 0.0)
        self.failovers = RetryBudget(0.0, 0.0)

    def take(self, settings: RoutingSettings) -> None:
        """Fresh budgets."""
        self.retries = RetryBudget(settings.retry_share, settings.floor)
        self.failovers = RetryBudget(settings.failover_share, settings.floor)

    def first(self, journey: Journey) -> Candidate:
        only = journey.route.only
        if only is not None:
            return only
        candidate = choose(journey.route.legs, journey.ask, self._draw)
        assert candidate is not None  # there is at least one that is able
        return candidate

    def other(self, journey: Journey) -> Candidate | None:
        """One that was not asked yet, if another attempt is in the budget."""
        candidate = choose(journey.route.legs, journey.ask, self._draw)
        return candidate if candidate is not None and self.failovers.withdraw(journey.ask.now) else None

    def beside(self, journey: Journey, candidate: Candidate) -> Candidate | None:
        """Another one of this candidate's model, while it is being asked; None: none is well and has room."""
        legs = [leg for leg in journey.route.legs if candidate in leg.candidates]
        ask = journey.ask
        ask.tried.add(candidate)
        other = choose(legs, ask, self._draw)
        ask.tried.discard(candidate)
        return other if other is not None and refused(other, ask, SOFT) is None else None

    async def onward(self, journey: Journey, failed: Candidate, error: GatewayError) -> Candidate | None:
        """Whom to ask after this error, when it is time to; None: nobody."""
        ask = journey.ask
        if not self.may_go_on(journey, failed, error):
            return None
        if again(error):
            journey.passing[failed] = error
        other = choose(journey.route.legs, ask, self._draw)
        if other is not None:
            return other if self.failovers.withdraw(ask.now) else None
        return await self._again(journey)

    def may_go_on(self, journey: Journey, failed: Candidate, error: GatewayError) -> bool:
        """Whether anybody may be asked after this error. Those who cannot help are left out from now on."""
        ask = journey.ask
        ask.now = self._clock()
        if journey.late(ask.now):
            return False
        ask.tried.add(failed)
        match step(error):
            case "stop":
                return False
            case "refused":
                return journey.route.settings.refusal != "stop"
            case "longer":
                ask.able = _roomier(ask.able, failed)
            case _:
                pass
        return True

    async def _again(self, journey: Journey) -> Candidate | None:
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


def _roomier(candidates: Collection[Candidate], than: Candidate) -> list[Candidate]:
    """Those that are known to take a longer prompt."""
    room = than.ability.input or 0
    return [each for each in candidates if (each.ability.input or 0) > room]
