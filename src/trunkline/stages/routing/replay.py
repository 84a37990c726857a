"""Recorded traffic sent once more, in thought, through the router: with another strategy, or other weights.

The choice is the router's own (`choose`), over a board that lives in the calls' time. What would have come of a call is
not known where it would have gone elsewhere: then its target answers as it did on average over the same span
(`policy.profile`), and costs what its price list says for the same tokens. `ASSUMPTIONS` says it to whoever reads the
figures.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import Any, get_args

from msgspec import Struct, field, structs

from trunkline.core.call import Attempt, Call, Entry, Key, Peek
from trunkline.core.errors import Kind
from trunkline.core.usage import Usage
from trunkline.policy.balance import spread
from trunkline.policy.outcome import Outcome
from trunkline.policy.profile import Profile, Spread
from trunkline.stages.routing.choose import Ask, choose, remade
from trunkline.stages.routing.facts import Facts
from trunkline.stages.routing.route import Candidate, Route, Routes

ASSUMPTIONS = (
    "A call that stays with its target took, cost and failed as recorded.",
    "A call that moves takes what its new target took on average for as many tokens, and fails as often as that did "
    "(drawn from fixed dice); one without traffic in this span has no known latency, and is taken not to fail.",
    "A call that moves has the same tokens, none of them from a cache.",
    "Load does not change how quick a target is; hedges, queues, limits and affinity are left out.",
    "Bodies, header fields and names of keys are not in the ledger: conditions see the rest.",
    "An error that the request itself brought about stays an error.",
)
MAX_IN_WORK = 100_000
"""Calls at a time that are followed."""
_KINDS = frozenset(get_args(Kind))


class Sums(Struct):
    """One side of the comparison. Money in nano-dollars, times in seconds."""

    calls: int = 0
    errors: int = 0
    cost: int = 0
    unpriced: int = 0
    """Calls with tokens whose price is not known."""
    unknown: int = 0
    """Calls whose time is not known."""
    targets: dict[str, int] = field(default_factory=dict)
    began: Spread = field(default_factory=Spread)
    took: Spread = field(default_factory=Spread)

    def add(self, end: End, cost: int | None) -> None:
        self.calls += 1
        self.errors += end.error is not None
        self.targets[end.target] = self.targets.get(end.target, 0) + 1
        if cost is None:
            self.unpriced += end.usage is not None
        else:
            self.cost += cost
        if end.took is None:
            self.unknown += 1
        else:
            self.took.add(end.took)
        if end.began is not None:
            self.began.add(end.began)

    def shown(self) -> dict[str, Any]:
        times = {
            f"{name}_{label}": each.quantile(share)
            for name, each in (("first_byte", self.began), ("duration", self.took))
            for label, share in (("p50", 0.5), ("p95", 0.95))
        }
        counts = {name: getattr(self, name) for name in ("calls", "errors", "cost", "unpriced", "unknown")}
        return {**counts, **times, "targets": dict(sorted(self.targets.items()))}


class End(Struct):
    """What came of a call, or would have."""

    target: str
    error: str | None
    usage: Usage | None
    began: float | None
    """Seconds to the first byte of a stream."""
    took: float | None


def learn(entries: Iterable[Entry]) -> dict[str, Profile]:
    """What each target was like. The first pass."""
    profiles: dict[str, Profile] = {}
    for entry in entries:
        for attempt in attempts_of(entry):
            profile = profiles.setdefault(attempt.target, Profile())
            profile.attempts += 1
            if attempt.reason is None:
                if entry.usage is not None:
                    profile.whole.add(entry.usage.output, attempt.duration)
                if entry.stream and entry.first_byte is not None:
                    profile.began.add(max(0.0, entry.first_byte - attempt.start))
            elif _outcome(attempt, entry).failed:
                profile.failures += 1
                profile.failed.add(attempt.duration)
    return profiles


def attempts_of(entry: Entry) -> list[Attempt]:
    """Those that the router chose, in their order. Where the ledger keeps none, the one that there must have been. What
    was hedged or went on elsewhere is taken to have ended as the call did."""
    chosen = [each for each in entry.attempts if each.kind == ""]
    if not chosen:
        return [_ended(Attempt(entry.target, 0.0), entry)] if entry.target is not None else []
    if any(each.kind in ("hedge", "continuation") for each in entry.attempts):
        chosen[-1] = _ended(chosen[-1], entry)
    return chosen


def _ended(attempt: Attempt, entry: Entry) -> Attempt:
    return structs.replace(attempt, duration=entry.duration - attempt.start, status=entry.status, reason=entry.error)


class Replay:
    """The second pass. `draw`: numbers from 0 to 1."""

    def __init__(self, routes: Routes, profiles: dict[str, Profile], draw: Callable[[], float]) -> None:
        self._routes = routes
        self._profiles = profiles
        self._draw = draw
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self.was, self.would = Sums(), Sums()
        self.moved = 0
        """Calls whose first attempt would have gone elsewhere."""
        self.recorded = self.agreeing = 0
        """Choices that were written down, and those of them that come out the same when they are made again."""

    def play(self, entry: Entry) -> str | None:
        """One call, in the order of their arrival: the target that would have been asked first. None for one that never
        came to be routed."""
        attempts = attempts_of(entry)
        if not attempts or entry.model is None:
            return None
        self._catch_up(entry.at)
        self._check(attempts)
        route = self._routes.of(entry.model)
        ask = Ask(_call(entry), entry.at, _able(route, entry), set(), known=_Recorded(entry))
        first, end = self._sent(route, ask, entry, attempts)
        self.moved += first != attempts[0].target
        last = attempts[-1]
        began = entry.first_byte if entry.stream else None
        self.was.add(End(last.target, entry.error, entry.usage, began, entry.duration), entry.cost)
        self.would.add(end, self._cost(entry, end))
        return first

    def _check(self, attempts: list[Attempt]) -> None:
        for attempt in attempts:
            if attempt.choice is not None and attempt.choice.steps:
                self.recorded += 1
                self.agreeing += remade(attempt.choice) == attempt.target

    def _sent(self, route: Route, ask: Ask, entry: Entry, attempts: list[Attempt]) -> tuple[str, End]:
        """The first target, and what came of the call in the end."""
        known = {each.target: each for each in attempts}
        waited, first, end = attempts[0].start, "", End("", None, None, None, None)
        while True:
            candidate = choose(route.legs, ask, self._draw) if route.only is None else route.only
            if candidate is None or candidate in ask.tried:
                return first, end
            first = first or candidate.name
            end, failed = self._tried(candidate, entry, known.get(candidate.name), waited)
            self._follow(candidate, entry, end, failed, waited)
            if not failed:
                return first, end
            waited = end.took if end.took is not None else waited
            ask.tried.add(candidate)

    def _tried(self, candidate: Candidate, entry: Entry, known: Attempt | None, waited: float) -> tuple[End, bool]:
        """What one attempt comes to, and whether another target is asked after it."""
        name = candidate.name
        own = _fault(entry)
        if known is not None:
            failed = known.reason is not None and not own and _outcome(known, entry).failed
            began = waited + entry.first_byte - known.start if entry.stream and entry.first_byte is not None else None
            end = End(name, known.reason, None if failed else entry.usage, began, waited + known.duration)
            return end, failed
        profile = self._profiles.get(name) or Profile()
        if own:
            return End(name, entry.error, None, None, waited + entry.duration), False
        if self._draw() < profile.failing:
            took = profile.failed.mean
            return End(name, "upstream_server", None, None, None if took is None else waited + took), True
        took = profile.whole.at(entry.usage.output if entry.usage is not None else 0)
        mean = profile.began.mean if entry.stream else None
        usage = Usage(input=entry.usage.input, output=entry.usage.output) if entry.usage is not None else None
        return End(
            name, None, usage, None if mean is None else waited + mean, None if took is None else waited + took
        ), False

    def _follow(self, candidate: Candidate, entry: Entry, end: End, failed: bool, waited: float) -> None:
        """Tell the target's standing, when the time has come."""
        standing, stream = candidate.standing, entry.stream
        start = entry.at + waited
        took = max(0.0, (end.took if end.took is not None else waited) - waited)
        standing.began(start, stream)
        if failed:
            outcome = Outcome(took, None, stream, None, _kind(end.error), "upstream", None, end.error)
        else:
            began = took if end.began is None else min(took, max(0.0, end.began - waited))
            self._later(start + began, lambda: standing.answered(began, start + began, stream))
            usage = end.usage or entry.usage
            outcome = Outcome(took, began, stream, usage)
        self._later(start + took, lambda: standing.ended(outcome, start + took))

    def _later(self, at: float, event: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (at, self._count, event))
        if len(self._events) > 2 * MAX_IN_WORK:
            heapq.heappop(self._events)[2]()

    def _catch_up(self, now: float) -> None:
        while self._events and self._events[0][0] <= now:
            heapq.heappop(self._events)[2]()

    def _cost(self, entry: Entry, end: End) -> int | None:
        if end.target == entry.target and end.usage is entry.usage:
            return entry.cost
        candidate = next(each for each in self._routes.of(entry.model or "").candidates if each.name == end.target)
        return candidate.price(end.usage, entry.at) if end.usage is not None else 0


class _Recorded(Facts):
    """What the ledger knows of a call."""

    __slots__ = ("_entry",)

    def __init__(self, entry: Entry) -> None:
        super().__init__(_call(entry))
        self._entry = entry
        self._usage = entry.usage or Usage()
        self._seen = {"headers": {}, "params": {}, "tokens": self._usage.input}
        self._lot = spread(entry.id.encode())


def _call(entry: Entry) -> Call:
    call = Call(entry.id, _Place(entry.surface), [], entry.at, entry.at)
    call.peek = Peek(entry.model or "", entry.stream)
    call.tags, call.priority = entry.tags, entry.priority
    call.key = Key(entry.key or "", "", team=entry.team)
    return call


class _Place(Struct):
    path: str
    operation: str = "generate"


def _able(route: Route, entry: Entry) -> list[Candidate]:
    """Those whose context is known to have room; all where none has."""
    size = entry.usage.input if entry.usage is not None else 0
    roomy = [each for each in route.candidates if each.ability.input is None or each.ability.input >= size]
    return roomy or list(route.candidates)


def _kind(code: str | None) -> Kind:
    name: Any = (code or "").removeprefix("upstream_")
    kind: Kind = name if name in _KINDS else "server"
    return kind


def _outcome(attempt: Attempt, entry: Entry) -> Outcome:
    """What a recorded attempt that failed was to its target: only what an upstream said is its fault."""
    upstream = (attempt.reason or "").startswith("upstream_")
    return Outcome(
        attempt.duration, None, entry.stream, None, _kind(attempt.reason), "upstream" if upstream else "client"
    )


def _fault(entry: Entry) -> bool:
    """Whether the request itself, or whoever sent it, brought about the error: it would have come everywhere."""
    return entry.error is not None and not _outcome(Attempt("", 0.0, reason=entry.error), entry).failed
