"""Guessing keys over real sockets: at every endpoint that asks for one, in the caller's family."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.edges.surface_calls import GENERATE
from tests.running import Running, running, until
from tests.talking import ask
from trunkline.core.call import KeySpec

SECTIONS: dict[str, Any] = {
    "auth": "required",
    "models": {"smart": {"targets": [{"target": "sim/sim-small"}]}},
    "abuse": {"guessing": {"guesses": 3, "block": 60}, "sharing": {"action": "suspend", "addresses": 1}},
    "server": {"trusted_proxies": ["127.0.0.1"]},
}


async def a_key(run: Running) -> str:
    shipper = run.gateway.stores.shipper
    assert shipper is not None
    await until(lambda: shipper.keys is not None and run.gateway.stores.ring.loaded, "the database is open")
    assert shipper.keys is not None
    _, secret = await asyncio.to_thread(shipper.keys.create, KeySpec("mine"))
    await until(lambda: run.gateway.stores.ring.find(secret.encode()) is not None, "the key is known")
    return secret


@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/v1/chat/completions", "/v1/messages"])
async def test_guessing_is_slowed_down_wherever_it_is_tried(tmp_path: Path, path: str) -> None:
    async with running(tmp_path, SECTIONS, begin=True) as run:
        secret = await a_key(run)
        body = {"model": "smart"} | GENERATE["openai_chat"][0] if "chat" in path or "messages" in path else None
        statuses = []
        for number in range(4):
            said = {"authorization": f"Bearer guess-{number}", "x-forwarded-for": "6.6.6.6"}
            answer = await ask(run.port, path, body, said)
            statuses.append(answer.status)
        assert statuses == [401, 401, 401, 429]
        assert answer.json["error"]["code"] == "too_many_attempts"
        assert 0 < int(answer.headers["retry-after"]) <= 60
        fine = await ask(run.port, "/v1/models", None, {"x-api-key": secret, "x-forwarded-for": "7.7.7.7"})
        assert fine.status == 200


async def test_a_suspended_key_is_disabled_for_all(tmp_path: Path) -> None:
    async with running(tmp_path, SECTIONS, begin=True) as run:
        secret = await a_key(run)
        for address, status in (("1.1.1.1", 200), ("2.2.2.2", 403)):
            said = {"authorization": f"Bearer {secret}", "x-forwarded-for": address}
            assert (await ask(run.port, "/v1/models", None, said)).status == status
        key = run.gateway.stores.ring.find(secret.encode())
        assert key is not None
        await until(lambda: run.gateway.stores.ring.find(secret.encode()).disabled, "the database has it")  # type: ignore[union-attr]
