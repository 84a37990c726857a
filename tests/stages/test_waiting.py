"""The await side of the queue: who is given a place that becomes free, and who gives it back."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.running import until
from tests.stages.scripted import Said, a_call
from trunkline.core.call import Call, Key, Peek, Priority
from trunkline.core.errors import (
    ClientGone,
    DeadlineExceeded,
    GatewayError,
    Overloaded,
    QueueShareFull,
    UpstreamError,
)
from trunkline.core.reply import Reply
from trunkline.policy.needs import ANY, Ability
from trunkline.policy.queue import QueueSettings
from trunkline.policy.standing import Board
from trunkline.stages.routing import Routing
from trunkline.stages.routing.route import Routes
from trunkline.stages.routing.settings import ModelSettings, RoutingSettings, TargetSettings


@dataclass(frozen=True)
class Target:
    name: str
    price_model: str | None = None
    ability: Ability = ANY


A, B = Target("one/a"), Target("two/b")
BUSY = UpstreamError("busy", status=503, kind="server", retryable=True)


class Gate:
    """The way onward: calls stay inside until they are let out."""

    def __init__(self) -> None:
        self.inside: dict[Call, asyncio.Future[Reply]] = {}
        self.order: list[Call] = []
        self.most: Counter[str] = Counter()

    async def __call__(self, call: Call) -> Reply:
        self.order.append(call)
        future = self.inside[call] = asyncio.get_running_loop().create_future()
        here = Counter(each.target.name for each in self.inside)
        self.most |= here
        try:
            return await future
        finally:
            del self.inside[call]

    async def out(self, call: Call | None = None, error: GatewayError | None = None) -> None:
        """Answer, or fail, the call that is inside, or the first of them; whoever comes next is inside after it."""
        await until(lambda: self.inside, "somebody is inside")
        future = self.inside[call if call is not None else next(iter(self.inside))]
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(Reply(Said(), body=b"{}"))
        for _ in range(8):
            await asyncio.sleep(0)


class Stage:
    """Routing with so many places at each target, and the calls that were made."""

    def __init__(self, targets: dict[Target, int], weights: dict[str, float] | None = None, **queue: Any) -> None:
        rows = tuple(TargetSettings(target=each.name, max_concurrency=most) for each, most in targets.items())
        models = {"smart": ModelSettings(targets=rows), "other": ModelSettings(targets=rows)}
        own = {name: list(targets) for name in models}
        self.board = Board()
        routes = Routes(models, own, lambda model: (), self.board)
        clock = asyncio.get_running_loop().time
        self.routing = Routing(routes, RoutingSettings(), clock, lambda: 0.5)
        self.waiting = self.routing.waiting
        self.waiting.take(QueueSettings(**queue), weights or {})
        self.gate = Gate()
        self.tasks: dict[Call, asyncio.Task[Reply]] = {}

    async def call(
        self, tenant: str = "k", priority: Priority = "default", model: str = "smart", deadline: float | None = None
    ) -> Call:
        """A call under way: inside, or waiting."""
        call = a_call()
        call.peek, call.priority, call.key = Peek(model), priority, Key(tenant, tenant, team=tenant)
        call.deadline = deadline
        self.tasks[call] = asyncio.create_task(self._made(call))
        for _ in range(4):
            await asyncio.sleep(0)
        return call

    async def _made(self, call: Call) -> Reply:
        reply = await self.routing(call, self.gate)
        reply.finish()
        return reply

    async def calls(self, count: int, tenant: str = "k", priority: Priority = "default") -> list[Call]:
        return [await self.call(tenant, priority) for _ in range(count)]

    def pending(self) -> int:
        return sum(standing.pending for standing in self.board.shown())

    async def settled(self) -> None:
        """Everybody has been served, and nothing is left behind."""
        while self.gate.inside or self.waiting.count:
            await self.gate.out()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        assert self.pending() == 0
        assert self.waiting.count == 0
        measured = self.waiting.measured()
        assert not any(value for (name, _), value in measured.items() if name == "trunkline_queue_calls")


@pytest.fixture
async def one() -> AsyncIterator[Stage]:
    """One target with two places."""
    stage = Stage({A: 2})
    yield stage
    await stage.settled()


async def test_no_more_calls_than_places_are_inside(one: Stage) -> None:
    calls = await one.calls(7)
    assert set(one.gate.inside) == set(calls[:2])
    assert one.waiting.count == 5
    await one.settled()
    assert one.gate.most == {"one/a": 2}
    assert one.gate.order == calls, "in the order in which they came"
    assert all(call.waited > 0.0 for call in calls[2:])
    assert not any(call.waited for call in calls[:2])
    assert one.waiting.outcomes == {("default", "served"): 5}
    assert one.waiting.waited["default"] == pytest.approx(sum(call.waited for call in calls))


async def test_a_place_is_the_heads_and_no_newcomers(one: Stage) -> None:
    first, _, third = await one.calls(3)
    one.gate.inside[first].set_result(Reply(Said(), body=b"{}"))
    newcomer = await one.call()
    assert third in one.gate.inside
    assert newcomer not in one.gate.inside
    assert len(one.gate.inside) == 2


async def test_the_more_urgent_come_first(one: Stage) -> None:
    await one.calls(2)
    batch, default, interactive = [await one.call(priority=each) for each in ("batch", "default", "interactive")]  # type: ignore[arg-type]
    await one.settled()
    assert one.gate.order[2:] == [interactive, default, batch]


async def test_tenants_share_by_weight() -> None:
    stage = Stage({A: 1}, weights={"heavy": 3.0, "light": 1.0})
    await stage.call()
    for _ in range(12):
        await stage.call("light")
        await stage.call("heavy")
    for _ in range(13):
        await stage.gate.out()
    served = Counter(call.key.team for call in stage.gate.order[1:13] if call.key is not None)
    assert served == {"heavy": 9, "light": 3}
    await stage.settled()


async def test_another_target_with_a_place_is_asked_instead() -> None:
    stage = Stage({A: 1, B: 1})
    calls = await stage.calls(3)
    assert [call.target for call in calls[:2]] == [A, B]
    await stage.gate.out(calls[1])
    assert calls[2].target is B, "whichever is free first"
    await stage.settled()


async def test_a_failed_attempt_leaves_its_place(one: Stage) -> None:
    first, _, third = await one.calls(3)
    await one.gate.out(first, BUSY)
    assert third in one.gate.inside
    with pytest.raises(UpstreamError):
        await one.tasks[first]


async def test_a_place_is_given_back_with_the_end_of_the_answer_and_not_before() -> None:
    stage = Stage({A: 1})
    replies: list[Reply] = []

    async def keep(call: Call) -> Reply:
        reply = await stage.routing(call, stage.gate)
        replies.append(reply)
        return reply

    first = a_call()
    first.peek, first.key = Peek("smart"), Key("k", "k")
    stage.tasks[first] = asyncio.create_task(keep(first))
    await asyncio.sleep(0)
    second = await stage.call()
    await stage.gate.out(first)
    assert replies
    assert second not in stage.gate.inside, "the stream goes on"
    replies[0].finish()
    await stage.gate.out(second)
    await stage.settled()


async def test_routes_with_a_target_in_common_share_its_places(one: Stage) -> None:
    await one.calls(2)
    waiting = [await one.call(model=model) for model in ("smart", "smart", "other", "other")]
    await one.settled()
    assert one.gate.most == {"one/a": 2}
    assert {call.peek.model for call in one.gate.order[2:4] if call.peek is not None} == {"smart", "other"}
    assert set(one.gate.order[2:]) == set(waiting)


# ── Leaving ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_client_that_leaves_leaves_the_queue(one: Stage) -> None:
    first, _, third, fourth = await one.calls(4)
    one.tasks[third].cancel(ClientGone("gone"))
    await one.gate.out(first)
    assert fourth in one.gate.inside
    assert one.waiting.count == 0
    assert one.waiting.outcomes["default", "left"] == 1


async def test_a_client_that_leaves_with_a_place_in_hand_gives_it_back(one: Stage) -> None:
    first, _, third, fourth = await one.calls(4)
    one.gate.inside[first].set_result(Reply(Said(), body=b"{}"))
    while one.waiting.count == 2:
        await asyncio.sleep(0)
    one.tasks[third].cancel(ClientGone("gone"))  # and does not know it yet
    await until(lambda: fourth in one.gate.inside, "the fourth has it now")
    assert third not in one.gate.order


async def test_whoever_has_waited_too_long_is_told_when_to_come_back() -> None:
    stage = Stage({A: 1}, max_wait=0.02)
    _, second = await stage.calls(2)
    with pytest.raises(Overloaded) as caught:
        await stage.tasks[second]
    assert (caught.value.code, caught.value.retry_after) == ("queue_timeout", 5.0)
    assert stage.waiting.outcomes == {("default", "queue_timeout"): 1}
    await stage.settled()


async def test_a_deadline_ends_the_wait() -> None:
    stage = Stage({A: 1})
    await stage.call()
    second = await stage.call(deadline=asyncio.get_running_loop().time() + 0.02)
    with pytest.raises(DeadlineExceeded):
        await stage.tasks[second]
    assert second.attempts == []
    await stage.settled()


async def test_without_patience_calls_are_refused_at_once() -> None:
    stage = Stage({A: 1}, max_wait=0.0)
    _, second = await stage.calls(2)
    with pytest.raises(Overloaded):
        await stage.tasks[second]
    await stage.settled()


async def test_the_queue_is_bounded_and_each_callers_part_of_it() -> None:
    stage = Stage({A: 1}, size=3, per_tenant=2)
    await stage.calls(3)
    mine, theirs, last = await stage.call(), await stage.call("other"), await stage.call("third")
    with pytest.raises(QueueShareFull) as share:
        await stage.tasks[mine]
    with pytest.raises(Overloaded) as full:
        await stage.tasks[last]
    assert (share.value.code, full.value.code) == ("queue_share_full", "queue_full")
    assert not stage.tasks[theirs].done()
    await stage.settled()


async def test_whoever_cannot_make_it_is_refused_before_waiting() -> None:
    stage = Stage({A: 1})
    await stage.calls(10)
    for _ in range(8):
        await asyncio.sleep(0.02)
        await stage.gate.out()
    late = await stage.call(deadline=asyncio.get_running_loop().time() + 0.005)
    with pytest.raises(Overloaded) as caught:
        await stage.tasks[late]
    assert caught.value.code == "queue_too_long"
    await stage.settled()


async def test_places_that_nobody_left_are_found() -> None:
    """A ceiling that rises is no call that ends."""
    stage = Stage({A: 1})
    _, second = await stage.calls(2)
    candidate = stage.routing.routes.of("smart").candidates[0]
    candidate.row = TargetSettings(target=A.name, max_concurrency=2)
    await until(lambda: second in stage.gate.inside, "it is found")
    await stage.settled()


async def test_other_settings_hold_at_once(one: Stage) -> None:
    await one.calls(3)
    one.waiting.take(QueueSettings(size=1), {})
    refused = await one.call()
    with pytest.raises(Overloaded):
        await one.tasks[refused]


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_happens_nothing_is_lost(seed: int) -> None:
    """Calls of many sorts come, end, fail and leave at random: places are never exceeded, and all come back."""
    draw = random.Random(seed)
    stage = Stage({A: 2, B: 1}, size=20, per_tenant=10, max_wait=5.0)
    for _ in range(150):
        chance = draw.random()
        if chance < 0.5:
            priority: Priority = draw.choice(("interactive", "default", "batch"))
            await stage.call(draw.choice("abc"), priority, draw.choice(("smart", "other")))
        elif chance < 0.75 and stage.gate.inside:
            await stage.gate.out(draw.choice(list(stage.gate.inside)), draw.choice((None, None, BUSY)))
        elif stage.tasks:
            draw.choice(list(stage.tasks.values())).cancel(ClientGone("gone"))
            await asyncio.sleep(0)
        assert stage.gate.most <= Counter({"one/a": 2, "two/b": 1})
        assert not stage.waiting.count or len(stage.gate.inside) >= 1
    await stage.settled()
