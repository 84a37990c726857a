"""Two attempts at once, where the first is slow to begin: the first to begin is the answer, the other is given up.

Both have a call of their own (`Call.fork`), so that neither sees the other's target; what the winner's holds becomes
the call's. The loser's connection is closed, and its prompt is taken to have been paid for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from trunkline.core.call import AttemptKind, Call
from trunkline.core.errors import GatewayError, Outrun, why_cancelled
from trunkline.core.pipeline import Handler
from trunkline.core.reply import Reply
from trunkline.core.usage import Usage
from trunkline.policy.continuation import Recovery
from trunkline.policy.estimate import BYTES_PER_TOKEN
from trunkline.policy.hedge import HedgeBudget, Percentile
from trunkline.stages.routing.attempt import Attempts, affordable, tell
from trunkline.stages.routing.beyond import HedgeSettings
from trunkline.stages.routing.journey import Guide, Journey
from trunkline.stages.routing.route import Candidate

HEDGED = frozenset({"generate", "embed"})
MAX_KNOWN = 4096
"""Targets and models of which something is kept."""


class _Runner:
    """One attempt of a race."""

    __slots__ = ("call", "candidate", "task")

    def __init__(self, call: Call, candidate: Candidate, task: asyncio.Task[Reply]) -> None:
        self.call = call
        self.candidate = candidate
        self.task = task

    async def give_up(self, why: GatewayError) -> None:
        """It is not the answer, though it may have begun to be one in the same moment. Its prompt was sent."""
        self.task.cancel(why)
        await asyncio.wait((self.task,))
        if not self.task.cancelled():
            if self.task.exception() is not None:
                return
            reply = self.task.result()
            reply.finish(why)
            reply.close()
        attempt = self.call.attempt
        if attempt is not None:
            attempt.usage = Usage(input=-(-len(self.call.body) // BYTES_PER_TOKEN), estimated=True)
            attempt.price_model = self.call.target.price_model


class Hedger:
    def __init__(self, attempts: Attempts, guide: Guide, clock: Callable[[], float]) -> None:
        self._attempts = attempts
        self._guide = guide
        self._clock = clock
        self._budgets: dict[tuple[str, float], HedgeBudget] = {}
        self._percentiles: dict[tuple[str, bool], Percentile] = {}

    async def race(
        self, journey: Journey, candidate: Candidate, proceed: Handler, settings: HedgeSettings
    ) -> tuple[Reply, Candidate]:
        """The answer, and whose it is. Raises what the first attempt raised where none answers."""
        call = journey.call
        size = len(call.body)
        budget = self._budget(journey.route.model, settings.share)
        budget.saw(size)
        wait = self._wait(candidate, call, settings)
        if wait is None:
            return await self._attempts.make(call, candidate, proceed, journey.ask.now), candidate
        first = self._start(call, candidate, proceed, journey.ask.now, "")
        runners = [first]
        try:
            await asyncio.wait((first.task,), timeout=wait)
            if not first.task.done():
                other = self._guide.beside(journey, candidate)
                if other is not None and budget.withdraw(size) and await affordable(call):
                    twin = call.fork()
                    twin.recovery = Recovery() if call.recovery is not None else None
                    runners.append(self._start(twin, other, proceed, self._clock(), "hedge"))
            winner = await self._winner(journey, runners)
            for runner in runners:
                if runner is not winner:
                    await runner.give_up(Outrun("Another target began to answer sooner."))
        except asyncio.CancelledError as cancelled:
            for runner in runners:
                await runner.give_up(why_cancelled(cancelled))
            raise
        call.adopt(winner.call)
        return winner.task.result(), winner.candidate

    def _start(self, call: Call, candidate: Candidate, proceed: Handler, now: float, kind: AttemptKind) -> _Runner:
        task = asyncio.get_running_loop().create_task(self._attempts.make(call, candidate, proceed, now, kind))
        return _Runner(call, candidate, task)

    async def _winner(self, journey: Journey, runners: list[_Runner]) -> _Runner:
        """The first that answers; where none does the first one, whose error is the call's."""
        running = list(runners)
        while running:
            await asyncio.wait([each.task for each in running], return_when=asyncio.FIRST_COMPLETED)
            for runner in [each for each in running if each.task.done()]:
                running.remove(runner)
                error = runner.task.exception()
                if error is None:
                    return runner
                if runner is not runners[0] and isinstance(error, GatewayError):
                    tell(runner.call, error)
                    journey.ask.tried.add(runner.candidate)
        return runners[0]

    def _wait(self, candidate: Candidate, call: Call, settings: HedgeSettings) -> float | None:
        """Seconds to wait for the first target; None: there is no second attempt."""
        assert call.peek is not None
        if call.surface.operation not in HEDGED:
            return None
        usual = settings.after
        if usual is None:
            usual = self._percentile(candidate, call.peek.stream).at(self._clock())
        return max(settings.floor, usual) if usual is not None else None

    def _percentile(self, candidate: Candidate, stream: bool) -> Percentile:
        key = candidate.name, stream
        found = self._percentiles.get(key)
        if found is None:
            if len(self._percentiles) >= MAX_KNOWN:
                self._percentiles.clear()
            standing = candidate.standing
            digest = standing.first_byte if stream else standing.whole
            found = self._percentiles[key] = Percentile(digest.quantile)
        return found

    def _budget(self, model: str, share: float) -> HedgeBudget:
        found = self._budgets.get((model, share))
        if found is None:
            if len(self._budgets) >= MAX_KNOWN:
                self._budgets.clear()
            found = self._budgets[model, share] = HedgeBudget(share)
        return found
