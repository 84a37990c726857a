"""What one call was given, from its admission to its end."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from trunkline.core.call import Entry
from trunkline.core.limit import Grant
from trunkline.core.stores import Counters
from trunkline.policy.rules import shown, shown_amount
from trunkline.stages.admission.patience import Patience
from trunkline.stages.admission.plan import Plan

log = logging.getLogger("trunkline.calls")

LEASE = 120_000
"""Milliseconds after which what a dead process held returns."""
_NOTHING = (1, 0, 0, 0, 0, 0, 0)
"""What a call has used, by dimension, whose use is not known: it was one."""


class Keeper(Protocol):
    """Who admitted the call."""

    counters: Counters
    overruns: int
    """How many limits were exceeded by calls that had reserved the most that they could use."""

    patience: Patience


class Granted(Struct, eq=False):
    """`core.limit.Allowance`."""

    _keeper: Keeper
    _plan: Plan
    grant: Grant
    _size: int
    """Bytes of the request, as they count for what is expected of the next."""
    _more: tuple[Grant, ...] = ()
    """What was taken for attempts on top."""

    async def extend(self) -> bool:
        plan = self._plan
        if not plan.extra:
            return True
        amounts = [self.grant.amounts[at] for at in plan.extra]
        answer = await self._keeper.counters.take(plan.extra_wants, amounts, LEASE)
        if not isinstance(answer, Grant):
            return False
        self._more = (*self._more, answer)
        return True

    def settle(self, entry: Entry) -> None:
        keeper, plan, usage = self._keeper, self._plan, entry.usage
        if usage is None:
            used = plan.used(_NOTHING)
        else:
            prompt, answer, picked = usage.input, usage.output, plan.used
            used = picked((1, prompt, answer, prompt + answer, entry.cost or 0, 0, 0))
            if plan.counted and not usage.estimated:
                plan.expectation.learn(self._size, prompt, answer)
        amounts = self.grant.amounts
        for at in plan.bounded:
            if used[at] > amounts[at]:
                keeper.overruns += self._exceeded(used)
                break
        if self._more:
            used = self._shared(used)
        keeper.counters.settle(self.grant, used)
        if keeper.patience.lines:
            keeper.patience.freed()

    def _shared(self, used: Sequence[int]) -> tuple[int, ...]:
        """Settle what was taken on top: each grant is used up before the next one, the last one bears the rest. What
        is left for the first is returned."""
        extra, amounts = self._plan.extra, self.grant.amounts
        first = [min(real, amounts[at]) if at in extra else real for at, real in enumerate(used)]
        rest = [used[at] - first[at] for at in extra]
        for number, grant in enumerate(self._more):
            last = number == len(self._more) - 1
            shares = rest if last else [min(real, amount) for real, amount in zip(rest, grant.amounts, strict=True)]
            rest = [real - share for real, share in zip(rest, shares, strict=True)]
            self._keeper.counters.settle(grant, shares)
        return tuple(first)

    def _exceeded(self, used: Sequence[int]) -> int:
        """How many limits that must not be exceeded reserved less than what was used."""
        amounts, times = self.grant.amounts, 1 + len(self._more)
        broken = [at for at in self._plan.bounded if used[at] > amounts[at] * times]
        for at in broken:
            want = self._plan.wants[at]
            amount, held = shown_amount(want.dimension, used[at]), shown_amount(want.dimension, amounts[at] * times)
            log.error("a call used %s where at most %s had been thought possible (%s)", amount, held, shown(want))
        return len(broken)
