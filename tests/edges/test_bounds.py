"""Every bound of the client-facing edge, and HTTP as clients speak it: raw sockets, one attack or custom at a time."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from tests.edges.families import FAMILIES, OPENAI, Family
from tests.edges.test_streams import one_target
from tests.edges.upstreams import Upstream, stream, whole
from tests.running import running, until
from tests.talking import Answer, ask, connected, request

NOWHERE = "http://127.0.0.1:9"
"""For tests whose requests must not get as far as a provider."""


def deep(levels: int) -> bytes:
    inside = b"[" * (levels - 1) + b"]" * (levels - 1)
    return b'{"model":"up/m","messages":[{"role":"user","content":"x"}],"x":%s}' % inside


# ── Bodies ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("client", FAMILIES, ids=str)
@pytest.mark.parametrize("framing", ["declared", "chunked"])
async def test_a_body_too_large(framing: str, client: Family, tmp_path: Path) -> None:
    sections = one_target(NOWHERE, client, server={"max_body_size": 10_000})
    async with running(tmp_path, sections) as run, connected(run.port) as line:
        if framing == "declared":
            await line.send(request(client.path, b"x" * 10_001))
        else:
            head = request(client.path, headers={"transfer-encoding": "chunked"})
            await line.send(head + b"1000\r\n" + b" " * 4096 + b"\r\n" + b"2000\r\n" + b" " * 8192 + b"\r\n")
        answer = await line.answer()
        entry = await run.entry()
    assert answer.status == 413
    assert client.error_code(answer.json) == "request_too_large"
    assert (entry.status, entry.error) == (413, "request_too_large")


async def test_after_a_refused_body_the_connection_goes_on(tmp_path: Path) -> None:
    """The body that nobody wants is taken and thrown away, up to a bound; it is not taken for the next head."""
    sections = one_target(NOWHERE, server={"max_body_size": 1000, "max_header_size": 1024})
    async with running(tmp_path, sections) as run, connected(run.port) as line:
        head, _, _ = request(OPENAI.path, b"x" * 100_000).partition(b"\r\n\r\n")
        await line.send(head + b"\r\n\r\n")
        assert (await line.answer()).status == 413
        await line.send(b"x" * 100_000)
        await line.send(request("/healthz", method="GET"))
        assert (await line.answer()).status == 200


async def test_an_unwanted_body_without_end_is_cut(tmp_path: Path) -> None:
    sections = one_target(NOWHERE, server={"max_body_size": 1000})
    async with running(tmp_path, sections) as run, connected(run.port) as line:
        head, _, _ = (
            request(OPENAI.path, b"x").replace(b"content-length: 1", b"content-length: 99999999").partition(b"\r\n\r\n")
        )
        await line.send(head + b"\r\n\r\n")
        assert (await line.answer()).status == 413

        async def flood() -> None:
            for _ in range(1000):
                await line.send(b"x" * 65_536)
                await asyncio.sleep(0)

        with pytest.raises(ConnectionError):
            await flood()


async def test_an_unknown_callers_body_is_not_read(tmp_path: Path) -> None:
    """The answer comes before a byte of the body does: nothing of it can have been held."""
    sections = one_target(NOWHERE, auth="required")
    async with running(tmp_path, sections) as run, connected(run.port) as line:
        head = request(OPENAI.path, headers={"content-length": "20000000", "expect": "100-continue"})
        await line.send(head)
        answer = await line.answer()
        entry = await run.entry()
    assert answer.status == 401  # and not 100
    assert (entry.status, entry.error, entry.bytes_in) == (401, "missing_api_key", 0)


@pytest.mark.parametrize("client", FAMILIES, ids=str)
async def test_json_too_deep(client: Family, tmp_path: Path) -> None:
    async with (
        Upstream(whole(client.answer)) as up,
        running(tmp_path, one_target(up.url, client, server={"max_json_depth": 16})) as run,
    ):
        refused = await ask(run.port, client.path, deep(17))
        passed = await ask(run.port, client.path, deep(16))
    assert refused.status == 400
    assert client.error_code(refused.json) == "json_too_deep"
    assert passed.status in (200, 400)
    assert b"json_too_deep" not in passed.body
    assert len(up.asked) == (1 if passed.status == 200 else 0)


async def test_chunked_and_expected_bodies_arrive_whole(tmp_path: Path) -> None:
    async with (
        Upstream(whole(OPENAI.answer)) as up,
        running(tmp_path, one_target(up.url)) as run,
        connected(run.port) as line,
    ):
        body = request("/", OPENAI.ask("up/m")).partition(b"\r\n\r\n")[2]
        chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
        await line.send(request(OPENAI.path, headers={"transfer-encoding": "chunked"}) + chunks)
        assert (await line.answer()).status == 200
        await line.send(request(OPENAI.path, headers={"content-length": str(len(body)), "expect": "100-continue"}))
        assert (await line.read_head()).status == 100
        await line.send(body)
        assert (await line.answer()).status == 200
    assert [each.json["messages"] for each in up.asked] == [OPENAI.body["messages"]] * 2


# ── Heads ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("where", ["one field", "many fields", "the path", "without end"])
async def test_a_head_too_large(where: str, tmp_path: Path) -> None:
    sections = one_target(NOWHERE, server={"max_header_size": 4096})
    async with running(tmp_path, sections) as run, connected(run.port) as line:
        head = {
            "one field": request("/healthz", headers={"x": "y" * 5000}, method="GET"),
            "many fields": request("/healthz", headers={f"x{n}": "y" for n in range(1000)}, method="GET"),
            "the path": request("/" + "x" * 5000, method="GET"),
            "without end": b"GET / HTTP/1.1\r\nx: " + b"y" * 5000,
        }[where]
        await line.send(head)
        answer = await line.answer()
        assert (answer.status, answer.json["error"]["code"]) == (431, "header_too_large")
        assert await line.rest() == b""


async def test_a_large_body_in_the_same_piece_as_its_head_is_none_of_the_heads_size(tmp_path: Path) -> None:
    async with (
        Upstream(whole(OPENAI.answer)) as up,
        running(tmp_path, one_target(up.url, server={"max_header_size": 1024})) as run,
    ):
        message = request(OPENAI.path, OPENAI.ask("up/m", user="x" * 10_000))
        end = message.index(b"\r\n\r\n")
        for border in (len(message), *range(end, end + 5)):  # borders inside the head's end too
            async with connected(run.port) as line:
                await line.send(message[:border])
                await asyncio.sleep(0.01)
                await line.send(message[border:])
                assert (await line.answer()).status == 200, border


@pytest.mark.parametrize(
    "bad",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nbad header\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"POST /v1/messages HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
async def test_what_is_not_http_gets_a_400_and_the_connection_ends(bad: bytes, tmp_path: Path) -> None:
    async with running(tmp_path, one_target(NOWHERE)) as run, connected(run.port) as line:
        await line.send(bad)
        answer = await line.answer()
        assert await line.rest() == b""
    assert answer.status == 400
    assert answer.json["error"]["type"] == "invalid_request_error"
    assert answer.json["error"]["code"] == "invalid_http"


# ── Time ───────────────────────────────────────────────────────────────────────────────────────────────────────────

SLOW = {"header_timeout": 0.2, "body_timeout": 0.2, "keep_alive": 1.0}


@pytest.mark.parametrize(
    "begun",
    [b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n", request(OPENAI.path, b"x" * 100)[:-50]],
    ids=["head", "body"],
)
async def test_a_slow_client_is_cut(begun: bytes, tmp_path: Path) -> None:
    async with running(tmp_path, one_target(NOWHERE, server=SLOW)) as run, connected(run.port) as line:
        await line.send(begun)
        started = time.monotonic()
        answer = await line.answer()
        assert await line.rest() == b""
        if b"\r\n\r\n" in begun:
            assert (await run.entry()).error == "request_timeout"
    assert (answer.status, answer.json["error"]["code"]) == (408, "request_timeout")
    assert time.monotonic() - started < 5


async def test_a_head_that_dribbles_is_cut_all_the_same(tmp_path: Path) -> None:
    """Slowloris: every byte is news, the head as a whole is late."""
    async with running(tmp_path, one_target(NOWHERE, server=SLOW)) as run, connected(run.port) as line:
        await line.send(b"GET / HTTP/1.1\r\nx: ")

        async def dribble() -> None:
            while True:
                await line.send(b"y")
                await asyncio.sleep(0.02)

        dribbling = asyncio.create_task(dribble())
        assert (await line.answer()).status == 408
        dribbling.cancel()
        await asyncio.gather(dribbling, return_exceptions=True)


async def test_a_body_that_dribbles_ends_with_the_calls_own_time(tmp_path: Path) -> None:
    sections = one_target(NOWHERE, server={"request_timeout": 0.3})
    async with running(tmp_path, sections) as run, connected(run.port) as line:
        await line.send(request(OPENAI.path, headers={"content-length": "100000"}))

        async def dribble() -> None:
            while True:
                await line.send(b" ")
                await asyncio.sleep(0.02)

        dribbling = asyncio.create_task(dribble())
        answer = await line.answer()
        dribbling.cancel()
        await asyncio.gather(dribbling, return_exceptions=True)
        entry = await run.entry()
    assert answer.status == 408
    assert (entry.status, entry.error) == (408, "request_timeout")


async def test_idle_connections_end(tmp_path: Path) -> None:
    async with running(tmp_path, one_target(NOWHERE, server=SLOW)) as run, connected(run.port) as line:
        await line.send(request("/healthz", method="GET"))
        assert (await line.answer()).status == 200
        assert await line.rest() == b""


async def test_a_long_answer_is_not_idle_time(tmp_path: Path) -> None:
    """Not the first on its connection and not one that was sent ahead."""
    go_on = asyncio.Event()
    async with (
        Upstream(stream(*OPENAI.events), stream(OPENAI.events[0], go_on, *OPENAI.events[1:])) as up,
        running(tmp_path, one_target(up.url, server=SLOW | {"keep_alive": 0.2})) as run,
        connected(run.port) as line,
    ):
        message = request(OPENAI.path, OPENAI.ask("up/m", stream=True))
        await line.send(message + message + b"POST /half-a-head")
        assert (await line.answer()).body.endswith(b"data: [DONE]\n\n")
        await line.read_head()
        await line.read_chunk()
        await asyncio.sleep(1.2)  # two looks at the connections, past every limit
        go_on.set()
        assert (await line.read_body()).endswith(b"data: [DONE]\n\n")


# ── Connections ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_number_of_connections_is_bounded(tmp_path: Path) -> None:
    async with (
        running(tmp_path, one_target(NOWHERE, server={"max_connections": 2})) as run,
        connected(run.port) as one,
        connected(run.port) as two,
    ):
        await until(lambda: len(run.listener.server_state.connections) == 2, "two connections")
        async with connected(run.port) as three:
            refused = await three.answer()
            assert (refused.status, refused.json["error"]["code"]) == (503, "too_many_connections")
            assert refused.headers["retry-after"] == "1"
            assert await three.rest() == b""
        for line in (one, two):
            await line.send(request("/healthz", method="GET"))
            assert (await line.answer()).status == 200


async def test_keep_alive_and_pipelining_answer_in_order(tmp_path: Path) -> None:
    answers = [OPENAI.answer | {"id": f"c{number}"} for number in range(6)]
    async with (
        Upstream(*(whole(each) for each in answers)) as up,
        running(tmp_path, one_target(up.url)) as run,
        connected(run.port) as line,
    ):
        message = request(OPENAI.path, OPENAI.ask("up/m"))
        ids = []
        for _ in range(3):
            await line.send(message)
            ids.append((await line.answer()).json["id"])
        await line.send(message * 3)
        ids += [(await line.answer()).json["id"] for _ in range(3)]
        await run.entry(6)
    assert ids == [f"c{number}" for number in range(6)]


async def test_http_1_0_and_connection_close_end_the_connection(tmp_path: Path) -> None:
    async with running(tmp_path, one_target(NOWHERE)) as run:
        for message in (
            b"GET /healthz HTTP/1.0\r\n\r\n",
            request("/healthz", headers={"connection": "close"}, method="GET"),
        ):
            async with connected(run.port) as line:
                await line.send(message)
                assert (await line.answer()).status == 200
                assert await line.rest() == b""


METHODS: list[tuple[str, str, int]] = [
    ("GET", OPENAI.path, 405),
    ("OPTIONS", OPENAI.path, 405),
    ("DELETE", "/v1/messages", 405),
    ("PUT", "/v1/models", 405),
    ("POST", "/healthz", 405),
    ("POST", "/readyz", 405),
    ("POST", "/metrics", 405),
    ("GET", "/v1/models", 200),
    ("GET", "/healthz", 200),
    ("GET", "/readyz", 200),
    ("GET", "/metrics", 200),
    ("GET", "/nothing", 404),
    ("POST", "/v1/nothing", 404),
    ("OPTIONS", "*", 404),
]


@pytest.mark.parametrize(("method", "path", "status"), METHODS)
async def test_methods_and_paths(method: str, path: str, status: int, tmp_path: Path) -> None:
    async with running(tmp_path, one_target(NOWHERE)) as run:
        answer = await ask(run.port, path, method=method)
        assert run.entries() == []
    assert answer.status == status
    if status >= 400:
        assert_helpful(answer)
    if status == 405:
        assert answer.headers["allow"] in ("POST", "GET, HEAD")


def assert_helpful(answer: Answer) -> None:
    error: dict[str, Any] = answer.json["error"]
    assert error["message"]
    assert error["type"] == "invalid_request_error"
    request_id = error.get("request_id") or answer.json["request_id"]
    assert request_id == answer.headers["x-request-id"] == answer.headers["request-id"]


async def test_head_is_get_without_a_body(tmp_path: Path) -> None:
    async with running(tmp_path, one_target(NOWHERE)) as run, connected(run.port) as line:
        for path in ("/healthz", "/v1/models", "/metrics"):
            await line.send(request(path, method="HEAD"))
            head = await line.read_head()
            assert head.status == 200
            assert int(head.headers["content-length"]) > 0
        await line.send(request("/healthz", method="GET"))
        assert (await line.answer()).json == {"status": "ok"}
