"""Keys at the edge: where SDKs put them, what refuses a call, how fast a change works, and the admin API."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.edges.families import FAMILIES, OPENAI, Family
from tests.edges.upstreams import Upstream, whole
from tests.running import Running, running, shipped, until
from tests.talking import Answer, ask

ADMIN = "an-admin-key-of-some-length"
AS_ADMIN = {"authorization": f"Bearer {ADMIN}"}
TAKES_EFFECT = 1.0
"""Seconds in which a change of a key works, in every process."""


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    """One provider of each family, keys required, the admin API on, the database open."""
    openai, anthropic = FAMILIES
    async with Upstream(whole(openai.answer)) as one, Upstream(whole(anthropic.answer)) as two:
        providers = {"openai": openai.provider(one.url), "anthropic": anthropic.provider(two.url)}
        sections = {"auth": "required", "admin_key": ADMIN, "providers": providers}
        async with running(tmp_path, sections, begin=True) as run:
            await until(lambda: run.gateway.status()["ready"], "the keys are loaded")
            yield run


async def admin(run: Running, method: str, path: str = "", body: Any = None) -> Answer:
    return await ask(run.port, f"/admin/v1/keys{path}", body, AS_ADMIN, method)


async def create(run: Running, name: str, **fields: Any) -> str:
    """A new key's secret, once it works."""
    made = await admin(run, "POST", body={"name": name, **fields})
    assert made.status == 201
    secret = str(made.json["secret"])
    await becomes(run, secret, lambda answer: answer.headers.get("x-trunkline-attempts") or answer.status != 401)
    return secret


async def call(run: Running, secret: str, client: Family = OPENAI, model: str | None = None) -> Answer:
    body = client.ask(model or f"{client.name}/m")
    return await ask(run.port, client.path, body, {"authorization": f"Bearer {secret}"})


async def becomes(run: Running, secret: str, wanted: Any) -> Answer:
    """Call until the answer is as wanted; fail where that takes too long."""
    deadline = time.monotonic() + 3 * TAKES_EFFECT
    while True:
        answer = await call(run, secret)
        if wanted(answer):
            return answer
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("client", FAMILIES, ids=str)
async def test_every_header_that_sdks_use(client: Family, gateway: Running) -> None:
    secret = await create(gateway, "all")
    body = client.ask(f"{client.name}/m")
    forms = [
        {"authorization": f"Bearer {secret}"},
        {"Authorization": f"bearer  {secret} "},
        {"x-api-key": secret},
        {"X-API-Key": secret},
        {"api-key": secret},
    ]
    assert [(await ask(gateway.port, client.path, body, form)).status for form in forms] == [200] * len(forms)
    wrong: list[dict[str, str]] = [
        {},
        {"authorization": secret},
        {"authorization": f"Basic {secret}"},
        {"authorization": "Bearer "},
        {"x-api-key": ""},
        {"x-api-key": secret + "x"},
        {"cookie": secret},
    ]
    for form in wrong:
        answer = await ask(gateway.port, client.path, body, form)
        assert answer.status == 401, form
        assert client.error_code(answer.json) in ("missing_api_key", "invalid_api_key")
        assert answer.json["error"]["type"] == (
            "authentication_error" if client.name == "anthropic" else "invalid_request_error"
        )
        assert secret.encode() not in answer.body


async def test_what_refuses_a_call(gateway: Running) -> None:
    limited = await create(gateway, "limited", models=["openai/m", "openai/x-*"])
    assert (await call(gateway, limited)).status == 200
    assert (await call(gateway, limited, model="openai/x-1")).status == 200
    refused = await call(gateway, limited, model="openai/y")
    assert refused.status == 403
    assert OPENAI.error_code(refused.json) == "model_not_allowed"
    listed = await ask(gateway.port, "/v1/models", headers={"x-api-key": limited})
    assert listed.status == 200

    brief = await create(gateway, "brief", expires_at=time.time() + 1.5)
    expired = await becomes(gateway, brief, lambda answer: answer.status == 401)
    assert "expired" in expired.json["error"]["message"]

    disabled = await create(gateway, "disabled")
    assert (await admin(gateway, "PATCH", "/disabled", {"disabled": True})).json["disabled"] is True
    answer = await becomes(gateway, disabled, lambda answer: answer.status == 401)
    assert "disabled" in answer.json["error"]["message"]
    # The envelope has the code that OpenAI's SDK knows; the ledger has ours.
    assert gateway.gateway.stores.shipper is not None
    assert gateway.gateway.stores.shipper.stop(5)
    assert {"expired_api_key", "disabled_api_key", "model_not_allowed"} <= {e.error for e in shipped(gateway.directory)}


async def test_the_command_line_takes_effect_within_a_second(gateway: Running) -> None:
    secret = await create(gateway, "victim")
    command = [sys.executable, "-m", "trunkline", "keys", "disable", "victim"]
    config = str(gateway.directory / "trunkline.yaml")
    process = await asyncio.create_subprocess_exec(
        *command, "--config", config, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0, said
    done = time.monotonic()
    await becomes(gateway, secret, lambda answer: answer.status == 401)
    assert time.monotonic() - done < TAKES_EFFECT


async def test_the_life_of_a_key_over_http(gateway: Running) -> None:
    made = await admin(gateway, "POST", body={"name": "ada", "owner": "team", "tags": ["t"]})
    assert made.status == 201
    first = made.json["secret"]
    shown = await admin(gateway, "GET", "/ada")
    assert shown.json == {name: value for name, value in made.json.items() if name != "secret"}
    assert "hash" not in shown.json
    assert (await admin(gateway, "GET", f"/{shown.json['id']}")).json == shown.json
    assert [key["name"] for key in (await admin(gateway, "GET")).json["data"]] == ["ada"]

    rotated = await admin(gateway, "POST", "/ada/rotate", {"grace": 0})
    second = rotated.json["secret"]
    assert (rotated.status, second != first) == (200, True)
    await becomes(gateway, second, lambda answer: answer.status == 200)
    assert (await call(gateway, first)).status == 401

    deleted = await admin(gateway, "DELETE", "/ada")
    assert (deleted.status, deleted.json["deleted"]) == (200, True)
    await becomes(gateway, second, lambda answer: answer.status == 401)
    assert (await admin(gateway, "GET")).json == {"data": []}


async def test_what_the_admin_api_refuses(gateway: Running) -> None:
    await create(gateway, "ada")
    refusals: list[tuple[str, str, Any, int]] = [
        ("GET", "/nobody", None, 404),
        ("DELETE", "/nobody", None, 404),
        ("PATCH", "/nobody", {"disabled": True}, 404),
        ("POST", "/nobody/rotate", {}, 404),
        ("POST", "", {"name": "ada"}, 400),
        ("POST", "", {}, 400),
        ("POST", "", {"name": "b", "colour": "red"}, 400),
        ("POST", "", b"{", 400),
        ("POST", "", b" " * 70_000, 413),
        ("PATCH", "/ada", {"disabled": "yes"}, 400),
        ("POST", "/ada/rotate", {"grace": -1}, 400),
        ("PUT", "/ada", None, 405),
        ("DELETE", "", None, 405),
        ("GET", "/ada/secret", None, 404),
    ]
    for method, path, body, status in refusals:
        answer = await admin(gateway, method, path, body)
        assert answer.status == status, (method, path, answer.body)
        assert OPENAI.error_code(answer.json)
    assert (await ask(gateway.port, "/admin/v1/users", headers=AS_ADMIN)).status == 404
    assert (await admin(gateway, "PUT", "/ada")).headers["allow"] == "GET, PATCH, DELETE"


async def test_the_admin_key_alone_opens_the_admin_api(gateway: Running) -> None:
    secret = await create(gateway, "ada")
    for headers in ({}, {"authorization": f"Bearer {secret}"}, {"authorization": f"Bearer {ADMIN}x"}):
        answer = await ask(gateway.port, "/admin/v1/keys", headers=headers)
        assert answer.status == 401
        assert ADMIN.encode() not in answer.body
    # and it is no key for calls
    assert (await call(gateway, ADMIN)).status == 401
    assert (await ask(gateway.port, "/metrics")).status == 401
    assert (await ask(gateway.port, "/metrics", headers=AS_ADMIN)).status == 200
    assert (await ask(gateway.port, "/v1/models")).status == 401


async def test_without_an_admin_key_the_admin_api_is_off(tmp_path: Path) -> None:
    async with running(
        tmp_path, {"auth": "required", "providers": {"up": OPENAI.provider("http://127.0.0.1:9")}}
    ) as run:
        answer = await ask(run.port, "/admin/v1/keys", headers=AS_ADMIN)
    assert answer.status == 404
    assert OPENAI.error_code(answer.json) == "admin_off"
