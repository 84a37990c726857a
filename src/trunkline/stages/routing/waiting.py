"""Calls that wait because every target of theirs has as many as it bears.

The order is `policy.queue`'s. Here is the handover: whoever ends a call gives the place that it leaves to the head of
the queue, in the same step, so that no newcomer can take it in between; a newcomer who finds others waiting stands
behind them, even if there is a place. What else makes places (a ceiling that rises, a rest that ends) is looked for a
few times a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from msgspec import Struct

from trunkline.core.call import PRIORITIES, Call, Priority
from trunkline.core.errors import DeadlineExceeded, GatewayError, Overloaded, QueueShareFull
from trunkline.policy.queue import FairQueue, QueueSettings, Refusal, Refused, Ticket
from trunkline.policy.standing import Standing
from trunkline.stages.routing.choose import choose
from trunkline.stages.routing.health import full
from trunkline.stages.routing.journey import Journey
from trunkline.stages.routing.route import Candidate, Route

LOOK = 0.25
"""Seconds between looks for places that nobody has left."""
MAX_QUEUES = 1024
"""Queues that are kept though nobody waits in them, for what they have seen of the rate of service."""
SOONEST = 1.0
"""Seconds: nobody is told to come back before."""
NOTHING_KNOWN = 5.0
"""Seconds after which to come back where nothing was observed."""


class _Words(Struct, frozen=True):
    """What a refused call is told."""

    text: str
    code: str


class _Waiter(Ticket):
    __slots__ = ("future", "journey")

    def __init__(self, journey: Journey, tenant: str, until: float, weight: float) -> None:
        super().__init__(tenant, journey.call.priority, until, weight=weight)
        self.journey = journey
        self.future: asyncio.Future[Candidate] = asyncio.get_running_loop().create_future()


class _Pool:
    """The queue of one route."""

    __slots__ = ("queue", "standings")

    def __init__(self, route: Route, settings: QueueSettings) -> None:
        self.queue: FairQueue[_Waiter] = FairQueue(settings)
        self.standings = frozenset(candidate.standing for candidate in route.candidates)


class Waiting:
    """`clock`: seconds, monotonic, the event loop's; `draw`: numbers from 0 to 1; `weights`: the teams'."""

    def __init__(
        self,
        settings: QueueSettings,
        clock: Callable[[], float],
        draw: Callable[[], float],
        weights: Mapping[str, float] | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._draw = draw
        self._weights: Mapping[str, float] = weights or {}
        self._pools: dict[str, _Pool] = {}
        self._looking: asyncio.TimerHandle | None = None
        self.count = 0
        """Calls that wait."""
        self.outcomes: dict[tuple[Priority, str], int] = {}
        """What became of calls that came to a queue: `served`, `left`, or the code of the error."""
        self.waited: dict[Priority, float] = dict.fromkeys(PRIORITIES, 0.0)
        """Seconds that calls have waited, whatever became of them."""

    def take(self, settings: QueueSettings, weights: Mapping[str, float]) -> None:
        """Go by these from now on."""
        self._settings, self._weights = settings, weights
        for pool in self._pools.values():
            pool.queue.settings = settings

    def measured(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """Metrics, by their names and labels."""
        pools = self._pools.values()
        found: dict[tuple[str, tuple[str, ...]], float] = {}
        for each in PRIORITIES:
            found["trunkline_queue_calls", (each,)] = sum(pool.queue.depth(each) for pool in pools)
            found["trunkline_queue_wait_seconds_total", (each,)] = self.waited[each]
        for label, count in self.outcomes.items():
            found["trunkline_queue_outcomes_total", label] = count
        return found

    def due(self, journey: Journey, candidate: Candidate) -> bool:
        """Whether a call must wait before it asks this one: there is no place, or others wait for it."""
        if self.count:
            pool = self._pools.get(journey.route.model)
            if pool is not None and len(pool.queue):
                return True
        return full(candidate, journey.ask) is not None

    async def place(self, journey: Journey) -> Candidate:
        """Wait for a place; whose it is. It is kept free until the caller goes on, which it must without awaiting.

        Raises Overloaded, QueueShareFull, DeadlineExceeded.
        """
        call, now = journey.call, self._clock()
        pool = self._pool(journey.route)
        waiter = self._waiter(journey, now)
        refused = pool.queue.enter(waiter, now)
        if refused is not None:
            raise self._refusal(call, refused)
        self.count += 1
        self._serve(pool, now)
        self._look_again()
        timer = asyncio.get_running_loop().call_at(waiter.until, self._give_up, pool, waiter)
        try:
            candidate = await waiter.future
        except BaseException:
            self._leave(pool, waiter)
            raise
        finally:
            timer.cancel()
            now = self._clock()
            call.waited += now - waiter.since
            self.waited[call.priority] += now - waiter.since
        journey.ask.now = now
        self._note(call, "served")
        candidate.standing.pending -= 1
        return candidate

    def freed(self, standing: Standing) -> None:
        """A call has ended there: its place goes to whoever is next, of all that wait for such a place."""
        if not self.count:
            return
        now = self._clock()
        for name, pool in list(self._pools.items()):
            if standing in pool.standings and self._serve(pool, now):
                self._pools[name] = self._pools.pop(name)  # the others come first the next time

    # ── Handing over ───────────────────────────────────────────────────────────────────────────────────────────────

    def _serve(self, pool: _Pool, now: float) -> bool:
        """Hand over every place that somebody in this queue can use; whether there was one."""
        served = False

        def fits(waiter: _Waiter) -> bool:
            waiter.journey.ask.now = now
            return not waiter.future.done() and self._somewhere(waiter.journey)

        while len(pool.queue):
            waiter = pool.queue.take(now, fits)
            if waiter is None:
                break
            self.count -= 1
            candidate = choose(waiter.journey.route.legs, waiter.journey.ask, self._draw)
            assert candidate is not None
            candidate.standing.pending += 1
            waiter.future.set_result(candidate)
            served = True
        return served

    def _somewhere(self, journey: Journey) -> bool:
        """Whether there is a place for it."""
        candidate = choose(journey.route.legs, journey.ask, self._draw, commit=False)
        return candidate is not None and full(candidate, journey.ask) is None

    def _leave(self, pool: _Pool, waiter: _Waiter) -> None:
        """It does not wait any longer. A place that it was given goes on to the next."""
        if pool.queue.leave(waiter):
            self.count -= 1
        future = waiter.future
        if future.cancelled() or not future.done():
            self._note(waiter.journey.call, "left")
        elif future.exception() is None:
            self._note(waiter.journey.call, "left")
            standing = future.result().standing
            standing.pending -= 1
            self.freed(standing)

    def _give_up(self, pool: _Pool, waiter: _Waiter) -> None:
        """Its time is over."""
        if waiter.future.done():
            return
        call, now = waiter.journey.call, self._clock()
        wait = pool.queue.expected(waiter, now)
        if call.deadline is not None and call.deadline <= now:
            self._note(call, DeadlineExceeded.code)
            error: GatewayError = DeadlineExceeded("The call's deadline passed while it waited for a place.")
        else:
            error = self._refusal(call, Refused("timeout", wait))
        waiter.future.set_exception(error)

    def _look_again(self) -> None:
        if self._looking is None and self.count:
            self._looking = asyncio.get_running_loop().call_later(LOOK, self._look)

    def _look(self) -> None:
        self._looking, now = None, self._clock()
        for pool in list(self._pools.values()):
            self._serve(pool, now)
        self._look_again()

    # ── Coming in ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _pool(self, route: Route) -> _Pool:
        pool = self._pools.get(route.model)
        if pool is None:
            if len(self._pools) >= MAX_QUEUES:
                self._pools = {name: each for name, each in self._pools.items() if len(each.queue)}
            pool = self._pools[route.model] = _Pool(route, self._settings)
        elif not len(pool.queue):
            pool.standings = frozenset(candidate.standing for candidate in route.candidates)
        return pool

    def _waiter(self, journey: Journey, now: float) -> _Waiter:
        call = journey.call
        key = call.key
        team = key.team if key is not None else None
        tenant = f"team {team}" if team is not None else f"key {key.id}" if key is not None else ""
        until = now + self._settings.max_wait
        if call.deadline is not None:
            until = min(until, call.deadline)
        return _Waiter(journey, tenant, until, self._weights.get(team or "", 1.0))

    def _refusal(self, call: Call, refused: Refused) -> GatewayError:
        words = _WORDS[refused.reason]
        self._note(call, words.code)
        retry_after = max(SOONEST, refused.wait if refused.wait is not None else NOTHING_KNOWN)
        model = call.peek.model if call.peek is not None else ""
        text = f"Every target of {model!r} is at its bound, and {words.text.format(settings=self._settings)}"
        kind = QueueShareFull if refused.reason == "tenant_full" else Overloaded
        return kind(text, code=words.code, retry_after=retry_after)

    def _note(self, call: Call, outcome: str) -> None:
        self.outcomes[call.priority, outcome] = self.outcomes.get((call.priority, outcome), 0) + 1


_WORDS: Mapping[Refusal, _Words] = {
    "full": _Words("{settings.size} calls wait already (queue.size).", code="queue_full"),
    "tenant_full": _Words(
        "{settings.per_tenant} calls of this team, or key, wait already (queue.per_tenant).", code="queue_share_full"
    ),
    "too_long": _Words("the wait for a place would be longer than this call has time.", code="queue_too_long"),
    "timeout": _Words("no place was free in time (queue.max_wait).", code="queue_timeout"),
}
