"""Strategies in a simulated minute of many calls: no clock but the simulation's own, no randomness but its dice."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable

from tests.stages.scripted import Named, a_call
from trunkline.core.call import Peek
from trunkline.core.usage import Usage
from trunkline.policy.outcome import Outcome
from trunkline.policy.standing import Board
from trunkline.stages.routing.choose import Ask, choose
from trunkline.stages.routing.route import Candidate, Routes
from trunkline.stages.routing.settings import ModelSettings, TargetSettings

RATE = 300.0
"""Calls a second."""
USUAL = 0.2
"""Seconds, at the median."""
Pace = Callable[[str, float], float]
"""How many times its usual time a target takes at a moment."""


class World:
    """Streams of 20 tokens; `calls`: (when it was asked, whom, seconds to the first byte)."""

    def __init__(self, strategy: str, targets: int, pace: Pace, seed: int = 1) -> None:
        self.dice = random.Random(seed)
        names = [f"{letter}/x" for letter in "abcdef"[:targets]]
        settings = ModelSettings(targets=tuple(TargetSettings(target=name) for name in names), strategy=(strategy,))
        routes = Routes({"smart": settings}, {"smart": [Named(name) for name in names]}, lambda name: (), Board())
        self.route = routes.of("smart")
        self.pace = pace
        self.calls: list[tuple[float, str, float]] = []

    def run(self, seconds: float, rate: float = RATE) -> None:
        call = a_call()
        call.peek = Peek("smart", stream=True)
        events: list[tuple[float, int, Callable[[], None]]] = []
        now, number = 0.0, 0
        while now < seconds:
            now += self.dice.expovariate(rate)
            while events and events[0][0] <= now:
                heapq.heappop(events)[2]()
            candidate = choose(self.route.legs, Ask(call, now, self.route.candidates, set()), self.dice.random)
            assert candidate is not None
            first = USUAL * self.dice.lognormvariate(0.0, 0.3) * self.pace(candidate.name, now)
            self.calls.append((now, candidate.name, first))
            for at, event in self._events(candidate, now, first):
                number += 1
                heapq.heappush(events, (at, number, event))

    def _events(self, candidate: Candidate, now: float, first: float) -> list[tuple[float, Callable[[], None]]]:
        standing, whole = candidate.standing, first * 1.5
        standing.began(now, True)
        outcome = Outcome(whole, first, True, Usage(output=20))
        return [
            (now + first, lambda: standing.answered(first, now + first, True)),
            (now + whole, lambda: standing.ended(outcome, now + whole)),
        ]

    def p99(self, since: float, until: float) -> float:
        waits = sorted(wait for at, _, wait in self.calls if since <= at < until)
        return waits[int(len(waits) * 0.99)]

    def share(self, name: str, since: float, until: float) -> float:
        asked = Counter(who for at, who, _ in self.calls if since <= at < until)
        return asked[name] / asked.total()


def slow_between(name: str, since: float, until: float, times: float = 10.0) -> Pace:
    return lambda who, now: times if who == name and since <= now < until else 1.0


def test_equal_targets_share_evenly() -> None:
    for strategy in ("least_busy", "latency"):
        world = World(strategy, 4, lambda who, now: 1.0)
        world.run(20.0)
        shares = [world.share(f"{letter}/x", 5.0, 20.0) for letter in "abcd"]
        assert all(0.15 < share < 0.35 for share in shares), (strategy, shares)


def test_a_target_that_turns_slow_is_left_and_found_again() -> None:
    """Ten times slower from second 20 to 50: after five seconds hardly anybody notices; after it has healed it has its
    share again within thirty seconds, and without a rush."""
    world = World("latency", 3, slow_between("a/x", 20.0, 50.0))
    world.run(90.0)
    healthy = world.p99(5.0, 20.0)
    assert world.p99(25.0, 50.0) < 1.5 * healthy
    assert world.share("a/x", 25.0, 50.0) < 0.02
    assert world.share("a/x", 80.0, 90.0) > 0.2
    assert max(world.share("a/x", at, at + 1.0) for at in range(50, 90)) < 0.7


def test_a_quiet_gateway_does_not_send_half_its_calls_to_the_slow_one() -> None:
    """One call in ten seconds: time alone would make the slow target attractive before each of them."""
    world = World("latency", 2, lambda who, now: 10.0 if who == "a/x" else 1.0)
    world.run(5000.0, rate=0.1)
    assert 0.0 < world.share("a/x", 0.0, 5000.0) < 0.08


def test_a_slower_target_gets_less_and_not_nothing() -> None:
    world = World("latency", 2, lambda who, now: 2.0 if who == "a/x" else 1.0)
    world.run(30.0)
    assert 0.05 < world.share("a/x", 10.0, 30.0) < 0.45
