"""Streams on their way: the first byte at once, pings in silence, both ends' leaving noticed, no end that is a lie."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.edges.families import FAMILIES, OPENAI, PAIRS, Family
from tests.edges.upstreams import STREAM_HEAD, Answer, Upstream, chunk, silence, stream, whole
from tests.running import Running, running, until
from tests.talking import Line, connected, request

NOTICED = 0.1
"""Seconds in which the upstream must see that the client has left."""


def one_target(url: str, family: Family = OPENAI, **sections: Any) -> dict[str, Any]:
    return {"providers": {"up": family.provider(url)}} | sections


@pytest.fixture(params=["lean", "general"])
def transport(request: pytest.FixtureRequest) -> dict[str, Any]:
    return {"client": request.param}


@pytest.mark.parametrize(("client", "upstream"), PAIRS, ids=str)
async def test_the_first_event_arrives_while_the_upstream_waits(
    client: Family, upstream: Family, transport: dict[str, Any], tmp_path: Path
) -> None:
    seen = asyncio.Event()
    begin = 1 if upstream is OPENAI else 3
    events = stream(*upstream.events[:begin], seen, *upstream.events[begin:])
    async with (
        Upstream(events) as up,
        running(tmp_path, one_target(up.url, upstream, transport=transport)) as run,
        connected(run.port) as line,
    ):
        await line.send(request(client.path, client.ask("up/m", stream=True)))
        assert (await line.read_head()).headers["content-type"].startswith("text/event-stream")
        first = await line.read_chunk()
        assert b"h" in first
        assert client.terminator not in first
        seen.set()
        rest = await line.read_body()
        entry = await run.entry()
    assert client.terminator in rest
    assert entry.usage is not None
    assert (entry.usage.input, entry.usage.output, entry.usage.estimated) == (7, 2, False)
    assert entry.first_byte is not None
    assert entry.first_byte <= entry.duration
    assert entry.bytes_out == len(first) + len(rest)


@pytest.mark.parametrize(("client", "upstream"), PAIRS, ids=str)
async def test_pings_come_in_silence_and_between_events(client: Family, upstream: Family, tmp_path: Path) -> None:
    """The upstream stops in the middle of an event: a ping must not land there."""
    go_on = asyncio.Event()
    half = len(upstream.events[1]) // 2
    events = stream(
        upstream.events[0],
        upstream.events[1][:half],
        go_on,
        upstream.events[1][half:],
        *upstream.events[2:],
    )
    async with (
        Upstream(events) as up,
        running(tmp_path, one_target(up.url, upstream, server={"ping_interval": 0.05})) as run,
        connected(run.port) as line,
    ):
        await line.send(request(client.path, client.ask("up/m", stream=True)))
        await line.read_head()
        body = b""
        while body.count(client.ping) < 3:
            body += await line.read_chunk()
        go_on.set()
        body += await line.read_body()
        entry = await run.entry()
    without = body.replace(client.ping, b"")
    if client is upstream is OPENAI:  # the usage chunk was the gateway's wish
        assert without == b"".join((*OPENAI.events[:3], OPENAI.events[4]))
    elif client is upstream:
        assert without == b"".join(upstream.events)
    assert client.terminator in without
    assert entry.error is None


async def test_a_stream_whose_head_comes_late_is_pinged_before_its_first_event(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    async with (
        Upstream(stream(go_on, *OPENAI.events)) as up,
        running(tmp_path, one_target(up.url, server={"ping_interval": 0.05})) as run,
        connected(run.port) as line,
    ):
        await line.send(request(OPENAI.path, OPENAI.ask("up/m", stream=True)))
        await line.read_head()
        assert await line.read_chunk() == OPENAI.ping
        go_on.set()
        assert (await line.read_body()).endswith(b"data: [DONE]\n\n")


async def test_no_ping_follows_the_end(tmp_path: Path) -> None:
    """Many short streams with pings due all the time: a stray ping would be an error of the event loop."""
    mistakes: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: mistakes.append(context))
    async with (
        Upstream(stream(*OPENAI.events)) as up,
        running(tmp_path, one_target(up.url, server={"ping_interval": 0.001})) as run,
        connected(run.port) as line,
    ):
        for _ in range(50):
            await line.send(request(OPENAI.path, OPENAI.ask("up/m", stream=True)))
            assert (await line.answer()).body.endswith(b"data: [DONE]\n\n")
    assert mistakes == []


WAITING: dict[str, tuple[Answer, bool]] = {
    "for the head": (silence, True),
    "for a whole answer's head": (silence, False),
    "for a whole answer's body": (whole(b"{", headers={"content-length": "100"}), False),
    "for the first event": (stream(None), True),
    "for the next event": (stream(OPENAI.events[0], None), True),
}


@pytest.mark.parametrize("case", WAITING)
async def test_the_upstream_sees_the_client_leave(case: str, transport: dict[str, Any], tmp_path: Path) -> None:
    answer, streaming = WAITING[case]
    async with (
        Upstream(answer) as up,
        running(tmp_path, one_target(up.url, transport=transport)) as run,
        connected(run.port) as line,
    ):
        await line.send(request(OPENAI.path, OPENAI.ask("up/m", stream=streaming)))
        await up.arrived.wait()
        if case == "for the next event":
            await line.read_head()
            assert await line.read_chunk() == OPENAI.events[0]
        line.abort()
        left = time.monotonic()
        await asyncio.wait_for(up.gone.wait(), 10)
        entry = await run.entry()
    assert up.gone_at - left < NOTICED
    assert entry.error == "client_closed_request"
    assert entry.status == (200 if case == "for the next event" else 499)
    assert entry.usage is not None
    assert entry.usage.estimated  # who leaves has used the prompt all the same, and what has come of the answer
    assert (entry.usage.output > 0) == (case == "for the next event")
    await until(lambda: run.gateway.edge.in_flight == 0, "nothing is in flight")


@pytest.mark.parametrize(("client", "upstream"), PAIRS, ids=str)
async def test_an_upstream_that_breaks_after_the_terminator_has_answered(
    client: Family, upstream: Family, tmp_path: Path
) -> None:
    """All that the client needs is there: an error behind it would be a lie."""
    seen = asyncio.Event()
    async with (
        Upstream(stream(*upstream.events, seen, end=False)) as up,
        running(tmp_path, one_target(up.url, upstream)) as run,
        connected(run.port) as line,
    ):
        await line.send(request(client.path, client.ask("up/m", stream=True)))
        await line.read_head()
        body = b""
        if client is upstream:  # the translated path says the end when the upstream does
            while client.terminator not in body:
                body += await line.read_chunk()
        seen.set()
        body += await line.read_body()
        entry = await run.entry()
    assert client.terminator in body.split(b"\n\n")[-2]
    assert entry.error is None


async def test_nothing_is_read_behind_an_error(tmp_path: Path) -> None:
    seen = asyncio.Event()
    async with (
        Upstream(stream(*OPENAI.events[:2], seen, OPENAI.error_event, None)) as up,
        running(tmp_path, one_target(up.url)) as run,
        connected(run.port) as line,
    ):
        await line.send(request(OPENAI.path, OPENAI.ask("up/m", stream=True)))
        await line.read_head()
        body = await line.read_chunk()
        seen.set()
        body += await line.read_body()
        await asyncio.wait_for(up.gone.wait(), 10)
    assert body.endswith(OPENAI.error_event)


async def test_a_client_that_reads_nothing_holds_little_memory(transport: dict[str, Any], tmp_path: Path) -> None:
    """Back-pressure all the way: the upstream cannot get rid of more than the buffers on the way hold."""
    piece = b'data: {"id":"c1","choices":[{"index":0,"delta":{"content":"' + b"x" * 60_000 + b'"}}]}\n\n'
    written, most = 0, 200 * len(piece)

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        writer.write(STREAM_HEAD)
        while written < most:
            writer.write(chunk(piece))
            await writer.drain()
            written += len(piece)

    async with (
        Upstream(flood) as up,
        running(tmp_path, one_target(up.url, transport=transport | {"read_buffer": 65_536})) as run,
        connected(run.port) as line,
    ):
        shrink(line)
        await line.send(request(OPENAI.path, OPENAI.ask("up/m", stream=True)))
        await line.read_head()
        await settled(lambda: written)
        assert 0 < written < most
        assert run.gateway.edge.in_flight == 1
        line.abort()
        await asyncio.wait_for(up.gone.wait(), 10)
        entry = await run.entry()
    assert entry.error == "client_closed_request"
    assert entry.bytes_out < most


def shrink(line: Line) -> None:
    line.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    line.reader._limit = 65_536  # type: ignore[attr-defined]


async def settled(value: Any) -> None:
    """Wait until a count has begun and has not grown for a fifth of a second."""
    last, since = 0, time.monotonic()

    def quiet() -> bool:
        nonlocal last, since
        if value() != last:
            last, since = value(), time.monotonic()
        return last > 0 and time.monotonic() - since > 0.2

    await until(quiet, "the flood stops")


@pytest.mark.parametrize("client", FAMILIES, ids=str)
async def test_a_host_that_does_not_stream_still_answers_a_stream(client: Family, tmp_path: Path) -> None:
    async with (
        Upstream(whole(client.answer)) as up,
        running(tmp_path, one_target(up.url, client)) as run,
        connected(run.port) as line,
    ):
        await line.send(request(client.path, client.ask("up/m", stream=True)))
        answer = await line.answer()
        entry = await run.entry()
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert client.terminator in answer.events[-1]
    assert entry.usage is not None
    assert entry.usage.input == 7


def boom(run: Running) -> None:
    """Break the gateway from inside, as only a bug could."""

    async def explode(*args: Any) -> None:
        raise RuntimeError("secret thoughts")

    run.gateway.stores.transport.send = explode  # type: ignore[assignment, method-assign]


@pytest.mark.parametrize("client", FAMILIES, ids=str)
async def test_a_mistake_of_the_gateways_own_is_a_typed_error_and_has_an_entry(client: Family, tmp_path: Path) -> None:
    async with (
        Upstream(whole(client.answer)) as up,
        running(tmp_path, one_target(up.url, client)) as run,
        connected(run.port) as line,
    ):
        boom(run)
        await line.send(request(client.path, client.ask("up/m")))
        answer = await line.answer()
        entry = await run.entry()
    assert answer.status == 500
    assert client.error_code(answer.json) == "internal_error"
    assert b"secret" not in answer.body
    assert (entry.status, entry.error) == (500, "internal_error")
