"""The Azure client of the OpenAI SDK against the simulator, by deployment and by the v1 path."""

from __future__ import annotations

from typing import Any

import msgspec
import openai as sdk
import pytest
from anthropic import AsyncAnthropicFoundry
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


async def test_what_was_filtered_is_said(sim: Handle, azure: AsyncAzureOpenAI) -> None:
    answer = await azure.chat.completions.create(model="sim-small+filtered", messages=HELLO)
    assert answer.choices[0].finish_reason == "content_filter"
    assert (answer.choices[0].model_extra or {})["content_filter_results"]["hate"]["filtered"] is True
    reply = await raw(sim, {"stream": True}, "filtered", DEPLOYMENT)
    last = msgspec.json.decode(reply.events[-2].removeprefix(b"data: "))["choices"][0]
    assert (last["finish_reason"], last["content_filter_results"]["hate"]["filtered"]) == ("content_filter", True)


async def test_responses_beside_the_deployments(azure: AsyncAzureOpenAI) -> None:
    answer = await azure.responses.create(model="sim-small", input="hello")
    assert "hello" in answer.output_text
    prompt, completion = (answer.model_extra or {})["content_filters"]
    assert (prompt["source_type"], completion["source_type"]) == ("prompt", "completion")
    assert prompt["content_filter_results"]["jailbreak"] == {"detected": False, "filtered": False}
    assert (await azure.responses.retrieve(answer.id)).output_text == answer.output_text
    stream = await azure.responses.create(model="sim-small", input="hello", stream=True)
    assert [event.type async for event in stream][-1] == "response.completed"
    with pytest.raises(sdk.BadRequestError) as filtered:
        await azure.responses.create(model="sim-small+filter", input="hello")
    assert filtered.value.code == "content_filter"


@pytest.mark.parametrize("base", ["/azure/openai/v1", "/openai/v1"])
async def test_responses_of_the_v1_path(sim: Handle, base: str) -> None:
    headers = {"api-key": KEY}
    client = AsyncOpenAI(base_url=f"{sim.url}{base}", api_key=KEY, default_headers=headers, max_retries=0)
    async with client:
        answer = await client.responses.create(model="sim-small", input="hello")
        assert "content_filters" in (answer.model_extra or {})
        await client.responses.delete(answer.id)
        with pytest.raises(sdk.NotFoundError, match=answer.id):
            await client.responses.retrieve(answer.id)


async def test_deployments_do_more_than_chat(azure: AsyncAzureOpenAI) -> None:
    embedded = await azure.embeddings.create(model="sim-small", input="hello")
    assert len(embedded.data[0].embedding) == 1536
    completed = await azure.completions.create(model="sim-small", prompt="hello", max_tokens=40)
    assert "hello" in completed.choices[0].text
    assert (completed.model_extra or {})["prompt_filter_results"]
    drawn = await azure.images.generate(model="sim-small", prompt="a cat", size="1024x1024")
    assert drawn.data
    spoken = await azure.audio.speech.create(model="sim-small", voice="alloy", input="hello", response_format="wav")
    assert spoken.content[:4] == b"RIFF"
    heard = await azure.audio.transcriptions.create(model="sim-small", file=("a.wav", spoken.content))
    assert "a.wav" in heard.text


async def test_entra_tokens_are_credentials_too(sim: Handle) -> None:
    client = AsyncAzureOpenAI(
        azure_endpoint=sim.url, azure_ad_token_provider=lambda: "sim-entra-1", api_version="2024-10-21", max_retries=0
    )
    async with client:
        answer = await client.chat.completions.create(model="sim-small", messages=HELLO)
        assert answer.model == "sim-small"
    assert dict(next(iter(sim.app.calls)).headers)[b"authorization"] == b"Bearer sim-entra-1"


async def test_models_of_others(sim: Handle) -> None:
    client = AsyncOpenAI(
        base_url=f"{sim.url}/models", api_key=KEY, default_query={"api-version": "2024-05-01-preview"}, max_retries=0
    )
    async with client:
        answer = await client.chat.completions.create(model="grok-4", messages=HELLO)
        assert "grok-4" in (answer.choices[0].message.content or "")
        assert (await client.embeddings.create(model="sim-small", input="x")).data
        with pytest.raises(sdk.RateLimitError) as limited:
            await client.chat.completions.create(model="sim-small+429", messages=HELLO)
        assert limited.value.code == "RateLimitReached"
        with pytest.raises(sdk.NotFoundError, match="Unknown model: sim-nothing"):
            await client.chat.completions.create(model="sim-nothing", messages=HELLO)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/openai/deployments/sim-small/chat/completions", {}),
        ("/models/chat/completions", {}),
        ("/openai/deployments/sim-small/teleport", {"api-version": "2024-10-21"}),
        ("/azure/nowhere", {"api-version": "2024-10-21"}),
    ],
)
async def test_without_a_version_or_off_the_path_there_is_nothing(
    sim: Handle, path: str, query: dict[str, str]
) -> None:
    async with AsyncOpenAI(base_url=sim.url, api_key=KEY, default_query=query, max_retries=0) as client:
        with pytest.raises(sdk.NotFoundError) as missing:
            await client.post(path, cast_to=object, body={"messages": HELLO})
    assert missing.value.response.json() == {"error": {"code": "404", "message": "Resource not found"}}


async def test_claude_on_foundry(sim: Handle) -> None:
    for credential in ({"api_key": KEY}, {"azure_ad_token_provider": lambda: "sim-entra-1"}):
        client: Any = AsyncAnthropicFoundry(base_url=f"{sim.url}/anthropic", max_retries=0, **credential)
        async with client:
            answer = await client.messages.create(
                model="sim-small", max_tokens=90, messages=[{"role": "user", "content": "hello"}]
            )
        assert answer.stop_reason == "end_turn"
