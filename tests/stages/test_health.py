"""Health in the choice of a target, and among processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.stages.scripted import Inner, Named, Said, a_call
from trunkline.core.call import Peek
from trunkline.core.errors import UpstreamError
from trunkline.core.reply import Reply
from trunkline.policy.breaker import Cause, HealthSettings
from trunkline.policy.outcome import Outcome
from trunkline.policy.standing import Board
from trunkline.stages.routing import Routing
from trunkline.stages.routing.changes import KEPT, Changes
from trunkline.stages.routing.hinted import share
from trunkline.stages.routing.route import Routes
from trunkline.stages.routing.settings import ModelSettings, RoutingSettings, TargetSettings

NAMES = ("one/a", "two/a", "three/a", "four/a")


class Stand:
    """A routing stage over targets in order of priority, on a clock that stands still unless it is moved."""

    def __init__(self, count: int, fallback: bool = False, **rows: Any) -> None:
        self.now = 1000.0
        settings = HealthSettings(most_out=rows.pop("most_out", 0.5))
        self.board = Board(settings, draw=lambda: 1.0)
        targets = tuple(TargetSettings(target=name, **rows) for name in NAMES[:count])
        models = {"smart": ModelSettings(targets=targets, fallback=("spare",) if fallback else ())}
        own = {"smart": [Named(name) for name in NAMES[:count]]}
        if fallback:
            models["spare"] = ModelSettings(targets=(TargetSettings(target="spare/a"),))
            own["spare"] = [Named("spare/a")]
        routes = Routes(models, own, lambda model: (), self.board)
        self.stage = Routing(routes, RoutingSettings(), lambda: self.now, lambda: 0.5)

    async def asked(self, *steps: Any) -> list[str]:
        """Who was asked for one call, where those asked do as the steps say."""
        call, inner = a_call(), Inner([*steps, Reply(Said(), body=b"{}")])
        call.peek = Peek("smart")
        (await self.stage(call, inner)).finish()
        return [target.name for target in inner.targets]

    def trip(self, *names: str, cause: Cause = "failures") -> None:
        for name in names:
            self.board.of(name).told(cause, "", self.now)
            self.now += 0.5


async def test_who_is_out_is_passed_over_until_its_time_is_up() -> None:
    stand = Stand(2)
    stand.trip("one/a")
    assert await stand.asked() == ["two/a"]
    stand.now += 5.0
    assert await stand.asked() == ["one/a"]


async def test_one_call_alone_is_on_trial() -> None:
    stand = Stand(2)
    stand.trip("one/a")
    stand.now += 5.0
    stand.board.of("one/a").began(stand.now)
    assert await stand.asked() == ["two/a"]


async def test_a_call_on_trial_that_fails_goes_elsewhere() -> None:
    stand = Stand(2)
    stand.trip("one/a")
    stand.now += 5.0
    assert await stand.asked(UpstreamError("busy", status=503, retryable=True)) == ["one/a", "two/a"]
    assert await stand.asked() == ["two/a"]


async def test_where_all_are_out_the_soonest_to_return_is_asked() -> None:
    stand = Stand(3)
    stand.trip("two/a", "one/a", "three/a")
    assert await stand.asked() == ["two/a"]


async def test_a_fallback_in_good_health_comes_before_what_is_out() -> None:
    stand = Stand(2, fallback=True)
    stand.trip("one/a", "two/a")
    assert await stand.asked() == ["spare/a"]
    stand.trip("spare/a")
    assert await stand.asked() == ["one/a"]


@pytest.mark.parametrize(
    ("cause", "most_out", "first"),
    [("slow", 0.5, "three/a"), ("slow", 0.25, "one/a"), ("share", 0.0, "one/a"), ("failures", 0.0, "three/a")],
)
async def test_no_more_than_a_share_is_out_for_what_is_not_total(cause: Cause, most_out: float, first: str) -> None:
    stand = Stand(4, most_out=most_out)
    stand.trip("one/a", "two/a", cause=cause)
    assert await stand.asked() == [first]


async def test_who_has_as_many_as_it_may_have_is_passed_over() -> None:
    stand = Stand(2, max_concurrency=2)
    for _ in range(2):
        stand.board.of("one/a").began(stand.now)
    assert await stand.asked() == ["two/a"]


async def test_streams_that_wait_are_counted_out_when_they_end_in_whatever_way() -> None:
    stand = Stand(1)
    standing = stand.board.of("one/a")
    for step in (UpstreamError("no", status=503), Reply(Said(), body=b"{}")):
        call, inner = a_call(), Inner([step])
        call.peek = Peek("smart", stream=True)
        if isinstance(step, Reply):
            (await stand.stage(call, inner)).finish()
        else:
            with pytest.raises(UpstreamError):
                await stand.stage(call, inner)
        assert (standing.pending, standing.waiting) == (0, 0)


# ── Among processes ────────────────────────────────────────────────────────────────────────────────────────────────


class Channel:
    """Two ends; what one publishes the other hears."""

    def __init__(self) -> None:
        self.other: Channel = self
        self.heard: list[bytes] = []
        self._take: Callable[[bytes], None] = self.heard.append

    def publish(self, topic: str, body: Any) -> None:
        self.other.heard.append(msgspec.json.encode(body))
        self.other._take(self.other.heard[-1])

    def listen(self, topic: str, type: type[Any], take: Callable[[Any], None]) -> None:
        self._take = lambda raw: take(msgspec.json.decode(raw, type=type))


class Process:
    def __init__(self, channel: Channel) -> None:
        self.changes = Changes(lambda: 5000.0)
        self.board = Board(draw=lambda: 0.0, tell=self.changes)
        self.target = self.board.of("one/a")
        share(channel, self.board, self.changes, lambda: 1000.0)

    def fails(self, **error: Any) -> None:
        self.target.began(1000.0)
        self.target.ended(Outcome(0.0, None, False, None, blame="upstream", code="upstream_x", **error), 1000.0)


@pytest.fixture
def two() -> tuple[Process, Process]:
    near, far = Channel(), Channel()
    near.other, far.other = far, near
    return Process(near), Process(far)


def test_what_another_process_found_out_needs_one_failure_more(two: tuple[Process, Process]) -> None:
    one, other = two
    for _ in range(5):
        one.fails(error="server")
    assert other.target.well
    other.fails(error="server")
    assert other.target.refuses(1000.0) is not None
    shown = other.changes.shown()
    assert [(each["state"], each["cause"]) for each in shown] == [("out", "told")]
    assert one.changes.shown()[0]["cause"] == "failures"


def test_what_works_here_is_not_left_out_because_it_failed_there(two: tuple[Process, Process]) -> None:
    one, other = two
    for _ in range(5):
        one.fails(error="server")
    other.target.began(1000.0)
    other.target.ended(Outcome(0.0, 0.0), 1000.0)
    for _ in range(4):
        other.fails(error="server")
    assert other.target.well


def test_a_rest_is_everybodys_and_is_told_once(two: tuple[Process, Process]) -> None:
    one, other = two
    one.fails(error="rate_limit", retry_after=20.0)
    assert other.target.refuses(1000.0) == "it rests for 20.0 s: upstream_x"
    assert [each["cause"] for each in other.changes.shown()] == ["told"]
    assert [each["cause"] for each in one.changes.shown()] == ["limited"]


def test_names_that_nobody_has_asked_for_are_not_heard(two: tuple[Process, Process]) -> None:
    one, other = two
    stranger = one.board.of("strange/a")
    stranger.told("probe", "dead", 1000.0)
    assert not other.board.knows("strange/a")


def test_every_change_is_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    board = Board(draw=lambda: 1.0, tell=Changes(lambda: 1.0))
    target = board.of("one/a")
    now = 1000.0
    with caplog.at_level("DEBUG", "trunkline.health"):
        target.told("probe", "a probe got no answer within 10 s", now)
        for _ in range(70):
            now += 6.0
            target.began(now)
            target.answered(0.0, now, False)
            target.ended(Outcome(0.0, 0.0), now)
        target.rest(20.0, "upstream_rate_limit", now)
        target.began(now + 30.0)
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        ("WARNING", "one/a is left out for 5.0 s: a probe got no answer within 10 s"),
        ("INFO", "one/a is tried again, with single calls"),
        ("INFO", "one/a has passed its trial, and is given more and more calls"),
        ("INFO", "one/a is well again"),
        ("INFO", "one/a rests for 22.0 s: upstream_rate_limit"),
        ("INFO", "one/a is well again"),
    ]


def test_only_the_last_changes_are_kept() -> None:
    changes = Changes(lambda: 1.0)
    board = Board(tell=changes)
    for number in range(KEPT + 10):
        board.of(f"one/{number}").told("probe", "dead", 1000.0)
    assert len(changes.shown()) == KEPT
    assert changes.shown()[0]["target"] == f"one/{KEPT + 9}"
    assert sum(changes.count.values()) == KEPT + 10
