"""boto3 to every family and every family's SDK to Bedrock, through a real gateway, against the simulator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import boto3
import openai
import pytest
import pytest_asyncio
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.running import Running, running

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
TOOL_CONFIG = {"tools": [{"toolSpec": {"name": "get_weather", "inputSchema": {"json": WEATHER}}}]}
CHAT_TOOLS: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}]
EVERYWHERE = ("sim/sim-small", "sim-anthropic/sim-small", "sim-bedrock/sim-small")


@pytest_asyncio.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, {}) as run:
        yield run


def bedrock(run: Running) -> Any:
    """As an application makes it; the signature is the gateway's to ignore, it is open here."""
    return boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=run.url,
        aws_access_key_id="A",
        aws_secret_access_key="B",
        config=Config(retries={"max_attempts": 0}, read_timeout=20),
    )


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
    for event in client.converse_stream(**asked)["stream"]:
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
