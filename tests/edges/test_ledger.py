"""One entry a call, whatever happens, and what is in it."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.edges.families import ANTHROPIC, FAMILIES, OPENAI, PAIRS, Family
from tests.edges.test_streams import one_target
from tests.edges.upstreams import Upstream, silence, stream, whole
from tests.running import running, shipped, until
from tests.talking import ask, connected, request
from trunkline.core.usage import NANO


async def test_one_entry_a_call_whatever_happens(tmp_path: Path) -> None:
    """Each kind of end once, on one gateway."""
    answers = [whole(OPENAI.answer), stream(*OPENAI.events), whole({"error": {"message": "no"}}, 500), silence]
    async with Upstream(*answers) as up, running(tmp_path, one_target(up.url)) as run:
        await ask(run.port, OPENAI.path, OPENAI.ask("up/m"))
        await ask(run.port, OPENAI.path, OPENAI.ask("up/m", stream=True))
        await ask(run.port, OPENAI.path, OPENAI.ask("up/m"))
        async with connected(run.port) as line:
            up.arrived.clear()
            await line.send(request(OPENAI.path, OPENAI.ask("up/m")))
            await up.arrived.wait()
            line.abort()
            await run.entry(4)
        await ask(run.port, OPENAI.path, b"{")
        await ask(run.port, OPENAI.path, OPENAI.ask("nothing/m", max_tokens=1))
        async with connected(run.port) as line:
            await line.send(request(OPENAI.path, b"x" * 100)[:-50])
            await until(lambda: run.gateway.edge.in_flight == 1, "the call is there")
        await run.entry(7)
        for path in ("/healthz", "/readyz", "/metrics", "/v1/models", "/nothing"):
            await ask(run.port, path)
        entries = run.entries()
    assert [(entry.status, entry.error) for entry in entries] == [
        (200, None),
        (200, None),
        (500, "upstream_server"),
        (499, "client_closed_request"),
        (400, "invalid_json"),
        (404, "model_not_found"),
        (499, "client_closed_request"),
    ]
    assert len({entry.id for entry in entries}) == 7
    assert all(entry.surface == OPENAI.path for entry in entries)


@pytest.mark.parametrize(("client", "upstream"), PAIRS, ids=str)
@pytest.mark.parametrize("streaming", [False, True])
async def test_usage_is_the_upstreams_own(client: Family, upstream: Family, streaming: bool, tmp_path: Path) -> None:
    answer = stream(*upstream.events) if streaming else whole(upstream.answer)
    async with Upstream(answer) as up, running(tmp_path, one_target(up.url, upstream)) as run:
        body = client.ask("up/m", stream=streaming)
        said = await ask(run.port, client.path, body)
        entry = await run.entry()
    assert entry.usage is not None
    assert (entry.usage.input, entry.usage.output, entry.usage.estimated) == (7, 2, False)
    assert (entry.model, entry.target, entry.stream, entry.key) == ("up/m", "up/m", streaming, "anyone")
    assert entry.bytes_out == len(said.body)
    assert entry.bytes_in > 50


@pytest.mark.parametrize("upstream", FAMILIES, ids=str)
async def test_usage_is_estimated_and_says_so_where_none_is_reported(upstream: Family, tmp_path: Path) -> None:
    answer = {name: value for name, value in upstream.answer.items() if name != "usage"}
    async with Upstream(whole(answer)) as up, running(tmp_path, one_target(up.url, upstream)) as run:
        await ask(run.port, OPENAI.path, OPENAI.ask("up/m"))
        entry = await run.entry()
    assert entry.usage is not None
    assert entry.usage.estimated
    assert entry.usage.input > 0
    assert entry.usage.output > 0


@pytest.mark.parametrize("client", FAMILIES, ids=str)
@pytest.mark.parametrize("leaves", [False, True])
async def test_what_was_counted_before_an_answer_broke_off_is_kept(
    client: Family, leaves: bool, tmp_path: Path
) -> None:
    """Claude tells the prompt's tokens first. The upstream hangs up, or the client leaves."""
    first, *_ = ANTHROPIC.events
    words = b"one word after the other " * 20
    begun = (
        b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text",'
        b'"text":""}}\n\n',
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta",'
        b'"text":"%b"}}\n\n' % words,
    )
    answer = stream(first, *begun, None) if leaves else stream(first, *begun, end=False)
    async with Upstream(answer) as up, running(tmp_path, one_target(up.url, ANTHROPIC)) as run:
        async with connected(run.port) as line:
            await line.send(request(client.path, client.ask("up/m", stream=True)))
            await line.read_head()
            seen = b""
            while b"one word" not in seen:
                seen += await line.read_chunk()
            line.abort()
        entry = await run.entry()
    assert entry.usage is not None
    assert entry.usage.estimated
    assert entry.usage.input == 7
    assert entry.usage.output >= 100


@pytest.mark.parametrize("capture", ["none", "metadata", "full"])
@pytest.mark.parametrize("streaming", [False, True])
async def test_bodies_are_kept_only_where_that_is_asked(capture: str, streaming: bool, tmp_path: Path) -> None:
    sections = one_target("", ledger={"capture": capture})
    async with Upstream(stream(*OPENAI.events) if streaming else whole(OPENAI.answer)) as up:
        sections["providers"] = {"up": OPENAI.provider(up.url)}
        async with running(tmp_path, sections) as run:
            said = await ask(
                run.port, OPENAI.path, OPENAI.ask("up/m", stream=streaming), {"x-trunkline-tags": "tagged"}
            )
            entry = await run.entry()
            kept = (tmp_path / "state" / "journal").glob("*")
            text = "".join(path.read_text() for path in kept)
    assert ("hello there" in text) == (capture == "full")
    assert (entry.request is not None) == (capture == "full")
    assert entry.response == (said.body.decode() if capture == "full" else None)
    assert (entry.tags == ("tagged",)) == (capture != "none")
    assert bool(entry.attempts) == (capture != "none")
    assert entry.usage is not None


PRICED = (("openai", "gpt-4o"), ("anthropic", "claude-sonnet-4-5"))


@pytest.mark.parametrize(("provider", "model"), PRICED)
async def test_costs_are_those_of_the_price_list(provider: str, model: str, tmp_path: Path) -> None:
    import genai_prices

    family = next(each for each in FAMILIES if each.name == provider)
    async with (
        Upstream(whole(family.answer)) as up,
        running(tmp_path, one_target(up.url, family), begin=True) as run,
    ):
        await until(lambda: run.gateway.stores.prices._library is not None, "the price list is loaded")
        answer = await ask(run.port, family.path, family.ask(f"up/{model}"))
        await until(lambda: run.gateway.status()["state"]["shipped"] == 1, "the entry is in the database")
    usage = genai_prices.Usage(input_tokens=7, output_tokens=2)
    expected = genai_prices.calc_price(usage, model, provider_id=provider).total_price * NANO
    (entry,) = shipped(tmp_path)
    assert entry.cost == expected
    assert Decimal(answer.headers["x-trunkline-cost-usd"]) * NANO == expected


async def test_a_broken_database_is_seen_in_readyz_and_stops_nothing(tmp_path: Path) -> None:
    """The database's place is taken by a directory: calls go on, the journal keeps their entries."""
    (tmp_path / "trunkline.db").mkdir()
    async with (
        Upstream(whole(OPENAI.answer)) as up,
        running(tmp_path, one_target(up.url), begin=True) as run,
    ):
        await until(lambda: len(run.gateway.status()["state"]["errors"]) == 4, "the trouble is seen")
        assert (await ask(run.port, OPENAI.path, OPENAI.ask("up/m"))).status == 200
        ready = await ask(run.port, "/readyz")
        entry = await run.entry()
    assert ready.status == 200
    assert ready.json["degraded"] is True
    assert set(ready.json["state"]["errors"]) == {"keys", "ledger", "limits", "responses"}
    assert ready.json["state"]["journal"]["entries"] == 1
    assert entry.status == 200


async def test_many_calls_at_once_have_an_entry_each(tmp_path: Path) -> None:
    async with Upstream(whole(OPENAI.answer)) as up, running(tmp_path, one_target(up.url)) as run:
        asked: list[Any] = [ask(run.port, OPENAI.path, OPENAI.ask("up/m")) for _ in range(100)]
        answers = await asyncio.gather(*asked)
        await run.entry(100)
        assert {entry.id for entry in run.entries()} == {answer.headers["x-request-id"] for answer in answers}
