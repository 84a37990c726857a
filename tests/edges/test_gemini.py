"""Google's paths end to end: google-genai and plain HTTP to the simulator's families, OpenAI's SDK to its Gemini."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.running import Running, running
from tests.talking import Answer, ask

GOOGLES = ("sim-gemini", "sim-vertex")
TARGETS = ("sim", "sim-anthropic", *GOOGLES)
HELLO = {"contents": [{"parts": [{"text": "hello"}]}]}
VERTEX = "/v1beta1/projects/p/locations/global/publishers"
TOOL: Any = {
    "name": "get_weather",
    "description": "The weather in a city",
    "parameters_json_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, {"auth": "open"}) as found:
        yield found


async def google(run: Running, target: str, operation: str, body: Any = HELLO, query: str = "") -> Answer:
    return await ask(run.port, f"/v1beta/models/{target}:{operation}{query}", body, {"x-goog-api-key": "k"})


def client(run: Running, vertex: bool = False) -> Any:
    from google import genai
    from google.genai import types
    from google.oauth2.credentials import Credentials

    options = types.HttpOptions(base_url=run.url)
    if not vertex:
        return genai.Client(api_key="k", http_options=options)
    token = Credentials("token")  # type: ignore[no-untyped-call]
    return genai.Client(vertexai=True, project="p", location="global", credentials=token, http_options=options)


# ── The SDK ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("vertex", [False, True], ids=["studio", "vertex"])
@pytest.mark.parametrize("target", TARGETS)
async def test_googles_sdk_talks_to_any_family(run: Running, target: str, vertex: bool) -> None:
    def talk() -> None:
        keeping = client(run, vertex)  # it closes when nobody holds it
        models = keeping.models
        whole = models.generate_content(model=f"{target}/sim-small", contents="hello")
        assert whole.text.startswith("I am sim-small")
        assert whole.candidates[0].finish_reason == "STOP"
        assert whole.usage_metadata.total_token_count > 10
        chunks = list(models.generate_content_stream(model=f"{target}/sim-small", contents="hello"))
        assert "".join(chunk.text or "" for chunk in chunks) == whole.text
        assert chunks[-1].usage_metadata.total_token_count == whole.usage_metadata.total_token_count
        assert models.count_tokens(model=f"{target}/sim-small", contents="hello").total_tokens > 0

    await asyncio.to_thread(talk)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("target", TARGETS)
async def test_a_chat_with_tools_goes_on_over_two_turns(run: Running, target: str, streamed: bool) -> None:
    """The SDK keeps a stream chunk by chunk, with the signatures that must come back."""

    def talk() -> None:
        from google.genai import types

        declared = types.Tool(function_declarations=[types.FunctionDeclaration(**TOOL)])
        config = types.GenerateContentConfig(tools=[declared])
        keeping = client(run)
        chat = keeping.chats.create(model=f"{target}/sim-thinker", config=config)
        answers = list(chat.send_message_stream("weather?")) if streamed else [chat.send_message("weather?")]
        (call,) = [call for answer in answers for call in answer.function_calls or ()]
        assert (call.name, list(call.args)) == ("get_weather", ["city"])
        result = types.Part.from_function_response(name=call.name, response={"output": "sunny"})
        assert "sunny" in chat.send_message(result).text

    await asyncio.to_thread(talk)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("target", [*TARGETS, "sim-bedrock"])
async def test_signed_thoughts_come_back_over_two_turns(run: Running, target: str, streamed: bool) -> None:
    """The simulator verifies every signature, as the services do."""

    def talk() -> None:
        from google.genai import types

        declared = types.Tool(function_declarations=[types.FunctionDeclaration(**TOOL)])
        thinking = types.ThinkingConfig(include_thoughts=True, thinking_level=types.ThinkingLevel.LOW)
        config = types.GenerateContentConfig(tools=[declared], thinking_config=thinking, max_output_tokens=4000)
        keeping = client(run)
        chat = keeping.chats.create(model=f"{target}/sim-thinker", config=config)
        answers = list(chat.send_message_stream("weather?")) if streamed else [chat.send_message("weather?")]
        parts = [part for answer in answers for part in answer.candidates[0].content.parts]
        assert any(part.thought for part in parts)
        (call,) = [part for part in parts if part.function_call]
        assert call.thought_signature
        result = types.Part.from_function_response(name=call.function_call.name, response={"output": "sunny"})
        assert "sunny" in chat.send_message(result).text

    await asyncio.to_thread(talk)


@pytest.mark.parametrize("target", GOOGLES)
async def test_openais_sdk_talks_to_gemini(run: Running, target: str) -> None:
    from openai import AsyncOpenAI

    tool: Any = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    async with AsyncOpenAI(base_url=f"{run.url}/v1", api_key="k", max_retries=0) as sdk:
        messages: list[Any] = [{"role": "user", "content": "Use look"}]
        model = f"{target}/sim-thinker"
        first = await sdk.chat.completions.create(model=model, messages=messages, tools=[tool])
        message = first.choices[0].message
        assert first.choices[0].finish_reason == "tool_calls"
        messages.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls or ():
            messages.append({"role": "tool", "tool_call_id": call.id, "content": "a cat"})
        second = await sdk.chat.completions.create(model=model, messages=messages, tools=[tool])
        assert "a cat" in (second.choices[0].message.content or "")
        stream = await sdk.chat.completions.create(
            model=model, messages=messages, tools=[tool], stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        assert chunks[-1].usage == second.usage


async def test_claude_on_vertex_is_asked_by_its_own_paths(run: Running) -> None:
    asked = {"anthropic_version": "vertex-2023-10-16", "messages": [{"role": "user", "content": "hi"}]}
    body = asked | {"max_tokens": 64}
    for target in ("sim-anthropic/sim-small", "sim/sim-small"):
        path = f"{VERTEX.replace('v1beta1', 'v1')}/anthropic/models/{target}"
        whole = await ask(run.port, f"{path}:rawPredict", body)
        assert whole.json["content"][0]["text"].startswith("I am sim-small")
        streamed = await ask(run.port, f"{path}:streamRawPredict", body | {"stream": True})
        assert b"event: message_stop" in streamed.body
    counted = await ask(run.port, f"{VERTEX.replace('v1beta1', 'v1')}/anthropic/models/count-tokens:rawPredict",
                        asked | {"model": "sim-anthropic/sim-small"})  # fmt: skip
    assert counted.json["input_tokens"] > 0


async def test_claude_at_a_vertex_target_gets_its_envelope(run: Running) -> None:
    body = {"model": "sim-vertex/claude-sonnet-4-5", "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]}
    headers = {"anthropic-version": "2023-06-01"}
    whole = await ask(run.port, "/v1/messages", body, headers)
    assert (whole.status, whole.json["content"][0]["type"]) == (200, "text")
    streamed = await ask(run.port, "/v1/messages", body | {"stream": True}, headers)
    assert b"event: message_stop" in streamed.body
    del body["max_tokens"]
    counted = await ask(run.port, "/v1/messages/count_tokens", body, headers)
    assert counted.json["input_tokens"] > 0
    assert "x-trunkline-estimated" not in counted.headers


# ── Framings ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("target", TARGETS)
async def test_a_stream_is_an_array_unless_events_are_asked_for(run: Running, target: str) -> None:
    array = await google(run, f"{target}/sim-small", "streamGenerateContent")
    assert array.headers["content-type"].startswith("application/json")
    events = await google(run, f"{target}/sim-small", "streamGenerateContent", query="?alt=sse")
    assert events.headers["content-type"].startswith("text/event-stream")
    lines = [json.loads(line[6:]) for line in events.body.split(b"\r\n\r\n") if line]
    for chunks in (array.json, lines):
        assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"
        assert chunks[-1]["usageMetadata"]["totalTokenCount"] > 10
    for entry in (await run.entry(2), *run.entries()):
        assert entry.usage is not None
        assert entry.usage.output > 5


@pytest.mark.parametrize("query", ["", "?alt=sse"])
@pytest.mark.parametrize("target", TARGETS)
async def test_a_stream_that_breaks_ends_with_an_error_in_its_framing(run: Running, target: str, query: str) -> None:
    answer = await google(run, f"{target}/sim-small+cut+after=4", "streamGenerateContent", query=query)
    assert answer.status == 200
    wire = json.loads(answer.body.strip().rpartition(b"\r\n")[2][6:]) if query else answer.json[-1]
    assert (wire["error"]["code"], wire["error"]["status"]) == (502, "INTERNAL")


# ── Errors and pages ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("cue", "status", "name"), [("429", 429, "RESOURCE_EXHAUSTED"), ("400", 400, "INVALID_ARGUMENT")]
)
async def test_errors_come_in_googles_envelope(run: Running, target: str, cue: str, status: int, name: str) -> None:
    answer = await google(run, f"{target}/sim-small+{cue}", "generateContent")
    assert answer.status == answer.json["error"]["code"] == status
    assert answer.json["error"]["status"] == name


async def test_a_bad_request_names_its_field(run: Running) -> None:
    answer = await google(run, "sim/sim-small", "generateContent", {"contents": [{"role": "robot", "parts": []}]})
    error = answer.json["error"]
    assert (answer.status, error["message"]) == (400, "contents[0].role must be user or model, not 'robot'.")
    assert error["details"][0]["metadata"]["param"] == "contents[0].role"


@pytest.mark.parametrize(
    ("path", "field", "prefix"),
    [
        ("/v1beta/models", "models", "models/"),
        ("/v1/models", "models", "models/"),
        ("/v1beta1/publishers/google/models", "publisherModels", "publishers/google/models/"),
    ],
)
async def test_models_are_listed_in_googles_shapes(run: Running, path: str, field: str, prefix: str) -> None:
    headers = {"x-goog-api-key": "k"}
    listed = (await ask(run.port, path, headers=headers)).json[field]
    assert f"{prefix}sim-gemini/sim-small" in [row["name"] for row in listed]
    one = await ask(run.port, f"{path}/sim-gemini/sim-small", headers=headers)
    assert one.json["name"] == f"{prefix}sim-gemini/sim-small"
