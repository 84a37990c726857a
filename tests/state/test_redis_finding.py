"""The server that decides is found: by login, over TLS, behind sentinels, in a cluster, and again after a failover."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
import uvloop

from tests.state.redis_process import PATIENCE, Process, until
from tests.state.redis_server import RedisServer, SlowWay, free_port
from trunkline.core.limit import Grant, Want
from trunkline.core.redis_url import Login, locate_redis
from trunkline.policy.outage import RedisSettings
from trunkline.policy.quota import FIXED
from trunkline.state.location import StateError

LOOPS = {"uvloop": uvloop.new_event_loop}
WANTS = (Want("calls", FIXED["day"], 100, kept=True),)
SETTINGS = RedisSettings(deadline=0.2)

Start = Callable[..., RedisServer]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Servers that end with the test."""
    servers = []

    def started(*options: str, **given: object) -> RedisServer:
        server = RedisServer(tmp_path, *options, **given)  # type: ignore[arg-type]
        servers.append(server)
        server.start()
        return server

    yield started
    for server in servers:
        server.stop()


async def decides(url: str) -> int:
    """Open, take one call, close: how many have been taken."""
    process = Process(url, SETTINGS)
    await process.open()
    grant = await process.counters.take(WANTS, (1,), 60_000)
    await process.client.aclose()
    assert isinstance(grant, Grant)
    assert process.alone.admitted == 0
    return grant.totals[0]


# ── The URL ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_url_says_all_of_it() -> None:
    found = locate_redis("rediss+sentinel://us%40er:p%3Aw@a,b:7,[::1]:8/main/3?ca=/x.pem&sentinel_password=s")
    assert (found.mode, found.tls, found.service, found.database, found.ca) == ("sentinel", True, "main", 3, "/x.pem")
    assert found.hosts == (("a", 26379), ("b", 7), ("::1", 8))
    assert (found.login, found.sentinel_login) == (Login("us@er", "p:w"), Login("", "s"))
    assert "p%3Aw" not in found.shown
    assert "password=s" not in found.shown
    assert locate_redis("redis://h").hosts == (("h", 6379),)
    assert locate_redis("redis+cluster://h,i:1/0").hosts == (("h", 6379), ("i", 1))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("memcached://h", "a Redis is expected"),
        ("redis+other://h", "a Redis is expected"),
        ("redis://", "each host is a name"),
        ("redis://h:0", "each host is a name"),
        ("redis://h:x", "each host is a name"),
        ("redis://h,,i", "each host is a name"),
        ("redis://user@h", "a user and no password"),
        ("redis://h/x", "the number of a database"),
        ("redis://h/1/2", "the number of a database"),
        ("redis+cluster://h/1", "no database but 0"),
        ("redis+sentinel://h", "names what the sentinels watch"),
        ("redis://h?cert=a", "cert and key belong together"),
        ("redis://h?timeout=5", "no option 'timeout'"),
        ("redis://" + ",".join(["h"] * 33), "at most 32 hosts"),
    ],
)
def test_a_wrong_url_is_refused_with_what_is_wrong(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        locate_redis(url)


def test_no_error_shows_a_password() -> None:
    for url in ("redis://u:sesame@h:x", "redis+other://u:sesame@h", "redis://u:sesame@h/x"):
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - what is in it is what matters
            locate_redis(url)
        assert "sesame" not in str(caught.value)


# ── Logins and TLS ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_with_a_password_and_with_a_user_of_few_rights(start: Start) -> None:
    server = start("--requirepass", "sesame")
    assert await decides(f"redis://:sesame@127.0.0.1:{server.port}") == 1
    rights = ["on", ">pa:ss", "~{trunkline}:*", "&{trunkline}:*", "+@all", "-@dangerous", "+role"]
    assert server.command("ACL", "SETUSER", "gate", *rights, password="sesame") == b"+OK\r\n"
    assert await decides(f"redis://gate:pa%3Ass@127.0.0.1:{server.port}") == 2
    process = Process(f"redis://gate:wrong@127.0.0.1:{server.port}", SETTINGS)
    await process.client.open(2.0)
    assert "WRONGPASS" in process.client.status()["error"]
    await process.client.aclose()


async def test_over_tls_with_a_certificate_of_our_own(start: Start, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    authority.issue_cert("us").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "us.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    way = SlowWay(start().port, context)
    await way.open()
    url = f"rediss://127.0.0.1:{way.port}"
    assert await decides(f"{url}?ca={tmp_path}/ca.pem&cert={tmp_path}/us.pem&key={tmp_path}/us.pem") == 1
    process = Process(url, SETTINGS)  # whose authority nobody trusts
    await process.client.open(2.0)
    assert "certificate verify failed" in process.client.status()["error"]
    await process.client.aclose()
    await way.cut()
    with pytest.raises(StateError, match="PEM files that can be read"):
        Process(f"rediss://h?ca={tmp_path}/none.pem")


async def test_in_a_database_of_its_own(start: Start) -> None:
    server = start()
    assert await decides(f"{server.url}/3") == 1
    assert await decides(f"{server.url}/4") == 1
    assert await decides(f"{server.url}/3") == 2


# ── Pairs, sentinels, clusters ────────────────────────────────────────────────────────────────────────────────────────


async def test_of_a_pair_the_primary(start: Start) -> None:
    primary = start("--repl-diskless-sync-delay", "0")
    replica = start("--replicaof", "127.0.0.1", str(primary.port))
    await _until_said(replica, b"master_link_status:up", "INFO", "replication")
    hosts = f"127.0.0.1:{replica.port},127.0.0.1:{primary.port}"
    assert await decides(f"redis://{hosts}") == 1
    process = Process(f"redis://{hosts}", SETTINGS)
    await process.open()
    held = await process.counters.take(WANTS, (1,), 60_000)
    assert isinstance(held, Grant)
    primary.command("WAIT", "1", "1000")
    primary.stop()
    replica.command("REPLICAOF", "NO", "ONE")
    await process.holds([("calls", FIXED["day"])], [2])  # the other one has it all, and is the primary now
    process.counters.settle(held, (0,))
    await process.holds([("calls", FIXED["day"])], [1])
    await process.client.aclose()


async def test_a_primary_that_becomes_a_replica_is_left(start: Start) -> None:
    first, second = start(), start()
    process = Process(f"redis://127.0.0.1:{first.port},127.0.0.1:{second.port}", SETTINGS)
    await process.open()
    await process.counters.take(WANTS, (1,), 60_000)
    first.command("REPLICAOF", "127.0.0.1", str(second.port))
    await process.counters.take(WANTS, (1,), 60_000)  # READONLY: decided alone
    assert process.alone.admitted == 1
    await until(lambda: process.client.up)
    # What the first one counted is gone with its data; the grants that are held are told to the second.
    await process.holds([("calls", FIXED["day"])], [2])
    await process.client.aclose()


async def test_whom_the_sentinels_name_also_after_a_failover(start: Start, tmp_path: Path) -> None:
    primary = start()
    replica = start("--replicaof", "127.0.0.1", str(primary.port))
    file = tmp_path / "sentinel.conf"
    file.write_text(
        f"sentinel monitor main 127.0.0.1 {primary.port} 1\n"
        "sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 2000\n"
    )
    sentinel = start(str(file), sentinel=True)
    url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinel.port}/main"
    process = Process(url, SETTINGS)
    await process.open()
    assert isinstance(await process.counters.take(WANTS, (1,), 60_000), Grant)
    await _until_said(sentinel, str(replica.port).encode(), "SENTINEL", "REPLICAS", "main")
    primary.stop()
    await until(lambda: not process.client.up)
    assert isinstance(await process.counters.take(WANTS, (1,), 60_000), Grant)  # alone, meanwhile
    end = asyncio.get_running_loop().time() + 20
    while not process.client.up:
        assert asyncio.get_running_loop().time() < end, process.client.status()
        await asyncio.sleep(0.05)
    await process.holds([("calls", FIXED["day"])], [2])
    await process.client.aclose()
    unknown = Process(url.replace("/main", "/other"), SETTINGS)
    await unknown.client.open(2.0)
    assert "knows no service 'other'" in unknown.client.status()["error"]
    await unknown.client.aclose()


async def _until_said(server: RedisServer, what: bytes, *command: str) -> None:
    end = asyncio.get_running_loop().time() + PATIENCE
    while what not in server.command(*command):
        assert asyncio.get_running_loop().time() < end, f"{command} does not say {what!r}"
        await asyncio.sleep(0.05)


async def test_in_a_cluster_the_owner_of_our_slot_also_when_that_moves(start: Start, tmp_path: Path) -> None:
    nodes = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        port = free_port()
        options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--dir", str(tmp_path / name))
        nodes.append(start(*options, port=port))
    one, two = nodes
    one.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
    two.command("CLUSTER", "MEET", "127.0.0.1", str(one.port), _bus(one))
    await _until_said(two, b"cluster_state:ok", "CLUSTER", "INFO")
    url = f"redis+cluster://127.0.0.1:{two.port},127.0.0.1:{one.port}"
    assert await decides(url) == 1  # asked the second, which owns nothing
    process = Process(url, SETTINGS)
    await process.open()
    assert isinstance(await process.counters.take(WANTS, (1,), 60_000), Grant)
    slot = one.command("CLUSTER", "KEYSLOT", "{trunkline}:name")[1:].strip().decode()
    name = two.command("CLUSTER", "MYID").split()[1].decode()
    one.command("FLUSHALL")  # a slot that holds keys cannot be given away
    for node in (two, one):
        node.command("CLUSTER", "SETSLOT", slot, "NODE", name)
    assert isinstance(await process.counters.take(WANTS, (1,), 60_000), Grant)  # MOVED: decided alone
    await process.holds([("calls", FIXED["day"])], [2])
    await process.client.aclose()


def _bus(node: RedisServer) -> str:
    return node.options[node.options.index("--cluster-port") + 1]
