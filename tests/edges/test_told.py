"""What the operator is told of a call that went wrong, in the log and the ledger, and what the caller is not."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from tests.edges.families import ANTHROPIC, FAMILIES, OPENAI, Family
from tests.edges.test_streams import one_target
from tests.edges.upstreams import Upstream, silence, stream, whole
from tests.running import running
from tests.talking import ask, connected, request
from trunkline.edge.lines import MAX_TEXT, printable


def told(caplog: pytest.LogCaptureFixture, level: int) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "trunkline.calls" and record.levelno == level]


def facts(record: logging.LogRecord) -> tuple[Any, ...]:
    fields = vars(record)
    return fields["request_id"], fields["target"], fields["code"], fields["status"]


async def test_a_failover_and_its_cause(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    async with Upstream(whole(OPENAI.answer)) as up:
        sections = {
            "providers": {"dead": OPENAI.provider("http://127.0.0.1:9"), "up": OPENAI.provider(up.url)},
            "models": {"m": {"targets": [{"target": "dead/a"}, {"target": "up/b"}]}},
        }
        async with running(tmp_path, sections) as run:
            answer = await ask(run.port, OPENAI.path, OPENAI.ask("m"))
    (warning,) = told(caplog, logging.WARNING)
    assert facts(warning) == (answer.headers["x-request-id"], "dead/a", "upstream_unreachable", 502)
    assert "127.0.0.1:9" in warning.getMessage()
    assert answer.status == 200


async def test_a_call_that_all_targets_failed(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    async with running(tmp_path, one_target("http://127.0.0.1:9")) as run:
        answer = await ask(run.port, OPENAI.path, OPENAI.ask("up/m"))
        entry = await run.entry()
    attempt, call = told(caplog, logging.WARNING)
    assert facts(attempt) == facts(call) == (entry.id, "up/m", "upstream_unreachable", 502)
    assert "127.0.0.1:9" in call.getMessage()
    assert b"127.0.0.1" not in answer.body


async def test_a_clients_mistake_and_a_good_answer_are_no_news(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG, "trunkline.calls")
    async with Upstream(whole(OPENAI.answer)) as up, running(tmp_path, one_target(up.url)) as run:
        await ask(run.port, OPENAI.path, OPENAI.ask("up/m"))
        await ask(run.port, OPENAI.path, b"{")
    assert told(caplog, logging.WARNING) == []
    assert [vars(record)["code"] for record in told(caplog, logging.DEBUG)] == [None, "invalid_json"]


async def test_a_refused_credential_is_explained_to_the_operator_alone(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    refusal = whole({"error": {"message": "Your account acct_ours is suspended, key sk-provider-secret-42"}}, 401)
    async with Upstream(refusal) as up, running(tmp_path, one_target(up.url)) as run:
        answer = await ask(run.port, OPENAI.path, OPENAI.ask("up/m"))
    said = "".join(record.getMessage() for record in told(caplog, logging.WARNING))
    assert "acct_ours is suspended" in said
    assert "sk-provider-secret-42" not in said
    assert b"acct_ours" not in answer.body


async def test_where_an_unknown_deployment_was_asked_for(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """The final path is the operator's to see: callers would learn the base path and the deployment."""
    missing = whole({"error": {"code": "DeploymentNotFound", "message": "There is no such deployment."}}, 404)
    async with Upstream(missing) as up:
        azure = {"kind": "azure", "endpoint": up.url, "api_key": "secret-of-azure", "api_version": "2024-10-21"}
        async with running(tmp_path, {"providers": {"az": azure}, "ledger": {"capture": "metadata"}}) as run:
            answer = await ask(run.port, OPENAI.path, OPENAI.ask("az/prod-blue"))
            entry = await run.entry()
    assert "/openai/deployments/prod-blue/chat/completions" in str(entry.message)
    assert "/openai/deployments/prod-blue/chat/completions" in told(caplog, logging.WARNING)[-1].getMessage()
    assert answer.status == 404
    assert b"deployments/" not in answer.body


@pytest.mark.parametrize("client", FAMILIES, ids=str)
async def test_an_attempt_whose_stream_broke_says_so(client: Family, tmp_path: Path) -> None:
    events = client.events[:2]
    async with (
        Upstream(stream(*events, end=False)) as up,
        running(tmp_path, one_target(up.url, client, ledger={"capture": "metadata"})) as run,
    ):
        await ask(run.port, client.path, client.ask("up/m", stream=True))
        entry = await run.entry()
    (attempt,) = entry.attempts
    assert (attempt.status, attempt.reason) == (200, "upstream_broken")
    assert 0 < attempt.duration <= entry.duration


async def test_an_attempt_that_the_client_left_says_so(tmp_path: Path) -> None:
    sections = one_target("", ledger={"capture": "metadata"})
    async with Upstream(stream(OPENAI.events[0], asyncio.Event())) as up:
        sections["providers"] = {"up": OPENAI.provider(up.url)}
        async with running(tmp_path, sections) as run:
            async with connected(run.port) as line:
                await line.send(request(OPENAI.path, OPENAI.ask("up/m", stream=True)))
                await line.read_head()
            entry = await run.entry()
    assert [attempt.reason for attempt in entry.attempts] == ["client_closed_request"]


@pytest.mark.parametrize("client", ["lean", "general"])
async def test_a_providers_own_limit_is_no_deadline(client: str, tmp_path: Path) -> None:
    async with Upstream(silence) as up:
        sections = {
            "providers": {"up": OPENAI.provider(up.url, timeout=0.2)},
            "transport": {"client": client},
        }
        async with running(tmp_path, sections) as run:
            await ask(run.port, OPENAI.path, OPENAI.ask("up/m"))  # imports aiohttp, which takes longer than the limit
            answer = await ask(run.port, OPENAI.path, OPENAI.ask("up/m"), {"x-trunkline-deadline-ms": "60000"})
    assert (answer.status, OPENAI.error_code(answer.json)) == (504, "upstream_timeout")


@pytest.mark.parametrize("client", ["lean", "general"])
async def test_a_head_that_is_too_large_is_told_as_that(client: str, tmp_path: Path) -> None:
    long = whole(OPENAI.answer, headers={"x-long": "a" * 5000})
    async with Upstream(long) as up:
        sections = one_target(up.url, transport={"client": client, "max_header_size": 2000})
        async with running(tmp_path, sections) as run:
            answer = await ask(run.port, ANTHROPIC.path, ANTHROPIC.ask("up/m"))
    assert (answer.status, ANTHROPIC.error_code(answer.json)) == (502, "upstream_protocol_error")
    assert "transport.max_header_size" in answer.json["error"]["message"]


@pytest.mark.parametrize("name", ["a\r\nx: y", "\x00", "ü", "\x7f", "x" * 100_000])
def test_no_name_becomes_a_header_field_of_its_own(name: str) -> None:
    said = printable(name)
    assert said.isascii()
    assert said.decode().isprintable()
    assert len(said) <= 6 * MAX_TEXT
