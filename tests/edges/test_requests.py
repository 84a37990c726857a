"""What a call says of itself and what it is told: headers, errors in its family's envelope, nothing that is ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.edges.families import ANTHROPIC, FAMILIES, OPENAI, PAIRS, Family
from tests.edges.test_streams import one_target
from tests.edges.upstreams import Upstream, silence, stream, whole
from tests.running import running
from tests.talking import ask

# ── The identity path ──────────────────────────────────────────────────────────────────────────────────────────────

UNKNOWN = b'"x_new": {"b": 1.0, "a": [1e3, "\\u00e9", {"deep": null}],  "big": 12345678901234567890}'


@pytest.mark.parametrize("client", FAMILIES, ids=str)
@pytest.mark.parametrize("streaming", [False, True])
async def test_what_we_do_not_know_passes_byte_for_byte(streaming: bool, client: Family, tmp_path: Path) -> None:
    body = json.dumps(client.ask("up/real", stream=streaming)).encode()[:-1] + b", " + UNKNOWN + b"}"
    answer = stream(*client.events) if streaming else whole(client.answer)
    async with Upstream(answer) as up, running(tmp_path, one_target(up.url, client)) as run:
        assert (await ask(run.port, client.path, body)).status == 200
    sent = up.asked[0]
    assert UNKNOWN.partition(b": ")[2] in sent.body
    added = {"stream_options": {"include_usage": True}} if client is OPENAI and streaming else {}
    assert sent.json == json.loads(body) | {"model": "real"} | added
    assert sent.headers["content-type"] == "application/json"


@pytest.mark.parametrize("asked", [False, True])
async def test_the_usage_chunk_is_taken_out_only_where_it_was_ours(asked: bool, tmp_path: Path) -> None:
    options = {"stream_options": {"include_usage": True}} if asked else {}
    async with Upstream(stream(*OPENAI.events)) as up, running(tmp_path, one_target(up.url)) as run:
        answer = await ask(run.port, OPENAI.path, OPENAI.ask("up/m", stream=True, **options))
        entry = await run.entry()
    assert (OPENAI.events[3] in answer.body) == asked
    assert len(answer.events) == (5 if asked else 4)
    assert entry.usage is not None
    assert entry.usage.input == 7


@pytest.mark.parametrize("version", [None, "2023-06-01", "2026-10-21"])
async def test_anthropics_headers_are_forwarded(version: str | None, tmp_path: Path) -> None:
    given = {"anthropic-beta": "one,two"} | ({"anthropic-version": version} if version else {})
    async with Upstream(whole(ANTHROPIC.answer)) as up, running(tmp_path, one_target(up.url, ANTHROPIC)) as run:
        for key in ({"x-api-key": "client-key"}, {"authorization": "Bearer client-key"}):
            answer = await ask(run.port, ANTHROPIC.path, ANTHROPIC.ask("up/m"), given | key)
            assert answer.status == 200
    for sent in up.asked:
        assert sent.headers["anthropic-version"] == (version or "2023-06-01")
        assert sent.headers["anthropic-beta"] == "one,two"
        assert sent.headers["x-api-key"] == "sk-provider-secret-42"
        assert "client-key" not in str(sent.headers)


# ── Our own headers ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("strict", [False, True])
async def test_what_is_lost_is_said_or_refused_in_the_clients_words(strict: bool, tmp_path: Path) -> None:
    body = OPENAI.ask("up/m", logit_bias={"1": 5}, seed=7, max_completion_tokens=5)
    headers = {"x-trunkline-strict": "1"} if strict else {}
    async with Upstream(whole(ANTHROPIC.answer)) as up, running(tmp_path, one_target(up.url, ANTHROPIC)) as run:
        answer = await ask(run.port, OPENAI.path, body, headers)
        entry = await run.entry()
    assert {"logit_bias", "seed"} <= set(entry.lost)
    assert answer.headers["x-trunkline-lost"] == ", ".join(entry.lost)
    if strict:
        assert answer.status == 400
        assert OPENAI.error_code(answer.json) == "lossy_translation"
        assert "logit_bias" in answer.json["error"]["message"]
        assert answer.json["error"]["param"] in entry.lost
        assert up.asked == []
        assert entry.error == "lossy_translation"
    else:
        assert answer.status == 200


async def test_tags_are_kept_and_bounded(tmp_path: Path) -> None:
    async with Upstream(whole(OPENAI.answer)) as up, running(tmp_path, one_target(up.url)) as run:
        assert (await ask(run.port, OPENAI.path, OPENAI.ask("up/m"), {"x-trunkline-tags": "a, b ,,c"})).status == 200
        assert (await run.entry()).tags == ("a", "b", "c")
        for tags in (",".join(map(str, range(33))), "x" * 129):
            answer = await ask(run.port, OPENAI.path, OPENAI.ask("up/m"), {"x-trunkline-tags": tags})
            assert answer.status == 400
            assert "x-trunkline-tags" in answer.json["error"]["message"]
        await run.entry(3)


@pytest.mark.parametrize("client", FAMILIES, ids=str)
@pytest.mark.parametrize("transport", ["lean", "general"])
async def test_the_deadline_ends_a_call(transport: str, client: Family, tmp_path: Path) -> None:
    sections = one_target("", client, transport={"client": transport})
    async with Upstream(silence) as up:
        sections["providers"] = {"up": client.provider(up.url)}
        async with running(tmp_path, sections) as run:
            answer = await ask(run.port, client.path, client.ask("up/m"), {"x-trunkline-deadline-ms": "80"})
            entry = await run.entry()
    assert answer.status == 504
    assert client.error_code(answer.json) == "deadline_exceeded"
    assert (entry.status, entry.error) == (504, "deadline_exceeded")
    assert 0.08 <= entry.duration < 5


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "soon", "999999999999", "\u00b2"])
async def test_a_deadline_that_is_none(value: str, tmp_path: Path) -> None:
    async with running(tmp_path, one_target("http://127.0.0.1:9")) as run:
        answer = await ask(run.port, OPENAI.path, OPENAI.ask("up/m"), {"x-trunkline-deadline-ms": value})
        assert answer.status == 400
        assert "x-trunkline-deadline-ms" in answer.json["error"]["message"]
        assert (await run.entry()).error == "invalid_request"


# ── Requests that are wrong ────────────────────────────────────────────────────────────────────────────────────────

WRONG: dict[str, tuple[bytes, str]] = {
    "empty": (b"", ""),
    "not JSON": (b'{"model": ', ""),
    "not UTF-8": (b'{"model": "\xff\xfe"}', ""),
    "a list": (b"[1, 2]", ""),
    "a string": (b'"hello"', ""),
    "no model": (b'{"messages": []}', "model"),
    "model of the wrong type": (b'{"model": 5, "messages": []}', "model"),
    "model null": (b'{"model": null, "messages": []}', "model"),
    "stream of the wrong type": (b'{"model": "up/m", "stream": "yes", "messages": []}', "stream"),
    "a lone surrogate": (b'{"model": "\\ud800", "messages": []}', ""),
}


@pytest.mark.parametrize("client", FAMILIES, ids=str)
@pytest.mark.parametrize("case", WRONG)
async def test_a_wrong_request_is_told_what_is_wrong(case: str, client: Family, tmp_path: Path) -> None:
    body, named = WRONG[case]
    async with running(tmp_path, one_target("http://127.0.0.1:9", client)) as run:
        answer = await ask(run.port, client.path, body)
        entry = await run.entry()
    assert 400 <= answer.status < 405
    client.error_code(answer.json)
    assert named in answer.json["error"]["message"]
    assert entry.status == answer.status
    assert entry.error is not None


@pytest.mark.parametrize(("client", "upstream"), [pair for pair in PAIRS if pair[0] is not pair[1]], ids=str)
async def test_what_cannot_be_translated_is_named(client: Family, upstream: Family, tmp_path: Path) -> None:
    async with running(tmp_path, one_target("http://127.0.0.1:9", upstream)) as run:
        for wrong in ({"messages": "hello"}, {"messages": [{"role": "wizard", "content": "x"}]}, {"messages": [5]}):
            answer = await ask(run.port, client.path, client.ask("up/m", **wrong))
            assert answer.status == 400
            assert "messages" in answer.json["error"]["message"]
        await run.entry(3)


@pytest.mark.parametrize("client", FAMILIES, ids=str)
async def test_an_unknown_model_with_a_hint(client: Family, tmp_path: Path) -> None:
    sections = one_target("http://127.0.0.1:9", client)
    sections["models"] = {"smart": {"targets": [{"target": "up/a"}]}}
    async with running(tmp_path, sections) as run:
        near = await ask(run.port, client.path, client.ask("smrat"))
        far = await ask(run.port, client.path, client.ask("zzz"))
        entry = await run.entry(2)
    assert near.status == far.status == 404
    assert client.error_code(near.json) == "model_not_found"
    assert "Did you mean 'smart'?" in near.json["error"]["message"]
    assert "/v1/models" in far.json["error"]["message"]
    assert (entry.model, entry.error, entry.attempts) == ("zzz", "model_not_found", [])


# ── Nothing that is ours ───────────────────────────────────────────────────────────────────────────────────────────

TELLTALE = {
    "401": (401, "Incorrect API key provided: sk-provider-secret-42"),
    "403": (403, "Project proj_ours has no access; key sk-provider-secret-42"),
    "402": (402, "Your account acct_ours is out of money"),
    "400": (400, "Bad request with header Authorization: Bearer sk-provider-secret-42"),
    "500": (500, "crash while handling sk-provider-secret-42"),
}


@pytest.mark.parametrize(("client", "upstream"), PAIRS, ids=str)
@pytest.mark.parametrize("case", TELLTALE)
async def test_our_credential_is_told_to_nobody(case: str, client: Family, upstream: Family, tmp_path: Path) -> None:
    status, message = TELLTALE[case]
    error = whole({"type": "error", "error": {"type": "x", "message": message, "code": None}}, status)
    async with Upstream(error) as up, running(tmp_path, one_target(up.url, upstream)) as run:
        answer = await ask(run.port, client.path, client.ask("up/m"))
        entry = await run.entry()
    told = answer.body.decode() + str(answer.headers)
    assert answer.status == (429 if status == 402 and client is OPENAI else status) or status == 500
    for ours in ("sk-provider-secret-42", "127.0.0.1", str(up.port), "ours", "Traceback"):
        assert ours not in told
    assert "sk-provider-secret-42" not in str(entry)


@pytest.mark.parametrize("client", FAMILIES, ids=str)
async def test_a_failed_connection_names_no_host(client: Family, tmp_path: Path) -> None:
    async with running(tmp_path, one_target("http://127.0.0.1:9", client)) as run:
        answer = await ask(run.port, client.path, client.ask("up/m"))
    assert answer.status == 502
    assert client.error_code(answer.json) == "upstream_unreachable"
    assert b"127.0.0.1" not in answer.body
    assert b":9" not in answer.body


async def test_caller_made_names_cannot_break_a_header(tmp_path: Path) -> None:
    async with Upstream(whole(OPENAI.answer)) as up, running(tmp_path, one_target(up.url)) as run:
        for model in ("up/x\r\nset-cookie: a=b", "up/é\u2028", "up/" + "x" * 5000):
            answer = await ask(run.port, OPENAI.path, OPENAI.ask(model))
            assert answer.status == 200
            assert "set-cookie" not in answer.headers
            assert len(answer.headers["x-trunkline-target"]) < 13_000


async def test_every_answer_has_an_id_that_the_ledger_knows(tmp_path: Path) -> None:
    async with Upstream(whole(OPENAI.answer)) as up, running(tmp_path, one_target(up.url)) as run:
        answers: list[Any] = [await ask(run.port, OPENAI.path, OPENAI.ask("up/m")) for _ in range(3)]
        answers.append(await ask(run.port, OPENAI.path, b"{"))
        await run.entry(4)
        assert [each.headers["x-request-id"] for each in answers] == [entry.id for entry in run.entries()]
        assert [each.headers["request-id"] for each in answers] == [entry.id for entry in run.entries()]
