"""Which target each strategy asks, through the routing stage itself; and that what is written down makes it again."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.stages.scripted import Named, Said, a_call
from trunkline.core.call import Call, Entry, Peek
from trunkline.core.choice import Choice
from trunkline.core.errors import UpstreamError
from trunkline.core.reply import Reply
from trunkline.core.usage import Usage
from trunkline.policy.standing import Board
from trunkline.stages.routing import Routing
from trunkline.stages.routing.choose import remade
from trunkline.stages.routing.explain import Explanation
from trunkline.stages.routing.route import Routes
from trunkline.stages.routing.settings import (
    AffinitySettings,
    ModelSettings,
    QuotaSettings,
    RoutingSettings,
    TargetSettings,
)

PRICES = {"dear": (10, 50, 1), "cheap": (2, 8, 1), "same": (2, 8, 1)}
"""Nano-dollars of a token of input, of output, and of input from the cache."""


class Prices:
    def cost(self, entry: Entry) -> tuple[int, str] | None:
        if entry.price_model not in PRICES or entry.usage is None:
            return None
        plain, output, cached = PRICES[entry.price_model]
        usage = entry.usage
        fresh = usage.input - usage.cache_read
        return fresh * plain + usage.cache_read * cached + usage.output * output, "2026-11-01"


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class World:
    """A routing stage, and targets that answer as they are told: seconds, or an error."""

    def __init__(self, rows: list[dict[str, Any]], **model: Any) -> None:
        settings = tuple(
            TargetSettings(**{name: value for name, value in row.items() if name != "price"}) for row in rows
        )
        own = [Named(row["target"], row.get("price", "unknown")) for row in rows]
        models = {"smart": ModelSettings(targets=settings, **model)}
        self.board = Board()
        self.time = Time()
        routes = Routes(models, {"smart": own}, lambda name: (), self.board, Prices())
        self.dice = random.Random(4)
        self.routing = Routing(routes, RoutingSettings(), self.time, self.dice.random)
        self.takes: dict[str, float | Exception] = {}
        self.usage = Usage(input=100, output=10)
        self.heard: dict[str, list[tuple[bytes, bytes]]] = {}

    def _call(self, body: dict[str, Any], headers: list[tuple[bytes, bytes]] | None = None) -> Call:
        call = a_call(headers=headers)
        call.body = json.dumps({"model": "smart"} | body).encode()
        call.peek = Peek("smart")
        return call

    async def begin(self, body: dict[str, Any] | None = None, **facts: Any) -> tuple[Call, Reply]:
        """A call whose answer has begun, and not ended."""
        call = self._call(body or {}, facts.pop("headers", None))
        for name, value in facts.items():
            setattr(call, name, value)
        return call, await self.routing(call, self._proceed)

    def explained(self, body: dict[str, Any]) -> Explanation:
        """What would become of such a call, by the numbers that the router draws next."""
        ahead = random.Random()
        ahead.setstate(self.dice.getstate())
        return self.routing.explain(self._call(body), ahead.random)

    async def ask(self, body: dict[str, Any] | None = None, **facts: Any) -> str:
        """The target that answered."""
        call, reply = await self.begin(body, **facts)
        reply.finish()
        first = call.attempts[0]
        if first.choice is not None and first.choice.steps:
            assert remade(first.choice) == first.target
        return str(call.target.name)

    async def _proceed(self, call: Call) -> Reply:
        takes = self.takes.get(call.target.name, 0.1)
        if isinstance(takes, Exception):
            raise takes
        self.time.now += takes
        reply = Reply(Said(self.usage), body=b"{}")
        reply.heard = self.heard.get(call.target.name, [])
        return reply


def turns(*rest: str, first: str = "tell me of trains") -> dict[str, Any]:
    said = [{"role": "user", "content": first}]
    said += [{"role": ("assistant", "user")[number % 2], "content": text} for number, text in enumerate(rest)]
    return {"messages": said}


async def test_priority_takes_the_first_and_writes_nothing_down() -> None:
    world = World([{"target": "a/x"}, {"target": "b/x"}])
    call, _ = await world.begin()
    assert (call.target.name, call.attempts[0].choice) == ("a/x", None)


async def test_weighted_is_smooth() -> None:
    world = World([{"target": "a/x", "weight": 5}, {"target": "b/x"}, {"target": "c/x"}], strategy=("weighted",))
    assert "".join([(await world.ask())[0] for _ in range(14)]) == "aabacaa" * 2


async def test_least_busy_counts_what_is_in_work_for_its_weight() -> None:
    world = World([{"target": "a/x", "weight": 3}, {"target": "b/x"}], strategy=("least_busy",))
    for _ in range(40):
        await world.begin()
    assert [world.board.of(name).pending for name in ("a/x", "b/x")] == [30, 10]


async def test_latency_tries_each_once_and_then_takes_the_quick_one() -> None:
    world = World([{"target": "a/x"}, {"target": "b/x"}, {"target": "c/x"}], strategy=("latency",))
    world.takes = {"a/x": 2.0, "b/x": 0.2, "c/x": 1.0}
    asked = Counter([await world.ask() for _ in range(300)])
    assert asked["b/x"] > 150
    assert asked["b/x"] > asked["c/x"] > 0
    assert asked["a/x"] < 30


async def test_a_target_that_fails_at_once_does_not_look_quick() -> None:
    world = World([{"target": "a/x"}, {"target": "b/x"}], strategy=("latency",))
    world.takes = {"a/x": UpstreamError("no", status=500, retryable=True), "b/x": 0.5}
    for _ in range(30):
        assert await world.ask() == "b/x"
    assert world.board.of("a/x").failures <= 3


async def test_cost_takes_the_cheapest_and_the_unpriced_last() -> None:
    rows = [{"target": "u/x"}, {"target": "d/x", "price": "dear"}, {"target": "c/x", "price": "cheap"}]
    world = World(rows, strategy=("cost",))
    assert {await world.ask() for _ in range(10)} == {"c/x"}
    world.takes = {"c/x": UpstreamError("no", status=500, retryable=True)}
    assert await world.ask() == "d/x"


async def test_of_the_equally_cheap_the_least_busy_is_asked() -> None:
    rows = [{"target": f"{name}/x", "price": "cheap"} for name in "ab"] + [{"target": "d/x", "price": "dear"}]
    world = World(rows, strategy=("cost",))
    for _ in range(20):
        await world.begin()
    assert [world.board.of(f"{name}/x").pending for name in "abd"] == [10, 10, 0]


async def test_in_a_list_the_next_strategy_decides_among_the_about_as_good() -> None:
    rows = [{"target": "a/x", "price": "cheap"}, {"target": "b/x", "price": "same"}, {"target": "c/x", "price": "dear"}]
    world = World(rows, strategy=("cost", "latency"))
    world.takes = {"a/x": 3.0, "b/x": 0.3, "c/x": 0.01}
    asked = Counter([await world.ask() for _ in range(60)])
    assert asked["c/x"] == 0
    assert asked["b/x"] > 50


async def test_quota_takes_whoever_has_most_left_by_its_providers_own_word() -> None:
    world = World([{"target": "a/x"}, {"target": "b/x"}], strategy=("quota",))

    def left(share: bytes) -> list[tuple[bytes, bytes]]:
        return [
            (b"x-ratelimit-limit-requests", b"100"),
            (b"x-ratelimit-remaining-requests", share),
            (b"x-ratelimit-reset-requests", b"6m0s"),
        ]

    world.heard = {"a/x": left(b"10"), "b/x": left(b"90")}
    await world.ask()
    await world.ask()
    assert {await world.ask() for _ in range(10)} == {"b/x"}


async def test_a_configured_quota_is_kept_while_another_target_has_room() -> None:
    world = World([{"target": "a/x", "quota": QuotaSettings(rpm=3)}, {"target": "b/x"}])
    assert [await world.ask() for _ in range(5)] == ["a/x"] * 3 + ["b/x"] * 2
    call, _ = await world.begin()
    assert call.attempts[0].choice == Choice(passed={"a/x": "headroom"})
    world.time.now += 60.0
    assert await world.ask() == "a/x"


def test_a_target_is_bound_by_the_tightest_quota_of_its_rows_and_by_none_once_that_is_gone() -> None:
    def models(*quotas: QuotaSettings) -> dict[str, ModelSettings]:
        rows = [(TargetSettings(target="a/x", quota=quota), TargetSettings(target="b/x")) for quota in quotas]
        return {f"m{number}": ModelSettings(targets=row) for number, row in enumerate(rows)}

    board = Board()

    def left() -> dict[str, float]:
        headroom = board.of("a/x").headroom
        assert headroom is not None
        return headroom.shown(0.0)

    first = models(QuotaSettings(rpm=30, tpm=900), QuotaSettings(rpm=20, rpd=50), QuotaSettings())
    Routes(first, {}, lambda name: (), board)
    assert left() == {"rpm": 20, "rpd": 50, "tpm": 900}
    assert board.of("b/x").headroom is None
    Routes(models(QuotaSettings(rpm=5)), {}, lambda name: (), board)
    assert left() == {"rpm": 5}
    Routes(models(QuotaSettings()), {}, lambda name: (), board)
    assert left() == {}


async def test_where_every_quota_is_used_up_the_call_is_tried_all_the_same() -> None:
    world = World([{"target": "a/x", "quota": QuotaSettings(rpd=1)}, {"target": "b/x", "quota": QuotaSettings(tpm=50)}])
    assert [await world.ask() for _ in range(3)] == ["a/x", "b/x", "a/x"]


async def test_a_condition_opens_a_target_to_some_calls_only() -> None:
    world = World([{"target": "a/x", "when": '"batch" in tags && params.max_tokens > 10'}, {"target": "b/x"}])
    assert await world.ask({"max_tokens": 50}, tags=("batch",)) == "a/x"
    assert await world.ask({"max_tokens": 50}, tags=("other",)) == "b/x"
    assert await world.ask({}, tags=("batch",)) == "b/x", "a field that is not there is no match"
    call, _ = await world.begin()
    assert call.attempts[0].choice == Choice(passed={"a/x": "when"})


async def test_a_canary_gets_its_share_of_conversations_and_keeps_them() -> None:
    world = World([{"target": "a/x"}, {"target": "new/x", "canary": 0.1}])
    sides: dict[str, set[str]] = {}
    for number in range(300):
        opening = f"question {number}"
        one, two = turns(first=opening), turns("yes", "and then?", first=opening)
        sides[opening] = {await world.ask(one), await world.ask(two)}
    assert all(len(side) == 1 for side in sides.values())
    assert 15 <= sum(side == {"new/x"} for side in sides.values()) <= 45


async def test_a_canary_that_fails_is_no_failure_of_the_call() -> None:
    world = World([{"target": "a/x"}, {"target": "new/x", "canary": 1.0}])
    world.takes = {"new/x": UpstreamError("no", status=500, retryable=True)}
    assert await world.ask() == "a/x"


HOME = AffinitySettings()


@pytest.mark.parametrize(
    "named",
    [
        lambda number: {"headers": [(b"x-trunkline-session", b"s%d" % number)]},
        lambda number: {"body": turns("so", "go on", first=f"opening {number}")},
        lambda number: {"body": {"prompt_cache_key": f"k{number}"}},
        lambda number: {"body": {"metadata": {"user_id": f"user_1_session_{number}"}}},
        lambda number: {"body": {"input": f"opening {number}", "instructions": "be brief"}},
    ],
)
async def test_a_conversation_stays_where_it_was(named: Callable[[int], dict[str, Any]]) -> None:
    world = World([{"target": "a/x"}, {"target": "b/x"}, {"target": "c/x"}], strategy=("weighted",), affinity=HOME)
    homes = [await world.ask(**named(number)) for number in range(7)]
    assert len(set(homes)) == 3
    assert [await world.ask(**named(number)) for number in range(7)] == homes


async def test_a_conversation_stays_only_as_long_as_that_is_cheaper() -> None:
    rows = [{"target": "d/x", "price": "dear"}, {"target": "c/x", "price": "cheap"}]
    world = World(rows, strategy=("cost",), affinity=HOME)
    long = turns(first="words " * 2000)
    world.takes = {"c/x": UpstreamError("no", status=500, retryable=True)}
    world.usage = Usage(input=3000, cache_write=3000, output=10)
    assert await world.ask(long) == "d/x"
    world.takes = {}
    assert await world.ask(long | {"max_tokens": 10}) == "d/x", "its cache is worth more than the difference"
    assert await world.ask(long | {"max_tokens": 5000}) == "c/x", "a long answer is not"


async def test_a_home_is_left_when_it_fails_and_forgotten_in_time() -> None:
    world = World([{"target": "a/x"}, {"target": "b/x"}], affinity=HOME)
    session = {"headers": [(b"x-trunkline-session", b"s")]}
    world.takes = {"a/x": UpstreamError("no", status=500, retryable=True)}
    assert await world.ask(**session) == "b/x"
    world.takes = {}
    assert await world.ask(**session) == "b/x"
    world.time.now += HOME.ttl + 1
    assert await world.ask(**session) == "a/x"


async def test_what_was_told_and_what_was_written_down_are_what_was_chosen() -> None:
    """All strategies, shuffled rows and random latencies: a thousand choices, told beforehand, and made again."""
    dice = random.Random(8)
    made = 0
    while made < 1000:
        names = dice.sample(["weighted", "least_busy", "latency", "cost", "quota"], dice.randint(1, 3))
        rows = [
            {"target": f"{name}/x", "price": dice.choice([*PRICES, "unknown"]), "weight": dice.randint(1, 5)}
            for name in "abcd"
        ]
        rows[3]["canary"] = 0.3
        world = World(rows, strategy=tuple(names), tolerance=dice.random(), affinity=dice.choice([None, HOME]))
        for number in range(50):
            world.takes = {row["target"]: dice.random() for row in rows}
            told = world.explained(turns(first=f"opening {number % 20}"))
            call, reply = await world.begin(turns(first=f"opening {number % 20}"))
            assert (told.chosen, told.choice) == (call.attempts[0].target, call.attempts[0].choice)
            if dice.random() < 0.7:
                reply.finish()
            choice = call.attempts[0].choice
            assert choice is not None
            assert remade(choice) == call.attempts[0].target
            made += 1
