"""boto3 against the simulator: Converse and InvokeModel, whole and streamed, counting, and its own two surfaces.

botocore checks what it sends against the service's model, verifies both checksums of every frame, and parses what comes
by the model too; every request here is signed, and the simulator verifies the signature.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import httpx2
import pytest
from anthropic import AnthropicBedrock
from botocore.config import Config
from botocore.exceptions import ClientError
from openai import OpenAI

from trunkline.sim.bedrock_sign import KEY_ID, SECRET
from trunkline.sim.server import Handle
from trunkline.sim.settings import Settings

from .conftest import Starter

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8/5+hHgAHggJ/PchI7wAAAABJRU5ErkJggg=="
)
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = {
    "tools": [
        {"toolSpec": {"name": "get_weather", "description": "w", "inputSchema": {"json": SCHEMA}}},
        {"toolSpec": {"name": "get_time", "inputSchema": {"json": {"type": "object", "properties": {}}}}},
    ]
}
CLAUDE = {
    "anthropic_version": "bedrock-2023-05-31",
    "max_tokens": 50,
    "messages": [{"role": "user", "content": "hello"}],
}

Api = Any


def client(sim: Handle, secret: str = SECRET, prefix: str = "", **more: Any) -> Api:
    return boto3.client(
        "bedrock-runtime", region_name="us-east-1", endpoint_url=sim.url + prefix, aws_access_key_id=KEY_ID,
        aws_secret_access_key=secret, config=Config(retries={"max_attempts": 0}), **more,
    )  # fmt: skip


@pytest.fixture
async def call(sim: Handle) -> Callable[..., Any]:
    """Calls a function with a client, in a thread: boto3 blocks."""

    async def run(work: Callable[[Api], Any], **options: Any) -> Any:
        def blocking() -> Any:
            api = client(options.pop("sim", sim), **options)
            try:
                return work(api)
            finally:
                api.close()

        return await asyncio.to_thread(blocking)

    return run


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"text": one} if isinstance(one, str) else one for one in content]}


def collected(events: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """A stream as the whole answer: blocks by their index, in the order of the events' grammar."""
    blocks: dict[int, dict[str, Any]] = {}
    reply: dict[str, Any] = {}
    for event in events:
        [(kind, value)] = event.items()
        at = value.get("contentBlockIndex")
        match kind:
            case "contentBlockStart":
                blocks[at] = {"toolUse": {**value["start"]["toolUse"], "input": ""}}
            case "contentBlockDelta":
                _add(blocks.setdefault(at, {}), value["delta"])
            case "contentBlockStop":
                assert max(blocks) == at
            case "messageStop" | "metadata":
                reply |= value
    content = [blocks[at] for at in sorted(blocks)]
    for block in content:
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
    return {**reply, "output": {"message": {"role": "assistant", "content": content}}}


def _add(block: dict[str, Any], delta: dict[str, Any]) -> None:
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    elif "toolUse" in delta:
        block["toolUse"]["input"] += delta["toolUse"]["input"]
    elif "redactedContent" in delta["reasoningContent"]:
        block["reasoningContent"] = delta["reasoningContent"]
    else:
        [(field, value)] = delta["reasoningContent"].items()
        said = block.setdefault("reasoningContent", {}).setdefault("reasoningText", {"text": ""})
        said[field] = said.get(field, "") + value


def converse(api: Api, stream: bool, **request: Any) -> dict[str, Any]:
    request = {"modelId": "sim-small", **request}
    reply = collected(api.converse_stream(**request)["stream"]) if stream else api.converse(**request)
    return {name: reply[name] for name in ("output", "stopReason", "usage", "metrics")}


BOTH = pytest.mark.parametrize("stream", [False, True])


@BOTH
@pytest.mark.parametrize("prefix", ["", "/bedrock"])
async def test_an_answer(call: Callable[..., Any], stream: bool, prefix: str) -> None:
    reply = await call(lambda api: converse(api, stream, messages=[user("hello there")]), prefix=prefix)
    [block] = reply["output"]["message"]["content"]
    assert "hello there" in block["text"]
    assert reply["stopReason"] == "end_turn"
    usage = reply["usage"]
    assert usage["totalTokens"] == usage["inputTokens"] + usage["outputTokens"]


@BOTH
@pytest.mark.parametrize("model", ["sim-small", "sim-thinker"])
async def test_parallel_tools_and_their_results(call: Callable[..., Any], stream: bool, model: str) -> None:
    question = user("call get_weather and get_time")

    def work(api: Api) -> Any:
        request = {"modelId": model, "toolConfig": TOOLS}
        first = converse(api, stream, messages=[question], **request)
        turn = first["output"]["message"]
        ids = [block["toolUse"]["toolUseId"] for block in turn["content"] if "toolUse" in block]
        results = [{"toolResult": {"toolUseId": one, "content": [{"text": f"r{i}"}]}} for i, one in enumerate(ids)]
        return first, converse(api, stream, messages=[question, turn, user(*results)], **request)

    first, second = await call(work)
    calls = [block["toolUse"] for block in first["output"]["message"]["content"] if "toolUse" in block]
    assert [(one["name"], one["input"]) for one in calls] == [
        ("get_weather", {"city": "simulated city"}),
        ("get_time", {}),
    ]
    assert first["stopReason"] == "tool_use"
    assert 'The tools returned: "r0"; "r1"' in second["output"]["message"]["content"][-1]["text"]


@BOTH
async def test_reasoning_is_signed_and_checked(call: Callable[..., Any], stream: bool) -> None:
    request = {"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}}}

    def work(api: Api) -> Any:
        first = converse(api, stream, messages=[user("hello")], **request)
        turn = first["output"]["message"]
        again = [user("hello"), turn, user("more")]
        converse(api, stream, messages=again, **request)
        turn["content"][0]["reasoningContent"]["reasoningText"]["text"] += "!"
        with pytest.raises(ClientError, match="Invalid `signature`"):
            converse(api, stream, messages=again, **request)
        hidden = converse(api, stream, modelId="sim-thinker+redacted", messages=[user("hello")])
        converse(api, stream, messages=[user("hello"), hidden["output"]["message"], user("more")])
        return first, hidden

    first, hidden = await call(work)
    assert "reasoningText" in first["output"]["message"]["content"][0]["reasoningContent"]
    assert isinstance(hidden["output"]["message"]["content"][0]["reasoningContent"]["redactedContent"], bytes)


async def test_structure_media_limits_and_stops(call: Callable[..., Any]) -> None:
    image = {"image": {"format": "png", "source": {"bytes": PIXEL}}}
    paper = {"document": {"format": "pdf", "name": "A paper (1)", "source": {"bytes": b"%PDF"}}}
    schema = {"schema": json.dumps({"type": "object", "properties": {"n": {"type": "integer"}}})}
    output = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}

    def work(api: Api) -> list[Any]:
        return [
            converse(api, False, messages=[user("see", image, paper)]),
            converse(api, True, messages=[user("x")], outputConfig=output),
            converse(api, False, messages=[user("x")], inferenceConfig={"maxTokens": 3}),
            converse(api, True, messages=[user("x")], inferenceConfig={"stopSequences": ["simulator"]}),
            converse(api, False, messages=[user("x")], modelId="sim-small+refuse"),
            converse(api, True, messages=[user("x")], modelId="sim-small+filtered"),
        ]

    seen, made, short, stopped, refused, filtered = await call(work)
    assert "2 files (document/pdf, image/png)" in seen["output"]["message"]["content"][0]["text"]
    assert json.loads(made["output"]["message"]["content"][0]["text"]) == {"n": 1}
    reasons = [one["stopReason"] for one in (short, stopped, refused, filtered)]
    assert reasons == ["max_tokens", "stop_sequence", "content_filtered", "guardrail_intervened"]
    assert short["usage"]["outputTokens"] == 3


@BOTH
async def test_cache_points_write_and_then_read(starter: Starter, call: Callable[..., Any], stream: bool) -> None:
    small = await starter(Settings(cache_minimum=100))
    request = {"system": [{"text": "word " * 400}, {"cachePoint": {"type": "default", "ttl": "1h"}}]}

    def work(api: Api) -> Any:
        return [converse(api, stream, messages=[user("hello")], **request)["usage"] for _ in range(2)]

    first, second = await call(work, sim=small)
    assert (first["cacheReadInputTokens"], second["cacheWriteInputTokens"]) == (0, 0)
    assert first["cacheWriteInputTokens"] == second["cacheReadInputTokens"] >= 400
    assert first["cacheDetails"] == [{"ttl": "1h", "inputTokens": first["cacheWriteInputTokens"]}]
    assert first["inputTokens"] == second["inputTokens"] < 20


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("arn:aws:bedrock:us-east-1:1:inference-profile/us.sim-thinker", "sim-thinker"),
        ("global.sim-small", "sim-small"), ("anthropic.claude-x-v1:0", "anthropic.claude-x-v1:0"),
    ],
)  # fmt: skip
async def test_models_are_named_in_every_way(call: Callable[..., Any], model: str, name: str) -> None:
    reply = await call(lambda api: converse(api, False, modelId=model, messages=[user("x")]))
    assert f"I am {name}" in reply["output"]["message"]["content"][-1]["text"]


# ── InvokeModel ────────────────────────────────────────────────────────────────────────────────────────────────────


def invoke(api: Api, body: Any, model: str = "sim-small") -> tuple[dict[str, Any], dict[str, str]]:
    reply = api.invoke_model(modelId=model, body=json.dumps(body))
    return json.loads(reply["body"].read()), reply["ResponseMetadata"]["HTTPHeaders"]


def chunks(api: Api, body: Any, model: str = "sim-small") -> list[dict[str, Any]]:
    stream = api.invoke_model_with_response_stream(modelId=model, body=json.dumps(body))["body"]
    return [json.loads(event["chunk"]["bytes"]) for event in stream]


async def test_claude_by_its_own_body(call: Callable[..., Any]) -> None:
    (whole, headers), stream = await call(lambda api: (invoke(api, CLAUDE), chunks(api, CLAUDE)))
    text = "".join(one["delta"]["text"] for one in stream if one["type"] == "content_block_delta")
    assert text == whole["content"][0]["text"]
    assert headers["x-amzn-bedrock-output-token-count"] == str(whole["usage"]["output_tokens"])
    assert [stream[0]["type"], stream[-1]["type"]] == ["message_start", "message_stop"]
    metrics = stream[-1]["amazon-bedrock-invocationMetrics"]
    assert metrics["inputTokenCount"] == whole["usage"]["input_tokens"]


async def test_nova_by_its_own_body(call: Callable[..., Any]) -> None:
    body = {"schemaVersion": "messages-v1", "messages": [user("hello")], "inferenceConfig": {"max_new_tokens": 5}}
    (whole, headers), stream = await call(lambda api: (invoke(api, body), chunks(api, body)))
    text = "".join(one["contentBlockDelta"]["delta"]["text"] for one in stream if "contentBlockDelta" in one)
    assert text == whole["output"]["message"]["content"][0]["text"]
    assert whole["stopReason"] == "max_tokens"
    assert whole["usage"]["outputTokens"] == int(headers["x-amzn-bedrock-output-token-count"]) == 5
    assert stream[-1]["metadata"]["usage"] == whole["usage"]
    assert stream[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == 5


async def test_embeddings_of_three_makers(call: Callable[..., Any]) -> None:
    titan = {"inputText": "hello there", "dimensions": 256}
    cohere = {"texts": ["a", "b"], "input_type": "search_query", "output_dimension": 512}
    nova = {
        "taskType": "SINGLE_EMBEDDING",
        "singleEmbeddingParams": {"text": {"value": "x"}, "embeddingDimension": 384},
    }

    def work(api: Api) -> Any:
        old = {"texts": ["a"], "input_type": "search_query"}
        return invoke(api, titan), invoke(api, cohere)[0], invoke(api, nova)[0], invoke(api, old, "cohere.embed-v3")[0]

    (one, headers), two, three, old = await call(work)
    assert (len(one["embedding"]), one["inputTextTokenCount"]) == (256, 2)
    assert headers["x-amzn-bedrock-input-token-count"] == "2"
    assert [len(row) for row in two["embeddings"]["float"]] == [512, 512]
    assert len(three["embeddings"][0]["embedding"]) == 384
    assert (old["response_type"], len(old["embeddings"][0])) == ("embeddings_floats", 1024)


async def test_counting_agrees_with_what_is_used(call: Callable[..., Any]) -> None:
    messages = [user("hello there")]

    def work(api: Api) -> Any:
        counted = api.count_tokens(modelId="sim-small", input={"converse": {"messages": messages}})
        body = json.dumps(CLAUDE).encode()
        claude = api.count_tokens(modelId="sim-small", input={"invokeModel": {"body": body}})
        return counted, converse(api, False, messages=messages), claude, invoke(api, CLAUDE)[0]

    counted, reply, claude, message = await call(work)
    assert counted["inputTokens"] == reply["usage"]["inputTokens"]
    assert claude["inputTokens"] == message["usage"]["input_tokens"]


# ── Its own surfaces ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("key", ["ABSKabc", "bedrock-api-key-abc"])
async def test_the_surface_of_openai(sim: Handle, key: str) -> None:
    def work() -> Any:
        with OpenAI(base_url=f"{sim.url}/openai/v1", api_key=key, max_retries=0) as api:
            return api.chat.completions.with_raw_response.create(
                model="sim-small", messages=[{"role": "user", "content": "x"}]
            )

    reply = await asyncio.to_thread(work)
    assert "x-amzn-requestid" in reply.headers
    assert "x-ratelimit-limit-requests" not in reply.headers
    assert "simulator" in reply.parse().choices[0].message.content


@pytest.mark.parametrize("base", ["/openai/v1", "/bedrock/openai/v1", "/bedrock/v1", "/v1"])
async def test_responses_on_the_surface_of_openai(sim: Handle, base: str) -> None:
    def work() -> Any:
        with OpenAI(base_url=sim.url + base, api_key="ABSKabc", max_retries=0) as api:
            return api.responses.with_raw_response.create(model="sim-small", input="hello")

    reply = await asyncio.to_thread(work)
    assert "x-amzn-requestid" in reply.headers
    assert "hello" in reply.parse().output_text


async def test_the_surface_of_anthropic_and_invoke_by_the_sdk_of_anthropic(sim: Handle) -> None:
    def work() -> Any:
        keys = {"aws_access_key": KEY_ID, "aws_secret_key": SECRET, "aws_region": "us-east-1"}
        request: Any = {"model": "sim-small", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}
        with AnthropicBedrock(base_url=sim.url, max_retries=0, **keys) as api:
            whole = api.messages.create(**request).content[0].text
            streamed = "".join(
                event.delta.text for event in api.messages.create(**request, stream=True)
                if event.type == "content_block_delta"
            )  # fmt: skip
        headers = {"authorization": "Bearer ABSKabc", "anthropic-version": "2023-06-01"}
        surface = httpx2.post(f"{sim.url}/anthropic/v1/messages", json=request, headers=headers)
        return whole, streamed, surface

    whole, streamed, surface = await asyncio.to_thread(work)
    assert whole == streamed
    assert surface.json()["content"][0]["text"] == whole
    assert "x-amzn-requestid" in surface.headers
