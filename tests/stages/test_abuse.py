"""What follows signs of abuse: who is refused with which words, who goes on, what is written down and disabled."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.stages.scripted import Inner, Kept, Ring, Said, a_call
from trunkline.core.call import Entry, Key
from trunkline.core.errors import Forbidden, GatewayError, Throttled, Unauthenticated
from trunkline.core.reply import Reply
from trunkline.policy.abuse import AbuseSettings, GuessingSettings, SharingSettings, SpikeSettings
from trunkline.stages.abuse import Watch
from trunkline.stages.auth import Auth

KEYS = {b"good": Key("k1", "good"), b"other": Key("k2", "other"), b"off": Key("k3", "off", disabled=True)}
DOLLAR = 1_000_000_000


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Gateway:
    """The stage that asks for keys, watched."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.kept = Kept()
        self.suspended: list[str] = []
        self.watch = Watch(AbuseSettings(**settings), ("10.0.0.0/8",), self.clock, self.kept, self.suspended.append)
        self.auth = Auth(Ring(KEYS, loaded=True), "none", lambda: 0.0, self.watch)

    async def use(self, secret: str, client: str = "1.1.1.1", **headers: str) -> str:
        """One call: "" or the error's code."""
        more = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        call = a_call(headers=[(b"authorization", b"Bearer " + secret.encode()), *more])
        call.client = client
        try:
            await self.auth(call, Inner([Reply(Said(), body=b"")]))
        except GatewayError as error:
            self.error = error
            return error.code
        return ""

    async def guess(self, count: int, client: str = "1.1.1.1", start: int = 0) -> list[str]:
        return [await self.use(f"guess {number}", client) for number in range(start, start + count)]

    def ended(self, calls: int, cost: int = 0, key: str = "k1") -> None:
        for _ in range(calls):
            self.watch.record(Entry("r", 0.0, "/v1/x", 200, key=key, cost=cost))


GUESSING = GuessingSettings(guesses=3, block=30.0)


# ── Guessing ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_whoever_guesses_has_to_wait(caplog: pytest.LogCaptureFixture) -> None:
    gateway = Gateway(guessing=GUESSING)
    with caplog.at_level(logging.WARNING, "trunkline.audit"):
        assert await gateway.guess(4) == ["invalid_api_key"] * 3 + ["too_many_attempts"]
    assert gateway.error.status == 429
    assert gateway.error.retry_after == 30.0
    assert [record.event for record in caplog.records] == ["abuse.guessing"]  # type: ignore[attr-defined]
    assert gateway.watch.measured() == {("trunkline_abuse_total", ("guessing", "throttle")): 1}
    gateway.clock.now += 30.0
    assert await gateway.use("guess 9") == "invalid_api_key"


async def test_a_blocked_address_learns_nothing() -> None:
    """A key that exists gets the very words of one that does not."""
    gateway = Gateway(guessing=GUESSING)
    await gateway.guess(3)
    assert await gateway.use("good") == "too_many_attempts"
    good = str(gateway.error)
    assert await gateway.use("guess 7") == "too_many_attempts"
    assert str(gateway.error) == good


async def test_neighbours_behind_the_same_address_go_on() -> None:
    gateway = Gateway(guessing=GUESSING)
    await gateway.use("good")
    await gateway.guess(3)
    assert await gateway.use("good") == ""
    assert await gateway.use("good", "2.2.2.2") == ""
    assert await gateway.use("other") == "too_many_attempts", "it was not known from here"
    assert await gateway.use("other", "2.2.2.2") == ""
    gateway.clock.now += 30.0
    assert await gateway.use("other") == ""


async def test_a_client_with_one_wrong_key_blocks_nobody() -> None:
    gateway = Gateway(guessing=GUESSING)
    assert {await gateway.use("old") for _ in range(50)} == {"invalid_api_key"}
    assert {await gateway.use("off") for _ in range(50)} == {"disabled_api_key"}
    assert await gateway.use("good") == ""


async def test_addresses_are_those_that_a_trusted_proxy_says() -> None:
    gateway = Gateway(guessing=GUESSING)
    for number in range(3):
        await gateway.use(f"guess {number}", "10.0.0.1", x_forwarded_for="6.6.6.6")
    assert await gateway.use("good", "10.0.0.1", x_forwarded_for="6.6.6.6") == "too_many_attempts"
    assert await gateway.use("good", "10.0.0.1", x_forwarded_for="7.7.7.7") == ""
    assert await gateway.use("good", "7.7.7.7", x_forwarded_for="6.6.6.6") == "", "anybody can say so"


@pytest.mark.parametrize(("action", "told"), [("off", 0), ("observe", 1)])
async def test_guessing_may_be_let_be(action: Any, told: int) -> None:
    gateway = Gateway(guessing=GuessingSettings(action=action, guesses=3))
    assert await gateway.guess(6) == ["invalid_api_key"] * 6
    assert sum(gateway.watch.counts.values()) == told


# ── Sharing ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("action", "codes", "suspended"),
    [
        ("off", ["", "", "", ""], []),
        ("observe", ["", "", "", ""], []),
        ("throttle", ["", "", "key_shared", ""], []),
        ("suspend", ["", "", "key_suspended", "key_suspended"], ["k1"]),
    ],
)
async def test_a_key_that_is_used_from_everywhere(action: Any, codes: list[str], suspended: list[str]) -> None:
    gateway = Gateway(sharing=SharingSettings(action=action, addresses=2))
    assert [await gateway.use("good", client) for client in ("1.1.1.1", "2.2.2.2", "3.3.3.3", "1.1.1.1")] == codes
    assert gateway.suspended == suspended
    assert gateway.watch.counts == ({("sharing", action): 1} if action != "off" else {})
    assert await gateway.use("other", "3.3.3.3") == ""


async def test_the_same_is_not_told_again_and_again() -> None:
    gateway = Gateway(sharing=SharingSettings(addresses=1))
    for _ in range(10):
        await gateway.use("good", "1.1.1.1")
        await gateway.use("good", "2.2.2.2")
    assert gateway.watch.counts == {("sharing", "observe"): 1}
    gateway.clock.now += 61.0
    await gateway.use("good", "2.2.2.2")
    assert gateway.watch.counts == {("sharing", "observe"): 2}


# ── Spikes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def usual(gateway: Gateway) -> None:
    """An hour of two calls a minute."""
    gateway.clock.now = 0.0
    for _ in range(60):
        gateway.ended(2)
        gateway.clock.now += 60.0


@pytest.mark.parametrize(
    ("action", "code", "suspended"),
    [("off", "", []), ("observe", "", []), ("throttle", "key_spike", []), ("suspend", "key_suspended", ["k1"])],
)
async def test_a_key_that_is_used_far_more_than_usual(action: Any, code: str, suspended: list[str]) -> None:
    gateway = Gateway(spikes=SpikeSettings(action=action, requests=40))
    usual(gateway)
    gateway.clock.now += 15.0
    gateway.ended(60)
    assert await gateway.use("good") == code
    assert await gateway.use("other") == ""
    assert gateway.suspended == suspended
    assert len(gateway.kept.recorded) == 180, "every entry is counted in the metrics"
    gateway.clock.now += 61.0
    assert await gateway.use("good") == ""


async def test_a_throttled_key_comes_back_with_the_next_minute() -> None:
    gateway = Gateway(spikes=SpikeSettings(action="throttle", requests=40))
    usual(gateway)
    gateway.clock.now += 15.0
    gateway.ended(60)
    assert await gateway.use("good") == "key_spike"
    assert isinstance(gateway.error, Throttled)
    assert gateway.error.retry_after == 45.0
    gateway.clock.now += 45.0
    assert await gateway.use("good") == ""


async def test_a_sum_of_money_is_a_sign_too() -> None:
    gateway = Gateway(spikes=SpikeSettings(action="suspend", cost=5.0))
    usual(gateway)
    gateway.ended(2, cost=3 * DOLLAR)
    assert gateway.watch.counts == {("spike_cost", "suspend"): 1}
    assert await gateway.use("good") == "key_suspended"
    assert isinstance(gateway.error, Forbidden)


async def test_other_settings_hold_at_once() -> None:
    gateway = Gateway(guessing=GUESSING)
    await gateway.guess(3)
    gateway.watch.take(AbuseSettings(guessing=GuessingSettings(action="off")))
    assert await gateway.use("good") == ""
    assert await gateway.use("guess") == "invalid_api_key"
    assert isinstance(gateway.error, Unauthenticated)
