"""Counters as a plain list of what was taken, and a machine that holds a backend against it step by step.

A backend's test makes a subclass of `Machine` with a store and a clock of its own.
"""

from __future__ import annotations

import asyncio
import datetime
import itertools
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from msgspec import Struct

from trunkline.core.limit import Grant, Refusal, Want, Window
from trunkline.core.stores import Counters
from trunkline.policy.quota import FIXED, NOW, ROLLING

START = int(datetime.datetime(2026, 1, 31, 23, 58, 30, tzinfo=datetime.UTC).timestamp()) * 1000
"""Where the machines begin: soon the minute, the hour, the day and the month are over."""

WANTS = (
    Want("a requests", FIXED["minute"], 5, kept=True),
    Want("a tokens", ROLLING["minute"], 100),
    Want("b tokens", FIXED["hour"], 120),
    Want("b cost", FIXED["month"], 300),
    Want("c cost", ROLLING["hour"], 200),
    Want("c warned", FIXED["day"], 50, soft=True),
    Want("d calls", NOW, 4),
)


class Taken(Struct):
    """One amount in one counter."""

    want: Want
    amount: int
    at: int
    expires: int | None
    """None: settled."""


class Reference:
    """What must be true, computed anew each time from all that ever happened."""

    def __init__(self) -> None:
        self.taken: list[list[Taken]] = []

    def total(self, counter: str, now: int) -> int:
        return sum(
            each.amount
            for grant in self.taken
            for each in grant
            if each.want.counter == counter and _counts(each.want.window, each.at, now) and not _returned(each, now)
        )

    def fits(self, wants: tuple[Want, ...], amounts: tuple[int, ...], now: int) -> bool:
        pairs = zip(wants, amounts, strict=True)
        return all(want.soft or self.total(want.counter, now) + amount <= want.most for want, amount in pairs)

    def take(self, wants: tuple[Want, ...], amounts: tuple[int, ...], now: int, expires: int) -> list[Taken]:
        self.taken.append([Taken(want, amount, now, expires) for want, amount in zip(wants, amounts, strict=True)])
        return self.taken[-1]


def _counts(window: Window, at: int, now: int) -> bool:
    if window is NOW:
        return True
    if window.kept:
        return (at // window.width + window.kept + 1) * window.width > now
    return _begins(window, at) == _begins(window, now)


def _begins(window: Window, at: int) -> datetime.datetime:
    moment = datetime.datetime.fromtimestamp(at // 1000, datetime.UTC).replace(microsecond=0)
    zeros = {"minute": ("second",), "hour": ("second", "minute"), "day": ("second", "minute", "hour")}
    if window.name == "month":
        return moment.replace(day=1, hour=0, minute=0, second=0)
    return moment.replace(**dict.fromkeys(zeros[window.name], 0))  # type: ignore[arg-type, call-arg]


def _returned(each: Taken, now: int) -> bool:
    return each.expires is not None and each.expires <= now and not each.want.kept


def _used(want: Want, amount: int, share: int) -> int:
    """Of what was taken, so many halves: nothing of what goes on, all of what is kept."""
    if want.window is NOW:
        return 0
    return amount if want.kept else amount * share // 2


class Machine(RuleBasedStateMachine):
    """Steps in any order. Subclasses say which store and which clock."""

    grants = Bundle("grants")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = START
        self.reference = Reference()
        self.counters = self.opened()

    def opened(self) -> Counters:
        """A fresh store whose clock is `self.now`, milliseconds since the epoch."""
        raise NotImplementedError

    def settled(self) -> None:
        """Wait until what was settled has reached the store."""

    def run(self, awaitable: Any) -> Any:
        return self.loop.run_until_complete(awaitable)

    def teardown(self) -> None:
        self.loop.close()

    @rule(
        target=grants,
        chosen=st.lists(
            st.tuples(st.sampled_from(WANTS), st.integers(0, 60)), min_size=1, unique_by=lambda each: each[0]
        ),
        lease=st.sampled_from([400, 5_000, 90_000, 4_000_000]),
    )
    def take(self, chosen: list[tuple[Want, int]], lease: int) -> Any:
        wants = tuple(want for want, _ in chosen)
        amounts = tuple(min(amount, 2) if want.most < 10 else amount for want, amount in chosen)
        fits = self.reference.fits(wants, amounts, self.now)
        answer = self.run(self.counters.take(wants, amounts, lease))
        assert isinstance(answer, Grant if fits else Refusal)
        assert answer.at == self.now
        if isinstance(answer, Refusal):
            self._check_refusal(answer, wants, amounts)
            return None
        assert self.now + lease <= answer.expires < self.now + lease + 1000
        expected = self.reference.take(wants, amounts, self.now, answer.expires)
        assert list(answer.totals) == [self.reference.total(want.counter, self.now) for want in wants]
        return answer, expected

    def _check_refusal(self, refusal: Refusal, wants: tuple[Want, ...], amounts: tuple[int, ...]) -> None:
        assert refusal.amount == amounts[wants.index(refusal.want)]
        assert refusal.total == self.reference.total(refusal.want.counter, self.now)
        if refusal.wait is None:
            assert refusal.amount > refusal.want.most
        elif refusal.wait:
            assert self.reference.fits((refusal.want,), (refusal.amount,), self.now + refusal.wait)
            timed = [(want, amount) for want, amount in zip(wants, amounts, strict=True) if want.window is not NOW]
            assert self.reference.fits(*map(tuple, zip(*timed, strict=True)), self.now + refusal.wait)  # type: ignore[arg-type, call-arg]

    @rule(grant=consumes(grants), share=st.sampled_from([0, 1, 2, 3]))
    def settle(self, grant: Any, share: int) -> None:
        """To nothing, to half, to all, to more than was taken."""
        if grant is None:
            return
        granted, expected = grant
        used = [_used(want, amount, share) for want, amount in zip(granted.wants, granted.amounts, strict=True)]
        self.counters.settle(granted, used)
        for each, real in zip(expected, used, strict=True):
            each.amount, each.expires = real, None
        self.settled()

    @rule(lease=st.sampled_from([1_000, 60_000]))
    def renew(self, lease: int) -> None:
        self.counters.renew(lease)
        self.settled()
        for each in itertools.chain(*self.reference.taken):
            if each.expires is not None and each.expires > self.now:
                each.expires = -(-(self.now + lease) // 1000) * 1000

    @rule(milliseconds=st.one_of(st.integers(1, 3_000), st.sampled_from([30_000, 61_000, 1_800_000, 3_700_000])))
    def wait(self, milliseconds: int) -> None:
        self.now += milliseconds

    @invariant()
    def agree(self) -> None:
        asked = [(want.counter, want.window) for want in WANTS]
        expected = [self.reference.total(want.counter, self.now) for want in WANTS]
        assert self.run(self.counters.read(asked)) == expected
