"""Copies of calls to a mirror: behind the answer, on nobody's account, seen in the ledger."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.edges.families import ANTHROPIC, OPENAI
from tests.edges.upstreams import Answer, Upstream, hang_up, silence, stream, whole
from tests.running import Running, running, until
from tests.talking import ask
from trunkline.config.problems import ConfigError
from trunkline.core.call import Entry


def sections(one: str, shadow: str, **mirror: Any) -> dict[str, Any]:
    return {
        "providers": {"one": OPENAI.provider(one), "shadow": ANTHROPIC.provider(shadow)},
        "models": {
            "smart": {"targets": [{"target": "one/a"}], "mirror": {"target": "shadow/b"} | mirror},
        },
    }


async def both(run: Running) -> tuple[Entry, Entry]:
    """The call's entry, and its copy's."""
    await until(lambda: len(run.entries()) == 2, "two entries")
    by_id = sorted(run.entries(), key=lambda entry: len(entry.id))
    return by_id[0], by_id[1]


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_copy_is_made_and_noted(streamed: bool, tmp_path: Path) -> None:
    answers: tuple[Answer, Answer] = (
        (stream(*OPENAI.events), stream(*ANTHROPIC.events)) if streamed
        else (whole(OPENAI.answer), whole(ANTHROPIC.answer))
    )  # fmt: skip
    async with (
        Upstream(answers[0]) as one,
        Upstream(answers[1]) as shadow,
        running(tmp_path, sections(one.url, shadow.url)) as run,
    ):
        answer = await ask(run.port, OPENAI.path, OPENAI.ask("smart", stream=streamed))
        entry, copy = await both(run)
    assert answer.status == 200
    assert answer.headers["x-trunkline-target"] == "one/a"
    assert answer.headers["x-trunkline-attempts"] == "1"
    assert [(each.target, each.kind) for each in entry.attempts] == [("one/a", "")]
    assert copy.id == f"{entry.id}-mirror"
    assert (copy.key, copy.tags, copy.status, copy.error) == (None, ("mirror",), 200, None)
    assert [(each.target, each.kind) for each in copy.attempts] == [("shadow/b", "mirror")]
    assert copy.usage is not None
    assert (copy.usage.input, copy.usage.output) == (7, 2)
    assert shadow.asked[0].json["messages"][0]["content"] in ("hello there", [{"type": "text", "text": "hello there"}])


async def test_a_mirror_that_hangs_delays_nothing_and_is_bounded(tmp_path: Path) -> None:
    async with (
        Upstream(whole(OPENAI.answer)) as one,
        Upstream(silence) as shadow,
        running(tmp_path, sections(one.url, shadow.url, max_in_flight=2)) as run,
    ):
        answers = await asyncio.gather(*(ask(run.port, OPENAI.path, OPENAI.ask("smart")) for _ in range(5)))
        await until(lambda: len(shadow.asked) == 2, "two copies")
        mirrors = run.gateway.routing.mirrors
        assert (mirrors.made, mirrors.left_out) == (2, 3)
    assert [answer.status for answer in answers] == [200] * 5
    assert len(shadow.asked) == 2


@pytest.mark.parametrize("answer", [hang_up, whole({"error": {"message": "no"}}, 500), stream(*ANTHROPIC.events[:3])])
async def test_a_mirror_that_fails_is_no_failure(answer: Answer, tmp_path: Path) -> None:
    async with (
        Upstream(stream(*OPENAI.events)) as one,
        Upstream(answer) as shadow,
        running(tmp_path, sections(one.url, shadow.url)) as run,
    ):
        heard = await ask(run.port, OPENAI.path, OPENAI.ask("smart", stream=True))
        entry, copy = await both(run)
        assert run.gateway.routing.mirrors.failed == 1
    assert heard.status == 200
    assert entry.error is None
    assert copy.error is not None


async def test_only_the_share_is_copied(tmp_path: Path) -> None:
    async with (
        Upstream(whole(OPENAI.answer)) as one,
        Upstream(whole(ANTHROPIC.answer)) as shadow,
        running(tmp_path, sections(one.url, shadow.url, share=0.0)) as run,
    ):
        await ask(run.port, OPENAI.path, OPENAI.ask("smart"))
        assert run.gateway.routing.mirrors.made == 0
    assert shadow.asked == []


async def test_a_mirror_needs_a_provider_that_there_is(tmp_path: Path) -> None:
    settings = sections("http://127.0.0.1:1", "http://127.0.0.1:1", target="shade/b")
    with pytest.raises(ConfigError, match=r'models.smart.mirror.target: there is no provider "shade"; did you mean'):
        async with running(tmp_path, settings):
            pass
