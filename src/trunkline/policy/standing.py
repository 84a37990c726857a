"""What this process knows of its targets: whom to ask next is decided by it.

A `Board` holds one `Standing` a target, by name, and outlives every reload of the configuration. Each aspect of a
standing is a class of its own, fed here and nowhere else: when an attempt begins, when its answer does, and with its
outcome when it ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from trunkline.policy.breaker import Breaker, Cause, HealthSettings
from trunkline.policy.ceiling import Ceiling, ConcurrencySettings
from trunkline.policy.digest import Digest
from trunkline.policy.headroom import Headroom
from trunkline.policy.latency import Latency
from trunkline.policy.outcome import Outcome
from trunkline.policy.slowness import LEAST, OVERHEAD, WAITING, dragging, late, silent, unheard

MAX_TARGETS = 4096
"""Names of targets come from callers too: `provider/model`."""
FIRST_REST = 1.0
"""Seconds that a target rests after a rate limit, where nobody says how long; doubled each time that it comes again."""
LONGEST_REST = 60.0
LONGEST_ADVICE = 3600.0
"""Seconds: of a rest that was asked for, no more is believed."""
SPREAD = 0.1
"""A rest is drawn up to so much longer than was asked for: not all come back in the same moment."""
UNREACHABLE = "upstream_unreachable"
"""The error that is about a provider rather than about one of its models."""
OUR_OWN = 0.1
"""Seconds: where this process is later than that, nobody else is called slow."""
LONGEST_PAUSE_ASKED = 30.0
"""Seconds: what a provider whose failures put it out may ask for."""

HealthState = Literal["well", "out", "on trial", "returning", "resting"]


class Change(Struct, frozen=True):
    """A target's health has changed: `state` is the new one, `until` its end where that is known."""

    target: str
    state: HealthState
    reason: str
    """In words."""
    cause: Cause | Literal["limited", ""]
    seconds: float | None = None
    """How long the new state will last, where that is known."""


Tell = Callable[[Change], None]


class Provider:
    """What targets of one provider share: the way to it. `unreached`: attempts in a row that found no connection."""

    __slots__ = ("members", "unreached")

    def __init__(self) -> None:
        self.members: list[Standing] = []
        self.unreached = 0


class Standing:
    """One target. `pending`: attempts that have not ended; `waiting`: streams among them that have not begun. `well`:
    neither out, nor on its way back, nor at rest. `free`: that, and nobody has set it bounds that it may have reached,
    so there is nothing to look at before a call is given to it."""

    __slots__ = (
        "_board", "_limited", "_progress", "_provider", "asked", "breaker", "ceiling", "failures", "first_byte", "free",
        "headroom", "latency", "name", "pace", "pending", "rest_reason", "rested", "resting", "successes", "waiting",
        "well", "whole",
    )  # fmt: skip

    def __init__(self, name: str, board: Board, provider: Provider) -> None:
        self._board = board
        self._provider = provider
        self.name = name
        self.pending = self.waiting = 0
        self.asked = float("-inf")
        """When an attempt last began."""
        self.successes = self.failures = 0
        self.breaker = Breaker(board.health, board.draw)
        self.ceiling = Ceiling(board.concurrency)
        self.first_byte = Digest()
        """Of streams."""
        self.whole = Digest()
        """Until an answer that is no stream was there."""
        self.pace = Digest()
        """The same for each of its tokens, `OVERHEAD` among them."""
        self.latency: Latency | None = None
        """Where a route chooses by it."""
        self.headroom: Headroom | None = None
        """Where quotas count: see `count_quota`."""
        self.well = self.free = True
        self.resting = float("-inf")
        """The end of the rest that the provider has asked for."""
        self.rested = float("-inf")
        """When it began."""
        self.rest_reason = ""
        self._limited = 0
        """Rate limits in a row."""
        self._progress = float("-inf")
        """When a stream last began, or the first of those that wait was asked."""

    # ── What happens ───────────────────────────────────────────────────────────────────────────────────────────────

    def began(self, now: float, stream: bool = False) -> None:
        """An attempt begins."""
        self.asked = now
        self.pending += 1
        self.ceiling.began(self.pending)
        if self.headroom is not None:
            self.headroom.began(now)
        if stream:
            if self.waiting == 0:
                self._progress = now
            self.waiting += 1
            if self.waiting > WAITING and self.well and now - self._progress > LEAST:
                self._silent(now)
        if not self.well:
            self._look(now)

    def answered(self, begun: float, now: float, stream: bool) -> None:
        """Its answer begins, after `begun` seconds."""
        if stream:
            self.waiting -= 1
            self._progress = now
            self.first_byte.add(begun, now)
            self.ceiling.answered(begun)
        else:
            self.whole.add(begun, now)
            return  # it is judged at its end, by its length
        words = "" if begun < LEAST else late(begun, self.first_byte.usual, self.breaker.settings)
        if self.breaker.answered(now - begun, now, words if words and self._judging else ""):
            self._changed(now)

    def ended(self, outcome: Outcome, now: float) -> None:
        self.pending -= 1
        stream, start = outcome.stream, now - outcome.duration
        begun = stream and outcome.begun is not None
        if stream and not begun:
            self.waiting -= 1
        if self.latency is not None:
            self.latency.observe(outcome, now)
        if self.headroom is not None:
            self.headroom.ended(outcome, now)
        if self.ceiling.ended(outcome.error == "overloaded", self.pending, self.first_byte.usual, now):
            self._free()
        effect = outcome.effect
        if effect == "good":
            self.successes += 1
            self._limited = self._provider.unreached = 0
            changed = not stream and self.breaker.answered(start, now, self._dragging(outcome, now))
            if self.breaker.ended(start, now, "", True) or changed:
                self._changed(now)
        elif effect == "bad":
            self.failures += 1
            self._bad(outcome, start, now)
        elif effect == "limited":
            self.failures += 1
            self._rest(outcome, now)
            self.breaker.given_up(start, begun)
        else:
            self._nothing(outcome, start, now)

    def told(self, cause: Cause, reason: str, now: float) -> None:
        """Somebody beside the calls has found it out of order: an active probe, or another process."""
        if self.breaker.state == "closed" and self.breaker.trip(now, cause, reason):
            self._changed(now)

    def suspect(self) -> None:
        """Another process has found it out of order."""
        if self.breaker.state == "closed":
            self.breaker.suspect()

    def rest(self, seconds: float, reason: str, now: float) -> None:
        """Another process was told to wait for so long."""
        self._until(now, seconds, reason, "told")

    def proved(self, now: float) -> None:
        """Somebody beside the calls has found it in order."""
        self.breaker.heal(now)

    def lapse(self, now: float) -> None:
        """What was learned long ago holds no longer."""
        self.ceiling.lapse(now)
        self._free()

    def count_quota(self) -> Headroom:
        """From now on."""
        if self.headroom is None:
            self.headroom = Headroom()
            self._free()
        return self.headroom

    # ── What is asked ──────────────────────────────────────────────────────────────────────────────────────────────

    def refuses(self, now: float) -> str | None:
        """Why a call should rather go elsewhere; None: it need not."""
        if self.well:
            return None
        if now < self.resting:
            return f"it rests for {self.resting - now:.1f} s: {self.rest_reason}"
        breaker = self.breaker
        if not breaker.refuses(now):
            return None
        if breaker.state == "open":
            return f"it is out for {breaker.until - now:.1f} s: {breaker.reason}"
        return "it has been out, and has as many calls as may try it"

    def returns(self, now: float) -> float:
        """When it may be asked again."""
        return max(now, self.resting, self.breaker.until if self.breaker.state == "open" else now)

    def full(self, most: int | None) -> str | None:
        """Why it bears no further call; `most`: what was configured."""
        learned = self.ceiling.limit
        if most is not None and self.pending >= most:
            return f"it has {self.pending} calls in work, and {most} is its max_concurrency"
        if learned is not None and self.pending >= learned:
            return f"it has {self.pending} calls in work, and bears {learned} at the moment"
        return None

    def state(self, now: float) -> HealthState:
        if now < self.resting:
            return "resting"
        match self.breaker.state:
            case "closed":
                return "well"
            case "open":
                return "out" if now < self.breaker.until else "on trial"
            case "trial":
                return "on trial"
            case "returning":
                return "returning"

    # ── Inside ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _judging(self) -> bool:
        """Nobody is called slow by a process that is late itself."""
        return self._board.lag() <= OUR_OWN

    def _dragging(self, outcome: Outcome, now: float) -> str:
        """How long an answer that is no stream took, where that is long for its length."""
        seconds, usage = outcome.duration, outcome.usage
        length, usual = OVERHEAD, None
        if usage is not None and usage.output:
            length, usual = usage.output + OVERHEAD, self.pace.usual
            self.pace.add(seconds / length, now)
        words = dragging(seconds, length, usual, self.breaker.settings)
        return words if words and self._judging else ""

    def _silent(self, now: float) -> None:
        """Several streams wait."""
        silence = now - self._progress
        words = silent(silence, self.waiting, self.first_byte.usual, self.breaker.settings)
        if words and self._judging and self.breaker.trip(now, "silent", words, silence):
            self._changed(now)

    def _bad(self, outcome: Outcome, start: float, now: float) -> None:
        words = outcome.code or outcome.error or ""
        if self.breaker.ended(start, now, words, outcome.stream and outcome.begun is not None):
            if outcome.retry_after:
                self.breaker.until = max(self.breaker.until, now + min(outcome.retry_after, LONGEST_PAUSE_ASKED))
            self._changed(now)
        if outcome.code == UNREACHABLE:
            self._provider.unreached += 1
            self._board.unreachable(self._provider, now)

    def _nothing(self, outcome: Outcome, start: float, now: float) -> None:
        """What was given up before it began tells all the same that it was late, or that nothing would have come."""
        waited, settings, stream = outcome.duration, self.breaker.settings, outcome.stream
        begun = stream and outcome.begun is not None
        if begun or waited < LEAST or not self._judging:
            self.breaker.given_up(start, begun)
            return
        if words := late(waited, self.first_byte.usual if stream else None, settings):
            changed = self.breaker.answered(start, now, words)
        elif words := unheard(waited, self.first_byte.usual if stream else self.whole.usual, settings):
            changed = self.breaker.ended(start, now, words, False)
        else:
            self.breaker.given_up(start, False)
            return
        if changed:
            self._changed(now)

    def _rest(self, outcome: Outcome, now: float) -> None:
        seconds = min(FIRST_REST * 2.0 ** min(self._limited, 10), LONGEST_REST)
        if outcome.retry_after is not None:
            seconds = min(outcome.retry_after, LONGEST_ADVICE)
        self._limited += 1
        self._until(now, seconds, outcome.code or "rate limited")

    def _until(self, now: float, seconds: float, reason: str, cause: Literal["limited", "told"] = "limited") -> None:
        """Rest, as the provider asks."""
        known = now < self.resting
        if not known:
            self.rested = now
        self.resting = max(self.resting, now + seconds * (1.0 + SPREAD * self._board.draw()))
        self.rest_reason = reason
        self.well = self.free = False
        if not known:
            self._board.tell(Change(self.name, "resting", reason, cause, self.resting - now))

    def _free(self) -> None:
        """Find out whether it is."""
        self.free = self.well and self.ceiling.limit is None and self.headroom is None

    def _look(self, now: float) -> None:
        """A call begins at a target with something the matter."""
        breaker = self.breaker
        if breaker.state != "closed":
            if breaker.began(now):
                self._changed(now)
        elif now >= self.resting:
            self._changed(now)

    def _changed(self, now: float) -> None:
        breaker, state = self.breaker, self.state(now)
        self.well = state == "well"
        self._free()
        seconds = breaker.until - now if breaker.state == "open" else None
        self._board.tell(Change(self.name, state, breaker.reason, breaker.cause or "", seconds))


class Board:
    """`draw`: numbers from 0 to 1; `tell` hears of every change; `lag`: seconds that this process is late itself."""

    def __init__(
        self,
        health: HealthSettings | None = None,
        concurrency: ConcurrencySettings | None = None,
        draw: Callable[[], float] = lambda: 0.5,
        tell: Tell = lambda change: None,
        lag: Callable[[], float] = float,
    ) -> None:
        self.health = health or HealthSettings()
        self.concurrency = concurrency or ConcurrencySettings()
        self.draw = draw
        self.tell = tell
        self.lag = lag
        self._standings: dict[str, Standing] = {}
        self._providers: dict[str, Provider] = {}

    def of(self, name: str) -> Standing:
        """A target's standing, a fresh one where nothing is known."""
        standing = self._standings.get(name)
        if standing is None:
            if len(self._standings) >= MAX_TARGETS:
                self._forget()
            provider = self._providers.setdefault(name.partition("/")[0], Provider())
            standing = self._standings[name] = Standing(name, self, provider)
            provider.members.append(standing)
        return standing

    def knows(self, name: str) -> bool:
        return name in self._standings

    def configure(self, health: HealthSettings, concurrency: ConcurrencySettings) -> None:
        """Other rules from now on; what is known stays."""
        self.health, self.concurrency = health, concurrency
        for standing in self._standings.values():
            standing.breaker.settings = health
            standing.ceiling.settings = concurrency

    def shown(self) -> list[Standing]:
        return list(self._standings.values())

    def unreachable(self, provider: Provider, now: float) -> None:
        """Where nobody gets through to a provider, none of its targets is worth a try."""
        if provider.unreached >= self.health.failures:
            provider.unreached = 0
            for standing in provider.members:
                standing.told("unreachable", "no connection to its provider", now)

    def _forget(self) -> None:
        """Make room: the oldest half of those that nobody waits for. Whoever holds one goes on with it."""
        idle = [name for name, each in self._standings.items() if each.pending == 0]
        for name in idle[: MAX_TARGETS // 2]:
            standing = self._standings.pop(name)
            provider = self._providers[name.partition("/")[0]]
            provider.members.remove(standing)
            if not provider.members:
                del self._providers[name.partition("/")[0]]
