"""A gateway that wants keys, and the classes that both SDKs have for a caller without a good one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest
import pytest_asyncio

from tests.running import Running, running, until
from trunkline.core.call import KeySpec

from .drivers import HELLO


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Running, str]]:
    """It, and the secret of a key that may use `sim/sim-small` alone."""
    async with running(tmp_path_factory.mktemp("guarded"), {"auth": "required"}, begin=True) as gateway:
        shipper = gateway.gateway.stores.shipper
        assert shipper is not None
        await until(lambda: gateway.gateway.status()["ready"], "the keys are loaded")
        _, secret = shipper.keys.create(KeySpec(name="small", models=("sim/sim-small",)))
        await until(lambda: gateway.gateway.stores.ring.find(secret.encode()), "the new key is known")
        yield gateway, secret


async def chat(gateway: Running, key: str, model: str) -> Any:
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0) as client:
        return await client.chat.completions.create(model=model, messages=HELLO)


async def message(gateway: Running, key: str, model: str) -> Any:
    async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key=key, max_retries=0) as client:
        return await client.messages.create(model=model, messages=HELLO, max_tokens=100)


async def test_a_good_key(guarded: tuple[Running, str]) -> None:
    gateway, secret = guarded
    assert (await chat(gateway, secret, "sim/sim-small")).choices
    assert (await message(gateway, secret, "sim/sim-small")).content


async def test_an_unknown_key(guarded: tuple[Running, str]) -> None:
    gateway, _ = guarded
    with pytest.raises(openai.AuthenticationError) as refused:
        await chat(gateway, "sk-unknown", "sim/sim-small")
    assert refused.value.code == "invalid_api_key"
    with pytest.raises(anthropic.AuthenticationError):
        await message(gateway, "sk-unknown", "sim/sim-small")


async def test_a_model_that_the_key_may_not_use(guarded: tuple[Running, str]) -> None:
    gateway, secret = guarded
    with pytest.raises(openai.PermissionDeniedError) as refused:
        await chat(gateway, secret, "sim/sim-large")
    assert refused.value.code == "model_not_allowed"
    with pytest.raises(anthropic.PermissionDeniedError):
        await message(gateway, secret, "sim-anthropic/sim-small")


async def test_models_shows_what_the_key_may_use(guarded: tuple[Running, str]) -> None:
    gateway, secret = guarded
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=secret, max_retries=0) as client:
        assert [model.id async for model in client.models.list()] == ["sim/sim-small"]


async def test_bad_requests_name_the_field(guarded: tuple[Running, str]) -> None:
    gateway, secret = guarded
    wrong: Any = [{"role": "user", "content": 5}]
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=secret, max_retries=0) as client:
        with pytest.raises(openai.BadRequestError) as refused:
            await client.chat.completions.create(model="sim/sim-small", messages=wrong)
    assert refused.value.param == "messages[0].content"
