"""What is tried again elsewhere, what is not, and what the client and the ledger are told of it."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.edges.families import ANTHROPIC, FAMILIES, OPENAI, PAIRS, Family
from tests.edges.upstreams import Answer, Upstream, hang_up, silence, stream, whole
from tests.running import Running, running
from tests.talking import ask, connected, request

OPENAI_ERROR = {"error": {"message": "no", "type": "x", "param": None, "code": None}}

RETRYABLE: dict[str, tuple[Answer, str, int]] = {
    "401": (whole(OPENAI_ERROR, 401), "upstream_authentication", 401),
    "404": (whole(OPENAI_ERROR, 404), "upstream_not_found", 404),
    "429": (whole(OPENAI_ERROR, 429, {"retry-after": "1"}), "upstream_rate_limit", 429),
    "500": (whole(OPENAI_ERROR, 500), "upstream_server", 500),
    "503": (whole(OPENAI_ERROR, 503), "upstream_overloaded", 503),
    "529": (whole(OPENAI_ERROR, 529), "upstream_overloaded", 529),
    "html": (whole(b"<html>bad gateway</html>", 502, {"content-type": "text/html"}), "upstream_server", 502),
    "redirect": (whole(b"", 302, {"location": "http://elsewhere.example/"}), "upstream_protocol_error", 502),
    "closed": (hang_up, "upstream_broken", 502),
    "not JSON": (whole(b'{"id": '), "upstream_protocol_error", 502),
    "not an answer": (whole(b"[]"), "upstream_protocol_error", 502),
    "empty": (whole(b""), "upstream_protocol_error", 502),
    "wrong type": (whole(b"<html>hello</html>", headers={"content-type": "text/html"}), "upstream_protocol_error", 502),
    "broken off": (
        whole(b'{"id": "c', headers={"content-length": "1000", "connection": "close"}),
        "upstream_broken",
        502,
    ),
    "in-band error": (whole(OPENAI_ERROR | {"type": "error"}), "upstream_server", 502),
}

RETRYABLE_IN_STREAM = {
    "no event": stream(),
    "cut before the first event": stream(end=False),
    "half an event": stream(b'data: {"id"', end=False),
    "error first": stream(OPENAI.error_event),
}


def two_targets(first: str, second: str, family: Family = OPENAI) -> dict[str, Any]:
    return {
        "providers": {"one": family.provider(first), "two": family.provider(second)},
        "models": {"smart": {"targets": [{"target": "one/a"}, {"target": "two/b"}]}},
    }


def refused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def assert_second_answered(run: Running, reason: str, status: int, stream_asked: bool = False) -> None:
    answer = await ask(run.port, OPENAI.path, OPENAI.ask("smart", stream=stream_asked))
    assert answer.status == 200
    assert answer.headers["x-trunkline-target"] == "two/b"
    assert answer.headers["x-trunkline-attempts"] == "2"
    entry = await run.entry()
    assert (entry.status, entry.error, entry.target) == (200, None, "two/b")
    assert [(each.target, each.reason, each.status) for each in entry.attempts] == [
        ("one/a", reason, status),
        ("two/b", None, 200),
    ]
    assert entry.usage is not None
    assert (entry.usage.input, entry.usage.output) == (7, 2)


@pytest.mark.parametrize("transport", ["lean", "general"])
@pytest.mark.parametrize("case", RETRYABLE)
async def test_the_second_target_answers(case: str, transport: str, tmp_path: Path) -> None:
    failing, reason, status = RETRYABLE[case]
    async with Upstream(failing) as one, Upstream(whole(OPENAI.answer)) as two:
        sections = two_targets(one.url, two.url) | {"transport": {"client": transport}}
        async with running(tmp_path, sections) as run:
            await assert_second_answered(run, reason, status)
    assert len(one.asked) >= 1
    assert len(two.asked) == 1
    assert two.asked[0].json["model"] == "b"


@pytest.mark.parametrize("transport", ["lean", "general"])
async def test_a_refused_connection(transport: str, tmp_path: Path) -> None:
    async with Upstream(whole(OPENAI.answer)) as two:
        sections = two_targets(f"http://127.0.0.1:{refused_port()}", two.url) | {"transport": {"client": transport}}
        async with running(tmp_path, sections) as run:
            await assert_second_answered(run, "upstream_unreachable", 502)


@pytest.mark.parametrize("transport", ["lean", "general"])
@pytest.mark.parametrize("setting", ["first_byte_timeout", "provider"])
async def test_a_timeout(setting: str, transport: str, tmp_path: Path) -> None:
    async with Upstream(silence) as one, Upstream(whole(OPENAI.answer)) as two:
        sections = two_targets(one.url, two.url) | {"transport": {"client": transport}}
        if setting == "provider":
            sections["providers"]["one"]["timeout"] = 0.1
        else:
            sections["transport"]["first_byte_timeout"] = 0.1
        async with running(tmp_path, sections) as run:
            await assert_second_answered(run, "upstream_timeout", 504)


@pytest.mark.parametrize("upstream", FAMILIES, ids=str)
@pytest.mark.parametrize("case", RETRYABLE_IN_STREAM)
async def test_a_stream_that_fails_before_its_first_event(case: str, upstream: Family, tmp_path: Path) -> None:
    """On the identity path and translated: the client has an OpenAI SDK."""
    failing = stream(upstream.error_event) if case == "error first" else RETRYABLE_IN_STREAM[case]
    async with Upstream(failing) as one, Upstream(stream(*OPENAI.events)) as two:
        sections = two_targets(one.url, two.url)
        sections["providers"]["one"] = upstream.provider(one.url)
        async with running(tmp_path, sections) as run:
            answer = await ask(run.port, OPENAI.path, OPENAI.ask("smart", stream=True))
            entry = await run.entry()
    assert answer.headers["x-trunkline-target"] == "two/b"
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert entry.attempts[0].reason is not None
    assert len(entry.attempts) == 2


@pytest.mark.parametrize(("client", "upstream"), PAIRS, ids=str)
@pytest.mark.parametrize("case", ["not JSON", "not an answer", "empty", "wrong type", "broken off", "in-band error"])
async def test_an_answer_that_is_none_in_every_pair(
    case: str, client: Family, upstream: Family, tmp_path: Path
) -> None:
    async with (
        Upstream(RETRYABLE[case][0]) as one,
        Upstream(whole(upstream.answer)) as two,
        running(tmp_path, two_targets(one.url, two.url, upstream)) as run,
    ):
        answer = await ask(run.port, client.path, client.ask("smart"))
    assert answer.status == 200
    assert answer.headers["x-trunkline-attempts"] == "2"


NOT_RETRYABLE: dict[str, tuple[Family, dict[str, Any], int, str]] = {
    "400": (OPENAI, {"error": {"message": "temperature?", "type": "invalid_request_error"}}, 400, "invalid_request"),
    "content filter": (OPENAI, {"error": {"message": "no", "code": "content_filter"}}, 400, "content_filter"),
    "context": (OPENAI, {"error": {"message": "long", "code": "context_length_exceeded"}}, 400, "context_length"),
    "422": (OPENAI, {"error": {"message": "no"}}, 422, "invalid_request"),
    "too large": (OPENAI, {"error": {"message": "no"}}, 413, "too_large"),
    "anthropic 400": (
        ANTHROPIC,
        {"type": "error", "error": {"type": "invalid_request_error", "message": "max_tokens?"}},
        400,
        "invalid_request",
    ),
    "anthropic context": (
        ANTHROPIC,
        {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"}},
        400,
        "context_length",
    ),
}


@pytest.mark.parametrize("client", FAMILIES, ids=str)
@pytest.mark.parametrize("case", NOT_RETRYABLE)
async def test_no_second_attempt_for_what_would_fail_everywhere(case: str, client: Family, tmp_path: Path) -> None:
    family, body, status, kind = NOT_RETRYABLE[case]
    async with (
        Upstream(whole(body, status)) as one,
        Upstream(whole(family.answer)) as two,
        running(tmp_path, two_targets(one.url, two.url, family)) as run,
    ):
        answer = await ask(run.port, client.path, client.ask("smart"))
        entry = await run.entry()
    assert answer.status == status
    assert answer.headers["x-trunkline-target"] == "one/a"
    assert answer.headers["x-trunkline-attempts"] == "1"
    assert answer.json["error"]["message"] == body["error"]["message"]
    assert two.asked == []
    assert (entry.status, entry.error, len(entry.attempts)) == (status, f"upstream_{kind}", 1)


async def test_the_last_error_is_told_when_all_fail(tmp_path: Path) -> None:
    async with (
        Upstream(whole(OPENAI_ERROR, 500)) as one,
        Upstream(RETRYABLE["429"][0]) as two,
        running(tmp_path, two_targets(one.url, two.url)) as run,
    ):
        answer = await ask(run.port, OPENAI.path, OPENAI.ask("smart"))
        entry = await run.entry()
    assert answer.status == 429
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["x-trunkline-attempts"] == "2"
    assert [each.reason for each in entry.attempts] == ["upstream_server", "upstream_rate_limit"]
    assert entry.error == "upstream_rate_limit"


async def test_fallback_models_come_after_a_models_own_targets(tmp_path: Path) -> None:
    async with Upstream(whole(OPENAI_ERROR, 500)) as one, Upstream(whole(OPENAI.answer)) as two:
        sections = two_targets(one.url, two.url)
        sections["models"] = {
            "smart": {"targets": [{"target": "one/a"}], "fallback": ["fast"]},
            "fast": {"targets": [{"target": "two/b"}]},
        }
        async with running(tmp_path, sections) as run:
            await assert_second_answered(run, "upstream_server", 500)


@pytest.mark.parametrize("transport", ["lean", "general"])
@pytest.mark.parametrize(("client", "upstream"), PAIRS, ids=str)
@pytest.mark.parametrize("ending", ["error event", "cut", "ended early"])
async def test_once_the_answer_began_there_is_no_second_attempt(
    ending: str, client: Family, upstream: Family, transport: str, tmp_path: Path
) -> None:
    client_has_it = asyncio.Event()
    last = [upstream.error_event] if ending == "error event" else []
    begun = stream(*upstream.events[: TEXT[upstream.name]], client_has_it, *last, end=ending != "cut")
    async with Upstream(begun) as one, Upstream(stream(*upstream.events)) as two:
        sections = two_targets(one.url, two.url, upstream) | {"transport": {"client": transport}}
        async with running(tmp_path, sections) as run, connected(run.port) as line:
            await line.send(request(client.path, client.ask("smart", stream=True)))
            head = await line.read_head()
            body = await line.read_chunk()
            client_has_it.set()
            body += await line.read_body()
            entry = await run.entry()
    assert head.status == 200
    assert client.terminator not in body
    assert b'"error"' in body.split(b"\n\n")[-2]
    assert two.asked == []
    assert (entry.status, len(entry.attempts)) == (200, 1)
    assert entry.error == ("upstream_server" if ending == "error event" else "upstream_broken")
    assert entry.usage is not None
    assert entry.usage.output > 0
    assert entry.usage.input > 0


async def test_an_error_that_comes_with_the_first_bytes_is_not_committed(tmp_path: Path) -> None:
    """As long as nothing has been sent the next target may answer, whatever was read already."""
    broken = b"".join((*OPENAI.events[:2], OPENAI.error_event))
    async with (
        Upstream(stream(broken)) as one,
        Upstream(stream(*OPENAI.events)) as two,
        running(tmp_path, two_targets(one.url, two.url)) as run,
    ):
        await assert_second_answered(run, "upstream_server", 502, stream_asked=True)


TEXT = {"openai": 2, "anthropic": 3}
"""How many of a family's events it takes until there is text, and no end yet."""
