"""Calls that wait for a limit to have room again instead of being refused, where the configuration says so.

Those whom the same counter refuses stand in one line, in the order of `policy.queue`. Only the head of a line tries,
when its refusal said that there will be room, or as soon as a call gives something back: so nobody overtakes, and a
counter is not asked by a crowd in the same moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from trunkline.core.call import Call
from trunkline.core.limit import Grant, Refusal, Want
from trunkline.policy.queue import FairQueue, QueueSettings, Ticket

LOOK = 0.25
"""Seconds between tries, where something that goes on must end: it may do so in another process."""
MARGIN = 0.002
"""Seconds beyond what a refusal says: it counts in whole milliseconds."""
MAX_LINES = 1024
"""Counters that are waited for."""

Take = Callable[[], Awaitable[Grant | Refusal]]


class _Waiter(Ticket):
    __slots__ = ("over", "turn")

    def __init__(self, call: Call, until: float, weights: Mapping[str, float]) -> None:
        key = call.key
        team = key.team if key is not None else None
        tenant = f"team {team}" if team is not None else f"key {key.id}" if key is not None else ""
        super().__init__(tenant, call.priority, until, weight=weights.get(team or "", 1.0))
        self.turn = asyncio.Event()
        """It is the head, and shall try."""
        self.over = asyncio.Event()
        """It has tried, or left."""


class _Line:
    """`due`: when the head may try again."""

    def __init__(self, settings: QueueSettings, due: float) -> None:
        self.queue: FairQueue[_Waiter] = FairQueue(settings)
        self.due = due
        self.room = asyncio.Event()
        """Somebody has given something back."""
        self.task: asyncio.Task[None]


class Patience:
    """`clock`: seconds, monotonic, the event loop's."""

    def __init__(self, settings: QueueSettings, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.take(settings, {})
        self.lines: dict[str, _Line] = {}
        """By the counter that is waited for."""
        self.waited = 0
        """Calls that have waited, and were let in."""

    def take(self, settings: QueueSettings, weights: Mapping[str, float]) -> None:
        """Go by these from now on."""
        self._settings, self._weights = settings, weights
        self.on = settings.limits
        """Whether anybody waits at all."""

    @property
    def waiting(self) -> int:
        return sum(len(line.queue) for line in self.lines.values())

    def freed(self) -> None:
        """Somebody has given back what it did not use, or has ended."""
        for line in self.lines.values():
            line.room.set()

    async def admit(self, call: Call, wants: Sequence[Want], take: Take) -> Grant | Refusal:
        """What comes of asking for all of these, again and again for as long as the call has time for it."""
        counter = next((want.counter for want in wants if want.counter in self.lines), None)
        refusal: Refusal | None = None
        if counter is None:
            answer = await take()
            if isinstance(answer, Grant):
                return answer
            counter, refusal = answer.want.counter, answer
        began = self._clock()
        answer = await self._patiently(call, counter, refusal, take)
        call.waited += self._clock() - began
        self.waited += isinstance(answer, Grant)
        return answer

    async def _patiently(self, call: Call, counter: str, refusal: Refusal | None, take: Take) -> Grant | Refusal:
        """`refusal`: the counter's last word, if it has been asked."""
        until = self._clock() + self._settings.max_wait
        if call.deadline is not None:
            until = min(until, call.deadline)
        try:
            async with asyncio.timeout_at(until):
                while refusal is None or self._fits(refusal, until):
                    answer = await self._stand(call, counter, refusal, until, take)
                    if answer is None:
                        break
                    if isinstance(answer, Grant):
                        return answer
                    counter, refusal = answer.want.counter, answer
        except TimeoutError:
            refusal = None  # what it said is old by now
        return refusal or await take()

    def _fits(self, refusal: Refusal, until: float) -> bool:
        return refusal.wait is not None and self._clock() + refusal.wait / 1000.0 <= until

    async def _stand(
        self, call: Call, counter: str, refusal: Refusal | None, until: float, take: Take
    ) -> Grant | Refusal | None:
        """Stand in the counter's line until it lets the call in, or another one refuses it. None: there is no room."""
        line = self._line(counter, refusal)
        waiter = _Waiter(call, until, self._weights)
        if line is None or line.queue.enter(waiter, self._clock()) is not None:
            return None
        try:
            while True:
                await waiter.turn.wait()
                waiter.turn.clear()
                answer = await take()
                if isinstance(answer, Grant):
                    line.queue.take(self._clock(), lambda each: each is waiter)
                    return answer
                if answer.want.counter != counter:
                    return answer
                line.due = self._due(answer)
                waiter.over.set()
        finally:
            line.queue.leave(waiter)
            waiter.over.set()

    # ── A line ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _line(self, counter: str, refusal: Refusal | None) -> _Line | None:
        line = self.lines.get(counter)
        if line is None and len(self.lines) < MAX_LINES:
            line = self.lines[counter] = _Line(self._settings, self._due(refusal))
            line.task = asyncio.create_task(self._serve(counter, line))
        return line

    def _due(self, refusal: Refusal | None) -> float:
        wait = refusal.wait if refusal is not None else None
        return self._clock() + (wait / 1000.0 + MARGIN if wait else LOOK)

    async def _serve(self, counter: str, line: _Line) -> None:
        """Give turns, for as long as somebody stands here."""
        try:
            await asyncio.sleep(0)  # whoever made the line is about to stand in it
            while len(line.queue):
                await self._pause(line)
                while (head := line.queue.head(self._clock())) is not None:
                    line.room.clear()
                    head.over.clear()
                    head.turn.set()
                    await head.over.wait()
                    if line.due > self._clock() and not line.room.is_set():
                        break
        finally:
            del self.lines[counter]

    async def _pause(self, line: _Line) -> None:
        try:
            async with asyncio.timeout_at(line.due):
                await line.room.wait()
        except TimeoutError:
            pass
