"""Two gateways on one Redis and one database: what changes at one is known to the other at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.running import Running, running, until
from tests.state.redis_server import RedisServer
from tests.talking import ask
from trunkline.state import shipper

LOOPS = {"uvloop": uvloop.new_event_loop}
SELDOM = shipper.ShipperSettings(poll=3600.0)
ADMIN = "an admin key of some length"


@pytest.fixture
async def pair(redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[Running]]:
    """They look at the database only when they have reason to."""
    monkeypatch.setattr(shipper, "ShipperSettings", lambda: SELDOM)
    sections: dict[str, Any] = {
        "auth": "required",
        "admin_key": ADMIN,
        "state": {
            "durable": f"sqlite:///{tmp_path}/shared.db",
            "hot": redis.url,
            "redis": {"deadline": 0.5},
        },
    }
    async with AsyncExitStack() as stack:
        made = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            own = sections["state"] | {"directory": str(tmp_path / name)}
            made.append(
                await stack.enter_async_context(running(tmp_path / name, sections | {"state": own}, begin=True))
            )
            await until(lambda gateway=made[-1].gateway: gateway.stores.ring.loaded, "the keys are loaded")  # type: ignore[misc]
        yield made


async def admin(one: Running, path: str, body: dict[str, Any], method: str = "POST") -> Any:
    headers = {"authorization": f"Bearer {ADMIN}"}
    return (await ask(one.port, f"/admin/v1/{path}", body, method=method, headers=headers)).json


async def test_a_key_that_is_disabled_at_one_is_disabled_at_the_other(pair: list[Running]) -> None:
    one, two = pair
    secret = (await admin(one, "keys", {"name": "ci"}))["secret"].encode()
    await until(lambda: two.gateway.stores.ring.find(secret) is not None, "the other knows the key")
    await admin(one, "keys/ci", {"disabled": True}, "PATCH")
    rings = [each.gateway.stores.ring for each in pair]

    def disabled() -> list[bool]:
        return [key.disabled for ring in rings if (key := ring.find(secret)) is not None]

    await until(lambda: all(disabled()), "both know that it is disabled")
    assert disabled() == [True, True]


async def test_a_conversation_is_at_home_for_both(pair: list[Running]) -> None:
    one, two = (each.gateway.routing.homes.affinities for each in pair)
    one.keep(b"\x00talk", "openai/gpt", 500, 60.0, 1000.0)
    await until(lambda: two.find(b"\x00talk", 7.0) is not None, "the other knows where it is")
    bond = two.find(b"\x00talk", 7.0)
    assert bond is not None
    assert (bond.target, bond.cached, bond.expires) == ("openai/gpt", 500, 67.0)


async def test_readiness_and_metrics_show_the_hot_store(pair: list[Running], redis: RedisServer) -> None:
    headers = {"authorization": f"Bearer {ADMIN}"}
    ready = (await ask(pair[0].port, "/readyz", headers=headers)).json
    assert ready["hot"]["up"] is True
    assert ready["hot"]["error"] is None
    assert b"trunkline_hot_up 1.0" in (await ask(pair[0].port, "/metrics", headers=headers)).body
    redis.stop()
    await until(lambda: str(redis.port) in str(pair[0].gateway.stores.hot.status()["error"]), "Redis is gone")
    answer = await ask(pair[0].port, "/readyz", headers=headers)
    assert answer.status == 200  # degraded, and in service
    assert (answer.json["ready"], answer.json["degraded"], answer.json["hot"]["up"]) == (True, True, False)
    assert str(redis.port) in answer.json["hot"]["error"]
    assert str(redis.port).encode() not in (await ask(pair[0].port, "/readyz")).body  # for the admin key alone
    assert b"trunkline_hot_up 0.0" in (await ask(pair[0].port, "/metrics", headers=headers)).body


async def test_each_knows_how_many_there_are(pair: list[Running]) -> None:
    counts = [lambda each=each: each.gateway.stores.hot.status()["processes"] for each in pair]  # type: ignore[misc]
    await until(lambda: max(count() for count in counts) == 2, "one of them knows of both")
    await until(lambda: min(count() for count in counts) == 2, "both know of both")
    assert [count() for count in counts] == [2, 2]


async def test_what_makes_no_sense_is_not_heard(pair: list[Running], redis: RedisServer) -> None:
    two = pair[1].gateway.routing.homes.affinities
    for message in (
        "",
        "[",
        '["x","homes",5]',
        '["x","homes",[["AA==",5]]]',
        '["x","none",1]',
        "[" * 2000,
        "x" * 70_000,
    ):
        redis.command("PUBLISH", "{trunkline}:hints", message)
    redis.command("PUBLISH", "{trunkline}:hints", '["x","homes",[["AHRhbGs=","a/b",1,60]]]')
    await until(lambda: two.find(b"\x00talk", 0.0) is not None, "the last is heard")
    assert two.find(b"\x00talk", 0.0).target == "a/b"
    assert pair[1].gateway.stores.hot.status()["up"]
