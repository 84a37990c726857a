"""What the simulator takes from a prompt for the tools that it calls."""

from __future__ import annotations

from typing import Any

import pytest
from openai import AsyncOpenAI

from trunkline.sim import hints


@pytest.mark.parametrize(
    ("text", "tool", "wanted"),
    [
        ("please call get_weather", "get_weather", True),
        ("Use add.", "add", True),
        ("get_weather is a name", "get_weather", False),
        ("What is the weather in Rome?", "get_weather", True),
        ("What is the weather in Rome?", "set_weather", False),
        ("The weather is fine.", "get_weather", False),
        ("Which time zone is it?", "get_time_zone", True),
        ("What time is it?", "get_time_zone", False),
        ("What?", "get_", False),
    ],
)
def test_a_prompt_wants_a_tool(text: str, tool: str, wanted: bool) -> None:
    assert hints.names(text, tool) is wanted


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("use add(3, 4)", {"a": 3, "b": 4}),
        ('add("x", null, 5) now', {"a": "x", "b": None}),
        ("add()", {}),
        ("add(three)", {}),
        ("madd(3, 4) and add (3, 4)", {}),
    ],
)
def test_a_call_written_out_gives_its_arguments(text: str, found: dict[str, Any]) -> None:
    assert hints.arguments(text, "add", {"a": {}, "b": {}}) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('use add({"b": "x (y)"})', {"b": "x (y)"}),
        ("add({}) now", {}),
        ('add({"a": 1}, 2)', None),
        ('add({"a": }) and add([1])', None),
        ('madd({"a": 1})', None),
    ],
)
def test_a_call_written_out_with_an_object_gives_all_its_arguments(text: str, found: dict[str, Any] | None) -> None:
    assert hints.all_arguments(text, "add") == found


def test_quoted_texts_are_in_order_and_an_apostrophe_is_none() -> None:
    assert hints.quoted("""I don't see 'one' or "two" or 'one', it's 'Ärger'""") == ["one", "two", "Ärger"]


async def test_a_call_written_out_with_an_object_is_made_alone(openai: AsyncOpenAI) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
    tools: Any = [{"type": "function", "function": {"name": name, "parameters": schema}} for name in ("minus", "add")]
    answer = await openai.chat.completions.create(
        model="sim-small",
        messages=[{"role": "user", "content": 'use add({"b": 2}), or call minus'}],
        tools=tools,
    )
    [call] = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert (call.function.name, call.function.arguments) == ("add", '{"b":2}')


async def test_prompts_steer_arguments_and_objects(openai: AsyncOpenAI) -> None:
    properties = {"name": {"type": "string"}, "age": {"type": "integer"}}
    schema = {"type": "object", "properties": properties, "required": ["name", "age"]}
    tools: Any = [{"type": "function", "function": {"name": "add", "parameters": schema}}]
    answer = await openai.chat.completions.create(
        model="sim-small",
        messages=[{"role": "user", "content": "use the tool add for '你好'"}],
        tools=tools,
    )
    [call] = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.arguments == '{"name":"你好","age":1}'
    answer = await openai.chat.completions.create(
        model="sim-small",
        messages=[{"role": "user", "content": "JSON with 'setup' and 'punchline'"}],
        response_format={"type": "json_object"},
    )
    assert answer.choices[0].message.content == '{"setup":"simulated setup","punchline":"simulated punchline"}'
