"""Signs of abuse: what counts as guessing, as sharing, as a spike, and that the tables stay small."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.policy import abuse
from trunkline.policy.abuse import (
    FIRST_MINUTES,
    LONGEST_BLOCK,
    Guesses,
    GuessingSettings,
    History,
    Places,
    SharingSettings,
    SpikeSettings,
)

GUESSING = GuessingSettings(guesses=3, window=60.0, block=10.0)
SHARING = SharingSettings(addresses=2, window=100.0)
SPIKES = SpikeSettings(factor=10.0, requests=20, cost=1.0)
DOLLAR = 1_000_000_000


def wrong(guesses: Guesses, count: int, now: float, start: int = 0) -> list[bool]:
    """So many different keys that do not exist."""
    return [guesses.wrong("a", b"%d" % number, GUESSING, now) for number in range(start, start + count)]


# ── Guessing ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_so_many_different_wrong_keys_block_an_address() -> None:
    guesses = Guesses()
    assert wrong(guesses, 3, 0.0) == [False, False, True]
    assert guesses.blocked("a", 0.0) == 10.0
    assert guesses.blocked("a", 9.0) == 1.0
    assert guesses.blocked("a", 10.0) == 0.0
    assert guesses.blocked("b", 0.0) == 0.0


def test_one_wrong_key_again_and_again_is_a_mistake() -> None:
    guesses = Guesses()
    assert not any(guesses.wrong("a", b"mine", GUESSING, float(now)) for now in range(100))
    assert guesses.blocked("a", 100.0) == 0.0


def test_mistakes_far_apart_are_no_guessing() -> None:
    guesses = Guesses()
    assert not any(guesses.wrong("a", b"%d" % now, GUESSING, float(now * 61)) for now in range(20))


def test_a_block_ends_when_it_was_said_to_and_doubles_the_next_time() -> None:
    guesses, now, seconds = Guesses(), 0.0, []
    for round_ in range(12):
        wrong(guesses, 3, now, 100 * round_)
        wrong(guesses, 5, now, 1000 + 100 * round_)  # these change nothing
        seconds.append(guesses.blocked("a", now))
        now += seconds[-1] + 1.0
    assert seconds[:4] == [10.0, 20.0, 40.0, 80.0]
    assert max(seconds) == LONGEST_BLOCK


# ── Sharing ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_from_too_many_addresses_is_told() -> None:
    places = Places()
    assert [places.used("k", each, SHARING, 0.0) for each in "aabbc"] == ["new", "known", "new", "known", "many"]
    assert places.familiar("k", "a")
    assert not places.familiar("k", "c"), "from there it was refused"
    assert not places.familiar("other", "a")


def test_addresses_that_are_not_used_any_more_make_room() -> None:
    places = Places()
    places.used("k", "a", SHARING, 0.0)
    places.used("k", "b", SHARING, 50.0)
    assert places.used("k", "c", SHARING, 99.0) == "many"
    assert places.used("k", "c", SHARING, 100.0) == "new"
    assert not places.familiar("k", "a")


# ── Spikes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def minute(history: History, number: int, calls: int, cost: int = 0) -> list[str]:
    """What is told in this minute."""
    found = [history.add("k", cost, SPIKES, number * 60.0 + second / 100) for second in range(calls)]
    return [each.of for each in found if each is not None]


@pytest.mark.parametrize("usual", [1, 5, 50])
def test_far_more_than_usual_is_told_once_a_minute(usual: int) -> None:
    history = History()
    for number in range(60):
        assert minute(history, number, usual) == []
    assert minute(history, 60, max(20, usual * 10) + usual) == ["requests"]
    assert minute(history, 61, usual) == []


def test_what_a_key_spends_counts_too() -> None:
    history = History()
    for number in range(30):
        minute(history, number, 2, DOLLAR // 10)
    assert minute(history, 30, 19, DOLLAR // 10) == []
    assert minute(history, 31, 3, DOLLAR) == ["cost"]


def test_a_new_key_has_no_history_to_be_unlike() -> None:
    assert minute(History(), 0, 1000) == []
    history = History()
    for number in range(FIRST_MINUTES):
        minute(history, number, 1)
    assert minute(history, FIRST_MINUTES, 21) == ["requests"]


@given(st.integers(1, 500), st.integers(FIRST_MINUTES, 200))
def test_a_steady_key_is_never_told_of(calls: int, minutes: int) -> None:
    history = History()
    settings = SpikeSettings(factor=2.0, requests=1, cost=0.001)
    for number in range(minutes):
        for position in range(0, calls, max(1, calls // 5)):
            now = number * 60.0 + position * 60.0 / calls
            assert history.add("k", 1000, settings, now) is None


def test_hours_of_silence_are_reckoned_with() -> None:
    history = History()
    for number in range(60):
        minute(history, number, 100)
    assert minute(history, 60 + 12 * 60, 500) == ["requests"], "long ago it was usual"


# ── Bounds ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_all_tables_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(abuse, "MAX_TRACKED", 50)
    monkeypatch.setattr(abuse, "MAX_PLACES", 80)
    guesses, places, history = Guesses(), Places(), History()
    for number in range(300):
        name = f"n{number}"
        guesses.wrong(name, b"x", GUESSING, 0.0)
        history.add(name, 0, SPIKES, 0.0)
        for address in "ab":
            places.used(name, address, SHARING, 0.0)
    assert (len(guesses), len(history), len(places)) == (50, 50, 40)
    assert places.familiar("n299", "b")
    assert not places.familiar("n0", "a")
