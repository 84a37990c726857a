"""When a second attempt may run beside the first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trunkline.policy.hedge import MEMORY, PERCENTILE, REFRESH, HedgeBudget, Percentile


@given(st.floats(0, 1), st.lists(st.integers(1, 10_000), max_size=300))
def test_no_more_is_sent_twice_than_the_share(share: float, sizes: list[int]) -> None:
    budget, sent, twice = HedgeBudget(share), 0, 0
    for size in sizes:
        budget.saw(size)
        sent += size
        if budget.withdraw(size):
            twice += size
        assert twice <= sent * share + 1e-6 * sent


def test_what_is_allowed_is_used_by_calls_of_one_size() -> None:
    budget = HedgeBudget(0.05)
    taken = 0
    for _ in range(1000):
        budget.saw(100)
        taken += budget.withdraw(100)
    assert 49 <= taken <= 50


def test_a_quiet_week_saves_up_no_storm() -> None:
    budget = HedgeBudget(0.05)
    for _ in range(100_000):
        budget.saw(100)
    assert sum(budget.withdraw(100) for _ in range(100_000)) <= MEMORY * 0.05


def test_the_percentile_is_looked_at_now_and_then() -> None:
    looked: list[tuple[float, float]] = []

    def look(share: float, now: float) -> float | None:
        looked.append((share, now))
        return now / 10 if now > 5 else None

    known = Percentile(look)
    assert known.at(0.0) is None
    assert known.at(REFRESH - 0.1) is None
    assert known.at(6.0) == 0.6
    assert known.at(7.0) == 0.6
    assert looked == [(PERCENTILE, 0.0), (PERCENTILE, 6.0)]
