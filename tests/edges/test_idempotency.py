"""`Idempotency-Key` end to end: one call at the provider, one price in the ledger, the same bytes for everyone."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.edges.surface_calls import GENERATE
from tests.running import Running, running, until
from tests.talking import Answer, ask, connected, request

SECTIONS: dict[str, Any] = {"models": {"smart": {"targets": [{"target": "sim/sim-small"}]}}}
PATHS = {
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "anthropic": "/v1/messages",
}


def once(key: str = "k-1", **more: str) -> dict[str, str]:
    return {"Idempotency-Key": key} | more


async def post(run: Running, body: dict[str, Any], path: str = PATHS["openai_chat"], **headers: str) -> Answer:
    return await ask(run.port, path, {"model": "smart"} | body, once() | headers)


def hello(stream: bool) -> dict[str, Any]:
    return GENERATE["openai_chat"][0] | {"stream": stream}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", PATHS)
async def test_the_answer_is_the_same_to_the_byte(tmp_path: Path, dialect: str, stream: bool) -> None:
    async with running(tmp_path, SECTIONS) as run:
        body = GENERATE[dialect][0] | {"stream": stream}
        first = await post(run, body, PATHS[dialect])
        again = await post(run, body, PATHS[dialect])
        assert (first.status, again.status) == (200, 200)
        assert first.body == again.body
        assert again.headers["x-trunkline-replayed"] == "true"
        assert "x-trunkline-replayed" not in first.headers
        assert again.headers["x-trunkline-target"] == "sim/sim-small"
        await run.entry(2)
        one, two = run.entries()
        assert one.usage is not None
        assert one.usage.output > 0
        assert (two.usage and two.usage.total) == 0
        assert (len(one.attempts), len(two.attempts)) == (1, 0)


async def test_a_retry_joins_the_stream_that_its_first_try_left(tmp_path: Path) -> None:
    async with running(tmp_path, SECTIONS) as run:
        body = {"model": "sim/sim-small+tps=100"} | hello(True)
        async with connected(run.port) as first:
            await first.send(request(PATHS["openai_chat"], body, once()))
            assert (await first.read_head()).status == 200
            begun = await first.read_chunk()
        again = await ask(run.port, PATHS["openai_chat"], body, once())
        assert again.body.startswith(begun)
        assert again.events[-1] == b"data: [DONE]"
        await run.entry(2)
        first_entry = next(entry for entry in run.entries() if entry.attempts)
        assert first_entry.error is None, "the call was made to its end"
        assert first_entry.usage is not None
        assert not first_entry.usage.estimated


async def test_both_of_two_at_once_get_the_answer(tmp_path: Path) -> None:
    async with running(tmp_path, SECTIONS) as run:
        answers = await asyncio.gather(*(post(run, hello(False)) for _ in range(4)))
        assert len({answer.body for answer in answers}) == 1
        await run.entry(4)
        assert sum(len(entry.attempts) for entry in run.entries()) == 1


@pytest.mark.parametrize("dialect", PATHS)
async def test_another_body_is_refused_in_the_callers_family(tmp_path: Path, dialect: str) -> None:
    async with running(tmp_path, SECTIONS) as run:
        body = GENERATE[dialect][0]
        assert (await post(run, body, PATHS[dialect])).status == 200
        refused = await post(run, body | {"temperature": 0.5}, PATHS[dialect])
        assert refused.status == 422
        assert refused.json["error"]["code"] == "idempotency_key_reused"


async def test_without_a_retry_the_call_ends_and_may_be_made_again(tmp_path: Path) -> None:
    async with running(tmp_path, SECTIONS | {"idempotency": {"linger": 0.05}}) as run:
        async with connected(run.port) as first:
            await first.send(request(PATHS["openai_chat"], {"model": "sim/sim-small+hang"} | hello(False), once()))
            await until(lambda: run.gateway.idempotency.records.running, "the call is made")
        assert run.gateway.edge.busy
        entry = await run.entry()
        assert (entry.error, len(entry.attempts)) == ("client_closed_request", 1)
        assert len(run.gateway.idempotency.records) == 0


async def test_work_in_the_background_is_begun_once_and_paid(tmp_path: Path) -> None:
    async with running(tmp_path, SECTIONS) as run:
        body = {"input": "hello", "background": True}
        first, again = [await post(run, body, PATHS["openai_responses"]) for _ in range(2)]
        assert first.json["id"] == again.json["id"]
        await run.entry(2)
        paid = next(entry for entry in run.entries() if entry.attempts)
        assert paid.usage is not None
        assert paid.usage.output > 0
        shown = await ask(run.port, f"/v1/responses/{first.json['id']}")
        assert shown.json["status"] == "completed"
