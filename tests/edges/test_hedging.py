"""A second attempt beside a slow first one, over real sockets."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.edges.families import ANTHROPIC, OPENAI, Family
from tests.edges.upstreams import Answer, Upstream, hang_up, silence, stream, whole
from tests.running import running, until
from tests.talking import ask, connected, request


def sections(one: str, two: str, first: Family = OPENAI, **hedge: Any) -> dict[str, Any]:
    return {
        "providers": {"one": first.provider(one), "two": OPENAI.provider(two)},
        "models": {
            "smart": {
                "targets": [{"target": "one/a"}, {"target": "two/b"}],
                "hedge": {"share": 1.0, "after": 0.05} | hedge,
            }
        },
    }


ANSWERS: dict[bool, Answer] = {False: whole(OPENAI.answer), True: stream(*OPENAI.events)}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("first", [OPENAI, ANTHROPIC], ids=str)
async def test_the_second_answers_and_the_first_is_left(streamed: bool, first: Family, tmp_path: Path) -> None:
    async with (
        Upstream(silence) as one,
        Upstream(ANSWERS[streamed]) as two,
        running(tmp_path, sections(one.url, two.url, first)) as run,
    ):
        answer = await ask(run.port, OPENAI.path, OPENAI.ask("smart", stream=streamed))
        async with asyncio.timeout(5):
            await one.gone.wait()
        entry = await run.entry()
    assert answer.status == 200
    assert answer.headers["x-trunkline-target"] == "two/b"
    assert answer.headers["x-trunkline-attempts"] == "2"
    loser, winner = entry.attempts
    assert (loser.target, loser.kind, loser.reason, loser.status) == ("one/a", "", "outrun", 499)
    assert (winner.target, winner.kind, winner.reason, winner.status) == ("two/b", "hedge", None, 200)
    assert loser.usage is not None
    assert (loser.usage.output, loser.usage.estimated) == (0, True)
    assert entry.usage is not None
    assert entry.usage.input == 7 + loser.usage.input
    assert entry.target == "two/b"
    assert entry.lost == ()


async def test_the_first_may_still_win(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def late(writer: asyncio.StreamWriter) -> None:
        await go.wait()
        await whole(OPENAI.answer)(writer)

    async with (
        Upstream(late) as one,
        Upstream(silence) as two,
        running(tmp_path, sections(one.url, two.url)) as run,
        connected(run.port) as line,
    ):
        await line.send(request(OPENAI.path, OPENAI.ask("smart")))
        await two.arrived.wait()
        go.set()
        answer = await line.answer()
        async with asyncio.timeout(5):
            await two.gone.wait()
        entry = await run.entry()
    assert answer.headers["x-trunkline-target"] == "one/a"
    assert [(each.kind, each.reason) for each in entry.attempts] == [("", None), ("hedge", "outrun")]


async def test_a_second_that_fails_is_no_loss(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def late(writer: asyncio.StreamWriter) -> None:
        await go.wait()
        await whole(OPENAI.answer)(writer)

    async with (
        Upstream(late) as one,
        Upstream(hang_up) as two,
        running(tmp_path, sections(one.url, two.url)) as run,
        connected(run.port) as line,
    ):
        await line.send(request(OPENAI.path, OPENAI.ask("smart")))
        await two.arrived.wait()
        await until(lambda: two.gone.is_set() or len(two.asked) > 1, "the second attempt has failed")
        go.set()
        answer = await line.answer()
        entry = await run.entry()
    assert answer.status == 200
    assert [(each.kind, each.reason) for each in entry.attempts] == [("", None), ("hedge", "upstream_broken")]


async def test_where_both_fail_the_first_ones_error_is_told(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def late(writer: asyncio.StreamWriter) -> None:
        await go.wait()
        await whole({"error": {"message": "busy"}}, 503)(writer)

    async with (
        Upstream(late) as one,
        Upstream(whole({"error": {"message": "no"}}, 500)) as two,
        running(tmp_path, sections(one.url, two.url)) as run,
        connected(run.port) as line,
    ):
        await line.send(request(OPENAI.path, OPENAI.ask("smart")))
        await two.arrived.wait()
        go.set()
        answer = await line.answer()
        entry = await run.entry()
    assert answer.status == 503
    assert [(each.kind, each.status) for each in entry.attempts] == [("", 503), ("hedge", 500)]
    assert entry.usage is None


async def test_a_client_that_leaves_ends_both(tmp_path: Path) -> None:
    async with (
        Upstream(silence) as one,
        Upstream(silence) as two,
        running(tmp_path, sections(one.url, two.url)) as run,
    ):
        async with connected(run.port) as line:
            await line.send(request(OPENAI.path, OPENAI.ask("smart")))
            await two.arrived.wait()
        async with asyncio.timeout(5):
            await one.gone.wait()
            await two.gone.wait()
        entry = await run.entry()
    assert [each.reason for each in entry.attempts] == ["client_closed_request"] * 2


async def test_nothing_is_sent_twice_beyond_the_budget(tmp_path: Path) -> None:
    slow_start = asyncio.Event()

    async def late(writer: asyncio.StreamWriter) -> None:
        slow_start.set()
        await asyncio.sleep(0.06)
        await whole(OPENAI.answer)(writer)

    async with (
        Upstream(late) as one,
        Upstream(whole(OPENAI.answer)) as two,
        running(tmp_path, sections(one.url, two.url, share=0.25, after=0.01, floor=0.0)) as run,
    ):
        for _ in range(8):
            await ask(run.port, OPENAI.path, OPENAI.ask("smart"))
    assert len(two.asked) == 2


async def test_a_target_that_nothing_is_known_of_is_waited_for(tmp_path: Path) -> None:
    async with (
        Upstream(whole(OPENAI.answer)) as one,
        Upstream(whole(OPENAI.answer)) as two,
        running(tmp_path, sections(one.url, two.url, after=None)) as run,
    ):
        answer = await ask(run.port, OPENAI.path, OPENAI.ask("smart"))
    assert answer.headers["x-trunkline-attempts"] == "1"
    assert two.asked == []


async def test_nobody_is_asked_beside_who_has_no_room(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def late(writer: asyncio.StreamWriter) -> None:
        await go.wait()
        await whole(OPENAI.answer)(writer)

    async with Upstream(late) as one, Upstream(silence) as two:
        settings = sections(one.url, two.url)
        settings["models"]["smart"]["targets"][1]["max_concurrency"] = 1
        async with running(tmp_path, settings) as run, connected(run.port) as first, connected(run.port) as second:
            await first.send(request(OPENAI.path, OPENAI.ask("smart")))
            await two.arrived.wait()
            await second.send(request(OPENAI.path, OPENAI.ask("smart")))
            await until(lambda: len(one.asked) == 2, "both are asked")
            await asyncio.sleep(0.1)  # twice as long as a second attempt waits
            go.set()
            answers = [await first.answer(), await second.answer()]
    assert [answer.headers["x-trunkline-attempts"] for answer in answers] == ["2", "1"]
    assert len(two.asked) == 1


async def test_a_stream_that_was_hedged_can_be_gone_on_with(tmp_path: Path) -> None:
    """The winner's answer is the one that goes on."""
    broken = stream(*OPENAI.events[:2], end=False)
    settings = sections("", "")
    async with Upstream(silence) as one, Upstream(broken, stream(*OPENAI.events)) as two:
        settings = sections(one.url, two.url)
        settings["models"]["smart"]["recover"] = {"mode": "continue"}
        settings["catalog"] = {"two/b": {"prefill": True}}
        async with running(tmp_path, settings) as run:
            answer = await ask(run.port, OPENAI.path, OPENAI.ask("smart", stream=True))
            entry = await run.entry()
    assert answer.body.count(b"[DONE]") == 1
    assert entry.attempts[0].reason == "outrun"
    assert entry.attempts[1].kind == "hedge"
    assert entry.error is None
