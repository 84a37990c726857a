"""The queue: shares are the weights, classes come before each other, nobody starves, nothing is lost, all is bound."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from trunkline.core.call import PRIORITIES, Priority
from trunkline.policy.queue import MAX_LOOKS, SPARE_FLOWS, YIELD_EVERY, FairQueue, QueueSettings, Refused, Ticket

FOREVER = float("inf")
TENANTS = ("a", "b", "c")


def queue(size: int = 10_000, per_tenant: int = 10_000, aging: float = FOREVER) -> FairQueue[Ticket]:
    return FairQueue(QueueSettings(size=size, per_tenant=per_tenant, aging=aging))


def ticket(
    tenant: str = "a", priority: Priority = "default", until: float = FOREVER, weight: float = 1.0, cost: float = 1.0
) -> Ticket:
    return Ticket(tenant, priority, until, weight=weight, cost=cost)


def served(waiting: FairQueue[Ticket], count: int, now: float = 0.0) -> list[Ticket]:
    found = [waiting.take(now) for _ in range(count)]
    return [each for each in found if each is not None]


# ── Fairness within a class ────────────────────────────────────────────────────────────────────────────────────────


@given(st.tuples(*[st.integers(1, 20)] * 3), st.sampled_from(list(permutations(TENANTS))))
@settings(max_examples=30, deadline=None)
def test_at_three_times_what_can_be_served_the_shares_are_the_weights(
    weights: tuple[int, ...], arrivals: tuple[str, ...]
) -> None:
    """Each tenant alone asks for all that can be served."""
    waiting, turns = queue(per_tenant=20), 2000
    said = dict(zip(TENANTS, weights, strict=True))
    got: Counter[str] = Counter()
    for turn in range(turns):
        for name in arrivals:
            waiting.enter(ticket(name, weight=said[name]), float(turn))
        got.update(each.tenant for each in served(waiting, 1, float(turn)))
    for name, weight in said.items():
        assert got[name] == pytest.approx(turns * weight / sum(weights), rel=0.05, abs=1)


def test_what_a_call_costs_counts() -> None:
    waiting = queue()
    for _ in range(100):
        waiting.enter(ticket("dear", cost=3.0), 0.0)
        waiting.enter(ticket("cheap", cost=1.0), 0.0)
    assert Counter(each.tenant for each in served(waiting, 40)) == {"dear": 10, "cheap": 30}


def test_a_tenants_own_calls_keep_their_order() -> None:
    waiting, mine = queue(), [ticket("a") for _ in range(5)]
    for each in mine:
        waiting.enter(each, 0.0)
        waiting.enter(ticket("b"), 0.0)
    assert [each for each in served(waiting, 10) if each.tenant == "a"] == mine


def test_who_comes_later_gets_a_share_and_no_compensation() -> None:
    waiting = queue()
    for _ in range(200):
        waiting.enter(ticket("early"), 0.0)
    served(waiting, 100)
    for _ in range(100):
        waiting.enter(ticket("late"), 1.0)
    assert Counter(each.tenant for each in served(waiting, 50)) == {"early": 25, "late": 25}


def test_who_leaves_and_comes_back_has_gained_nothing() -> None:
    waiting = queue()
    for _ in range(100):
        waiting.enter(ticket("steady"), 0.0)
    got: Counter[str] = Counter()
    for _ in range(50):
        mine = ticket("brief")
        waiting.enter(mine, 0.0)
        got.update(each.tenant for each in served(waiting, 1))
        waiting.leave(mine)
    assert abs(got["brief"] - got["steady"]) <= 1


# ── Classes ────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.tuples(st.sampled_from(PRIORITIES), st.sampled_from(TENANTS)), max_size=60))
def test_nobody_waits_behind_a_lower_class(arrivals: list[tuple[Priority, str]]) -> None:
    waiting = queue()
    for priority, tenant in arrivals:
        waiting.enter(ticket(tenant, priority), 0.0)
    ranks = [PRIORITIES.index(each.priority) for each in served(waiting, len(arrivals))]
    assert ranks == sorted(ranks)
    assert len(ranks) == len(arrivals)


def test_lower_classes_do_not_starve() -> None:
    """Interactive calls come without end; each of the others is served, and takes no more than its places."""
    waiting = queue(aging=10.0)
    for _ in range(5):
        waiting.enter(ticket(priority="batch"), 0.0)
        waiting.enter(ticket(priority="default"), 0.0)
    got: list[Priority] = []
    for now in range(400):
        for _ in range(3):
            waiting.enter(ticket(priority="interactive"), float(now))
        got.extend(each.priority for each in served(waiting, 1, float(now)))
    assert Counter(got) == {"interactive": 390, "default": 5, "batch": 5}
    assert set(got[:10]) == {"interactive"}, "before they have waited for long they have no claim"
    lower = [turn for turn, priority in enumerate(got) if priority != "interactive"]
    assert all(turn % YIELD_EVERY == YIELD_EVERY - 1 for turn in lower)


# ── Time ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_who_is_past_its_time_is_passed_over() -> None:
    waiting, late, good = queue(), ticket(until=5.0), ticket(until=6.0)
    waiting.enter(late, 0.0)
    waiting.enter(good, 0.0)
    assert waiting.take(5.0) is good
    assert waiting.take(5.0) is None
    assert waiting.leave(late)
    assert not waiting.leave(late)
    assert len(waiting) == 0


def test_nothing_is_promised_before_anything_was_observed() -> None:
    waiting = queue()
    assert waiting.expected(ticket(), 0.0) is None
    assert waiting.enter(ticket(until=0.1), 0.0) is None


def steady(rate: float, left: int) -> tuple[FairQueue[Ticket], float]:
    """A queue that has served so many a second for a while, with so many left in it, and the time."""
    waiting, now = queue(), 0.0
    for _ in range(100 + left):
        waiting.enter(ticket("other"), now)
    for _ in range(100):
        now += 1.0 / rate
        waiting.take(now)
    return waiting, now


@pytest.mark.parametrize("rate", [0.5, 4.0, 100.0])
def test_the_wait_is_told_from_the_rate_of_service(rate: float) -> None:
    waiting, now = steady(rate, 9)
    assert waiting.expected(ticket("other"), now) == pytest.approx(10 / rate, rel=0.01)
    assert waiting.expected(ticket("new"), now) == pytest.approx(2 / rate, rel=0.01), "fairness is reckoned with"
    assert waiting.expected(ticket("other", "interactive"), now) == pytest.approx(1 / rate, rel=0.01)
    assert waiting.expected(ticket("new", "batch"), now) == pytest.approx(10 / rate, rel=0.01)


def test_who_cannot_make_it_is_told_at_once() -> None:
    waiting, now = steady(2.0, 9)
    refused = waiting.enter(ticket("other", until=now + 4.9), now)
    assert refused == Refused("too_long", pytest.approx(5.0, rel=0.01))
    assert waiting.enter(ticket("other", until=now + 5.1), now) is None


def test_a_standstill_lengthens_the_wait() -> None:
    waiting, now = steady(2.0, 9)
    before = waiting.expected(ticket("other"), now)
    after = waiting.expected(ticket("other"), now + 60.0)
    assert before is not None
    assert after is not None
    assert after > 2 * before


def test_time_in_which_nobody_waits_says_nothing_of_the_rate() -> None:
    waiting, now = steady(2.0, 0)
    assert len(waiting) == 0
    waiting.enter(ticket("other"), now + 1000.0)
    assert waiting.expected(ticket("other"), now + 1000.0) == pytest.approx(1.0, rel=0.02)


@given(st.integers(1, 30), st.integers(0, 30), st.floats(0.5, 50.0))
def test_the_wait_that_is_told_is_true(own: int, others: int, rate: float) -> None:
    """Where places become free at the observed rate, and nobody else comes, it is served by then."""
    waiting, now = steady(rate, 0)
    for _ in range(others):
        waiting.enter(ticket("other"), now)
    for _ in range(own):
        waiting.enter(ticket("mine"), now)
    last = ticket("mine")
    expected = waiting.expected(last, now)
    assert expected is not None
    waiting.enter(last, now)
    began, found = now, None
    while found is not last:
        now += 1.0 / rate
        found = waiting.take(now)
    assert now - began <= expected * 1.01 + 1.0 / rate


# ── Bounds ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_queue_is_bounded() -> None:
    waiting = queue(size=2)
    assert [waiting.enter(ticket(), 0.0) for _ in range(3)] == [None, None, Refused("full", None)]


def test_so_is_each_tenants_part() -> None:
    waiting = queue(per_tenant=2)
    assert waiting.enter(ticket("a", "batch"), 0.0) is None
    assert waiting.enter(ticket("a", "interactive"), 0.0) is None
    assert waiting.enter(ticket("a"), 0.0) == Refused("tenant_full", None)
    assert waiting.enter(ticket("b"), 0.0) is None


def test_tenants_that_have_gone_are_forgotten() -> None:
    waiting = queue(size=10 * SPARE_FLOWS)
    waiting.enter(ticket("heavy", weight=1e-6), 0.0)
    waiting.enter(ticket("heavy", weight=1e-6), 0.0)
    for number in range(3 * SPARE_FLOWS):
        waiting.enter(ticket(f"t{number}", weight=1e-9), 0.0)
        waiting.take(0.0)
    flows = waiting._classes["default"]._flows
    assert len(flows) <= SPARE_FLOWS + 2


def test_only_so_many_are_asked_whether_they_fit() -> None:
    waiting, asked = queue(), list[Ticket]()

    def fits(each: Ticket) -> bool:
        asked.append(each)
        return False

    for number in range(3 * MAX_LOOKS):
        waiting.enter(ticket(f"t{number % 7}"), 0.0)
    assert waiting.take(0.0, fits) is None
    assert len(asked) == len(set(asked)) == MAX_LOOKS
    assert len(served(waiting, 3 * MAX_LOOKS)) == 3 * MAX_LOOKS, "all of them are still there"


def test_who_cannot_use_a_place_holds_up_nobody() -> None:
    waiting, picky, other = queue(), ticket("a"), ticket("a")
    waiting.enter(picky, 0.0)
    waiting.enter(other, 0.0)
    assert waiting.take(0.0, lambda each: each is not picky) is other
    assert waiting.take(0.0) is picky


class Laws(RuleBasedStateMachine):
    """Against lists: nothing is lost or served twice, and the order by class and within a tenant holds."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.real = queue(size=12, per_tenant=6)
        self.model: dict[tuple[Priority, str], deque[Ticket]] = {}

    @property
    def _all(self) -> list[Ticket]:
        return [each for lane in self.model.values() for each in lane]

    @rule(
        tenant=st.sampled_from(TENANTS), priority=st.sampled_from(PRIORITIES), weight=st.sampled_from([0.1, 1.0, 7.0])
    )
    def enter(self, tenant: str, priority: Priority, weight: float) -> None:
        mine = sum(each.tenant == tenant for each in self._all)
        expected = "full" if len(self._all) >= 12 else "tenant_full" if mine >= 6 else None
        made = ticket(tenant, priority, weight=weight)
        refused = self.real.enter(made, self.now)
        assert (refused.reason if refused is not None else None) == expected
        if refused is None:
            self.model.setdefault((priority, tenant), deque()).append(made)

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        if self._all:
            gone = data.draw(st.sampled_from(self._all))
            assert self.real.leave(gone)
            assert not self.real.leave(gone)
            self.model[gone.priority, gone.tenant].remove(gone)

    @rule(tenant=st.sampled_from((*TENANTS, None)))
    def take(self, tenant: str | None) -> None:
        """A place that only one tenant can use, or that all can."""
        fits: Callable[[Ticket], bool] = lambda each: tenant in (None, each.tenant)  # noqa: E731
        found = self.real.take(self.now, fits)
        fitting = [each for each in self._all if fits(each)]
        assert (found is None) == (not fitting)
        if found is not None:
            assert min(PRIORITIES.index(each.priority) for each in fitting) == PRIORITIES.index(found.priority)
            assert self.model[found.priority, found.tenant].popleft() is found

    @rule(seconds=st.floats(0.0, 10.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def the_same_are_there(self) -> None:
        assert set(self.real) == set(self._all)
        assert len(self.real) == len(self._all)
        for priority in PRIORITIES:
            assert self.real.depth(priority) == sum(each.priority == priority for each in self._all)


TestLaws = Laws.TestCase
TestLaws.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
