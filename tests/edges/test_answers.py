"""What answers have in common, whoever gives them: the family's envelope, an id, a date, known framing."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from tests.edges.families import ANTHROPIC, FAMILIES, OPENAI, Family
from tests.edges.test_streams import one_target
from tests.edges.upstreams import Upstream, stream, whole
from tests.running import running, until
from tests.talking import ask, connected, request

NOWHERE = "http://127.0.0.1:9"
VERSION = {"anthropic-version": "2023-06-01"}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/v1/models/none", 404, "model_not_found"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("GET", "/admin/v1/keys", 404, "admin_off"),
    ],
)
@pytest.mark.parametrize("client", FAMILIES, ids=str)
async def test_a_page_refuses_in_the_callers_family(
    client: Family, method: str, path: str, status: int, code: str, tmp_path: Path
) -> None:
    async with running(tmp_path, one_target(NOWHERE)) as run:
        answer = await ask(run.port, path, method=method, headers=VERSION if client is ANTHROPIC else {})
    assert (answer.status, client.error_code(answer.json)) == (status, code)
    said = answer.json if client is ANTHROPIC else answer.json["error"]
    assert said["request_id"] == answer.headers["x-request-id"] == answer.headers["request-id"]


async def test_the_connection_speaks_the_callers_family_once_its_head_has_come(tmp_path: Path) -> None:
    sections = one_target(NOWHERE, server={"body_timeout": 0.1})
    async with running(tmp_path, sections) as run, connected(run.port) as line:
        await line.send(request("/v1/messages", headers=VERSION | {"content-length": "9"}))
        answer = await line.answer()
    assert answer.status == 408
    assert answer.json["type"] == "error"
    assert answer.json["error"]["code"] == "request_timeout"


async def test_answers_are_dated(tmp_path: Path) -> None:
    async with running(tmp_path, one_target(NOWHERE)) as run:
        answers = [await ask(run.port, "/healthz"), await ask(run.port, OPENAI.path, b"{")]
    for answer in answers:
        assert abs(parsedate_to_datetime(answer.headers["date"]).timestamp() - time.time()) < 60


@pytest.mark.parametrize("streaming", [True, False])
async def test_http_1_0_knows_no_chunks(streaming: bool, tmp_path: Path) -> None:
    """A stream's end is then the connection's (RFC 9112, section 6.1)."""
    answer = stream(*OPENAI.events) if streaming else whole(OPENAI.answer)
    async with Upstream(answer) as up, running(tmp_path, one_target(up.url)) as run, connected(run.port) as line:
        asked = request(OPENAI.path, OPENAI.ask("up/m", stream=streaming))
        await line.send(asked.replace(b"HTTP/1.1", b"HTTP/1.0"))
        head = await line.read_head()
        body = await line.rest()
    assert head.status == 200
    assert "transfer-encoding" not in head.headers
    assert head.headers["connection"] == "close"
    assert ("content-length" in head.headers) is not streaming
    assert body.startswith(OPENAI.events[0] if streaming else b"{")
    assert body.rstrip().endswith(OPENAI.terminator if streaming else b"}")


async def test_why_it_is_degraded_is_for_the_admin_key(tmp_path: Path) -> None:
    sections = one_target(NOWHERE, admin_key="the-admin-key-of-this-test", auth="required")
    sections["state"] = {
        "durable": "postgresql://someone:secret@127.0.0.1:9/ledger",
        "directory": str(tmp_path / "state"),
    }
    parts = {"keys", "ledger", "limits", "responses"}
    async with running(tmp_path, sections, begin=True) as run:
        await until(lambda: set(run.gateway.status()["state"]["errors"]) >= parts, "all that ask the database have")
        anyone = await ask(run.port, "/readyz")
        admin = await ask(run.port, "/readyz", headers={"authorization": "Bearer the-admin-key-of-this-test"})
    assert anyone.json["degraded"] is True
    assert set(anyone.json["state"]["errors"]) == set(admin.json["state"]["errors"]) == parts
    for telling in (b"someone", b"127.0.0.1", b"ledger?", b":9"):
        assert telling not in anyone.body
    assert b"127.0.0.1" in admin.body


@pytest.mark.parametrize("digits", ["9" * 5000, "86400001", "086400000"])
async def test_a_deadline_of_any_length_is_read_or_refused(digits: str, tmp_path: Path) -> None:
    async with running(tmp_path, one_target(NOWHERE)) as run:
        answer = await ask(run.port, OPENAI.path, OPENAI.ask("up/m"), {"x-trunkline-deadline-ms": digits})
        longest = await ask(run.port, OPENAI.path, OPENAI.ask("up/m"), {"x-trunkline-deadline-ms": "86400000"})
    assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_request")
    assert "between 1 and 86400000" in answer.json["error"]["message"]
    assert longest.status == 502  # the deadline is fine; nobody is there


@pytest.mark.parametrize(("said", "status"), [("banana", 400), ("yes", 400), ("TRUE", 502), ("0", 502), ("false", 502)])
async def test_strict_is_yes_or_no(said: str, status: int, tmp_path: Path) -> None:
    async with running(tmp_path, one_target(NOWHERE)) as run:
        answer = await ask(run.port, OPENAI.path, OPENAI.ask("up/m"), {"x-trunkline-strict": said})
    assert answer.status == status
    if status == 400:
        assert "1, true, 0 or false" in answer.json["error"]["message"]


async def test_tags_are_utf_8(tmp_path: Path) -> None:
    asked = request(OPENAI.path, OPENAI.ask("up/m"), {"x-trunkline-tags": "TAG"})
    sections = one_target(NOWHERE, ledger={"capture": "metadata"})
    async with running(tmp_path, sections) as run, connected(run.port) as line:
        await line.send(asked.replace(b"TAG", "équipe".encode()))
        assert (await line.answer()).status == 502
        assert (await run.entry()).tags == ("équipe",)
        await line.send(asked.replace(b"TAG", b"\xe9quipe"))
        refused = await line.answer()
    assert refused.status == 400
    assert "UTF-8" in refused.json["error"]["message"]
