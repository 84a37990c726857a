"""The official Google SDK against the simulator: AI Studio and Vertex, streams, tools, thoughts, counting, vectors."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from anthropic import AsyncAnthropicVertex
from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials

from trunkline.sim.server import Handle
from trunkline.sim.settings import Settings

from .conftest import Starter

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")
"""Google's SDK does what aiohttp discourages."""

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8/5+hHgAHggJ/PchI7wAAAABJRU5ErkJggg=="
)
WEATHER = types.FunctionDeclaration(
    name="get_weather",
    parameters_json_schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
TIME = types.FunctionDeclaration(
    name="get_time", parameters=types.Schema(type=types.Type.OBJECT, properties={"zone": types.Schema(type="STRING")})
)
TOOLS = [types.Tool(function_declarations=[WEATHER, TIME])]
MODES = ("v1", "v1beta", "vertex")


@asynccontextmanager
async def client(sim: Handle, mode: str = "v1beta") -> AsyncIterator[Any]:
    """The asynchronous client: of a version of AI Studio's, or of Vertex."""
    options = types.HttpOptions(base_url=sim.url, api_version=None if mode == "vertex" else mode)
    if mode == "vertex":
        login = Credentials(token="token")
        made = genai.Client(vertexai=True, project="p", location="l", credentials=login, http_options=options)
    else:
        made = genai.Client(api_key="key", http_options=options)
    try:
        yield made.aio
    finally:
        await made.aio.aclose()
        made.close()


async def streamed(api: Any, **request: Any) -> list[types.GenerateContentResponse]:
    return [chunk async for chunk in await api.models.generate_content_stream(**request)]


def said(chunks: list[types.GenerateContentResponse]) -> str:
    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts or ()]
    return "".join(part.text or "" for part in parts if not part.thought)


@contextmanager
def refused(code: int, status: str, words: str = "") -> Iterator[None]:
    with pytest.raises(errors.APIError) as caught:
        yield
    assert (caught.value.code, caught.value.status) == (code, status)
    assert words in caught.value.message


@pytest.mark.parametrize("mode", MODES)
async def test_a_stream_says_what_the_whole_answer_says(sim: Handle, mode: str) -> None:
    async with client(sim, mode) as api:
        whole = await api.models.generate_content(model="sim-small", contents="hello there")
        chunks = await streamed(api, model="sim-small", contents="hello there")
    assert "hello there" in whole.text
    assert said(chunks) == whole.text
    assert len(chunks) > 3
    assert whole.candidates[0].finish_reason == chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
    assert [chunk.candidates[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].usage_metadata.total_token_count == whole.usage_metadata.total_token_count
    assert {chunk.response_id for chunk in chunks} == {"sim00000002"}
    assert {chunk.model_version for chunk in chunks} == {"sim-small"}


@pytest.mark.parametrize(("mode", "every"), [("v1beta", True), ("vertex", False)])
async def test_ai_studio_counts_in_every_chunk_and_vertex_in_the_last(sim: Handle, mode: str, every: bool) -> None:
    async with client(sim, mode) as api:
        chunks = await streamed(api, model="sim-small", contents="hello there")
    counts = [chunk.usage_metadata.total_token_count for chunk in chunks]
    assert counts[-1] is not None
    assert all(count is not None for count in counts) is every
    assert counts == sorted(counts) if every else set(counts[:-1]) == {None}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("model", ["sim-small", "sim-thinker", "sim-large"])
@pytest.mark.parametrize("stream", [False, True])
async def test_parallel_calls_and_their_responses(sim: Handle, mode: str, model: str, stream: bool) -> None:
    config = types.GenerateContentConfig(
        tools=TOOLS, automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True)
    )
    question = types.Content(role="user", parts=[types.Part(text="call get_weather and get_time")])
    async with client(sim, mode) as api:
        if stream:
            chunks = await streamed(api, model=model, contents=[question], config=config)
            parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts]
        else:
            first = await api.models.generate_content(model=model, contents=[question], config=config)
            parts = first.candidates[0].content.parts
        calls = [part for part in parts if part.function_call]
        answers = [
            types.Part(function_response=types.FunctionResponse(
                id=part.function_call.id, name=part.function_call.name, response={"result": f"r{i}"}))
            for i, part in enumerate(calls)
        ]  # fmt: skip
        history = [question, types.Content(role="model", parts=calls), types.Content(role="user", parts=answers)]
        second = await api.models.generate_content(model=model, contents=history, config=config)
    assert [part.function_call.name for part in calls] == ["get_weather", "get_time"]
    assert calls[0].function_call.args == {"city": "simulated city"}
    assert [bool(part.function_call.id) for part in calls] == [mode != "vertex" and model != "sim-large"] * 2
    assert [bool(part.thought_signature) for part in calls] == [model == "sim-thinker", False]
    assert 'The tools returned: "r0"; "r1"' in second.text


@pytest.mark.parametrize("mode", MODES)
async def test_a_chat_of_the_sdk_keeps_its_signatures(sim: Handle, mode: str) -> None:
    """It keeps a stream as one content a chunk."""
    config = types.GenerateContentConfig(
        tools=TOOLS, automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True)
    )
    async with client(sim, mode) as api:
        chat = api.chats.create(model="sim-thinker", config=config)
        chunks = [chunk async for chunk in await chat.send_message_stream("call get_weather and get_time")]
        calls = [call for chunk in chunks for call in chunk.function_calls or ()]
        responses = [
            types.Part(function_response=types.FunctionResponse(id=one.id, name=one.name, response={"result": "ok"}))
            for one in calls
        ]
        answer = [chunk async for chunk in await chat.send_message_stream(responses)]
    assert len(calls) == 2
    assert 'The tools returned: "ok"; "ok"' in said(answer)


async def test_thoughts_are_shown_on_request_and_always_counted(sim: Handle) -> None:
    shown = types.GenerateContentConfig(thinking_config=types.ThinkingConfig(include_thoughts=True))
    async with client(sim) as api:
        plain = await api.models.generate_content(model="sim-thinker", contents="hello")
        told = await api.models.generate_content(model="sim-thinker", contents="hello", config=shown)
        chunks = await streamed(api, model="sim-thinker", contents="hello", config=shown)
        off = types.GenerateContentConfig(thinking_config=types.ThinkingConfig(thinking_budget=0))
        quiet = await api.models.generate_content(model="sim-thinker", contents="hello", config=off)
    assert [part.thought for part in plain.candidates[0].content.parts] == [None]
    assert [part.thought for part in told.candidates[0].content.parts] == [True, None]
    assert told.candidates[0].content.parts[-1].thought_signature
    assert chunks[-1].candidates[0].content.parts[-1].thought_signature
    assert said(chunks) == told.text == plain.text
    for reply in (plain, told, chunks[-1]):
        usage = reply.usage_metadata
        parts = (usage.prompt_token_count, usage.candidates_token_count, usage.thoughts_token_count)
        assert usage.total_token_count == sum(parts)
        assert usage.thoughts_token_count > 5
    assert quiet.usage_metadata.thoughts_token_count is None


async def test_structure_media_limit_stop_and_candidates(sim: Handle) -> None:
    schema = {
        "type": "OBJECT",
        "properties": {"n": {"type": "INTEGER"}, "kind": {"type": "STRING", "enum": ["a", "b"]}},
    }
    structured: Any = {"response_mime_type": "application/json", "response_schema": schema}
    image = types.Part.from_bytes(data=PIXEL, mime_type="image/png")
    async with client(sim) as api:
        ask = api.models.generate_content
        assert (await ask(model="m", contents="x", config=structured)).parsed == {"n": 1, "kind": "a"}
        assert "1 file (image/png)" in (await ask(model="m", contents=["see", image])).text
        short = await ask(model="m", contents="x", config={"max_output_tokens": 3})
        stopped = await ask(model="m", contents="x", config={"stop_sequences": ["simulator"]})
        many = await ask(model="m", contents="x", config={"candidate_count": 2})
    assert short.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    assert short.usage_metadata.candidates_token_count == 3
    assert stopped.text.endswith("a ")
    assert [one.index for one in many.candidates] == [0, 1]


async def test_log_probabilities(sim: Handle) -> None:
    config = types.GenerateContentConfig(response_logprobs=True, logprobs=2)
    async with client(sim) as api:
        [whole] = (await api.models.generate_content(model="m", contents="x", config=config)).candidates
        chunks = await streamed(api, model="m", contents="x", config=config)
    parts = [chunk.candidates[0].logprobs_result for chunk in chunks[:-1]]
    chosen = [one for part in parts for one in part.chosen_candidates]
    assert whole.logprobs_result.chosen_candidates == chosen
    assert "".join(one.token for one in chosen) == whole.content.parts[0].text
    assert {len(row.candidates) for row in whole.logprobs_result.top_candidates} == {2}
    assert whole.avg_logprobs < 0


async def test_refusal_and_filter(sim: Handle) -> None:
    async with client(sim) as api:
        blocked = await api.models.generate_content(model="sim-small+refuse", contents="x")
        streams = await streamed(api, model="sim-small+refuse", contents="x")
        filtered = await api.models.generate_content(model="sim-small+filtered", contents="x")
        cut = await streamed(api, model="sim-small+filtered", contents="x")
    for reply in (blocked, streams[0]):
        assert reply.candidates is None
        assert reply.prompt_feedback.block_reason == types.BlockedReason.PROHIBITED_CONTENT
    assert filtered.candidates[0].finish_reason == cut[-1].candidates[0].finish_reason == types.FinishReason.SAFETY
    assert filtered.candidates[0].content.parts is None
    assert any(rating.blocked for rating in filtered.candidates[0].safety_ratings)


async def test_a_long_prefix_is_cached(starter: Starter) -> None:
    sim = await starter(Settings(cache_minimum=100))
    async with client(sim) as api:
        ask = {"model": "sim-small", "contents": "word " * 400}
        first = await api.models.generate_content(**ask)
        second = await api.models.generate_content(**ask)
    assert first.usage_metadata.cached_content_token_count is None
    assert second.usage_metadata.cached_content_token_count == 384
    assert second.usage_metadata.prompt_token_count == first.usage_metadata.prompt_token_count


async def test_counting_models_and_embeddings(sim: Handle) -> None:
    async with client(sim) as api:
        counted = await api.models.count_tokens(model="sim-small", contents="hello there")
        used = await api.models.generate_content(model="sim-small", contents="hello there")
        assert counted.total_tokens == used.usage_metadata.prompt_token_count
        assert (await api.models.list())[0].name == "models/sim-tiny"
        assert (await api.models.get(model="sim-small")).input_token_limit == 128_000
        two = await api.models.embed_content(model="e", contents=["a", "b"], config={"output_dimensionality": 256})
        assert [len(one.values) for one in two.embeddings] == [256, 256]
        assert two.embeddings[0].values != two.embeddings[1].values
        with refused(404, "NOT_FOUND", "models/sim-none is not found"):
            await api.models.generate_content(model="sim-none", contents="x")


async def test_vertex_predicts_and_counts(sim: Handle) -> None:
    async with client(sim, "vertex") as api:
        counted = await api.models.count_tokens(model="sim-small", contents="hello there")
        reply = await api.models.embed_content(model="text-embedding-005", contents=["a", "b"])
    assert counted.total_tokens > 0
    assert [len(one.values) for one in reply.embeddings] == [3072, 3072]
    assert reply.embeddings[0].statistics.token_count == 1


async def test_claude_on_vertex_by_the_sdk_of_anthropic(sim: Handle) -> None:
    where: Any = {"region": "us", "project_id": "p", "access_token": "token", "base_url": f"{sim.url}/vertex/v1"}
    async with AsyncAnthropicVertex(**where, max_retries=0) as api:
        request: Any = {"model": "sim-small", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}
        whole = await api.messages.create(**request)
        async with api.messages.stream(**request) as stream:
            assert await stream.get_final_text() == whole.content[0].text
        del request["max_tokens"]
        counted = await api.messages.count_tokens(**request)
    assert counted.input_tokens == whole.usage.input_tokens
    assert "hello" in whole.content[0].text
