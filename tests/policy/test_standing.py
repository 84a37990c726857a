"""What is known of targets: what outcomes do to them, in words and in what they are given next."""

from __future__ import annotations

import re
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.core.errors import Blame, Kind
from trunkline.core.usage import Usage
from trunkline.policy.breaker import HealthSettings
from trunkline.policy.ceiling import ConcurrencySettings
from trunkline.policy.outcome import Effect, Outcome
from trunkline.policy.standing import LONGEST_ADVICE, LONGEST_PAUSE_ASKED, MAX_TARGETS, Board, Change, Standing

EFFECTS: dict[Effect, set[Kind]] = {
    "bad": {"server", "timeout", "overloaded", "authentication", "permission", "billing"},
    "limited": {"rate_limit", "quota"},
    "none": {"invalid_request", "not_found", "conflict", "too_large", "content_filter", "context_length"},
    "good": set(),
}


class Stand:
    """A board whose clock and changes the test holds."""

    def __init__(self, health: HealthSettings | None = None) -> None:
        self.changes: list[Change] = []
        self.board = Board(health or HealthSettings(), ConcurrencySettings(), lambda: 1.0, self.changes.append)
        self.now = 1000.0

    def of(self, name: str = "one/a") -> Standing:
        return self.board.of(name)

    def works(self, target: Standing, seconds: float = 0.1, stream: bool = True, tokens: int = 0) -> None:
        target.began(self.now, stream)
        self.now += seconds
        target.answered(seconds, self.now, stream)
        target.ended(Outcome(seconds, seconds, stream, Usage(output=tokens) if tokens else None), self.now)

    def fails(
        self,
        target: Standing,
        kind: Kind = "server",
        blame: Blame = "upstream",
        advice: float | None = None,
        code: str = "upstream_server",
    ) -> None:
        target.began(self.now, True)
        self.now += 0.1
        target.ended(Outcome(0.1, None, True, None, kind, blame, advice, code), self.now)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_of_error_has_an_effect(kind: Kind) -> None:
    found = next(effect for effect, kinds in EFFECTS.items() if kind in kinds)
    assert Outcome(1.0, error=kind, blame="upstream").effect == found
    for blame in ("client", "gateway"):
        assert Outcome(1.0, error=kind, blame=blame).effect == "none"
    assert Outcome(1.0).effect == "good"


def test_it_goes_out_and_comes_back_and_every_change_is_told() -> None:
    stand = Stand()
    target = stand.of()
    for _ in range(5):
        assert target.refuses(stand.now) is None
        stand.fails(target)
    assert target.refuses(stand.now) == "it is out for 5.0 s: 5 failures in a row, the last of them: upstream_server"
    assert target.returns(stand.now) == stand.now + 5.0
    stand.now += 5.0
    while not target.well:
        stand.works(target)
    assert [each.state for each in stand.changes] == ["out", "on trial", "returning", "well"]
    assert (stand.changes[0].cause, stand.changes[0].seconds) == ("failures", 5.0)
    assert (target.pending, target.waiting) == (0, 0)
    assert target.failures == 5


@pytest.mark.parametrize(
    ("kind", "blame"), [("invalid_request", "upstream"), ("timeout", "client"), ("timeout", "gateway")]
)
def test_what_is_not_its_fault_is_not_held_against_it(kind: Kind, blame: Blame) -> None:
    stand = Stand()
    for _ in range(50):
        stand.fails(stand.of(), kind, blame)
    assert stand.of().well
    assert stand.changes == []


def test_a_rate_limit_is_a_rest_for_as_long_as_is_asked() -> None:
    stand = Stand()
    target = stand.of()
    stand.fails(target, "rate_limit", advice=20.0, code="upstream_rate_limit")
    assert target.breaker.state == "closed"
    assert target.refuses(stand.now) == "it rests for 22.0 s: upstream_rate_limit"
    assert target.state(stand.now) == "resting"
    stand.now += 22.0
    assert target.refuses(stand.now) is None
    stand.works(target)
    assert [(each.state, each.cause) for each in stand.changes] == [("resting", "limited"), ("well", "")]


def test_a_rest_of_which_nobody_says_how_long_doubles_and_one_that_is_too_long_is_not_believed() -> None:
    stand = Stand()
    target, rests = stand.of(), []
    for advice in (None, None, None, 1e9):
        stand.fails(target, "rate_limit", advice=advice)
        rests.append(target.resting - stand.now)
        stand.now = target.resting
    assert rests == pytest.approx([1.1, 2.2, 4.4, LONGEST_ADVICE * 1.1])


def test_a_provider_that_says_it_is_overloaded_gets_the_time_that_it_asks_for() -> None:
    stand = Stand()
    for _ in range(5):
        assert stand.of().well  # one refusal of many says nothing of the others
        stand.fails(stand.of(), "overloaded", advice=100.0)
    assert stand.of().returns(stand.now) == stand.now + LONGEST_PAUSE_ASKED


def test_streams_that_begin_late_put_it_out() -> None:
    stand = Stand()
    target = stand.of()
    for _ in range(200):
        stand.works(target, 0.2)
    for _ in range(13):
        stand.works(target, 2.0)
    assert target.well
    stand.works(target, 2.0)
    assert stand.changes[-1].cause == "slow"
    assert stand.changes[-1].reason == "the answer began after 2.0 s, and 0.2 s is usual"


@pytest.mark.parametrize(("usual", "late", "stream"), [(0.01, 0.4, True), (0.2, 0.9, True), (0.2, 20.0, False)])
def test_what_is_not_slow(usual: float, late: float, stream: bool) -> None:
    """Less than half a second, less than five times the usual, or nobody knows how long the answer is."""
    stand = Stand()
    for _ in range(200):
        stand.works(stand.of(), usual, stream)
    for _ in range(50):
        stand.works(stand.of(), late, stream)
    assert stand.of().well


@pytest.mark.parametrize(("seconds", "tokens", "fine"), [(20.0, 2000, True), (20.0, 150, False), (0.4, 1, True)])
def test_whole_answers_are_slow_for_their_length(seconds: float, tokens: int, fine: bool) -> None:
    stand = Stand()
    for _ in range(200):
        stand.works(stand.of(), 2.0, stream=False, tokens=150)
    for _ in range(14):
        stand.works(stand.of(), seconds, stream=False, tokens=tokens)
    assert stand.of().well is fine
    if not fine:
        words = stand.changes[-1].reason
        assert re.fullmatch(r"an answer took 20.0 s, and [12].\d s is usual for its length", words)


def test_slow_can_be_a_number_of_seconds_and_then_answers_without_a_stream_count_too() -> None:
    stand = Stand(HealthSettings(slow_after=3.0))
    for _ in range(14):
        stand.works(stand.of(), 4.0, stream=False)
    assert stand.changes[-1].reason == "the answer began after 4.0 s, and 3 s is slow"


def test_nobody_is_called_slow_by_a_process_that_is_late_itself() -> None:
    stand = Stand(HealthSettings(slow_after=3.0))
    stand.board.lag = lambda: 0.2
    for _ in range(100):
        stand.works(stand.of(), 4.0)
    for _ in range(100):
        stand.now += 1.0
        stand.of().began(stand.now, True)
    assert stand.of().well


def test_what_was_given_up_late_counts_as_slow() -> None:
    stand = Stand(HealthSettings(slow_after=3.0))
    target = stand.of()
    for _ in range(14):
        target.began(stand.now, True)
        stand.now += 5.0
        target.ended(Outcome(5.0, None, True, None, "timeout", "client"), stand.now)
    assert stand.changes[-1].cause == "slow"


@pytest.mark.parametrize(
    ("usual", "waited", "fails"), [(None, 29.0, False), (None, 31.0, True), (1.0, 11.0, True), (4.0, 11.0, False)]
)
def test_answers_that_callers_give_up_waiting_for_are_failures(usual: float | None, waited: float, fails: bool) -> None:
    stand = Stand()
    target = stand.of()
    for _ in range(200 if usual is not None else 0):
        stand.works(target, usual or 0.0, stream=False)
    for _ in range(5):
        target.began(stand.now)
        stand.now += waited
        target.ended(Outcome(waited, None, False, None, "timeout", "client"), stand.now)
    assert target.well is not fails
    if fails:
        assert stand.changes[-1].reason.endswith(f"no answer for {waited:.0f} s, then it was given up")


def test_silence_while_several_wait_puts_it_out_before_anybody_has_given_up() -> None:
    stand = Stand()
    target = stand.of()
    for _ in range(200):
        stand.works(target, 0.2)
    began = stand.now
    while target.well:
        stand.now += 0.1
        target.began(stand.now, True)
    assert stand.changes[-1].cause == "silent"
    assert stand.now - began < 1.5
    assert target.breaker.hopeless


def test_silence_of_few_says_nothing() -> None:
    stand = Stand()
    target = stand.of()
    for _ in range(200):
        stand.works(target, 0.2)
    for _ in range(5):
        target.began(stand.now, True)
    stand.now += 100.0
    assert target.refuses(stand.now) is None


def test_nobody_gets_through_to_a_provider() -> None:
    stand = Stand()
    one, two, other = stand.of("near/a"), stand.of("near/b"), stand.of("far/a")
    for number in range(5):
        stand.fails((one, two)[number % 2], code="upstream_unreachable")
    assert (one.state(stand.now), two.state(stand.now), other.state(stand.now)) == ("out", "out", "well")
    assert stand.changes[-1].reason == "no connection to its provider"


def test_somebody_who_gets_through_shows_that_the_way_is_open() -> None:
    stand = Stand()
    one, two = stand.of("near/a"), stand.of("near/b")
    for _ in range(3):
        stand.fails(one, code="upstream_unreachable")
        stand.fails(two, code="upstream_unreachable")
        stand.works(one)
    assert one.well


def test_a_probe_speaks_as_calls_do() -> None:
    stand = Stand()
    target = stand.of()
    target.told("probe", "a probe got no answer", stand.now)
    assert target.refuses(stand.now) == "it is out for 5.0 s: a probe got no answer"
    target.proved(stand.now)
    assert target.refuses(stand.now) is None
    for _ in range(3):
        stand.works(target)
    assert target.state(stand.now) == "returning"


def test_full() -> None:
    stand = Stand()
    target = stand.of()
    assert target.full(1) is None
    target.began(stand.now)
    assert target.full(1) == "it has 1 calls in work, and 1 is its max_concurrency"
    assert target.full(2) is None
    target.ceiling.limit = 1
    assert target.full(None) == "it has 1 calls in work, and bears 1 at the moment"


def test_free_is_who_is_well_and_has_no_bounds() -> None:
    stand = Stand()
    stand.board.configure(HealthSettings(failures=1000, calls=1000), ConcurrencySettings(floor=1))
    limited, counted, ill = stand.of("one/a"), stand.of("one/b"), stand.of("two/c")
    assert limited.free
    assert counted.free
    assert ill.free
    for _ in range(20):
        limited.began(stand.now)
        limited.began(stand.now)
        limited.ended(Outcome(0.1, None, False, None, "overloaded", "upstream"), stand.now + 0.1)
        limited.ended(Outcome(0.1, None, False, None, "overloaded", "upstream"), stand.now + 0.1)
        stand.now += 0.2
    assert limited.ceiling.limit is not None
    assert limited.well
    assert not limited.free
    stand.now += 3600.0
    limited.lapse(stand.now)
    assert limited.ceiling.limit is None
    assert limited.free
    assert counted.count_quota() is counted.count_quota()
    assert not counted.free
    ill.rest(5.0, "told so", stand.now)
    assert not ill.well
    assert not ill.free
    stand.now += 10.0
    stand.works(ill)
    assert ill.well
    assert ill.free


def test_other_rules_from_now_on() -> None:
    stand = Stand()
    target = stand.of()
    stand.fails(target)
    stand.board.configure(HealthSettings(failures=2), ConcurrencySettings(floor=99))
    stand.fails(target)
    assert target.state(stand.now) == "out"
    assert target.ceiling.settings.floor == 99


def test_a_board_is_bounded_and_forgets_nobody_who_is_at_work() -> None:
    stand = Stand()
    busy = stand.of("one/busy")
    busy.began(stand.now)
    for number in range(MAX_TARGETS + 10):
        stand.of(f"one/{number}")
    assert len(stand.board.shown()) <= MAX_TARGETS
    assert stand.of("one/busy") is busy


# ── Whatever happens ───────────────────────────────────────────────────────────────────────────────────────────────

KINDS: tuple[Kind | None, ...] = (None, None, "server", "overloaded", "rate_limit", "invalid_request", "timeout")
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["begin", "begin", "answer", "end", "wait", "suspect", "probe", "proof"]),
        st.booleans(),
        st.sampled_from(KINDS),
        st.sampled_from(["upstream", "client"]),
        st.floats(0.0, 8.0),
    ),
    max_size=150,
)


class Attempt:
    def __init__(self, start: float, stream: bool) -> None:
        self.start = start
        self.stream = stream
        self.begun: float | None = None


def answered(target: Standing, attempt: Attempt, now: float) -> None:
    attempt.begun = now - attempt.start
    target.answered(attempt.begun, now, attempt.stream)


def ended(target: Standing, attempt: Attempt, kind: Kind | None, blame: Blame, now: float) -> None:
    if kind is None and attempt.begun is None:
        answered(target, attempt, now)
    fault = blame if kind is not None else None
    outcome = Outcome(now - attempt.start, attempt.begun, attempt.stream, Usage(output=9), kind, fault)
    target.ended(outcome, now)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_counts_come_out_even_and_nobody_is_out_for_good(
    steps: list[tuple[str, bool, Kind | None, Blame, float]],
) -> None:
    stand = Stand()
    target, work = stand.of(), list[Attempt]()
    for what, flag, kind, blame, seconds in steps:
        stand.now += seconds if what == "wait" else 0.001
        match what:
            case "begin":
                work.append(Attempt(stand.now, flag))
                target.began(stand.now, flag)
            case "answer" if waiting := [each for each in work if each.begun is None]:
                answered(target, waiting[0], stand.now)
            case "end" if work:
                ended(target, work.pop(0 if flag else -1), kind, blame, stand.now)
            case "suspect":
                target.suspect()
            case "probe":
                target.told("probe", "dead", stand.now)
            case "proof":
                target.proved(stand.now)
        assert target.free == (target.well and target.ceiling.limit is None)
        assert target.pending == len(work)
        assert target.waiting == sum(each.stream and each.begun is None for each in work)
    for each in work:
        ended(target, each, "timeout", "client", stand.now)
    assert (target.pending, target.waiting) == (0, 0)
    stand.now += 3700.0
    assert target.refuses(stand.now) is None
    for _ in range(100):
        stand.works(target)
    assert target.well
