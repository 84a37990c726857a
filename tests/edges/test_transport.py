"""One suite for both transports: what every HTTP client behind the gateway must do, whatever it is made of.

Each framing that HTTP/1.1 knows is sent whole, in halves and byte by byte, and read by h11 as a second opinion.
"""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator

import pytest
import uvloop

from tests.edges.transport_peers import Peer, close, expect, expect_head, h11_opinion, pieces, reset, send, wait
from trunkline.core.call import Headers
from trunkline.edge.transport.base import BrokenOff, ConnectFailed, Origin, TimedOut, Transport, TransportSettings
from trunkline.edge.transport.open import open_transport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BIG = bytes(range(256)) * 1200
HEADERS = [(b"content-type", b"application/json"), (b"authorization", b"Bearer k")]


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def answer(*fields: bytes, body: bytes = b"", status: bytes = b"200 OK", version: bytes = b"1.1") -> bytes:
    return b"HTTP/" + version + b" " + b"\r\n".join((status, *fields)) + b"\r\n\r\n" + body


LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}

FRAMINGS = {
    "content-length": answer(b"Content-Type: text/plain", b"Content-Length: 5", body=b"hello"),
    "content-length-0": answer(b"Content-Length: 0"),
    "chunked": answer(b"Transfer-Encoding: chunked", body=chunked(b"he", b"llo", b"x" * 40)),
    "chunked-mixed-case": answer(b"TRANSFER-encoding: Chunked", body=chunked(b"data")),
    "chunked-empty": answer(b"Transfer-Encoding: chunked", body=chunked()),
    "chunk-extensions": answer(b"Transfer-Encoding: chunked", body=b"3;a=b\r\nabc\r\n0;z\r\n\r\n"),
    "trailers": answer(b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\nExpires: never\r\nX-Sum:\r\n\r\n"),
    "upper-hex": answer(b"Transfer-Encoding: chunked", body=b"0A\r\n0123456789\r\n0\r\n\r\n"),
    "connection-close": answer(b"Connection: close", b"Content-Length: 3", body=b"bye"),
    "http10": answer(b"Content-Length: 3", body=b"old", version=b"1.0"),
    "informational": answer(status=b"100 Continue") + answer(b"Link: </a>", status=b"103 Early Hints") + OK,
    "no-reason": answer(b"Content-Length: 2", body=b"hm", status=b"200"),
    "no-content": answer(b"X-A: 1", status=b"204 No Content"),
    "not-modified": answer(b"Content-Length: 77", status=b"304 Not Modified"),
    "error-status": answer(b"Content-Length: 4", body=b"slow", status=b"429 Too Many Requests"),
    "odd-header-values": answer(b"X-Empty:", b"X-Spaces:   a b \t ", b"X-High: \xe9", b"Content-Length: 1", body=b"1"),
    "repeated-header": answer(b"Set-Cookie: a=1", b"set-cookie: b=2", b"Content-Length: 1", body=b"1"),
}
UNTIL_CLOSE = {
    "until-close": answer(b"Content-Type: text/plain", body=b"as long as it lasts"),
    "until-close-empty": answer(b"Content-Type: text/plain"),
    "until-close-http10": answer(b"X: 1", body=b"old", version=b"1.0"),
}
BROKEN = {
    "cut-in-status": b"HTTP/1.1 20",
    "cut-in-head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "cut-in-body": answer(b"Content-Length: 5", body=b"hel"),
    "cut-before-body": answer(b"Content-Length: 5"),
    "cut-in-chunk": answer(b"Transfer-Encoding: chunked", body=b"5\r\nhel"),
    "cut-before-last-chunk": answer(b"Transfer-Encoding: chunked", body=b"3\r\nhel\r\n"),
    "not-http": b"SSH-2.0-OpenSSH_9.9\r\n",
    "two-lengths": answer(b"Content-Length: 2", b"Content-Length: 3", body=b"abc"),
    "bad-chunk-size": answer(b"Transfer-Encoding: chunked", body=b"zz\r\nabc\r\n0\r\n\r\n"),
    "space-before-colon": answer(b"X : 1", b"Content-Length: 0"),
    "switching-protocols": answer(b"Upgrade: x", b"Connection: upgrade", status=b"101 Switching Protocols"),
}
MISCODED = {
    "brotli": answer(b"Content-Encoding: br", b"Content-Length: 3", body=b"abc"),
    "twice-gzip": answer(b"Content-Encoding: gzip, gzip", b"Content-Length: 3", body=b"abc"),
    "not-gzip": answer(b"Content-Encoding: gzip", b"Content-Length: 3", body=b"abc"),
    "cut-gzip": answer(b"Content-Encoding: gzip", b"Content-Length: 25", body=gzip.compress(b"x" * 500)[:25]),
}


@pytest.fixture(params=["lean", "general"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def transport(name: str) -> AsyncIterator[Transport]:
    transport = open_transport(TransportSettings(client=name, connect_timeout=2.0, first_byte_timeout=5.0))
    yield transport
    await transport.aclose()


async def ask(transport: Transport, origin: Origin, body: bytes = b"{}", deadline: float | None = None) -> bytes:
    response = await transport.send(origin, b"POST", b"/v1/x?a=b", HEADERS, body, deadline)
    return await response.body()


async def drain(transport: Transport, origin: Origin) -> bytes:
    """The body, read piece by piece."""
    response = await transport.send(origin, b"POST", b"/", HEADERS, b"{}")
    out = b""
    while data := await response.read():
        out += data
    response.close()
    return out


def lowered(headers: Headers) -> Headers:
    """h11 puts the name of a transfer coding into lower case."""
    return [(name, value.lower() if name == b"transfer-encoding" else value) for name, value in headers]


# What is sent.


async def test_the_request_arrives_as_it_was_given(transport: Transport) -> None:
    async with Peer([expect, send(OK)]) as peer:
        assert await ask(transport, peer.origin, b'{"a":1}') == b"ok"
    (seen,) = peer.requests
    assert (seen.method, seen.target, seen.body) == (b"POST", b"/v1/x?a=b", b'{"a":1}')
    assert sorted(seen.headers) == sorted(
        [
            (b"host", b"127.0.0.1:%d" % peer.port),
            (b"content-length", b"7"),
            (b"accept-encoding", b"identity"),
            *HEADERS,
        ]
    )


@pytest.mark.parametrize("size", [0, 65_536, 65_537, 3_000_000])
async def test_bodies_of_every_size_arrive(transport: Transport, size: int) -> None:
    async with Peer([expect, send(OK)]) as peer:
        await ask(transport, peer.origin, b"y" * size)
    assert peer.requests[0].body == b"y" * size
    assert (b"content-length", b"%d" % size) in peer.requests[0].headers


async def test_get_has_no_content_length_and_the_callers_accept_encoding_wins(transport: Transport) -> None:
    async with Peer([expect, send(OK)]) as peer:
        response = await transport.send(peer.origin, b"GET", b"/", [(b"accept-encoding", b"gzip")], b"")
        assert await response.body() == b"ok"
    assert sorted(name for name, _ in peer.requests[0].headers) == [b"accept-encoding", b"host"]
    assert (b"accept-encoding", b"gzip") in peer.requests[0].headers


@pytest.mark.parametrize(
    ("path", "headers", "complaint"),
    [
        (b"/a b", [], "path"),
        (b"/a\r\nx: y", [], "path"),
        (b"/\xc3\xa9", [], "path"),
        (b"", [], "path"),
        (b"/", [(b"x-tag", b"a\r\nevil: 1")], "header x-tag"),
        (b"/", [(b"x-tag", b"a\nb")], "header x-tag"),
        (b"/", [(b"x-tag", b"a\rb")], "header x-tag"),
        (b"/", [(b"x-tag", b"a\0b")], "header x-tag"),
        (b"/", [(b"x tag", b"a")], "header name"),
        (b"/", [(b"x:y", b"a")], "header name"),
        (b"/", [(b"", b"a")], "header name"),
        (b"/", [(b"Transfer-Encoding", b"chunked")], "set by the transport"),
        (b"/", [(b"content-length", b"3")], "set by the transport"),
    ],
)
async def test_nothing_can_be_smuggled_into_a_request(
    transport: Transport, path: bytes, headers: list[tuple[bytes, bytes]], complaint: str
) -> None:
    async with Peer([expect, send(OK)]) as peer:
        with pytest.raises(ValueError, match=complaint):
            await transport.send(peer.origin, b"POST", path, headers, b"{}")
        assert peer.lines == []


# What comes back.


@pytest.mark.parametrize("size", [1, 7, 1 << 20], ids=["bytes", "sevens", "whole"])
@pytest.mark.parametrize("framing", FRAMINGS)
async def test_every_framing_is_read_as_h11_reads_it(transport: Transport, framing: str, size: int) -> None:
    data = FRAMINGS[framing]
    opinion = h11_opinion(data)
    async with Peer([expect, pieces(data, size)]) as peer:
        response = await transport.send(peer.origin, b"POST", b"/", HEADERS, b"{}")
        assert (response.status, lowered(response.headers)) == (opinion.status, lowered(opinion.headers))
        assert await response.body() == opinion.body


@pytest.mark.parametrize("size", [1, 1 << 20], ids=["bytes", "whole"])
@pytest.mark.parametrize("framing", UNTIL_CLOSE)
async def test_a_body_may_last_until_the_connection_closes(transport: Transport, framing: str, size: int) -> None:
    data = UNTIL_CLOSE[framing]
    async with Peer([expect, pieces(data, size), close]) as peer:
        assert await drain(transport, peer.origin) == h11_opinion(data, closed=True).body
        assert transport.stats()["idle"] == 0


@pytest.mark.parametrize("size", [1, 1 << 20], ids=["bytes", "whole"])
@pytest.mark.parametrize("fault", BROKEN)
async def test_what_is_not_a_whole_response_is_broken_off(transport: Transport, fault: str, size: int) -> None:
    async with Peer([expect, pieces(BROKEN[fault], size), close]) as peer:
        with pytest.raises(BrokenOff) as caught:
            await ask(transport, peer.origin)
        assert caught.value.sent
        assert len(peer.requests) == 1
        assert transport.stats()["idle"] == 0


async def test_large_bodies_both_ways_of_reading(transport: Transport) -> None:
    whole = answer(b"Content-Length: %d" % len(BIG), body=BIG)
    streamed = answer(b"Transfer-Encoding: chunked", body=chunked(*(BIG[i : i + 999] for i in range(0, len(BIG), 999))))
    async with Peer([expect, send(whole), expect, send(streamed), expect, send(streamed)]) as peer:
        assert await ask(transport, peer.origin) == BIG
        assert await drain(transport, peer.origin) == BIG
        assert await ask(transport, peer.origin) == BIG
    assert len(peer.lines) == 1


async def test_head_has_no_body_whatever_its_length_says(transport: Transport) -> None:
    data = answer(b"Content-Length: 500")
    async with Peer([expect, send(data)], [expect, send(OK)]) as peer:
        response = await transport.send(peer.origin, b"HEAD", b"/", [], b"")
        assert await response.body() == b""
        assert response.headers == h11_opinion(data, method=b"HEAD").headers


@pytest.mark.parametrize("size", [1, 1 << 20], ids=["bytes", "whole"])
@pytest.mark.parametrize(
    ("coding", "plain", "body"),
    [
        (b"gzip", BIG, gzip.compress(BIG)),
        (b"GZIP", b"tiny", gzip.compress(b"tiny")),
        (b"x-gzip", b"tiny", gzip.compress(b"tiny")),
        (b"deflate", b"tiny" * 50, zlib.compress(b"tiny" * 50)),
        (b"deflate", b"tiny" * 50, zlib.compress(b"tiny" * 50, wbits=-15)),
        (b"gzip", b"", gzip.compress(b"")),
        (b"identity", b"plain", b"plain"),
    ],
    ids=["gzip", "upper", "x-gzip", "zlib", "raw-deflate", "empty", "identity"],
)
async def test_compressed_answers_are_decoded(
    transport: Transport, coding: bytes, plain: bytes, body: bytes, size: int
) -> None:
    data = answer(b"Content-Encoding: " + coding, b"Transfer-Encoding: chunked", body=chunked(body))
    size = max(size, len(data) // 500)
    async with Peer([expect, pieces(data, size), expect, pieces(data, size)]) as peer:
        assert await ask(transport, peer.origin) == plain
        assert await drain(transport, peer.origin) == plain


@pytest.mark.parametrize("fault", MISCODED)
async def test_a_coding_that_cannot_be_undone_is_broken_off(transport: Transport, fault: str) -> None:
    async with Peer([expect, send(MISCODED[fault]), expect, send(MISCODED[fault])]) as peer:
        with pytest.raises(BrokenOff):
            await ask(transport, peer.origin)
        with pytest.raises(BrokenOff):
            await drain(transport, peer.origin)


# Connections.


async def test_a_connection_is_used_again(transport: Transport) -> None:
    async with Peer([expect, send(OK)] * 3) as peer:
        for _ in range(3):
            assert await ask(transport, peer.origin) == b"ok"
        stats = transport.stats()
    assert len(peer.lines) == 1
    assert {key: stats[key] for key in ("open", "idle", "opened", "reused", "failed")} == {
        "open": 1, "idle": 1, "opened": 1, "reused": 2, "failed": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    "first",
    [
        answer(b"Connection: close", b"Content-Length: 2", body=b"ok"),
        answer(b"Content-Length: 2", body=b"ok", version=b"1.0"),
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray",
    ],
    ids=["close", "http10", "second-answer"],
)
async def test_a_connection_that_cannot_be_trusted_is_not_used_again(transport: Transport, first: bytes) -> None:
    async with Peer([expect, send(first)], [expect, send(OK)]) as peer:
        assert await ask(transport, peer.origin) == b"ok"
        assert await ask(transport, peer.origin) == b"ok"
        assert len(peer.lines) == 2


@pytest.mark.parametrize("stray", [b"garbage", b"H", b"HTTP/1.1 200 OK\r\nContent-"])
@pytest.mark.parametrize("name", ["lean"])  # aiohttp keeps such a connection, and fails the next answer on it
async def test_a_connection_with_half_a_message_on_it_is_not_used_again(transport: Transport, stray: bytes) -> None:
    async with Peer([expect, send(OK + stray)], [expect, send(OK)]) as peer:
        assert await ask(transport, peer.origin) == b"ok"
        assert await ask(transport, peer.origin) == b"ok"
        assert len(peer.lines) == 2


@pytest.mark.parametrize("name", ["lean"])  # aiohttp notices only when it wants to use the connection
async def test_bytes_that_come_while_nobody_asked_close_the_connection(transport: Transport) -> None:
    go = asyncio.Event()
    async with Peer([expect, send(OK), wait(go), send(OK)], [expect, send(OK)]) as peer:
        assert await ask(transport, peer.origin) == b"ok"
        go.set()
        await asyncio.wait_for(peer.lines[0].gone.wait(), 2)
        assert await ask(transport, peer.origin) == b"ok"
        assert len(peer.lines) == 2


@pytest.mark.parametrize("ending", [close, reset])
async def test_a_reused_connection_that_ends_without_a_word_is_replaced(transport: Transport, ending: object) -> None:
    async with Peer([expect, send(OK), expect, ending], [expect, send(OK)]) as peer:  # type: ignore[list-item]
        assert await ask(transport, peer.origin) == b"ok"
        assert await ask(transport, peer.origin, b"second") == b"ok"
    assert [seen.body for seen in peer.requests] == [b"{}", b"second", b"second"]
    assert len(peer.lines) == 2


async def test_only_once(transport: Transport) -> None:
    async with Peer([expect, send(OK), expect, close], [expect, close]) as peer:
        assert await ask(transport, peer.origin) == b"ok"
        with pytest.raises(BrokenOff) as caught:
            await ask(transport, peer.origin)
        assert caught.value.sent
    assert len(peer.lines) == 2


async def test_a_closed_idle_connection_is_not_noticed_by_the_caller(transport: Transport) -> None:
    async with Peer([expect, send(OK), close], [expect, send(OK)]) as peer:
        assert await ask(transport, peer.origin) == b"ok"
        await peer.lines[0].gone.wait()
        assert await ask(transport, peer.origin) == b"ok"
    assert len(peer.requests) == 2


async def test_a_fresh_connection_that_ends_without_a_word_is_an_error(transport: Transport) -> None:
    async with Peer([expect, close]) as peer:
        with pytest.raises(BrokenOff):
            await ask(transport, peer.origin)
    assert len(peer.requests) == 1


async def test_an_answer_before_the_request_was_sent_is_an_answer(transport: Transport) -> None:
    early = answer(b"Content-Length: 2", body=b"no", status=b"413 Content Too Large")
    async with Peer([expect_head, send(early)], [expect, send(OK)]) as peer:
        response = await transport.send(peer.origin, b"POST", b"/", HEADERS, b"z" * 20_000_000)
        assert response.status == 413
        assert await response.body() == b"no"
        response.close()
        assert await ask(transport, peer.origin) == b"ok"
        assert len(peer.lines) == 2


async def test_refused(transport: Transport) -> None:
    async with Peer([expect]) as peer:
        origin = peer.origin
    with pytest.raises(ConnectFailed) as caught:
        await ask(transport, origin)
    assert not caught.value.sent
    assert transport.stats()["failed"] == 1


async def test_after_aclose_nothing_is_sent(transport: Transport) -> None:
    async with Peer([expect, send(OK)]) as peer:
        await ask(transport, peer.origin)
        await transport.aclose()
        await asyncio.wait_for(peer.lines[0].gone.wait(), 2)
        with pytest.raises(ConnectFailed):
            await ask(transport, peer.origin)


async def test_deadline_passed_already(transport: Transport) -> None:
    async with Peer([expect, send(OK)]) as peer:
        with pytest.raises(TimedOut) as caught:
            await ask(transport, peer.origin, deadline=asyncio.get_running_loop().time() - 1)
        assert not caught.value.sent
        assert peer.lines == []


@pytest.mark.parametrize("name", ["general"])
async def test_the_general_transport_goes_through_the_environments_proxy(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Peer([expect, send(OK), expect, send(OK)]) as proxy, Peer([expect, send(OK)]) as direct:
        monkeypatch.setenv("http_proxy", f"http://user:pass@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert await ask(transport, Origin("http", "upstream.invalid", 80)) == b"ok"
        assert await ask(transport, direct.origin) == b"ok"
    assert proxy.requests[0].target == b"http://upstream.invalid/v1/x?a=b"
    assert (b"proxy-authorization", b"Basic dXNlcjpwYXNz") in proxy.requests[0].headers
    assert len(direct.requests) == 1
