"""Bounds of both transports: of time, of memory, of connections; and what happens when the caller goes away."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from tests.edges.transport_peers import Peer, expect, flood, pieces, send, wait
from trunkline.edge.transport.base import BrokenOff, ConnectFailed, Response, TimedOut, Transport, TransportSettings
from trunkline.edge.transport.open import open_transport

LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b"4\r\ndata\r\n"
END = b"0\r\n\r\n"

Opener = Callable[..., Transport]


@pytest.fixture(params=["lean", "general"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def opened(name: str) -> AsyncIterator[Opener]:
    """Opens transports with the settings that a test wants."""
    transports: list[Transport] = []

    def opener(**settings: float) -> Transport:
        transports.append(open_transport(TransportSettings(client=name, **settings)))  # type: ignore[arg-type]
        return transports[-1]

    yield opener
    for transport in transports:
        await transport.aclose()


async def begin(transport: Transport, peer: Peer, deadline: float | None = None) -> Response:
    return await transport.send(peer.origin, b"POST", b"/", [], b"{}", deadline)


async def exhaust(response: Response) -> None:
    while await response.read():
        pass


async def soon(event: asyncio.Event) -> float:
    """Seconds until the event; fails after two."""
    start = asyncio.get_running_loop().time()
    await asyncio.wait_for(event.wait(), 2)
    return asyncio.get_running_loop().time() - start


# Time.


async def test_no_head_within_first_byte_timeout(opened: Opener) -> None:
    transport = opened(first_byte_timeout=0.2)
    async with Peer([expect]) as peer:
        with pytest.raises(TimedOut) as caught:
            await begin(transport, peer)
        assert caught.value.sent
        await soon(peer.lines[0].gone)
        assert transport.stats()["failed"] == 1


async def test_informational_responses_do_not_put_it_off(opened: Opener) -> None:
    transport, never = opened(first_byte_timeout=0.2), asyncio.Event()
    async with Peer([expect, send(b"HTTP/1.1 102 Processing\r\n\r\n"), wait(never)]) as peer:
        with pytest.raises(TimedOut):
            await begin(transport, peer)


async def test_silence_inside_a_body(opened: Opener) -> None:
    transport = opened(idle_timeout=0.2)
    async with Peer([expect, send(STREAM + CHUNK)]) as peer:
        response = await begin(transport, peer)
        assert await response.read() == b"data"
        with pytest.raises(TimedOut):
            await response.read()
        await soon(peer.lines[0].gone)


async def test_a_deadline_bounds_the_wait_for_the_head(opened: Opener) -> None:
    transport, loop = opened(), asyncio.get_running_loop()
    async with Peer([expect]) as peer:
        start = loop.time()
        with pytest.raises(TimedOut):
            await begin(transport, peer, deadline=start + 0.1)
        assert loop.time() - start < 1


@pytest.mark.parametrize("whole", [True, False], ids=["body", "read"])
async def test_a_deadline_bounds_the_body_however_busy(opened: Opener, whole: bool) -> None:
    transport, loop = opened(), asyncio.get_running_loop()
    async with Peer([expect, send(STREAM), pieces(CHUNK * 2_000_000, 8)]) as peer:
        response = await begin(transport, peer, deadline=loop.time() + 0.2)
        with pytest.raises(TimedOut):
            await (response.body() if whole else exhaust(response))
        await soon(peer.lines[0].gone)


async def test_a_connection_that_takes_too_long(opened: Opener) -> None:
    """A listener whose queue is full answers no handshake: here, a TLS handshake with a peer that says nothing."""
    transport = opened(connect_timeout=0.5)
    async with Peer([wait(asyncio.Event())]) as peer:
        silent = type(peer.origin)("https", "127.0.0.1", peer.port)
        with pytest.raises(ConnectFailed) as caught:
            await transport.send(silent, b"POST", b"/", [], b"{}")
        assert not caught.value.sent
        deadline = asyncio.get_running_loop().time() + 0.1
        with pytest.raises(TimedOut) as late:
            await transport.send(silent, b"POST", b"/", [], b"{}", deadline)
        assert not late.value.sent
        assert transport.stats()["open"] == 0


@pytest.mark.parametrize("name", ["lean"])  # aiohttp sweeps at its own pace
async def test_idle_connections_are_closed_after_keep_alive(opened: Opener) -> None:
    transport = opened(keep_alive=0.2)
    async with Peer([expect, send(OK)]) as peer:
        assert await (await begin(transport, peer)).body() == b"ok"
        assert transport.stats()["idle"] == 1
        await soon(peer.lines[0].gone)
        assert transport.stats()["open"] == 0


# The caller goes away.


async def test_cancel_while_waiting_for_the_head(opened: Opener) -> None:
    transport = opened()
    async with Peer([expect]) as peer:
        task = asyncio.ensure_future(begin(transport, peer))
        while not peer.requests:
            await asyncio.sleep(0.001)
        task.cancel()
        assert await soon(peer.lines[0].gone) < 0.1
        with pytest.raises(asyncio.CancelledError):
            await task
        assert transport.stats()["open"] == 0


@pytest.mark.parametrize("whole", [True, False], ids=["body", "read"])
async def test_cancel_inside_the_body(opened: Opener, whole: bool) -> None:
    transport = opened()
    async with Peer([expect, send(STREAM + CHUNK)]) as peer:
        response = await begin(transport, peer)
        assert await response.read() == b"data"
        task = asyncio.ensure_future(response.body() if whole else response.read())
        await asyncio.sleep(0)
        task.cancel()
        assert await soon(peer.lines[0].gone) < 0.1
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_close_before_the_end_aborts(opened: Opener) -> None:
    transport = opened()
    async with Peer([expect, send(STREAM + CHUNK)]) as peer:
        response = await begin(transport, peer)
        response.close()
        assert await soon(peer.lines[0].gone) < 0.1
        response.close()
        with pytest.raises(BrokenOff):
            await exhaust(response)


# Memory.


@pytest.mark.parametrize("framing", [b"Content-Length: 50000000", b"Connection: close"])
async def test_a_slow_reader_holds_the_upstream_back(opened: Opener, framing: bytes) -> None:
    transport = opened(read_buffer=262_144)
    total = 50_000_000
    async with Peer([expect, send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n"), flood(total)]) as peer:
        response = await begin(transport, peer)
        line, before = peer.lines[0], -1
        while before != line.sent:  # until the peer's writer stalls
            before = line.sent
            await asyncio.sleep(0.1)
        in_kernel = line.writer.get_extra_info("socket").getsockopt(1, 7) * 2 + 6_291_456  # send and receive buffers
        assert line.sent < total
        first = await response.read()
        assert len(first) <= 262_144 + 262_144 + 65_536  # read_buffer, and one read of the socket beyond it
        assert line.sent <= len(first) + in_kernel
        taken = len(first)
        while taken < 20_000_000:
            taken += len(await response.read())
        assert line.sent >= taken
        response.close()
        assert await soon(line.gone) < 0.2


async def test_a_bomb_comes_out_in_bounded_pieces(opened: Opener) -> None:
    transport = opened(read_buffer=65_536, max_body_size=1_000_000)
    bomb = gzip.compress(bytes(20_000_000))
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    async with Peer([expect, send(head + bomb), expect, send(head + bomb)]) as peer:
        response = await begin(transport, peer)
        sizes = []
        while data := await response.read():
            sizes.append(len(data))
        assert sum(sizes) == 20_000_000
        assert max(sizes) <= 65_536
        with pytest.raises(BrokenOff, match="max_body_size"):
            await (await begin(transport, peer)).body()


@pytest.mark.parametrize("framing", [b"Content-Length: 300000", b"Connection: close"])
async def test_a_whole_body_is_bounded(opened: Opener, framing: bytes) -> None:
    transport = opened(max_body_size=100_000)
    async with Peer([expect, send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n"), flood(300_000)]) as peer:
        response = await begin(transport, peer)
        with pytest.raises(BrokenOff, match="max_body_size"):
            await response.body()
        await soon(peer.lines[0].gone)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 20_000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 200_000,
        b"HTTP/1.1 200 OK\r\n" + b"X-Many: 1\r\n" * 20_000,
        b"HTTP/1.1 200 " + b"K" * 200_000,
    ],
    ids=["long", "endless", "many", "reason"],
)
@pytest.mark.parametrize("size", [1000, 1 << 20], ids=["pieces", "whole"])
async def test_a_head_is_bounded(opened: Opener, head: bytes, size: int) -> None:
    transport = opened(max_header_size=10_000, first_byte_timeout=3.0)
    async with Peer([expect, pieces(head, size)]) as peer:
        with pytest.raises(BrokenOff):
            await begin(transport, peer)
        await soon(peer.lines[0].gone)


# Connections.


async def test_calls_beyond_the_limit_wait_their_turn(opened: Opener) -> None:
    transport, go = opened(max_connections=2), asyncio.Event()
    script = [step for _ in range(4) for step in (expect, wait(go), send(OK))]
    async with Peer(script) as peer:
        calls = [asyncio.ensure_future(begin(transport, peer)) for _ in range(6)]
        while len(peer.requests) < 2 or transport.stats()["waiting"] < 4:
            await asyncio.sleep(0.001)
        stats = transport.stats()
        assert (stats["open"], stats["waiting"]) == (2, 4)
        go.set()
        for call in calls:
            assert await (await call).body() == b"ok"
        assert len(peer.lines) == 2
        assert transport.stats()["waiting"] == 0


async def test_a_pool_that_stays_full_is_a_failure_to_connect(opened: Opener) -> None:
    transport, loop = opened(max_connections=1), asyncio.get_running_loop()
    async with Peer([expect, send(STREAM + CHUNK)], [expect, send(OK)]) as peer:
        response = await begin(transport, peer)
        with pytest.raises(ConnectFailed, match="max_connections") as caught:
            await begin(transport, peer, deadline=loop.time() + 0.1)
        assert not caught.value.sent
        response.close()
        assert await (await begin(transport, peer)).body() == b"ok"


async def test_a_cancelled_waiter_leaves_the_queue(opened: Opener) -> None:
    transport, go = opened(max_connections=1), asyncio.Event()
    async with Peer([expect, wait(go), send(OK), expect, send(OK)]) as peer:
        first = asyncio.ensure_future(begin(transport, peer))
        while not peer.requests:
            await asyncio.sleep(0.001)
        second = asyncio.ensure_future(begin(transport, peer))
        third = asyncio.ensure_future(begin(transport, peer))
        while transport.stats()["waiting"] < 2:
            await asyncio.sleep(0)
        second.cancel()
        go.set()
        assert await (await first).body() == b"ok"
        assert await (await third).body() == b"ok"
        assert len(peer.lines) == 1
        assert (await asyncio.gather(second, return_exceptions=True))[0].__class__ is asyncio.CancelledError


async def test_calls_cancelled_at_any_moment_lose_no_slot(opened: Opener) -> None:
    transport, goodbye = opened(max_connections=3), OK.replace(b"Content-L", b"Connection: close\r\nContent-L")
    async with Peer([step for _ in range(40) for step in (expect, send(OK))] + [expect, send(goodbye)]) as peer:

        async def call() -> bytes:
            return await (await begin(transport, peer)).body()

        for patience in range(40):
            calls = [asyncio.ensure_future(call()) for _ in range(6)]
            for _ in range(patience):
                await asyncio.sleep(0)
            for victim in calls[patience % 3 :: 3]:
                victim.cancel()
            results = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 5)
            assert {type(result) for result in results} <= {bytes, asyncio.CancelledError}
            stats = transport.stats()
            assert (stats["waiting"], stats["open"] <= 3) == (0, True)
        answers = await asyncio.wait_for(asyncio.gather(*(call() for _ in range(3))), 5)
        assert answers == [b"ok"] * 3
