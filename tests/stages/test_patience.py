"""Waiting for a limit to have room: in order, by one who tries for all, and no longer than there is hope."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.running import until
from tests.stages.scripted import a_call
from trunkline.core.call import Call, Key, Priority
from trunkline.core.errors import ClientGone
from trunkline.core.limit import Grant, Refusal, Want, Window
from trunkline.policy.queue import QueueSettings
from trunkline.stages.admission.patience import Patience

NOW = Window("now", 0, 0)


def want(counter: str = "a", most: int = 2) -> Want:
    return Want(counter, NOW, most, dimension="concurrent_requests")


class Counter:
    """Counters without time: what is taken stays until it is given back. `wait`: what a refusal says."""

    def __init__(self, wait: int | None = 0, **settings: Any) -> None:
        self.patience = Patience(
            QueueSettings(**({"limits": True, "max_wait": 5.0} | settings)), asyncio.get_running_loop().time
        )
        self.totals: dict[str, int] = {}
        self.wait = wait
        self.tries = 0
        self.order: list[Call] = []
        self.tasks: dict[Call, asyncio.Task[Grant | Refusal]] = {}

    async def take(self, call: Call, wants: tuple[Want, ...]) -> Grant | Refusal:
        self.tries += 1
        for each in wants:
            total = self.totals.get(each.counter, 0)
            if total >= each.most:
                return Refusal(each, 1, total, 0, self.wait)
        for each in wants:
            self.totals[each.counter] = self.totals.get(each.counter, 0) + 1
        self.order.append(call)
        return Grant(wants, (1,) * len(wants), (0,) * len(wants), (0,) * len(wants), 0, 0)

    def give_back(self, counter: str = "a", count: int = 1) -> None:
        self.totals[counter] -= count
        self.patience.freed()

    async def call(
        self, *wants: Want, tenant: str = "k", priority: Priority = "default", deadline: float | None = None
    ) -> Call:
        call = a_call()
        call.priority, call.key = priority, Key(tenant, tenant)
        call.deadline = deadline
        asked = wants or (want(),)
        self.tasks[call] = asyncio.create_task(self.patience.admit(call, asked, lambda: self.take(call, asked)))
        for _ in range(6):
            await asyncio.sleep(0)
        return call

    async def let_in(self, count: int) -> None:
        await until(lambda: len(self.order) >= count, f"{count} calls are let in")
        for _ in range(6):
            await asyncio.sleep(0)


async def test_whoever_fits_does_not_wait() -> None:
    counter = Counter()
    call = await counter.call()
    assert isinstance(await counter.tasks[call], Grant)
    assert call.waited == 0.0
    assert counter.patience.waiting == counter.patience.waited == 0


async def test_whoever_does_not_fit_waits_until_something_is_given_back() -> None:
    counter = Counter()
    calls = [await counter.call() for _ in range(4)]
    assert counter.patience.waiting == 2
    counter.give_back()
    await counter.let_in(3)
    assert counter.order == calls[:3]
    counter.give_back()
    assert isinstance(await counter.tasks[calls[3]], Grant)
    assert calls[3].waited > 0.0
    assert (counter.patience.waiting, counter.patience.waited) == (0, 2)
    assert counter.totals == {"a": 2}


async def test_nobody_overtakes_and_the_urgent_come_first() -> None:
    counter = Counter()
    first = [await counter.call() for _ in range(2)]
    batch = await counter.call(priority="batch")
    default = await counter.call()
    urgent = await counter.call(priority="interactive")
    counter.totals["a"] = 1
    newcomer = await counter.call()
    counter.patience.freed()
    await counter.let_in(3)
    assert counter.order == [*first, urgent]
    counter.give_back(count=2)
    await counter.let_in(5)
    assert counter.order == [*first, urgent, default, newcomer]
    counter.give_back()
    await counter.let_in(6)
    assert counter.order[-1] is batch


async def test_only_the_head_asks_the_counter() -> None:
    counter = Counter()
    for _ in range(22):
        await counter.call()
    assert counter.patience.waiting == 20
    before = counter.tries
    counter.give_back()
    await counter.let_in(3)
    assert counter.tries - before <= 4
    counter.give_back(count=2)
    await counter.let_in(5)
    for task in counter.tasks.values():
        task.cancel(ClientGone("gone"))
    await asyncio.gather(*counter.tasks.values(), return_exceptions=True)
    assert counter.patience.waiting == 0


async def test_a_window_is_waited_for() -> None:
    """Nobody gives anything back: the refusal says when there will be room."""
    counter = Counter(wait=30)
    calls = [await counter.call() for _ in range(3)]
    asyncio.get_running_loop().call_later(0.02, counter.totals.clear)
    assert isinstance(await counter.tasks[calls[2]], Grant)
    assert 0.02 <= calls[2].waited < 0.25
    assert counter.tries == 4


async def test_what_another_process_gives_back_is_found() -> None:
    counter = Counter()
    calls = [await counter.call() for _ in range(3)]
    counter.totals["a"] = 1  # and nobody says so
    assert isinstance(await counter.tasks[calls[2]], Grant)


@pytest.mark.parametrize("wait", [None, 6_000])
async def test_without_hope_nobody_waits(wait: int | None) -> None:
    counter = Counter(wait=wait)
    calls = [await counter.call() for _ in range(3)]
    answer = await counter.tasks[calls[2]]
    assert isinstance(answer, Refusal)
    assert answer.wait == wait
    assert counter.tries == 3


async def test_patience_ends_with_the_last_word_of_the_counter() -> None:
    counter = Counter(max_wait=0.03)
    calls = [await counter.call() for _ in range(3)]
    assert isinstance(await counter.tasks[calls[2]], Refusal)
    assert 0.02 < calls[2].waited < 1.0
    assert counter.patience.waiting == 0


async def test_so_does_the_callers_deadline() -> None:
    counter = Counter()
    await counter.call()
    await counter.call()
    late = await counter.call(deadline=asyncio.get_running_loop().time() + 0.03)
    assert isinstance(await counter.tasks[late], Refusal)


async def test_a_line_has_room_for_so_many() -> None:
    counter = Counter(size=1)
    calls = [await counter.call() for _ in range(4)]
    assert isinstance(await counter.tasks[calls[3]], Refusal)
    counter.give_back()
    assert isinstance(await counter.tasks[calls[2]], Grant)


async def test_whoever_leaves_holds_up_nobody() -> None:
    counter = Counter()
    calls = [await counter.call() for _ in range(4)]
    counter.tasks[calls[2]].cancel(ClientGone("gone"))
    await asyncio.wait([counter.tasks[calls[2]]])
    counter.give_back()
    assert isinstance(await counter.tasks[calls[3]], Grant)
    assert counter.totals == {"a": 2}


async def test_a_call_may_have_to_stand_in_several_lines() -> None:
    counter = Counter()
    one, two = want("one", 1), want("two", 1)
    await counter.call(one)
    await counter.call(two)
    both = await counter.call(one, two)
    counter.give_back("one")
    await asyncio.sleep(0.01)
    assert both not in counter.order
    assert counter.totals == {"one": 0, "two": 1}, "a refusal takes nothing"
    counter.give_back("two")
    assert isinstance(await counter.tasks[both], Grant)


async def test_different_counters_have_lines_of_their_own() -> None:
    counter = Counter()
    one, two = want("one", 1), want("two", 1)
    for _ in range(2):
        await counter.call(one)
        await counter.call(two)
    assert counter.patience.waiting == 2
    counter.give_back("two")
    await counter.let_in(3)
    assert counter.totals == {"one": 1, "two": 1}
    assert counter.patience.waiting == 1
    counter.give_back("one")
    await asyncio.gather(*counter.tasks.values())
