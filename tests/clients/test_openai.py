"""The official OpenAI SDK through the gateway: what it can ask of each provider, and what comes back."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

from .drivers import GOOGLE, HELLO, PLAIN, Chat, user

PNG = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0xLjQ="


def function(name: str, **properties: Any) -> Any:
    parameters = {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False,
    }  # fmt: skip
    return {"type": "function", "function": {"name": name, "parameters": parameters, "strict": True}}


WEATHER = function("get_weather", city={"type": "string"})
TIME = function("get_time", zone={"enum": ["UTC", "CET"]})
ONE_AT_A_TIME = {"sim", "sim-azure", "sim-anthropic"}
"""Providers that can be told to call no two tools at once."""
BOTH = [user("call get_weather and get_time")]


class Person(BaseModel):
    name: str
    languages: list[str]
    age: int


def text_of(answer: Any) -> str:
    return answer.choices[0].message.content or ""


def calls_of(answer: Any) -> list[tuple[str, str]]:
    return [(call.function.name, call.function.arguments) for call in answer.choices[0].message.tool_calls]


async def test_chat(chat: Chat) -> None:
    answer = await chat.ask()
    assert "hello there" in text_of(answer)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.completion_tokens > 10


async def test_instructions(chat: Chat) -> None:
    roles = [{"role": "system", "content": "be brief"}, {"role": "developer", "content": "be kind"}]
    short = await chat.ask()
    answer = await chat.ask([*roles, *HELLO])
    assert answer.usage.prompt_tokens > short.usage.prompt_tokens
    assert text_of(answer) == text_of(short)


async def test_stream(chat: Chat) -> None:
    whole = await chat.ask()
    chunks = await chat.ask(stream=True, stream_options={"include_usage": True})
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == text_of(whole)
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage.model_dump(exclude_unset=True) == whole.usage.model_dump(exclude_unset=True)
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    unasked = await chat.ask(stream=True)
    assert all(chunk.choices or chat.target == "sim-azure" for chunk in unasked)


async def test_stream_helper(chat: Chat) -> None:
    whole = await chat.ask()
    streamed, events = await chat.follow()
    assert text_of(streamed) == text_of(whole)
    assert streamed.choices[0].finish_reason == "stop"
    assert {"chunk", "content.delta", "content.done"} <= set(events)


@pytest.mark.loses("tools[0].strict", to=GOOGLE)
async def test_tool_over_two_turns(chat: Chat) -> None:
    conversation = [user("please call get_weather")]
    first = await chat.ask(conversation, tools=[WEATHER])
    assert first.choices[0].finish_reason == "tool_calls"
    assert calls_of(first) == [("get_weather", '{"city":"simulated city"}')]
    conversation.append(first.choices[0].message.to_dict())
    conversation.append({
        "role": "tool", "tool_call_id": first.choices[0].message.tool_calls[0].id, "content": "17 degrees",
    })  # fmt: skip
    second = await chat.ask(conversation, tools=[WEATHER])
    assert '"17 degrees"' in text_of(second)
    assert second.choices[0].finish_reason == "stop"


@pytest.mark.loses("tools[0].strict", "tools[1].strict", "parallel_tool_calls", to=GOOGLE)
@pytest.mark.loses("parallel_tool_calls", to=["sim-bedrock"])
async def test_parallel_tools(chat: Chat) -> None:
    first = await chat.ask(BOTH, tools=[WEATHER, TIME])
    assert calls_of(first) == [("get_weather", '{"city":"simulated city"}'), ("get_time", '{"zone":"UTC"}')]
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": f"result {call.function.name}"}
        for call in first.choices[0].message.tool_calls
    ]
    second = await chat.ask([*BOTH, first.choices[0].message.to_dict(), *results], tools=[WEATHER, TIME])
    assert '"result get_weather"; "result get_time"' in text_of(second)
    one = await chat.ask(BOTH, tools=[WEATHER, TIME], parallel_tool_calls=False)
    told = ["get_weather"] if chat.target in ONE_AT_A_TIME else ["get_weather", "get_time"]
    assert [name for name, _ in calls_of(one)] == told


async def test_streamed_tools(chat: Chat) -> None:
    streamed, events = await chat.follow(BOTH, tools=[WEATHER, TIME])
    assert calls_of(streamed) == [("get_weather", '{"city":"simulated city"}'), ("get_time", '{"zone":"UTC"}')]
    assert streamed.choices[0].message.tool_calls[0].function.parsed_arguments == {"city": "simulated city"}
    assert events.count("tool_calls.function.arguments.done") == 2


@pytest.mark.loses("tools[0].strict", "tools[1].strict", to=GOOGLE)
@pytest.mark.parametrize("choice", ["none", "required", "get_time"])
async def test_tool_choice(chat: Chat, choice: str) -> None:
    named: Any = {"type": "function", "function": {"name": choice}} if choice == "get_time" else choice
    answer = await chat.ask(tools=[WEATHER, TIME], tool_choice=named)
    calls = answer.choices[0].message.tool_calls or []
    expected = {"none": [], "required": ["get_weather"], "get_time": ["get_time"]}
    assert [call.function.name for call in calls] == expected[choice]


async def test_structured_output(chat: Chat) -> None:
    answer = await chat.parse(response_format=Person)
    assert answer.choices[0].message.parsed.languages == ["simulated languages"]
    streamed, _ = await chat.follow(response_format=Person)
    assert streamed.choices[0].message.parsed == answer.choices[0].message.parsed


@pytest.mark.loses("response_format", to=PLAIN)
async def test_json_object(chat: Chat) -> None:
    answer = await chat.ask([user("JSON please")], response_format={"type": "json_object"})
    assert text_of(answer).startswith("{") is (chat.target not in PLAIN)


@pytest.mark.loses("messages[0].content[2]", to=["sim-bedrock"])  # it fetches nothing
@pytest.mark.loses("messages[0].content[1].image_url.detail", to=["sim-anthropic", *GOOGLE, "sim-bedrock"])
async def test_vision(chat: Chat) -> None:
    content = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": PNG, "detail": "high"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.jpg"}},
    ]
    answer = await chat.ask([user(content)])
    assert ("1 file" if chat.target == "sim-bedrock" else "2 files") in text_of(answer)
    assert "image/png" in text_of(answer)


@pytest.mark.loses("messages[0].content[0].title", to=GOOGLE)
async def test_documents(chat: Chat) -> None:
    content = [{"type": "file", "file": {"file_data": PDF, "filename": "a.pdf"}}, {"type": "text", "text": "read"}]
    named = "document/pdf" if chat.target == "sim-bedrock" else "application/pdf"
    assert f"1 file ({named})" in text_of(await chat.ask([user(content)]))


@pytest.mark.loses("messages[0].content[1]", to=["sim-anthropic"])
async def test_audio_input(chat: Chat) -> None:
    content = [
        {"type": "text", "text": "listen"},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ]
    answer = await chat.ask([user(content)])
    assert ("audio/wav" in text_of(answer)) is (chat.target != "sim-anthropic")


@pytest.mark.only_at("sim", "sim-azure", "sim-anthropic")
@pytest.mark.parametrize("how", ["whole", "streamed"])
async def test_reasoning_over_two_turns(chat: Chat, how: str) -> None:
    """With Anthropic behind, the signature comes and goes in a field that the SDK keeps without knowing it."""

    async def ask(conversation: list[Any]) -> ChatCompletion:
        request: Any = {"model": "sim-thinker", "reasoning_effort": "low", "tools": [WEATHER]}
        if how == "whole":
            return await chat.ask(conversation, **request)
        return (await chat.follow(conversation, stream_options={"include_usage": True}, **request))[0]

    conversation = [user("call get_weather")]
    first = await ask(conversation)
    message = first.choices[0].message
    assert first.usage is not None
    assert first.usage.completion_tokens_details is not None
    assert (first.usage.completion_tokens_details.reasoning_tokens or 0) > 10
    assert bool((message.model_extra or {}).get("reasoning_details")) is (chat.target == "sim-anthropic")
    assert message.tool_calls
    turn: Any = message.to_dict()
    for call in turn["tool_calls"]:
        call["function"].pop("parsed_arguments", None)  # the accumulator's own; the API refuses it
    conversation += [turn, {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sunny"}]
    assert "sunny" in text_of(await ask(conversation))
