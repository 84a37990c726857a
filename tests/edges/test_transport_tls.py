"""TLS of both transports: only what a trusted authority has signed for that very host is spoken to."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
import uvloop

from tests.edges.transport_peers import Peer, close, expect, h11_opinion, pieces, send
from trunkline.edge.transport.base import ConnectFailed, Origin, Transport, TransportSettings
from trunkline.edge.transport.open import open_transport

LOOPS = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture(params=["lean", "general"])
async def transport(request: pytest.FixtureRequest, ca_file: str) -> AsyncIterator[Transport]:
    transport = open_transport(TransportSettings(client=request.param, ca_file=ca_file, connect_timeout=5.0))
    yield transport
    await transport.aclose()


def server_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["h2", "http/1.1"])
    authority.issue_cert(*names).configure_cert(context)
    return context


async def ask(transport: Transport, origin: Origin, body: bytes = b"{}") -> bytes:
    response = await transport.send(origin, b"POST", b"/", [], body)
    return await response.body()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_trusted_peer_is_spoken_to_over_http_1_1(
    transport: Transport, authority: trustme.CA, host: str
) -> None:
    context = server_context(authority, "localhost", "127.0.0.1")
    async with Peer([expect, send(OK), expect, send(OK)], tls=context, host=host) as peer:
        assert await ask(transport, peer.origin) == b"ok"
        assert await ask(transport, peer.origin, b"y" * 1_000_000) == b"ok"
        assert len(peer.lines) == 1
        assert peer.lines[0].writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
    assert peer.requests[1].body == b"y" * 1_000_000


async def test_a_stream_in_pieces(transport: Transport, authority: trustme.CA) -> None:
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"5\r\nhello\r\n" * 20 + b"0\r\n\r\n"
    async with Peer([expect, pieces(data, 3)], tls=server_context(authority, "localhost"), host="localhost") as peer:
        assert await ask(transport, peer.origin) == h11_opinion(data).body == b"hello" * 20


async def test_a_body_until_close(transport: Transport, authority: trustme.CA) -> None:
    data = b"HTTP/1.1 200 OK\r\n\r\nhello"
    async with Peer([expect, send(data), close], tls=server_context(authority, "localhost"), host="localhost") as peer:
        assert await ask(transport, peer.origin) == b"hello"


async def test_a_stranger_is_refused(transport: Transport) -> None:
    context = server_context(trustme.CA(), "localhost")
    async with Peer([expect, send(OK)], tls=context, host="localhost") as peer:
        with pytest.raises(ConnectFailed, match=r"(?i)certificate verify failed") as caught:
            await ask(transport, peer.origin)
        assert not caught.value.sent
        assert peer.requests == []


async def test_a_certificate_for_another_host_is_refused(transport: Transport, authority: trustme.CA) -> None:
    context = server_context(authority, "api.example.com")
    async with Peer([expect, send(OK)], tls=context, host="localhost") as peer:
        with pytest.raises(ConnectFailed, match=r"(?i)mismatch|certificate"):
            await ask(transport, peer.origin)
        assert peer.requests == []


async def test_a_peer_without_tls_is_refused(transport: Transport) -> None:
    async with Peer([send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), close]) as peer:
        with pytest.raises(ConnectFailed):
            await ask(transport, Origin("https", "127.0.0.1", peer.port))


async def test_a_second_connection_resumes_the_session(transport: Transport, authority: trustme.CA) -> None:
    goodbye = OK.replace(b"Content-L", b"Connection: close\r\nContent-L")
    context = server_context(authority, "localhost")
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # where the session is there as soon as the handshake is done
    async with Peer([expect, send(OK), expect, send(goodbye)], tls=context, host="localhost") as peer:
        for _ in range(3):
            assert await ask(transport, peer.origin) == b"ok"
        assert len(peer.lines) == 2
        reused = [line.writer.get_extra_info("ssl_object").session_reused for line in peer.lines]
    if type(transport).__name__ == "LeanTransport":
        assert reused == [False, True]


def test_a_ca_file_that_is_none_is_named(tmp_path: Path) -> None:
    from trunkline.edge.transport.tls import client_context

    (tmp_path / "empty.pem").write_text("nothing")
    for path in ("missing.pem", "empty.pem"):
        with pytest.raises(ValueError, match=r"transport\.ca_file .*" + path):
            client_context(str(tmp_path / path))
