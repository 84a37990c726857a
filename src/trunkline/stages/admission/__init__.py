"""Who may use how much: every limit that applies to a call is taken in one decision before it goes on, and settled to
what it really used after it has ended.

Nothing is settled here: the ledger, outermost, knows at the end of every call what it used, whatever became of it, and
tells the grant. Between, the grant is a lease that is renewed; that of a process that dies returns by itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from trunkline.core.call import Call
from trunkline.core.errors import GatewayError, Overloaded
from trunkline.core.limit import Grant, Refusal
from trunkline.core.pipeline import Handler
from trunkline.core.reply import Reply
from trunkline.core.stores import Counters, Tariff
from trunkline.policy.estimate import LONG, weigh
from trunkline.policy.queue import QueueSettings
from trunkline.policy.rules import shown
from trunkline.stages.admission.granted import LEASE, Granted
from trunkline.stages.admission.measure import measured, usual
from trunkline.stages.admission.patience import Patience
from trunkline.stages.admission.plan import Plan, Planner
from trunkline.stages.admission.refused import refused
from trunkline.stages.admission.seeding import Seeding
from trunkline.stages.admission.settings import AdmissionSettings

__all__ = ["Admission", "Planner", "Seeding"]

log = logging.getLogger("trunkline.calls")

RENEWAL = 30.0
"""Seconds between renewals."""
WAIT = 10.0
"""Seconds that a call waits for prices, or for what was used before the start."""
LOOKING = 0.02
"""Seconds between looks whether they are there: in the first second of a process alone."""
LARGE = 1024 * 1024
"""Bytes of a body that are weighed in a thread."""


class Admission:
    """`seeded`: whether the counters know yet what was used before this process began."""

    def __init__(
        self,
        counters: Counters,
        prices: Tariff,
        planner: Planner,
        settings: AdmissionSettings,
        seeded: Callable[[], bool],
        patience: Patience | None = None,
    ) -> None:
        self.counters = counters
        self._at_once = counters.at_once
        self.patience = patience or Patience(QueueSettings(), time.monotonic)
        self._prices = prices
        self._seeded = seeded
        self._renewing = False
        self._prepared = False
        """All that limits may need to know beforehand is known."""
        self.refusals = 0
        self.warnings = 0
        self.overruns = 0
        self.use(planner, settings)

    def use(self, planner: Planner, settings: AdmissionSettings) -> None:
        """These are the limits from now on; what has been counted stays."""
        self.planner = planner
        self._settings = settings
        self._prepared = False

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        key, planner = call.key, self.planner
        assert key is not None
        if call.grant is not None or (planner.empty and not key.limits):
            return proceed(call)
        plan = planner.of(key, call.peek.model if call.peek is not None else "", call.tags)
        if not plan.wants:
            return proceed(call)
        size, take = len(call.body), self._at_once
        if take is None or size > LONG or self.patience.on or not (self._prepared or self._ready(plan)):
            return self._admit(call, plan, proceed)
        amounts = usual(call, plan, self._prices) or self._measured(call, plan, size, 0)
        self._hold(call, plan, take(plan.wants, amounts, LEASE), size)
        return proceed(call)

    async def may_copy(self, call: Call, target: str) -> bool:
        """Whether the budgets that are there for all have room for a copy of a call, which is sent to this target.
        Then it has a grant. It counts as no request, and waits for nobody."""
        plan = self.planner.of_copy(target, call.tags)
        if not plan.wants:
            return True
        try:
            amounts, size = await self._weighed(call, plan)
            answer = await self.counters.take(plan.wants, amounts, LEASE)
        except GatewayError:
            return False
        if isinstance(answer, Grant):
            self._hold(call, plan, answer, size)
        return isinstance(answer, Grant)

    async def _admit(self, call: Call, plan: Plan, proceed: Handler) -> Reply:
        """Where something must be waited for."""
        amounts, size = await self._weighed(call, plan)
        if self.patience.on:
            answer = await self.patience.admit(call, plan.wants, lambda: self.counters.take(plan.wants, amounts, LEASE))
        else:
            answer = await self.counters.take(plan.wants, amounts, LEASE)
        self._hold(call, plan, answer, size)
        return await proceed(call)

    def _hold(self, call: Call, plan: Plan, answer: Grant | Refusal, size: int) -> None:
        """Raises what a refused call is told. `size`: bytes of the request without its files."""
        if type(answer) is Refusal:
            self.refusals += 1
            raise refused(answer)
        call.grant = Granted(self, plan, answer, size)
        if not self._renewing:
            self._renew_later()
        if plan.soft:
            self._warn(plan, answer)

    async def _weighed(self, call: Call, plan: Plan) -> tuple[tuple[int, ...], int]:
        """What the call takes of each want, once it can be said, and bytes of the request without its files. Raises
        CostUnknown, Overloaded."""
        if not (self._prepared or self._ready(plan)):
            await self._prepare(plan)
        size, files = len(call.body), 0
        if plan.counted:
            size, files = await asyncio.to_thread(weigh, call.body) if size > LARGE else weigh(call.body)
        amounts = usual(call, plan, self._prices) if files == 0 else None
        return amounts or self._measured(call, plan, size, files), size

    def _measured(self, call: Call, plan: Plan, size: int, files: int) -> tuple[int, ...]:
        return measured(call, plan, size, files, self._prices, self._settings.unpriced == "refuse")

    @staticmethod
    def _ready(plan: Plan) -> bool:
        """Whether it depends on nothing that must be known before."""
        return not (plan.priced or plan.lasting)

    async def _prepare(self, plan: Plan) -> None:
        """Wait until all is known that this plan depends on. Raises Overloaded."""
        if plan.priced and not self._prices.loaded:
            await _until(lambda: self._prices.loaded, "the prices")
        if plan.lasting and not self._seeded():
            await _until(self._seeded, "what was used before the gateway's start")
        self._prepared = self._prices.loaded and self._seeded()

    # ── Afterwards ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _warn(self, plan: Plan, grant: Grant) -> None:
        """A soft limit is said once in the log, by the call that passes it."""
        for at in plan.soft:
            want, total = plan.wants[at], grant.totals[at]
            if total > want.most:
                self.warnings += 1
                if total - grant.amounts[at] <= want.most:
                    log.warning("soft limit passed, %s", shown(want))

    def _renew_later(self) -> None:
        self._renewing = True
        asyncio.get_running_loop().call_later(RENEWAL, self._renew)

    def _renew(self) -> None:
        self._renewing = False
        self.counters.renew(LEASE)
        if self.counters.held:
            self._renew_later()

    # ── For those who look on ──────────────────────────────────────────────────────────────────────────────────────

    def gauges(self) -> dict[str, float]:
        return {
            "trunkline_limit_refusals": self.refusals,
            "trunkline_limit_warnings": self.warnings,
            "trunkline_limit_overruns": self.overruns,
            "trunkline_limit_grants": self.counters.held,
            "trunkline_limit_calls_waiting": self.patience.waiting,
            "trunkline_limit_calls_waited": self.patience.waited,
        }

    async def shown(self) -> list[dict[str, Any]]:
        """Each limit that calls have met since the start, and how it stands. Raises StoreUnavailable."""
        wants = self.planner.wants()
        totals = await self.counters.read([(want.counter, want.window) for want in wants])
        return [
            {
                "limit": shown(want),
                "scope": want.scope,
                "dimension": want.dimension,
                "window": want.window.name,
                "soft": want.soft,
                "most": want.most,
                "used": total,
                "left": max(0, want.most - total),
            }
            for want, total in sorted(zip(wants, totals, strict=True), key=lambda pair: pair[0].counter)
        ]


async def _until(ready: Callable[[], bool], what: str) -> None:
    """Raises Overloaded after a bounded wait."""
    for _ in range(round(WAIT / LOOKING)):
        await asyncio.sleep(LOOKING)
        if ready():
            return
    raise Overloaded(f"A limit applies to this call, and {what} cannot be looked up yet.", retry_after=1.0)
