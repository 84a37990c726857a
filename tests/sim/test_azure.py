"""The Azure client of the OpenAI SDK against the simulator, by deployment and by the v1 path."""

from __future__ import annotations

import msgspec
import openai as sdk
import pytest
from openai import AsyncAzureOpenAI, AsyncOpenAI

from trunkline.sim.server import Handle

from .conftest import HELLO, KEY, raw

DEPLOYMENT = "/openai/deployments/sim-small/chat/completions"


async def test_deployment_answers_with_filter_results(azure: AsyncAzureOpenAI) -> None:
    answer = await azure.chat.completions.create(model="sim-small", messages=HELLO)
    assert "simulator" in (answer.choices[0].message.content or "")
    extra = answer.choices[0].model_extra or {}
    assert extra["content_filter_results"]["hate"] == {"filtered": False, "severity": "safe"}
    assert (answer.model_extra or {})["prompt_filter_results"][0]["prompt_index"] == 0


async def test_stream_begins_with_the_prompt_filter_chunk(azure: AsyncAzureOpenAI, sim: Handle) -> None:
    stream = await azure.chat.completions.create(model="sim-small", messages=HELLO, stream=True)
    chunks = [chunk async for chunk in stream]
    assert chunks[0].choices == []
    assert chunks[-1].choices[0].finish_reason == "stop"
    reply = await raw(sim, {"stream": True}, path=DEPLOYMENT)
    first, second = (msgspec.json.decode(event.removeprefix(b"data: ")) for event in reply.events[:2])
    assert (first["object"], first["model"], first["choices"]) == ("", "", [])
    assert "jailbreak" in first["prompt_filter_results"][0]["content_filter_results"]
    assert "violence" in second["choices"][0]["content_filter_results"]


async def test_cues_ride_in_the_deployment_name(azure: AsyncAzureOpenAI) -> None:
    with pytest.raises(sdk.RateLimitError) as failed:
        await azure.chat.completions.create(model="sim-small+429+retry-after=7", messages=HELLO)
    assert failed.value.code == "429"
    headers = failed.value.response.headers
    assert headers["retry-after"] == "7"
    assert headers["retry-after-ms"] == "7000"
    assert headers["x-ratelimit-reset-tokens"] == "7"
    assert failed.value.response.json()["error"].keys() == {"code", "message"}


@pytest.mark.parametrize("base", ["/azure/openai/v1", "/openai/v1"])
async def test_the_v1_path_is_azure_by_prefix_or_by_its_key_header(sim: Handle, base: str) -> None:
    async with AsyncOpenAI(
        base_url=f"{sim.url}{base}", api_key=KEY, default_headers={"api-key": KEY}, max_retries=0
    ) as client:
        answer = await client.chat.completions.create(model="sim-small", messages=HELLO)
    assert "prompt_filter_results" in (answer.model_extra or {})


async def test_errors_of_the_front_door_and_of_the_model(azure: AsyncAzureOpenAI) -> None:
    with pytest.raises(sdk.NotFoundError, match="deployment") as missing:
        await azure.chat.completions.create(model="sim-nothing", messages=HELLO)
    assert missing.value.code == "DeploymentNotFound"
    with pytest.raises(sdk.BadRequestError) as filtered:
        await azure.chat.completions.create(model="sim-small+filter", messages=HELLO)
    inner = filtered.value.response.json()["error"]["innererror"]
    assert inner["content_filter_result"]["hate"]["filtered"] is True
    with pytest.raises(sdk.BadRequestError) as refused:
        await azure.chat.completions.create(model="sim-small", messages=[])
    assert refused.value.param == "messages"
