"""Copies of calls to another target: how it would have done, seen in the ledger and by nobody else.

A copy begins once the real answer has begun, runs in a task of its own and is read to its end. It is a call of its own
too, under no key: it counts against the budgets that are there for all, and is left out where they have no room. What
goes wrong with it is counted, and told at debug level.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

from trunkline.core.call import Call
from trunkline.core.errors import GatewayError
from trunkline.core.pipeline import Handler, Stage
from trunkline.core.reply import Reply
from trunkline.stages.routing.attempt import Attempts
from trunkline.stages.routing.beyond import MirrorSettings
from trunkline.stages.routing.route import Candidate, Route

log = logging.getLogger("trunkline.calls")

TAG = "mirror"
MIRRORED = frozenset({"generate", "embed"})


async def unrecorded(call: Call, proceed: Handler) -> Reply:
    """The stage around a copy where nobody keeps a ledger."""
    return await proceed(call)


async def unlimited(call: Call, target: str) -> bool:
    """Whether a copy may be sent, where there are no budgets."""
    return True


class Mirrors:
    """`admit`: whether the budgets have room for a copy to a target. `keep`: the stage that writes a copy's entry.
    `made`, `left_out` and `failed` count copies since the start."""

    def __init__(self, attempts: Attempts, clock: Callable[[], float], draw: Callable[[], float]) -> None:
        self._attempts = attempts
        self._clock = clock
        self._draw = draw
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_flight: Counter[str] = Counter()
        self.admit: Callable[[Call, str], Awaitable[bool]] = unlimited
        self.keep: Stage = unrecorded
        self.made = 0
        self.left_out = 0
        self.failed = 0

    def reflect(self, call: Call, route: Route, settings: MirrorSettings, proceed: Handler) -> None:
        """A call's answer has begun: send a copy of it, where it is its turn and there is room."""
        candidate = route.mirror
        if candidate is None or call.surface.operation not in MIRRORED or self._draw() >= settings.share:
            return
        if self._in_flight[route.model] >= settings.max_in_flight:
            self.left_out += 1
            return
        self._in_flight[route.model] += 1
        task = asyncio.get_running_loop().create_task(self._run(_copy(call, self._clock()), candidate, proceed))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._done(done, route.model))

    async def aclose(self) -> None:
        """Give up what is still running."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def measured(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """For the metrics."""
        counts = {"made": self.made, "left_out": self.left_out, "failed": self.failed}
        return {("trunkline_mirror_calls_total", (what,)): float(count) for what, count in counts.items()}

    async def _run(self, call: Call, candidate: Candidate, proceed: Handler) -> None:
        async def attempt(call: Call) -> Reply:
            return await self._attempts.make(call, candidate, proceed, self._clock(), "mirror")

        if not await self.admit(call, candidate.name):
            self.left_out += 1
            return
        self.made += 1
        try:
            reply = await self.keep(call, attempt)
            error = await _drained(reply)
        except GatewayError as raised:
            error = raised
        if error is not None:
            self.failed += 1
            log.debug("a copy for %s failed: %s", candidate.name, error.full, extra={"request_id": call.id})

    def _done(self, task: asyncio.Task[None], model: str) -> None:
        self._tasks.discard(task)
        self._in_flight[model] -= 1
        if not task.cancelled() and (mistake := task.exception()) is not None:
            self.failed += 1
            log.error("a copy for model %s: a mistake of the gateway's own", model, exc_info=mistake)


async def _drained(reply: Reply) -> GatewayError | None:
    """Read an answer to its end, as a client would; why it broke off, if it did."""
    error = None
    try:
        if reply.source is not None:
            while data := await reply.source.read():
                reply.flow.feed(data)
            reply.flow.eof()
    except GatewayError as raised:
        error = raised
        reply.flow.fail(raised)
    finally:
        reply.finish(error)
        reply.close()
    return error or reply.flow.error


def _copy(call: Call, now: float) -> Call:
    """The same request, on no key's account."""
    copy = call.fork()
    copy.id = f"{call.id}-mirror"
    copy.arrived += now - call.started
    copy.started = now
    copy.key = copy.grant = copy.memory = copy.follows = copy.recovery = copy.attempt = None
    copy.tags = (TAG,)
    copy.attempts = []
    copy.usage = copy.cost = copy.first_byte = None
    copy.bytes_out = 0
    return copy
