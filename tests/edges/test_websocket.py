"""The WebSocket of Responses, frame by frame: what RFC 6455 forbids, what comes in pieces, and every way to end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.edges.families import ANTHROPIC, OPENAI, Family
from tests.edges.test_streams import NOTICED, one_target
from tests.edges.upstreams import STREAM_HEAD, Upstream, chunk, stream
from tests.running import child, running, until
from tests.talking import PATIENCE, Line, ask, connected, request
from trunkline.edge import websocket_frames

PATH = "/v1/responses"
SIMULATED = {"sim": {"enabled": True}}
HANDSHAKE = {
    "connection": "keep-alive, Upgrade", "upgrade": "WebSocket", "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}  # fmt: skip
CONTINUED, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FINAL = frozenset({"response.completed", "response.incomplete", "response.failed", "error"})


def frame(kind: int, data: bytes = b"", *, final: bool = True, mask: bytes | None = b"\x01\x9a\x00\xff") -> bytes:
    """A client's frame."""
    size = len(data)
    wide = 0 if size < 126 else 2 if size < 65_536 else 8
    length = {0: bytes([size % 126]), 2: b"\x7e", 8: b"\x7f"}[wide] + size.to_bytes(8, "big")[8 - wide :]
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data)) if mask else data
    head = bytes([kind | (0x80 if final else 0), length[0] | (0x80 if mask else 0)])
    return head + length[1:] + (mask or b"") + masked


def create(model: str = "sim/chat-small", **fields: Any) -> bytes:
    return json.dumps({"type": "response.create", "model": model, "input": "hello", **fields}).encode()


@dataclass
class Talk:
    """A connection after its handshake."""

    line: Line

    async def say(self, message: bytes) -> None:
        await self.line.send(frame(TEXT, message))

    async def frame(self) -> tuple[int, bytes]:
        """The next frame that comes; nothing the server sends is masked or in pieces."""
        async with asyncio.timeout(PATIENCE):
            first, length = await self.line.reader.readexactly(2)
            assert first & 0xF0 == 0x80
            if length == 126:
                length = int.from_bytes(await self.line.reader.readexactly(2), "big")
            elif length == 127:
                length = int.from_bytes(await self.line.reader.readexactly(8), "big")
            return first & 0x0F, await self.line.reader.readexactly(length)

    async def event(self) -> Any:
        """The next message."""
        kind, data = await self.frame()
        while kind == PING:
            kind, data = await self.frame()
        assert kind == TEXT, (kind, data)
        return json.loads(data)

    async def last(self) -> Any:
        """The event that ends an answer."""
        while (event := await self.event())["type"] not in FINAL:
            pass
        return event

    async def closed(self) -> int:
        """The code of the close that comes, after whatever else."""
        kind, data = await self.frame()
        while kind != CLOSE:
            kind, data = await self.frame()
        return int.from_bytes(data[:2], "big")


@asynccontextmanager
async def talking(port: int, path: str = PATH, **headers: str) -> AsyncIterator[Talk]:
    async with connected(port) as line:
        await line.send(request(path, headers=HANDSHAKE | headers, method="GET"))
        head = await line.read_head()
        assert head.status == 101
        assert head.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # the one of RFC 6455
        yield Talk(line)


# ── The handshake ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", [PATH, "/openai/v1/responses", "/openai/responses?api-version=2025-04-01-preview"])
async def test_every_place_of_responses(path: str, tmp_path: Path) -> None:
    async with running(tmp_path, SIMULATED) as run, talking(run.port, path) as talk:
        await talk.say(create())
        assert (await talk.last())["type"] == "response.completed"
        assert (await run.entry()).surface == path.partition("?")[0]


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"sec-websocket-version": "8"}, 400, "invalid_websocket"),
        ({"sec-websocket-key": "short"}, 400, "invalid_websocket"),
        ({"sec-websocket-key": "AAAA"}, 400, "invalid_websocket"),
        ({"origin": "https://elsewhere.example"}, 403, "permission_denied"),
        ({"upgrade": "h2c"}, 405, "method_not_allowed"),
    ],
)
async def test_a_handshake_that_is_refused(changed: dict[str, str], status: int, code: str, tmp_path: Path) -> None:
    async with running(tmp_path, SIMULATED) as run:
        answer = await ask(run.port, PATH, headers=HANDSHAKE | changed)
        assert (answer.status, answer.json["error"]["code"]) == (status, code)
        assert (await ask(run.port, "/healthz")).status == 200


async def test_a_page_of_the_same_host_may_connect(tmp_path: Path) -> None:
    async with running(tmp_path, SIMULATED) as run, talking(run.port, origin="http://gateway") as talk:
        await talk.say(create())
        assert (await talk.last())["type"] == "response.completed"


async def test_without_a_key_nothing_is_opened(tmp_path: Path) -> None:
    async with running(tmp_path, SIMULATED | {"auth": "required"}, begin=True) as run:
        answer = await ask(run.port, PATH, headers=HANDSHAKE)
        assert (answer.status, answer.json["error"]["code"]) == (401, "missing_api_key")


async def test_header_fields_of_the_handshake_count_for_each_message(tmp_path: Path) -> None:
    async with running(tmp_path, SIMULATED) as run:
        async with talking(run.port, **{"x-trunkline-tags": "red, blue"}) as talk:
            for _ in range(2):
                await talk.say(create())
                await talk.last()
        assert [entry.tags for entry in run.entries()] == [("red", "blue")] * 2


# ── Frames ─────────────────────────────────────────────────────────────────────────────────────────────────────────

FORBIDDEN = {
    "unmasked": (frame(TEXT, b"{}", mask=None), 1002),
    "reserved bit 1": (bytes([0xC1, 0x80, 0, 0, 0, 0]), 1002),
    "reserved bit 2": (bytes([0xA1, 0x80, 0, 0, 0, 0]), 1002),
    "reserved bit 3": (bytes([0x91, 0x80, 0, 0, 0, 0]), 1002),
    "a kind that is not defined": (frame(3), 1002),
    "a control kind that is not defined": (frame(11), 1002),
    "a long ping": (frame(PING, b"x" * 126), 1002),
    "a long close": (frame(CLOSE, b"\x03\xe8" + b"x" * 124), 1002),
    "a ping in pieces": (frame(PING, b"x", final=False), 1002),
    "a fragment of nothing": (frame(CONTINUED, b"x"), 1002),
    "a message inside a message": (frame(TEXT, b"x", final=False) + frame(TEXT, b"x"), 1002),
    "a length in too many bytes": (bytes([0x81, 0xFE, 0, 5]) + b"\0\0\0\0hello", 1002),
    "a length in far too many bytes": (bytes([0x81, 0xFF]) + (200).to_bytes(8, "big") + b"\0\0\0\0", 1002),
    "a length without end": (bytes([0x81, 0xFF]) + b"\xff" * 8 + b"\0\0\0\0", 1009),
    "binary": (frame(BINARY, b"{}"), 1003),
    "no UTF-8": (frame(TEXT, b'{"model": "\xff"}'), 1007),
    "a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "no UTF-8 in pieces": (frame(TEXT, b"\xc3", final=False) + frame(CONTINUED, b"\xc3"), 1007),
    "half a code": (frame(CLOSE, b"\x03"), 1002),
    "a code that nobody may send": (frame(CLOSE, (1005).to_bytes(2, "big")), 1002),
    "a code beyond all": (frame(CLOSE, (5000).to_bytes(2, "big")), 1002),
    "a reason that is no UTF-8": (frame(CLOSE, b"\x03\xe8\xff"), 1007),
}


@pytest.mark.parametrize("sent", FORBIDDEN)
async def test_what_a_client_must_not_send(sent: str, tmp_path: Path) -> None:
    data, code = FORBIDDEN[sent]
    async with running(tmp_path, SIMULATED) as run, talking(run.port) as talk:
        await talk.line.send(data)
        assert await talk.closed() == code
        await talk.line.send(frame(CLOSE, code.to_bytes(2, "big")))
        assert await talk.line.rest() == b""


async def test_a_message_too_large(tmp_path: Path) -> None:
    async with running(tmp_path, SIMULATED | {"server": {"max_body_size": 10_000}}) as run:
        async with talking(run.port) as talk:
            await talk.line.send(frame(TEXT, b"x" * 10_001)[:20])
            assert await talk.closed() == 1009, "from its head on"
        async with talking(run.port) as talk:
            await talk.line.send(frame(TEXT, b" " * 6000, final=False) + frame(CONTINUED, b" " * 6000))
            assert await talk.closed() == 1009, "in pieces too"


async def test_a_message_byte_by_byte(tmp_path: Path) -> None:
    async with running(tmp_path, SIMULATED) as run, talking(run.port) as talk:
        for byte in frame(TEXT, create(input="grüße")):
            await talk.line.send(bytes([byte]))
            await asyncio.sleep(0)
        assert "grüße" in (await talk.last())["response"]["output"][0]["content"][0]["text"]


async def test_a_message_in_fragments_with_pings_between(tmp_path: Path) -> None:
    message = create(input="grüße " * 100)
    async with running(tmp_path, SIMULATED) as run, talking(run.port) as talk:
        await talk.line.send(frame(TEXT, message[:1], final=False) + frame(PING, b"one"))
        for at in range(1, len(message), 7):  # also in the middle of a letter
            await talk.line.send(frame(CONTINUED, message[at : at + 7], final=False))
        await talk.line.send(frame(PING, b"") + frame(CONTINUED, b""))
        assert await talk.frame() == (PONG, b"one")
        assert await talk.frame() == (PONG, b"")
        assert (await talk.last())["type"] == "response.completed"


@pytest.mark.parametrize("size", [125, 126, 65_535, 65_536, 1_000_000])
async def test_messages_of_every_length(size: int, tmp_path: Path) -> None:
    empty = len(create("sim/chat-large", input=""))
    message = create("sim/chat-large", input="y" * (size - empty))
    assert len(message) == size
    async with running(tmp_path, SIMULATED) as run, talking(run.port) as talk:
        await talk.say(message)
        assert (await talk.last())["type"] == "response.completed"


def test_the_reader_against_every_cut() -> None:
    sent = frame(TEXT, b"a" * 200, final=False) + frame(PING, b"p") + frame(CONTINUED, "ü".encode()) + frame(TEXT)
    expected = [(PING, b"p"), (TEXT, b"a" * 200 + "ü".encode()), (TEXT, b"")]
    for first in range(len(sent)):
        for second in (first, first + 1, first + 5):
            frames = websocket_frames.Frames(1000)
            pieces = (sent[:first], sent[first:second], sent[second:])
            assert [each for piece in pieces for each in frames.feed(piece)] == expected


def test_the_reader_against_anything() -> None:
    """Whatever comes, it is a message, a frame that waits for its end, or `Broken`."""
    chance = random.Random(6455)
    heads = [bytes([first, second]) for first in (0x81, 0x01, 0x80, 0x88, 0x89) for second in (0x80, 0x85, 0xFE, 0xFF)]
    kinds: set[int] = set()
    for _ in range(5000):
        frames = websocket_frames.Frames(300)
        sent = b"".join(chance.choice(heads) + chance.randbytes(chance.randrange(12)) for _ in range(6))
        with contextlib.suppress(websocket_frames.Broken):
            kinds |= {kind for byte in sent for kind, _ in frames.feed(bytes([byte]))}
    assert kinds == {TEXT, CLOSE, PING}


# ── One call after another ─────────────────────────────────────────────────────────────────────────────────────────


async def test_messages_wait_for_their_turn_up_to_a_bound(tmp_path: Path) -> None:
    async with running(tmp_path, SIMULATED) as run, talking(run.port) as talk:
        await talk.line.send(b"".join(frame(TEXT, create(input=f"number {i}")) for i in range(20)))
        refused = [await talk.event() for _ in range(4)]
        assert [event["error"]["code"] for event in refused] == ["too_many_messages"] * 4
        for number in range(16):
            text = (await talk.last())["response"]["output"][0]["content"][0]["text"]
            assert f"number {number}" in text
    assert len(run.entries()) == 16


async def test_who_only_sends_is_closed(tmp_path: Path) -> None:
    """Refusals too need to be read."""
    message = frame(TEXT, b"{}") * 1000
    async with running(tmp_path, SIMULATED) as run, talking(run.port) as talk:
        talk.line.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        talk.line.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await talk.line.send(frame(TEXT, create("sim/chat-small+ttft=10s")))

        async def flood() -> None:
            while True:
                await talk.line.send(message)
                await asyncio.sleep(0)

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(flood(), PATIENCE)
        await until(lambda: not run.listener.server_state.connections, "it is cut")


async def test_a_stream_that_ends_as_chats_do(tmp_path: Path) -> None:
    done = b'event: response.completed\ndata: {"type":"response.completed","response":{"id":"resp_1","output":[]}}\n\n'
    async with (
        Upstream(stream(done, b"data: [DONE]\n\n")) as up,
        running(tmp_path, one_target(up.url)) as run,
        talking(run.port) as talk,
    ):
        for lane in ("left", "right"):
            await talk.say(create("up/m", stream_id=lane))
            event = await talk.event()
            assert (event["type"], event["stream_id"]) == ("response.completed", lane)
        assert "stream_id" not in up.asked[0].json
        assert up.asked[0].json["stream"] is True


async def test_bytes_that_wait_are_bounded(tmp_path: Path) -> None:
    async with running(tmp_path, SIMULATED | {"server": {"max_body_size": 10_000}}) as run, talking(run.port) as talk:
        await talk.line.send(frame(TEXT, create(input="x " * 3000)) * 2)
        assert (await talk.event())["error"]["code"] == "too_many_messages"
        assert (await talk.last())["type"] == "response.completed"


async def test_a_client_that_does_not_read_holds_little(tmp_path: Path) -> None:
    """The provider's stream is not read faster than the client takes it."""
    text = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%b"}}' % (b"x" * 100_000)
    delta = b"event: content_block_delta\ndata: " + text + b"\n\n"
    written = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(STREAM_HEAD + b"".join(chunk(event) for event in ANTHROPIC.events[:2]))
        for _ in range(1000):
            writer.write(chunk(delta))
            await writer.drain()
            written += len(delta)

    async with Upstream(flood) as up, running(tmp_path, one_target(up.url, ANTHROPIC)) as run:
        async with talking(run.port) as talk:
            talk.line.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            talk.line.reader._transport.pause_reading()  # type: ignore[attr-defined]
            await talk.say(create("up/m"))
            await until(lambda: written > 0, "the flood begins")
            before = -1
            while written != before:
                before = written
                await asyncio.sleep(0.3)
            assert written < 50_000_000, "half of it"
            talk.line.abort()
        await asyncio.wait_for(up.gone.wait(), PATIENCE)


# ── The end ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("leaves", ["a close", "a cut"])
@pytest.mark.parametrize("family", [OPENAI, ANTHROPIC], ids=str)
async def test_a_client_that_leaves_ends_its_call(family: Family, leaves: str, tmp_path: Path) -> None:
    async with Upstream(stream(*family.events[:1], None)) as up, running(tmp_path, one_target(up.url, family)) as run:
        async with talking(run.port) as talk:
            await talk.say(create("up/m"))
            await talk.event()
            left = time.monotonic()
            if leaves == "a close":
                await talk.line.send(frame(CLOSE, (1000).to_bytes(2, "big")))
                assert await talk.closed() == 1000
            else:
                talk.line.abort()
            await asyncio.wait_for(up.gone.wait(), PATIENCE)
        assert up.gone_at - left < NOTICED
        entry = await run.entry()
    assert entry.error == "client_closed_request"


async def test_an_idle_connection_is_closed_and_an_old_one_too(tmp_path: Path) -> None:
    idle = {"server": {"websocket_idle": 0.1, "ping_interval": 0.05}}
    async with running(tmp_path, SIMULATED | idle) as run, talking(run.port) as talk:
        assert await talk.closed() == 1001
    old = {"server": {"websocket_lifetime": 0.1}}
    async with running(tmp_path, SIMULATED | old) as run, talking(run.port) as talk:
        assert (await talk.event())["error"]["code"] == "websocket_connection_limit_reached"
        assert await talk.closed() == 1001


async def test_who_does_not_answer_a_close_is_cut(tmp_path: Path) -> None:
    async with running(tmp_path, SIMULATED) as run, talking(run.port) as talk:
        await talk.line.send(frame(3))
        assert await talk.closed() == 1002
        await talk.line.send(frame(TEXT, create()))
        assert await talk.line.rest() == b"", "nothing more is answered, and the end comes"
        assert run.entries() == []


async def test_pings_come_in_silence(tmp_path: Path) -> None:
    sections = SIMULATED | {"server": {"ping_interval": 0.05}}
    async with running(tmp_path, sections) as run, talking(run.port) as talk:
        assert await talk.frame() == (PING, b"")
        await talk.line.send(frame(PONG, b""))
        await talk.say(create())
        assert (await talk.last())["type"] == "response.completed"


async def test_connections_are_counted(tmp_path: Path) -> None:
    sections = SIMULATED | {"server": {"max_connections": 2}}
    async with running(tmp_path, sections) as run, talking(run.port), talking(run.port) as talk:
        assert (await ask(run.port, "/healthz")).status == 503
        await talk.line.send(frame(CLOSE))
        assert await talk.closed() == 0
        await talk.line.rest()
        await until(lambda: len(run.listener.server_state.connections) < 2, "one is gone")
        assert (await ask(run.port, "/healthz")).status == 200


async def test_a_stop_lets_the_running_call_end_and_closes(tmp_path: Path) -> None:
    async with child(tmp_path, SIMULATED) as run, talking(run.port) as idle, talking(run.port) as busy:
        await busy.say(create("sim/chat-small+tps=20"))
        assert (await busy.event())["type"] == "response.created"
        run.signal(signal.SIGTERM)
        assert await idle.closed() == 1001
        await idle.line.send(frame(CLOSE, (1001).to_bytes(2, "big")))
        assert (await busy.last())["type"] == "response.completed"
        assert await busy.closed() == 1001
        await busy.line.send(frame(CLOSE, (1001).to_bytes(2, "big")))
        assert await run.ended() == 0
