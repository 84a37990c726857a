"""Hints reach the others and nobody else, within bounds, also after a connection was lost; a server that talks nonsense
is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
import uvloop

from tests.state.redis_process import PATIENT, Process, until
from tests.state.redis_server import RedisServer, SlowWay
from trunkline.core.limit import Grant, Want
from trunkline.core.redis_url import locate_redis
from trunkline.policy.quota import FIXED
from trunkline.state.redis import connection
from trunkline.state.redis.client import RedisClient
from trunkline.state.redis.connection import Connection, RedisError, RedisLost, pack
from trunkline.state.redis.hints import MAX_A_SECOND, MAX_HINT, Hint, RedisHints

LOOPS = {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def way(redis: RedisServer) -> AsyncIterator[SlowWay]:
    way = SlowWay(redis.port)
    await way.open()
    yield way
    await way.cut()


class Talker:
    """A process that hears numbers."""

    def __init__(self, url: str) -> None:
        self.process = Process(url, PATIENT)
        self.now = 0.0
        self.hints = RedisHints(self.process.client, lambda: self.now)
        self.heard: list[int] = []
        self.hints.listen("number", int, self.heard.append)

    @property
    def client(self) -> RedisClient:
        return self.process.client


@pytest.fixture
async def talkers(way: SlowWay) -> AsyncIterator[list[Talker]]:
    made = [Talker(way.url) for _ in range(3)]
    for each in made:
        await each.process.open()
    yield made
    for each in made:
        await each.client.aclose()


async def test_the_others_hear_it_and_oneself_does_not(talkers: list[Talker]) -> None:
    one, *others = talkers
    one.hints.publish("number", 7)
    one.hints.publish("word", "who cares")
    one.hints.publish("number", "no number")
    one.hints.publish("number", 8)
    await until(lambda: all(each.heard == [7, 8] for each in others))
    assert one.heard == []


async def test_what_is_too_large_or_too_much_is_dropped(talkers: list[Talker]) -> None:
    one, two, _ = talkers
    one.hints.publish("number", "x" * MAX_HINT)
    assert one.hints.dropped == 1
    for number in range(MAX_A_SECOND + 50):
        one.hints.publish("number", number)
    assert one.hints.dropped == 51
    one.now = 1.0
    one.hints.publish("number", -1)
    await until(lambda: two.heard[-1:] == [-1])
    assert two.heard == [*range(MAX_A_SECOND), -1]


async def test_after_a_lost_connection_they_are_heard_again(talkers: list[Talker], way: SlowWay) -> None:
    one, two, _ = talkers
    await way.cut()
    await until(lambda: not one.client.up and not two.client.up)
    one.hints.publish("number", 1)
    assert one.hints.dropped == 1
    await way.open()
    await until(lambda: one.client.up and two.client.up)
    one.hints.publish("number", 2)
    await until(lambda: two.heard)
    assert two.heard == [2]


# ── One connection ─────────────────────────────────────────────────────────────────────────────────────────────────


class Server:
    """Answers each read with what it is given."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = answers
        self.read = b""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in self._answers:
            self.read += await reader.read(65_536)
            writer.write(answer)
        await reader.read()
        writer.close()


async def connected(answer: Server) -> tuple[Connection, asyncio.Server, list[Connection]]:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    ended: list[Connection] = []
    made = lambda: Connection(0.2, lambda message: None, ended.append)  # noqa: E731
    _, protocol = await asyncio.get_running_loop().create_connection(made, *server.sockets[0].getsockname())
    return protocol, server, ended


async def test_commands_of_one_turn_leave_together_and_answers_come_in_order() -> None:
    answers = Server(b"+one\r\n-ERR two\r\n:3\r\n")
    one, server, _ = await connected(answers)
    first, second, third = one.send("GET", "a"), one.decide(pack(("GET", b"b"))), one.send("GET", 3)
    assert await first == b"one"
    with pytest.raises(RedisError, match="ERR two"):
        await second
    assert await third == 3
    assert answers.read.count(b"GET") == 3
    one.abort()
    server.close()


@pytest.mark.parametrize("nonsense", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+a\r\n+b\r\n", b"$5\r\nabcdefghi\r\n"])
async def test_nonsense_ends_the_connection(nonsense: bytes) -> None:
    one, server, ended = await connected(Server(nonsense, b""))
    waiting = one.send("PING")
    await asyncio.wait([waiting], timeout=5.0)
    again = one.send("PING")
    with pytest.raises(RedisLost):
        await again
    assert ended == [one]
    server.close()


async def test_no_more_commands_than_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_PENDING", 3)
    one, server, _ = await connected(Server())
    waiting = [one.send("PING") for _ in range(4)]
    with pytest.raises(RedisLost, match="takes no more"):
        await waiting[3]
    assert not any(each.done() for each in waiting[:3])
    one.abort()
    assert all(isinstance(each, RedisLost) for each in await asyncio.gather(*waiting, return_exceptions=True))
    server.close()


async def test_an_error_of_redis_leaves_the_decision_to_us(redis: RedisServer) -> None:
    one = Process(redis.url)
    await one.open()
    redis.command("SET", "{trunkline}:c:a", "no hash")
    wants = (Want("a", FIXED["day"], 5),)
    for _ in range(3):
        assert isinstance(await one.counters.take(wants, (1,), 60_000), Grant)
    assert one.alone.admitted == 3
    assert not one.client.up  # three errors in a row
    await one.client.aclose()


def test_another_version_may_add_to_a_message() -> None:
    hint = msgspec.json.decode(b'["a","number",5,"more"]', type=Hint)
    assert (hint.sender, hint.topic, bytes(hint.body)) == ("a", "number", b"5")


async def test_a_client_that_serves_nothing_else_is_used_again_too(redis: RedisServer) -> None:
    client = RedisClient(locate_redis(redis.url), PATIENT)
    await client.open(2.0)
    for outages in (1, 2):
        assert client.up
        redis.stop()
        await until(lambda: not client.up)
        with pytest.raises(RedisLost):
            await client.decide(pack(("PING",)))
        assert client.counts.outages == outages
        redis.start()
        await until(lambda: client.up)
        assert await client.decide(pack(("PING",))) == b"PONG"
    await client.aclose()
