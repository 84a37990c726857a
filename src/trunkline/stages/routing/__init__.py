"""Which target answers: chosen, asked, and as long as no answer has begun, another one after it.

Each error says by its class what it means for the rest of the call (`policy.failover`); what follows is bounded by the
call's deadline and by budgets for further attempts. Once a Reply exists the answer is committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from trunkline.core.call import Call
from trunkline.core.errors import GatewayError
from trunkline.core.pipeline import Handler
from trunkline.core.reply import Reply
from trunkline.policy.affinity import MemoryAffinities
from trunkline.policy.continuation import Recovery
from trunkline.policy.queue import QueueSettings
from trunkline.stages.routing.able import Offer, able
from trunkline.stages.routing.attempt import Attempts, tell
from trunkline.stages.routing.choose import Ask, Draw
from trunkline.stages.routing.explain import Explanation, explain
from trunkline.stages.routing.hedge import Hedger
from trunkline.stages.routing.home import Homes
from trunkline.stages.routing.journey import Guide, Journey
from trunkline.stages.routing.mirror import Mirrors
from trunkline.stages.routing.recover import Recoverer, recoverable
from trunkline.stages.routing.route import Routes
from trunkline.stages.routing.settings import RoutingSettings
from trunkline.stages.routing.waiting import Waiting


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
        self.waiting = Waiting(QueueSettings(), clock, draw)
        self._attempts = Attempts(clock, self.waiting.freed)
        self._guide = Guide(clock, draw, sleep)
        self.homes = Homes(MemoryAffinities(), clock)
        self._hedger = Hedger(self._attempts, self._guide, clock)
        self.mirrors = Mirrors(self._attempts, clock, draw)
        self._recoverer = Recoverer(self._attempts, self._guide, clock)
        self._settings: RoutingSettings | None = None
        self.take(routes, settings, offer)

    def take(self, routes: Routes, settings: RoutingSettings, offer: Offer | None = None) -> None:
        """Choose among these from now on; a call in work goes on with the route that it has."""
        self.routes = routes
        self._offer = offer
        if settings != self._settings:
            self._settings = settings
            self._guide.take(settings)

    def measured(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """For the metrics."""
        return self.waiting.measured() | self.mirrors.measured()

    def explain(self, call: Call, draw: Draw) -> Explanation:
        """What would become of this call. `draw`: see `explain`. Raises ClientError."""
        assert call.peek is not None
        journey = self._set_out(call, call.peek.model)
        return explain(journey.route, journey.ask, draw)

    def _set_out(self, call: Call, model: str) -> Journey:
        route = self.routes.of(model)
        journey = Journey(call, route, Ask(call, self._clock(), able(call, route, self._offer), set()))
        if call.follows is not None:
            journey.ask.preferred = call.follows.target
        if route.settings.affinity is not None:
            self.homes.look(journey, route.settings.affinity)
        return journey

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        assert call.peek is not None
        guide = self._guide
        journey = self._set_out(call, call.peek.model)
        guide.retries.calls += 1
        guide.failovers.calls += 1
        candidate = guide.first(journey)
        settings = journey.route.settings
        hedge, mirror = settings.hedge, settings.mirror
        recovers = settings.recover.mode != "off" and recoverable(call)
        while True:
            if self.waiting.due(journey, candidate):
                candidate = await self.waiting.place(journey)
            try:
                if recovers:
                    call.recovery = Recovery()
                if hedge is None:
                    reply = await self._attempts.make(call, candidate, proceed, journey.ask.now)
                else:
                    reply, candidate = await self._hedger.race(journey, candidate, proceed, hedge)
            except GatewayError as error:
                tell(call, error)
                onward = await guide.onward(journey, candidate, error)
                if onward is None:
                    raise
                candidate = onward
            else:
                if recovers:
                    reply = self._recoverer.over(journey, reply, candidate, proceed)
                if mirror is not None:
                    self.mirrors.reflect(call, journey.route, mirror, proceed)
                if journey.home:
                    self.homes.remember(journey, candidate, reply)
                return reply
