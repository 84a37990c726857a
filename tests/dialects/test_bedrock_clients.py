"""boto3 to every family and every family's SDK to Bedrock, through a real gateway, against the simulator."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anthropic
import boto3
import openai
import pytest
import pytest_asyncio
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from tests.running import Running, running

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
TOOL_CONFIG = {"tools": [{"toolSpec": {"name": "get_weather", "inputSchema": {"json": WEATHER}}}]}
CHAT_TOOLS: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}]
EVERYWHERE = ("sim/sim-small", "sim-anthropic/sim-small", "sim-bedrock/sim-small")


MADE: list[Any] = []
"""Clients to close."""


@pytest_asyncio.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, {}) as run:
        yield run
        while MADE:
            MADE.pop().close()


def bedrock(run: Running) -> Any:
    """As an application makes it; the signature is the gateway's to ignore, it is open here."""
    client = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=run.url,
        aws_access_key_id="A",
        aws_secret_access_key="B",
        config=Config(retries={"max_attempts": 0}, read_timeout=20),
    )
    MADE.append(client)
    return client


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


@pytest.mark.parametrize("model", EVERYWHERE)
async def test_boto3_converses_with_every_family(gateway: Running, model: str) -> None:
    client = bedrock(gateway)
    answer = await asyncio.to_thread(client.converse, modelId=model, messages=[user({"text": "hello"})])
    assert answer["output"]["message"]["role"] == "assistant"
    assert answer["output"]["message"]["content"][0]["text"]
    assert answer["stopReason"] == "end_turn"
    assert answer["usage"]["inputTokens"] > 0
    assert answer["usage"]["totalTokens"] == answer["usage"]["inputTokens"] + answer["usage"]["outputTokens"]
    assert answer["ResponseMetadata"]["RequestId"].startswith("req_")


def _streamed(client: Any, **asked: Any) -> dict[str, Any]:
    """What a client that goes by block numbers makes of a stream."""
    blocks: dict[int, dict[str, Any]] = {}
    out: dict[str, Any] = {"content": blocks}
    with closing(client.converse_stream(**asked)["stream"]) as stream:
        for event in stream:
            [(name, value)] = event.items()
            match name:
                case "contentBlockStart":
                    blocks[value["contentBlockIndex"]] = dict(value["start"]["toolUse"], input="")
                case "contentBlockDelta":
                    block = blocks.setdefault(value["contentBlockIndex"], {"text": ""})
                    if "text" in value["delta"]:
                        block["text"] += value["delta"]["text"]
                    elif "toolUse" in value["delta"]:
                        block["input"] += value["delta"]["toolUse"]["input"]
                case "messageStop" | "metadata":
                    out |= value
    return out


@pytest.mark.parametrize("model", EVERYWHERE)
async def test_boto3_streams_from_every_family(gateway: Running, model: str) -> None:
    client = bedrock(gateway)
    asked = {"modelId": model, "messages": [user({"text": "hello"})]}
    whole = await asyncio.to_thread(lambda: client.converse(**asked))
    streamed = await asyncio.to_thread(lambda: _streamed(client, **asked))
    assert streamed["content"][0]["text"] == whole["output"]["message"]["content"][0]["text"]
    assert streamed["stopReason"] == "end_turn"
    assert streamed["usage"] == whole["usage"]


@pytest.mark.parametrize("model", EVERYWHERE)
async def test_a_silent_stream_is_kept_alive_by_what_boto3_passes_over(tmp_path: Path, model: str) -> None:
    async with running(tmp_path, {"server": {"ping_interval": 0.05}}) as run:
        body = json.dumps({"messages": [{"role": "user", "content": [{"text": "hello"}]}]}).encode()
        url = f"{run.url}/model/{model}+stall=0.3s/converse-stream"
        raw = await asyncio.to_thread(_posted, url, body)
        assert b":event-type\x07\x00\x04ping" in raw
        client = bedrock(run)
        asked = {"messages": [user({"text": "hello"})]}
        plain = await asyncio.to_thread(lambda: _streamed(client, modelId=model, **asked))
        slow = await asyncio.to_thread(lambda: _streamed(client, modelId=f"{model}+stall=0.3s", **asked))
        assert slow["content"] == plain["content"]
        assert slow["usage"]["outputTokens"] == plain["usage"]["outputTokens"]
        while MADE:
            MADE.pop().close()


def _posted(url: str, body: bytes) -> bytes:
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        data: bytes = answer.read()
    return data


@pytest.mark.parametrize("model", EVERYWHERE)
async def test_a_stream_that_breaks_off_raises_in_boto3(gateway: Running, model: str) -> None:
    client = bedrock(gateway)
    with pytest.raises(EventStreamError) as caught:
        await asyncio.to_thread(
            lambda: _streamed(client, modelId=f"{model}+cut+after=4", messages=[user({"text": "hello"})])
        )
    assert caught.value.response["Error"]["Code"] == "modelStreamErrorException"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", EVERYWHERE)
async def test_boto3_calls_tools_of_every_family(gateway: Running, model: str, stream: bool) -> None:
    client = bedrock(gateway)
    question = user({"text": "What is the weather in Paris? Use get_weather."})
    asked = {"modelId": model, "messages": [question], "toolConfig": TOOL_CONFIG}
    if stream:
        answer = await asyncio.to_thread(lambda: _streamed(client, **asked))
        call = next(block for block in answer["content"].values() if "toolUseId" in block)
        assert isinstance(call.pop("input"), str)
        call["input"] = {"city": "Paris"}
    else:
        answer = await asyncio.to_thread(lambda: client.converse(**asked))
        call = next(block["toolUse"] for block in answer["output"]["message"]["content"] if "toolUse" in block)
        assert "city" in call["input"]
    assert answer["stopReason"] == "tool_use"
    assert call["name"] == "get_weather"
    result = {"toolResult": {"toolUseId": call["toolUseId"], "content": [{"json": {"degrees": 21}}]}}
    turns = [question, {"role": "assistant", "content": [{"toolUse": call}]}, user(result)]
    final = await asyncio.to_thread(lambda: client.converse(modelId=model, messages=turns, toolConfig=TOOL_CONFIG))
    assert "21" in str(final["output"]["message"]["content"])


@pytest.mark.parametrize("stream", [False, True])
async def test_a_chat_client_reaches_converse(gateway: Running, stream: bool) -> None:
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="k", max_retries=0) as client:
        messages: Any = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is the weather in Paris? Use get_weather."},
        ]
        asked: Any = {"model": "sim-bedrock/sim-small", "messages": messages, "tools": CHAT_TOOLS}
        if stream:
            async with client.chat.completions.stream(**asked) as events:
                answer = await events.get_final_completion()
        else:
            answer = await client.chat.completions.create(**asked)
        assert answer.choices[0].finish_reason == "tool_calls"
        calls = answer.choices[0].message.tool_calls
        assert calls
        [call] = calls
        assert call.type == "function"
        assert call.function.name == "get_weather"
        messages.append(
            {"role": "assistant", "tool_calls": [call.model_dump(exclude={"function": {"parsed_arguments"}})]}
        )
        messages.append({"role": "tool", "tool_call_id": call.id, "content": "21 degrees"})
        final = await client.chat.completions.create(model="sim-bedrock/sim-small", messages=messages)
        assert "21" in (final.choices[0].message.content or "")
        assert final.usage
        assert final.usage.prompt_tokens > 0
        assert final.id.startswith("req_")  # Converse names no answers


@pytest.mark.parametrize(
    ("model", "name", "status"),
    [
        ("nobody/knows", "ResourceNotFoundException", 404),
        ("sim/sim-small+429", "ThrottlingException", 429),
        ("sim-bedrock/sim-small+429", "ThrottlingException", 429),
        ("sim-anthropic/sim-small+500", "InternalServerException", 500),
    ],
)
async def test_errors_are_the_exceptions_of_boto3(gateway: Running, model: str, name: str, status: int) -> None:
    client = bedrock(gateway)
    with pytest.raises(getattr(client.exceptions, name)) as caught:
        await asyncio.to_thread(client.converse, modelId=model, messages=[user({"text": "hello"})])
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


async def test_bad_requests_name_the_field(gateway: Running) -> None:
    client = bedrock(gateway)
    with pytest.raises(ClientError, match=r"messages\[0\]\.role") as caught:
        await asyncio.to_thread(
            client.converse, modelId="sim/sim-small", messages=[{"role": "robot", "content": [{"text": "x"}]}]
        )
    assert caught.value.response["Error"]["Code"] == "ValidationException"


# ── InvokeModel ────────────────────────────────────────────────────────────────────────────────────────────────────

CLAUDE = {
    "anthropic_version": "bedrock-2023-05-31",
    "anthropic_beta": ["a-beta"],
    "max_tokens": 200,
    "messages": [{"role": "user", "content": "hello"}],
}
NOVA = {
    "schemaVersion": "messages-v1",
    "inferenceConfig": {"max_new_tokens": 200, "temperature": 0.5},
    "messages": [{"role": "user", "content": [{"text": "hello"}]}],
}


@pytest.mark.parametrize("model", EVERYWHERE)
@pytest.mark.parametrize("body", [CLAUDE, NOVA], ids=["claude", "nova"])
async def test_boto3_invokes_every_family(gateway: Running, model: str, body: dict[str, Any]) -> None:
    client = bedrock(gateway)
    answer = await asyncio.to_thread(client.invoke_model, modelId=model, body=json.dumps(body))
    said = json.loads(answer["body"].read())
    told = answer["ResponseMetadata"]["HTTPHeaders"]
    assert ("x-amzn-bedrock-input-token-count" in told) == model.startswith("sim-bedrock")
    content = said["content"] if body is CLAUDE else said["output"]["message"]["content"]
    assert content[0]["text"]

    def stream() -> list[dict[str, Any]]:
        answer = client.invoke_model_with_response_stream(modelId=model, body=json.dumps(body))
        return [json.loads(event["chunk"]["bytes"]) for event in answer["body"]]

    pieces = await asyncio.to_thread(stream)
    if body is CLAUDE:
        text = "".join(piece["delta"].get("text", "") for piece in pieces if piece["type"] == "content_block_delta")
        assert [pieces[0]["type"], pieces[-1]["type"]] == ["message_start", "message_stop"]
    else:
        deltas = [piece["contentBlockDelta"]["delta"] for piece in pieces if "contentBlockDelta" in piece]
        text = "".join(delta.get("text", "") for delta in deltas)
        assert [next(iter(pieces[0])), next(iter(pieces[-1]))] == ["messageStart", "metadata"]
    assert text == content[0]["text"]
    metrics = pieces[-1]["amazon-bedrock-invocationMetrics"]
    assert metrics["inputTokenCount"] > 0
    entries = gateway.entries()
    assert all(entry.usage is not None and not entry.usage.estimated for entry in entries)


@pytest.mark.parametrize("model", EVERYWHERE)
async def test_anthropics_bedrock_client_works_as_it_is(gateway: Running, model: str) -> None:
    client = anthropic.AsyncAnthropicBedrock(
        base_url=gateway.url, aws_access_key="A", aws_secret_key="B", aws_region="us-east-1", max_retries=0
    )
    messages: Any = [{"role": "user", "content": "hello"}]
    async with client:
        answer = await client.messages.create(model=model, max_tokens=200, messages=messages)
        async with client.messages.stream(model=model, max_tokens=200, messages=messages) as stream:
            final = await stream.get_final_message()
    assert answer.content[0].type == final.content[0].type == "text"
    assert answer.content[0].text == final.content[0].text
    assert final.usage.output_tokens == answer.usage.output_tokens > 0


async def test_a_body_of_another_maker_goes_to_bedrock_alone(gateway: Running) -> None:
    client = bedrock(gateway)
    body = json.dumps({"prompt": "hello", "max_gen_len": 20})
    with pytest.raises(client.exceptions.ValidationException, match="Use Converse instead"):
        await asyncio.to_thread(client.invoke_model, modelId="sim/sim-small", body=body)


# ── Counting ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("model", EVERYWHERE)
async def test_boto3_counts_tokens(gateway: Running, model: str) -> None:
    client = bedrock(gateway)
    converse = {"converse": {"messages": [user({"text": "hello"})]}}
    invoke = {"invokeModel": {"body": json.dumps(CLAUDE).encode()}}
    for asked in (converse, invoke):
        answer = await asyncio.to_thread(client.count_tokens, modelId=model, input=asked)
        assert answer["inputTokens"] > 0


async def test_anthropics_client_counts_by_converse(gateway: Running) -> None:
    async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key="k", max_retries=0) as client:
        messages: Any = [{"role": "user", "content": "hello"}]
        answer = await client.messages.count_tokens(model="sim-bedrock/sim-small", messages=messages)
        assert answer.input_tokens > 0


# ── Reasoning ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stream", [False, True])
async def test_thoughts_of_another_family_come_back_signed(gateway: Running, stream: bool) -> None:
    """boto3 holds the thought of Anthropic's model, and the model accepts it when it comes back."""
    client = bedrock(gateway)
    model = "sim-anthropic/sim-thinker"
    question = user({"text": "What is the weather in Paris? Use get_weather."})
    asked: dict[str, Any] = {
        "modelId": model,
        "messages": [question],
        "toolConfig": TOOL_CONFIG,
        "inferenceConfig": {"maxTokens": 4000},
        "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    }
    answer = await asyncio.to_thread(lambda: client.converse(**asked))
    message = answer["output"]["message"]
    assert "tl1:anthropic:" in message["content"][0]["reasoningContent"]["reasoningText"]["signature"]
    call = next(block["toolUse"] for block in message["content"] if "toolUse" in block)
    result = {"toolResult": {"toolUseId": call["toolUseId"], "content": [{"text": "21 degrees"}]}}
    asked["messages"] = [question, message, user(result)]
    if stream:
        final = await asyncio.to_thread(lambda: _streamed(client, **asked))
        assert "21" in str(final["content"])
    else:
        final = await asyncio.to_thread(lambda: client.converse(**asked))
        assert "21" in str(final["output"]["message"]["content"])
    assert all(not entry.lost for entry in gateway.entries())
