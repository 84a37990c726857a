"""Trying again what has failed, and the providers' own word on when."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.edges.families import OPENAI
from tests.edges.upstreams import Answer, Upstream, whole
from tests.running import running
from tests.talking import ask

BUSY = {"error": {"message": "busy"}}
FILTERED = whole({"error": {"message": "no", "code": "content_filter"}}, 400)
GOOD = whole(OPENAI.answer)


def busy(**headers: str) -> Answer:
    return whole(BUSY, 429, {name.replace("_", "-"): value for name, value in headers.items()})


def sections(*urls: str, **model: Any) -> dict[str, Any]:
    return {
        "providers": {f"p{number}": OPENAI.provider(url) for number, url in enumerate(urls)},
        "models": {"smart": {"targets": [{"target": f"p{number}/a"} for number in range(len(urls))]} | model},
    }


AGAIN: dict[str, Any] = {"retry": {"again": 2, "base": 0.01}}


async def test_the_only_target_is_asked_again_when_it_says(tmp_path: Path) -> None:
    async with (
        Upstream(busy(retry_after_ms="150"), GOOD) as one,
        running(tmp_path, sections(one.url, **AGAIN)) as run,
    ):
        began = time.monotonic()
        answer = await ask(run.port, OPENAI.path, OPENAI.ask("smart"))
        waited = time.monotonic() - began
        entry = await run.entry()
    assert answer.status == 200
    assert waited >= 0.15
    assert [each.reason for each in entry.attempts] == ["upstream_rate_limit", None]
    assert entry.attempts[1].start - entry.attempts[0].start >= 0.15


@pytest.mark.parametrize(
    ("headers", "call"),
    [
        ({"retry_after": "30"}, {}),  # longer than `retry.longest`
        ({"retry_after": "2"}, {"x-trunkline-deadline-ms": "1500"}),
        ({"retry_after_ms": "10"}, {"x-stainless-retry-count": "2"}),  # the client's own tries count
    ],
    ids=["too long", "past the deadline", "a client that retries"],
)
async def test_it_is_not_where_that_makes_no_sense(
    headers: dict[str, str], call: dict[str, str], tmp_path: Path
) -> None:
    async with Upstream(busy(**headers), GOOD) as one, running(tmp_path, sections(one.url, **AGAIN)) as run:
        began = time.monotonic()
        answer = await ask(run.port, OPENAI.path, OPENAI.ask("smart"), call)
        assert time.monotonic() - began < 1.0
    assert answer.status == 429
    assert len(one.asked) == 1
    if "retry_after" in headers:
        assert answer.headers["retry-after"] == headers["retry_after"]


async def test_no_more_often_than_the_settings_say(tmp_path: Path) -> None:
    async with Upstream(whole(BUSY, 503)) as one, running(tmp_path, sections(one.url, **AGAIN)) as run:
        answer = await ask(run.port, OPENAI.path, OPENAI.ask("smart"))
    assert answer.status == 503
    assert len(one.asked) == 3


async def test_a_passing_trouble_is_waited_for_once_all_have_failed(tmp_path: Path) -> None:
    """Not a refused credential: that stays refused."""
    async with (
        Upstream(whole(BUSY, 401)) as one,
        Upstream(whole(BUSY, 503), GOOD) as two,
        running(tmp_path, sections(one.url, two.url, **AGAIN)) as run,
    ):
        answer = await ask(run.port, OPENAI.path, OPENAI.ask("smart"))
    assert answer.status == 200
    assert (len(one.asked), len(two.asked)) == (1, 2)


@pytest.mark.parametrize(("refusal", "asked", "status"), [("stop", 0, 400), ("next", 1, 200)])
async def test_a_content_filter_is_asked_about_elsewhere_where_the_route_says_so(
    refusal: str, asked: int, status: int, tmp_path: Path
) -> None:
    async with (
        Upstream(FILTERED) as one,
        Upstream(GOOD) as two,
        running(tmp_path, sections(one.url, two.url, refusal=refusal)) as run,
    ):
        answer = await ask(run.port, OPENAI.path, OPENAI.ask("smart"))
    assert answer.status == status
    assert len(two.asked) == asked


async def test_the_deadline_bounds_all_attempts_together(tmp_path: Path) -> None:
    endless = {"retry": {"again": 10, "base": 0.2, "longest": 0.3}}
    async with Upstream(whole(BUSY, 503)) as one, running(tmp_path, sections(one.url, **endless)) as run:
        began = time.monotonic()
        answer = await ask(run.port, OPENAI.path, OPENAI.ask("smart"), {"x-trunkline-deadline-ms": "400"})
        assert time.monotonic() - began < 1.0
    assert answer.status == 503
    assert len(one.asked) < 11
