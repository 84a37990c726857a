"""The official Anthropic SDK against the simulator: messages, streams, tools, structure, thinking, counting, models."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic as sdk
import pytest
from anthropic import Anthropic, AsyncAnthropic

from trunkline.sim.server import Handle
from trunkline.sim.settings import Settings

from .conftest import HELLO, KEY, Starter

WEATHER: Any = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
TIME: Any = {"name": "get_time", "input_schema": {"type": "object", "properties": {"zone": {"enum": ["UTC"]}}}}
THINK: Any = {"type": "enabled", "budget_tokens": 1024}


def user(text: str) -> Any:
    return {"role": "user", "content": text}


async def test_message_says_that_it_is_a_simulator(anthropic: AsyncAnthropic) -> None:
    message = await anthropic.messages.create(model="sim-small", max_tokens=100, messages=HELLO)
    [block] = message.content
    assert block.type == "text"
    assert "simulator" in block.text
    assert "hello there" in block.text
    assert message.stop_reason == "end_turn"
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens > 10


async def test_stream_gives_the_same_message_and_a_ping(anthropic: AsyncAnthropic) -> None:
    whole = await anthropic.messages.create(model="sim-small", max_tokens=100, messages=HELLO)
    async with anthropic.messages.stream(model="sim-small", max_tokens=100, messages=HELLO) as stream:
        streamed = await stream.get_final_message()
    assert streamed.content[0].to_dict() | {"citations": None} == whole.content[0].to_dict() | {"citations": None}
    assert streamed.usage.output_tokens == whole.usage.output_tokens
    assert streamed.usage.input_tokens == whole.usage.input_tokens
    assert streamed.stop_reason == whole.stop_reason


async def test_the_blocking_client_too(sim: Handle) -> None:
    await asyncio.to_thread(_blocking, sim.url)


def _blocking(url: str) -> None:
    with Anthropic(base_url=f"{url}/anthropic", api_key=KEY, max_retries=0) as client:
        assert client.messages.create(model="sim-small", max_tokens=100, messages=HELLO).content
        with client.messages.stream(model="sim-small", max_tokens=100, messages=HELLO) as stream:
            assert "simulator" in stream.get_final_text()


@pytest.mark.parametrize("streamed", [False, True])
async def test_tools_in_parallel_and_their_results(anthropic: AsyncAnthropic, streamed: bool) -> None:
    messages = [user("call get_weather and get_time")]
    request: dict[str, Any] = {"model": "sim-small", "max_tokens": 500, "tools": [WEATHER, TIME]}
    first = await _ask(anthropic, streamed, messages=messages, **request)
    assert first.stop_reason == "tool_use"
    calls = [block for block in first.content if block.type == "tool_use"]
    assert [(call.name, call.input) for call in calls] == [
        ("get_weather", {"city": "simulated city"}),
        ("get_time", {"zone": "UTC"}),
    ]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": f"r{i}"} for i, call in enumerate(calls)]
    messages += [
        {"role": "assistant", "content": [call.to_dict() for call in calls]},
        {"role": "user", "content": results},
    ]
    second = await _ask(anthropic, streamed, messages=messages, **request)
    assert 'The tools returned: "r0"; "r1"' in second.content[0].text


async def _ask(client: AsyncAnthropic, streamed: bool, **request: Any) -> Any:
    if not streamed:
        return await client.messages.create(**request)
    async with client.messages.stream(**request) as stream:
        return await stream.get_final_message()


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, []),
        ({"type": "none"}, []),
        ({"type": "any"}, ["get_weather"]),
        ({"type": "tool", "name": "get_time"}, ["get_time"]),
    ],
)
async def test_tool_choice(anthropic: AsyncAnthropic, choice: Any, expected: list[str]) -> None:
    message = await anthropic.messages.create(
        model="sim-small", max_tokens=100, messages=HELLO, tools=[WEATHER, TIME], tool_choice=choice
    )
    assert [block.name for block in message.content if block.type == "tool_use"] == expected


async def test_parallel_calls_can_be_forbidden(anthropic: AsyncAnthropic) -> None:
    message = await anthropic.messages.create(
        model="sim-small",
        max_tokens=100,
        messages=[user("use get_weather and get_time")],
        tools=[WEATHER, TIME],
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
    )
    assert [block.name for block in message.content if block.type == "tool_use"] == ["get_weather"]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("cue", ["", "+redacted"])
async def test_thinking_over_two_turns(anthropic: AsyncAnthropic, streamed: bool, cue: str) -> None:
    request: dict[str, Any] = {
        "model": f"sim-small{cue}", "max_tokens": 4000, "tools": [WEATHER], "thinking": THINK,
    }  # fmt: skip
    messages = [user("call get_weather")]
    first = await _ask(anthropic, streamed, messages=messages, **request)
    kinds = ["redacted_thinking" if cue else "thinking", "tool_use"]
    assert [block.type for block in first.content] == kinds
    assert first.usage.output_tokens_details.thinking_tokens > 10
    call = first.content[1]
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
    turn = [block.to_dict() for block in first.content]
    messages += [{"role": "assistant", "content": turn}, {"role": "user", "content": [result]}]
    second = await _ask(anthropic, streamed, messages=messages, **request)
    assert "sunny" in second.content[-1].text

    field = "data" if cue else "thinking"
    forged = [{**turn[0], field: turn[0][field][:-4] + "AAAA"}, turn[1]]
    with pytest.raises(sdk.BadRequestError, match=r"Invalid `(signature|data)` in"):
        await _ask(
            anthropic, streamed, **request, messages=[messages[0], {**messages[1], "content": forged}, messages[2]]
        )
    with pytest.raises(sdk.BadRequestError, match="Expected `thinking` or `redacted_thinking`, but found `tool_use`"):
        await _ask(
            anthropic, streamed, **request, messages=[messages[0], {**messages[1], "content": turn[1:]}, messages[2]]
        )


async def test_thinking_may_be_omitted_from_view_and_still_signed(anthropic: AsyncAnthropic) -> None:
    async with anthropic.messages.stream(
        model="sim-thinker", max_tokens=500, messages=HELLO, thinking={"type": "adaptive", "display": "omitted"}
    ) as stream:
        message = await stream.get_final_message()
    thought = message.content[0]
    assert thought.type == "thinking"
    assert thought.thinking == ""
    assert len(thought.signature) > 20


async def test_structured_output(anthropic: AsyncAnthropic) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 7}}, "additionalProperties": False}
    message = await anthropic.messages.create(
        model="sim-small", max_tokens=100, messages=HELLO,
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )  # fmt: skip
    [block] = message.content
    assert block.type == "text"
    assert block.text == '{"n":7}'


async def test_images_and_documents_are_acknowledged(anthropic: AsyncAnthropic) -> None:
    content: Any = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}},
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        {"type": "text", "text": "see"},
    ]
    message = await anthropic.messages.create(
        model="sim-small", max_tokens=100, messages=[{"role": "user", "content": content}]
    )
    [block] = message.content
    assert block.type == "text"
    assert "3 files (application/pdf, document by url, image/png)" in block.text


async def test_limit_stop_sequence_and_refusal(anthropic: AsyncAnthropic) -> None:
    cut = await anthropic.messages.create(model="sim-small", max_tokens=4, messages=HELLO)
    assert (cut.stop_reason, cut.usage.output_tokens) == ("max_tokens", 4)
    stopped = await anthropic.messages.create(
        model="sim-small", max_tokens=100, messages=HELLO, stop_sequences=["no real", "model"]
    )
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "no real")
    refused = await anthropic.messages.create(model="sim-small+refuse", max_tokens=100, messages=HELLO)
    assert refused.stop_reason == "refusal"
    assert refused.stop_details is not None
    assert refused.stop_details.category == "general_harms"


async def test_cache_is_written_once_then_read_and_left_out_of_input_tokens(anthropic: AsyncAnthropic) -> None:
    system: Any = [
        {"type": "text", "text": "word " * 1200, "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": "more " * 300, "cache_control": {"type": "ephemeral"}},
    ]
    usages = []
    for _ in range(2):
        message = await anthropic.messages.create(model="sim-small", max_tokens=9, messages=HELLO, system=system)
        usages.append(message.usage)
    first, second = usages
    assert first.cache_creation is not None
    assert (first.cache_creation.ephemeral_1h_input_tokens, first.cache_creation.ephemeral_5m_input_tokens) == (
        1201,
        301,
    )
    assert (first.cache_creation_input_tokens, first.cache_read_input_tokens) == (1502, 0)
    assert (second.cache_creation_input_tokens, second.cache_read_input_tokens) == (0, 1502)
    assert first.input_tokens == second.input_tokens < 10


async def test_count_tokens_agrees_with_usage(anthropic: AsyncAnthropic) -> None:
    counted = await anthropic.messages.count_tokens(model="sim-small", messages=HELLO, tools=[WEATHER])
    message = await anthropic.messages.create(model="sim-small", max_tokens=9, messages=HELLO, tools=[WEATHER])
    assert counted.input_tokens == message.usage.input_tokens


async def test_models(anthropic: AsyncAnthropic) -> None:
    models = [model async for model in anthropic.models.list()]
    assert "sim-thinker" in [model.id for model in models]
    one = await anthropic.models.retrieve("sim-large")
    assert one.max_input_tokens == 1_000_000
    assert one.lifecycle == "active"


async def test_the_signing_secret_is_a_setting(starter: Starter) -> None:
    one, two = await starter(Settings(secret="a")), await starter(Settings(secret="b"))
    async with AsyncAnthropic(base_url=one.url, api_key=KEY, max_retries=0) as client:
        message = await client.messages.create(model="sim-small", max_tokens=4000, messages=HELLO, thinking=THINK)
    messages = [*HELLO, {"role": "assistant", "content": [b.to_dict() for b in message.content]}, user("go on")]
    async with AsyncAnthropic(base_url=two.url, api_key=KEY, max_retries=0) as client:
        with pytest.raises(sdk.BadRequestError, match="signature"):
            await client.messages.create(model="sim-small", max_tokens=4000, messages=messages)
