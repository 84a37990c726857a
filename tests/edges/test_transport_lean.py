"""The lean transport's parts, without sockets: any framing, cut anywhere, is read as h11 reads it."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import subprocess
import sys
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.edges.transport_peers import h11_opinion
from trunkline.edge.transport.base import BrokenOff, Origin, TransportSettings
from trunkline.edge.transport.coding import Decoder
from trunkline.edge.transport.connection import Connection
from trunkline.edge.transport.head import request_head
from trunkline.edge.transport.open import open_transport
from trunkline.edge.transport.response import LeanResponse

TOKEN = st.text(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!#$%&'*+^`|~", min_size=1, max_size=12
)
VALUE = st.binary(max_size=20).map(lambda raw: bytes(32 + byte % 95 for byte in raw).strip())
FRAMING = {b"content-length", b"transfer-encoding", b"connection", b"content-encoding", b"upgrade"}
FIELD = st.tuples(TOKEN.map(str.encode), VALUE).filter(lambda pair: pair[0].lower() not in FRAMING)
CASES = st.sampled_from([bytes.lower, bytes.upper, bytes.title])


class Memory(asyncio.Transport):
    """A socket that keeps what is written and is closed when told."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closing = False
        self.paused = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def abort(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


@st.composite
def responses(draw: st.DrawFn) -> tuple[bytes, bool]:
    """A response on the wire, and whether the connection's end is part of its framing."""
    case = draw(CASES)
    status = draw(st.sampled_from([b"200 OK", b"201", b"404 Not Found", b"429 Too Many Requests", b"503 Busy"]))
    fields = draw(st.lists(FIELD, max_size=6))
    chunks = draw(st.lists(st.binary(min_size=1, max_size=300), max_size=8))
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    body = b"".join(chunks)
    if framing == "length":
        fields.insert(draw(st.integers(0, len(fields))), (case(b"content-length"), b"%d" % len(body)))
    elif framing == "chunked":
        fields.insert(draw(st.integers(0, len(fields))), (case(b"transfer-encoding"), b"chunked"))
        size = draw(st.sampled_from([b"%x", b"%X", b"00%x"]))
        extension = draw(st.sampled_from([b"", b";a=b", b";x"]))
        trailer = draw(st.sampled_from([b"", b"X-Sum: 1\r\n"]))
        body = b"".join(size % len(chunk) + extension + b"\r\n" + chunk + b"\r\n" for chunk in chunks)
        body += b"0\r\n" + trailer + b"\r\n"
    head = b"".join(b"%b:%b%b\r\n" % (name, draw(st.sampled_from([b" ", b"", b"  "])), value) for name, value in fields)
    interim = draw(st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n"]))
    return interim + b"HTTP/1.1 " + status + b"\r\n" + head + b"\r\n" + body, framing == "close"


def cut(data: bytes, points: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(point % (len(data) + 1) for point in points)})
    return [data[start:end] for start, end in itertools.pairwise(edges)]


async def play(pieces: list[bytes], *, ends: bool) -> tuple[LeanResponse, bytes]:
    """Feed the pieces to a connection that waits for a response, and read it whole."""
    loop, settings, transport = asyncio.get_running_loop(), TransportSettings(), Memory()
    connection = Connection(settings, loop)
    connection.connection_made(transport)
    response = LeanResponse(loop, settings, None)
    connection.start(response, b"", b"")
    for piece in pieces:
        connection.data_received(piece)
    if ends:
        connection.connection_lost(None)
    await asyncio.wait_for(response.head(), 1)
    return response, await asyncio.wait_for(response.body(), 1)


@given(responses(), st.lists(st.integers(0, 5000), max_size=12))
def test_any_response_cut_anywhere_is_read_as_h11_reads_it(wire: tuple[bytes, bool], points: list[int]) -> None:
    data, ends = wire
    opinion = h11_opinion(data, closed=ends)
    response, body = asyncio.run(play(cut(data, points), ends=ends))
    assert (response.status, response.headers, body) == (opinion.status, opinion.headers, opinion.body)


@given(responses().filter(lambda wire: not wire[1]), st.integers(0, 5000))
def test_a_response_that_ends_early_is_never_taken_for_whole(wire: tuple[bytes, bool], point: int) -> None:
    data = wire[0][: point % len(wire[0])]
    with pytest.raises(BrokenOff):
        asyncio.run(play([data], ends=True))


@given(responses(), st.integers(0, 5000), st.integers(0, 255))
def test_a_damaged_response_ends_one_way_or_the_other(wire: tuple[bytes, bool], point: int, byte: int) -> None:
    data = bytearray(wire[0])
    data[point % len(data)] = byte
    try:
        response, body = asyncio.run(play([bytes(data)], ends=True))
    except BrokenOff:
        return
    assert 100 < response.status < 1000
    assert len(body) <= len(data)


@given(
    st.binary(max_size=3000),
    st.sampled_from([(b"gzip", 31), (b"deflate", 15), (b"deflate", -15)]),
    st.lists(st.integers(0, 5000), max_size=12),
    st.integers(1, 400),
)
def test_a_coding_is_undone_wherever_it_is_cut(
    plain: bytes, coding: tuple[bytes, int], points: list[int], limit: int
) -> None:
    name, bits = coding
    encoder = zlib.compressobj(wbits=bits)
    decoder, out = Decoder(name), b""
    for piece in cut(encoder.compress(plain * 3) + encoder.flush(), points):
        out += decoder.decode(piece, limit)
    while more := decoder.decode(b"", limit):
        assert len(more) <= limit
        out += more
    decoder.finish()
    assert out == plain * 3


def test_gzip_members_follow_one_another() -> None:
    decoder = Decoder(b"gzip")
    assert decoder.decode(gzip.compress(b"one ") + gzip.compress(b"two"), 100) == b"one two"
    decoder.finish()


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (Origin("http", "h", 80), b"h"),
        (Origin("https", "h", 443), b"h"),
        (Origin("https", "h", 80), b"h:80"),
        (Origin("http", "::1", 8000), b"[::1]:8000"),
        (Origin("http", "bücher.example", 80), b"xn--bcher-kva.example"),
    ],
)
def test_the_host_field_is_the_urls_authority(origin: Origin, host: bytes) -> None:
    assert b"\r\nhost: " + host + b"\r\n" in request_head(origin, b"POST", b"/", [], 0)


def test_a_host_cannot_carry_a_line() -> None:
    with pytest.raises(ValueError, match="host"):
        request_head(Origin("http", "h\r\nx: y", 80), b"POST", b"/", [], 0)


async def test_trailers_and_chunk_extensions_without_end_are_bounded() -> None:
    endless = [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        b"3\r\nabc\r\n0\r\n",
        *[b"x: y\r\n" * 500] * 40,
    ]
    with pytest.raises(BrokenOff, match="max_header_size"):
        await play(endless, ends=False)


async def test_many_small_frames_are_not_mistaken_for_overhead() -> None:
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    frames = [b"1\r\n", b"x", b"\r\n"] * 30_000
    _, body = await play([head, *frames, b"0\r\n\r\n"], ends=False)
    assert body == b"x" * 30_000


def test_an_unknown_client_is_named() -> None:
    with pytest.raises(ValueError, match=r"transport\.client 'fast': use lean or general"):
        open_transport(TransportSettings(client="fast"))


def test_the_lean_transport_does_not_import_aiohttp() -> None:
    code = (
        "import sys; from trunkline.edge.transport.open import open_transport;"
        "from trunkline.edge.transport.base import TransportSettings; open_transport(TransportSettings());"
        "print('aiohttp' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert run.stdout == "False\n"
