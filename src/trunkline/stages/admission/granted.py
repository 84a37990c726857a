"""What one call was given, from its admission to its end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from trunkline.core.call import Entry
from trunkline.core.limit import Grant, Standing
from trunkline.core.stores import Counters
from trunkline.core.usage import Usage
from trunkline.policy.quota import reset_of
from trunkline.policy.rules import shown, shown_amount
from trunkline.stages.admission.plan import Plan

log = logging.getLogger("trunkline.calls")

_NOTHING = Usage()
Over = Callable[["Granted", int], None]
"""Told when a call has ended: the call, and how many of its limits it exceeded though it had reserved its most."""


class Granted:
    """`core.limit.Allowance`. `size`: bytes of the request, as they count for what is expected of the next."""

    __slots__ = ("_counters", "_lease", "_over", "_plan", "_size", "grants")

    def __init__(self, plan: Plan, grant: Grant, size: int, counters: Counters, lease: int, over: Over) -> None:
        self._plan = plan
        self._size = size
        self._counters = counters
        self._lease = lease
        self._over = over
        self.grants = [grant]

    async def extend(self) -> bool:
        plan = self._plan
        if not plan.extra:
            return True
        amounts = [self.grants[0].amounts[at] for at in plan.extra]
        answer = await self._counters.take(tuple(plan.wants[at] for at in plan.extra), amounts, self._lease)
        if not isinstance(answer, Grant):
            return False
        self.grants.append(answer)
        return True

    def renew(self) -> None:
        for grant in self.grants:
            self._counters.renew(grant, self._lease)

    def settle(self, entry: Entry) -> None:
        plan = self._plan
        usage = entry.usage or _NOTHING
        real = (1, usage.input, usage.output, usage.input + usage.output, entry.cost or 0, 0, 0)
        used = [real[at] for at in plan.dimensions]
        if len(self.grants) == 1:
            self._counters.settle(self.grants[0], used)
        else:
            self._settle_all(used)
        if entry.usage is not None and not usage.estimated:
            plan.expectation.learn(self._size, usage.input, usage.output)
        self._over(self, self._exceeded(used) if plan.bounded else 0)

    def _settle_all(self, used: list[int]) -> None:
        """Each grant is used up before the next one; what is more than all together, or left, is the last one's."""
        left = dict(zip(self._plan.wants, used, strict=True))
        for number, grant in enumerate(self.grants):
            last = number == len(self.grants) - 1
            shares = []
            for want, amount in zip(grant.wants, grant.amounts, strict=True):
                more = not last and self._plan.comes_again(want)
                share = min(left[want], amount) if more else left[want]
                left[want] -= share
                shares.append(share)
            self._counters.settle(grant, shares)

    def _exceeded(self, used: list[int]) -> int:
        """How many limits that must not be exceeded reserved less than what was used."""
        plan = self._plan
        first = self.grants[0]
        broken = 0
        for at, want in enumerate(plan.wants):
            reserved = first.amounts[at] * (len(self.grants) if at in plan.extra else 1)
            if plan.exact[at] and used[at] > reserved:
                broken += 1
                amount, held = shown_amount(want.dimension, used[at]), shown_amount(want.dimension, reserved)
                log.error("a call used %s where at most %s had been expected (%s)", amount, held, shown(want))
        return broken

    def standings(self) -> Sequence[Standing]:
        grant = self.grants[0]
        return [
            Standing(want, max(0, want.most - total), reset_of(want, grant.at) / 1000)
            for want, total in zip(grant.wants, grant.totals, strict=True)
        ]
