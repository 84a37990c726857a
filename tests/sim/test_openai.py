"""The official OpenAI SDK against the simulator: chat, streams, tools, structure, vision, reasoning, models."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel

from trunkline.sim.persona import MODELS
from trunkline.sim.server import Handle

from .conftest import HELLO, KEY

PNG = "data:image/png;base64,iVBORw0KGgo="


def function(name: str, **properties: Any) -> Any:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


WEATHER = function("get_weather", city={"type": "string"}, days={"type": "integer", "minimum": 3, "maximum": 5})
TIME = function("get_time", zone={"enum": ["UTC", "CET"]})


async def test_chat_says_that_it_is_a_simulator_and_repeats_the_question(openai: AsyncOpenAI) -> None:
    answer = await openai.chat.completions.create(model="sim-small", messages=HELLO)
    text = answer.choices[0].message.content or ""
    assert "simulator" in text
    assert "hello there" in text
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "sim-small"
    again = await openai.chat.completions.create(model="sim-small", messages=HELLO)
    assert again.choices[0].message.content == text
    assert again.id != answer.id


async def test_usage_adds_up(openai: AsyncOpenAI) -> None:
    answer = await openai.chat.completions.create(model="sim-small", messages=HELLO)
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.completion_tokens > 10


async def test_stream_joins_to_the_whole_answer_with_usage_last(openai: AsyncOpenAI) -> None:
    whole = await openai.chat.completions.create(model="sim-small", messages=HELLO)
    stream = await openai.chat.completions.create(
        model="sim-small", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert [bool(chunk.usage) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage


async def test_the_blocking_client_too(sim: Handle) -> None:
    await asyncio.to_thread(_blocking, sim.url)


def _blocking(url: str) -> None:
    with OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as client:
        assert client.chat.completions.create(model="sim-small", messages=HELLO).choices[0].message.content
        stream = client.chat.completions.create(model="sim-small", messages=HELLO, stream=True)
        assert len(list(stream)) > 5


async def test_a_named_tool_is_called_with_arguments_that_fit_and_its_result_is_quoted(openai: AsyncOpenAI) -> None:
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "please call get_weather"}]
    first = await openai.chat.completions.create(model="sim-small", messages=messages, tools=[WEATHER, TIME])
    assert first.choices[0].finish_reason == "tool_calls"
    [call] = first.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert call.function.arguments == '{"city":"simulated city","days":3}'
    messages.append(first.choices[0].message.to_dict())  # type: ignore[arg-type]
    messages.append({"role": "tool", "tool_call_id": call.id, "content": "17 degrees"})
    second = await openai.chat.completions.create(model="sim-small", messages=messages, tools=[WEATHER, TIME])
    assert second.choices[0].finish_reason == "stop"
    assert '"17 degrees"' in (second.choices[0].message.content or "")


@pytest.mark.parametrize(("parallel", "expected"), [(True, ["get_weather", "get_time"]), (False, ["get_weather"])])
async def test_parallel_calls(openai: AsyncOpenAI, parallel: bool, expected: list[str]) -> None:
    answer = await openai.chat.completions.create(
        model="sim-small",
        messages=[{"role": "user", "content": "call get_weather and get_time"}],
        tools=[WEATHER, TIME],
        parallel_tool_calls=parallel,
    )
    calls = answer.choices[0].message.tool_calls or []
    assert [call.function.name for call in calls if call.type == "function"] == expected
    assert len({call.id for call in calls}) == len(expected)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", []),
        ("none", []),
        ("required", ["get_weather"]),
        ({"type": "function", "function": {"name": "get_time"}}, ["get_time"]),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "get_time"}}],
                },
            },
            ["get_time"],
        ),
    ],
)
async def test_tool_choice(openai: AsyncOpenAI, choice: Any, expected: list[str]) -> None:
    answer = await openai.chat.completions.create(
        model="sim-small", messages=HELLO, tools=[WEATHER, TIME], tool_choice=choice
    )
    calls = answer.choices[0].message.tool_calls or []
    assert [call.function.name for call in calls if call.type == "function"] == expected


async def test_streamed_calls_carry_id_and_name_once_and_pieces_of_arguments(openai: AsyncOpenAI) -> None:
    stream = await openai.chat.completions.create(
        model="sim-small",
        messages=[{"role": "user", "content": "call get_weather and get_time"}],
        tools=[WEATHER, TIME],
        stream=True,
    )
    names: dict[int, str] = {}
    arguments: dict[int, str] = {}
    async for chunk in stream:
        for piece in chunk.choices[0].delta.tool_calls or ():
            assert piece.function is not None
            if piece.id:
                names[piece.index] = piece.function.name or ""
            arguments[piece.index] = arguments.get(piece.index, "") + (piece.function.arguments or "")
    assert names == {0: "get_weather", 1: "get_time"}
    assert arguments == {0: '{"city":"simulated city","days":3}', 1: '{"zone":"UTC"}'}


async def test_custom_tool_gets_free_text(openai: AsyncOpenAI) -> None:
    answer = await openai.chat.completions.create(
        model="sim-small", messages=HELLO, tools=[{"type": "custom", "custom": {"name": "run"}}], tool_choice="required"
    )
    [call] = answer.choices[0].message.tool_calls or []
    assert call.type == "custom"
    assert call.custom.input == "simulated input: hello there"


class Country(BaseModel):
    name: str
    population: int
    languages: list[str]
    capital: Country | None


async def test_structured_output_parses_into_the_model(openai: AsyncOpenAI) -> None:
    answer = await openai.chat.completions.parse(model="sim-small", messages=HELLO, response_format=Country)
    parsed = answer.choices[0].message.parsed
    assert parsed is not None
    assert parsed.languages
    assert parsed.capital is not None


async def test_json_object(openai: AsyncOpenAI) -> None:
    answer = await openai.chat.completions.create(
        model="sim-small", messages=[{"role": "user", "content": "json"}], response_format={"type": "json_object"}
    )
    assert answer.choices[0].message.content == '{"simulator":true,"model":"sim-small"}'


async def test_images_files_and_sound_are_acknowledged(openai: AsyncOpenAI) -> None:
    content: Any = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.jpg"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ]
    answer = await openai.chat.completions.create(model="sim-small", messages=[{"role": "user", "content": content}])
    text = answer.choices[0].message.content or ""
    assert "4 files (application/pdf, audio/wav, image by URL, image/png)" in text


async def test_reasoning_shows_in_usage_alone(openai: AsyncOpenAI) -> None:
    silent = await openai.chat.completions.create(model="sim-thinker", messages=HELLO, reasoning_effort="none")
    thinking = await openai.chat.completions.create(model="sim-thinker", messages=HELLO, reasoning_effort="low")
    assert silent.usage is not None
    assert thinking.usage is not None
    assert silent.usage.completion_tokens_details is not None
    assert silent.usage.completion_tokens_details.reasoning_tokens == 0
    assert thinking.usage.completion_tokens_details is not None
    reasoned = thinking.usage.completion_tokens_details.reasoning_tokens or 0
    assert reasoned > 10
    assert thinking.usage.completion_tokens == silent.usage.completion_tokens + reasoned


async def test_limit_stop_and_alternatives(openai: AsyncOpenAI) -> None:
    cut = await openai.chat.completions.create(model="sim-small", messages=HELLO, max_completion_tokens=5)
    assert cut.choices[0].finish_reason == "length"
    assert cut.usage is not None
    assert cut.usage.completion_tokens == 5
    stopped = await openai.chat.completions.create(model="sim-small", messages=HELLO, stop=["real", "simulator"])
    assert stopped.choices[0].message.content == "I am sim-small, a "
    assert stopped.choices[0].finish_reason == "stop"
    many = await openai.chat.completions.create(model="sim-small", messages=HELLO, n=3, seed=7)
    texts = [choice.message.content for choice in many.choices]
    assert len(set(texts)) == 3
    assert [choice.index for choice in many.choices] == [0, 1, 2]


async def test_logprobs_spell_the_text(openai: AsyncOpenAI) -> None:
    answer = await openai.chat.completions.create(model="sim-small", messages=HELLO, logprobs=True, top_logprobs=2)
    [choice] = answer.choices
    assert choice.logprobs is not None
    rows = choice.logprobs.content or []
    assert "".join(row.token for row in rows) == choice.message.content
    assert all(len(row.top_logprobs) == 2 and row.logprob <= 0 for row in rows)
    stream = await openai.chat.completions.create(model="sim-small", messages=HELLO, logprobs=True, stream=True)
    pieces = [row.token async for chunk in stream for row in _logprobs(chunk)]
    assert "".join(pieces) == choice.message.content


def _logprobs(chunk: Any) -> list[Any]:
    return chunk.choices[0].logprobs.content if chunk.choices[0].logprobs else []


async def test_refusal_and_filter_on_cue(openai: AsyncOpenAI) -> None:
    refused = await openai.chat.completions.create(model="sim-small+refuse", messages=HELLO)
    assert "refuse" in (refused.choices[0].message.refusal or "")
    assert refused.choices[0].message.content is None
    filtered = await openai.chat.completions.create(model="sim-small+filtered", messages=HELLO)
    assert filtered.choices[0].finish_reason == "content_filter"


async def test_a_repeated_prefix_is_cached_in_steps_of_128(openai: AsyncOpenAI) -> None:
    long: list[Any] = [{"role": "system", "content": "word " * 1500}, *HELLO]
    first = await openai.chat.completions.create(model="sim-small", messages=long)
    second = await openai.chat.completions.create(
        model="sim-small", messages=[long[0], {"role": "user", "content": "other"}]
    )
    cached = []
    for answer in (first, second):
        assert answer.usage is not None
        assert answer.usage.prompt_tokens_details is not None
        cached.append(answer.usage.prompt_tokens_details.cached_tokens)
    assert cached == [0, 1408]


async def test_length_on_cue(openai: AsyncOpenAI) -> None:
    for tokens in (3, 500):
        answer = await openai.chat.completions.create(model=f"sim-small+length={tokens}", messages=HELLO)
        assert answer.usage is not None
        assert answer.usage.completion_tokens == tokens


async def test_models(openai: AsyncOpenAI) -> None:
    names = [model.id async for model in openai.models.list()]
    assert set(names) == set(MODELS)
    assert (await openai.models.retrieve("sim-large")).owned_by == "simulator"


async def test_other_names_answer_and_the_prefix_tells_providers_apart(sim: Handle) -> None:
    async with AsyncOpenAI(base_url=f"{sim.url}/openai/v1", api_key=KEY, max_retries=0) as client:
        answers = await asyncio.gather(
            *(client.chat.completions.create(model=f"gpt-{i}", messages=HELLO) for i in range(3))
        )
    assert [answer.model for answer in answers] == ["gpt-0", "gpt-1", "gpt-2"]
