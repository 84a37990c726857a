"""OpenAI's SDK on Responses, and clients of the other families on models that want it, through a gateway before the
simulator: bytes that pass, and bytes that are translated."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
import pytest_asyncio

from tests.running import Running, running
from trunkline.sim.server import start
from trunkline.sim.settings import Settings

TARGETS = ("sim", "sim-azure", "sim-anthropic")
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city.",
    "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}  # fmt: skip
ASKED: list[Any] = [{"role": "user", "content": "please call get_weather"}]


class Place:
    """A gateway, the simulator behind it, and what that was sent."""

    def __init__(self, gateway: Running, simulator: Any) -> None:
        self.gateway = gateway
        self.openai = openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0)
        self.anthropic = anthropic.AsyncAnthropic(base_url=gateway.url, api_key="any", max_retries=0)
        self._simulator = simulator

    @property
    def sent(self) -> list[tuple[str, Any]]:
        """(path, body) of every call that has reached the simulator."""
        return [(call.path, json.loads(call.body)) for call in self._simulator.app.calls]


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    simulator = await start(settings=Settings())
    address = simulator.url
    providers = {
        "sim": {"kind": "openai", "base_url": f"{address}/v1", "api_key": "sim"},
        "sim-azure": {"kind": "azure", "endpoint": address, "api_key": "sim", "api_version": "2024-10-21"},
        "sim-anthropic": {"kind": "anthropic", "base_url": address, "api_key": "sim"},
    }
    try:
        async with running(tmp_path, {"providers": providers}) as gateway:
            here = Place(gateway, simulator)
            yield here
            await here.openai.close()
            await here.anthropic.close()
    finally:
        await simulator.aclose()


@pytest.mark.parametrize("target", TARGETS)
async def test_a_plain_answer_whole_and_streamed(place: Place, target: str) -> None:
    model = f"{target}/sim-small"
    whole = await place.openai.responses.create(model=model, input="hello there", instructions="be brief")
    assert "hello there" in whole.output_text
    assert whole.status == "completed"
    assert whole.usage is not None
    assert whole.usage.total_tokens == whole.usage.input_tokens + whole.usage.output_tokens
    async with place.openai.responses.stream(model=model, input="hello there", instructions="be brief") as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert final.output_text == whole.output_text
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert final.usage is not None
    assert final.usage.output_tokens == whole.usage.output_tokens
    assert {entry.status for entry in place.gateway.entries()} == {200}


@pytest.mark.parametrize("target", TARGETS)
async def test_a_tool_over_two_turns(place: Place, target: str) -> None:
    model, conversation = f"{target}/sim-small", list(ASKED)
    async with place.openai.responses.stream(model=model, input=conversation, tools=[WEATHER]) as stream:
        first = await stream.until_done()
        answer = await first.get_final_response()
    call = next(item for item in answer.output if item.type == "function_call")
    assert call.name == "get_weather"
    assert json.loads(call.arguments).keys() == {"city"}
    conversation += [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in answer.output]
    conversation.append({"type": "function_call_output", "call_id": call.call_id, "output": "sunny, 21 degrees"})
    last = await place.openai.responses.create(model=model, input=conversation, tools=[WEATHER])
    assert "sunny, 21 degrees" in last.output_text


@pytest.mark.parametrize("target", TARGETS)
async def test_a_thought_goes_back_over_two_turns(place: Place, target: str) -> None:
    """The simulator refuses a thought that was changed, and Messages one that is missing."""
    model, conversation = f"{target}/sim-thinker", list(ASKED)
    wish: Any = {"reasoning": {"effort": "low"}, "include": ["reasoning.encrypted_content"], "store": False}
    answer = await place.openai.responses.create(model=model, input=conversation, tools=[WEATHER], **wish)
    assert [item.type for item in answer.output] == ["reasoning", "function_call"]
    assert answer.output[0].encrypted_content
    conversation += [item.model_dump(exclude_none=True) for item in answer.output]
    conversation.append({"type": "function_call_output", "call_id": answer.output[1].call_id, "output": "sunny"})
    last = await place.openai.responses.create(model=model, input=conversation, tools=[WEATHER], **wish)
    assert "sunny" in last.output_text
    if target == "sim-anthropic":
        _, body = place.sent[-1]
        assert [block["type"] for block in body["messages"][1]["content"]] == ["thinking", "tool_use"]


async def test_chat_reaches_a_model_that_takes_tools_on_responses_alone(place: Place) -> None:
    """Its thoughts travel in the answer and come back ahead of the call that they led to."""
    model, conversation = "sim/sim-responses-only", list(ASKED)
    tools: Any = [{"type": "function", "function": {k: v for k, v in WEATHER.items() if k != "type"}}]
    answer = await place.openai.chat.completions.create(model=model, messages=conversation, tools=tools)
    message = answer.choices[0].message
    assert message.tool_calls is not None
    assert answer.choices[0].finish_reason == "tool_calls"
    conversation.append({"role": "assistant", "tool_calls": [call.model_dump() for call in message.tool_calls]})
    conversation.append({"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sunny"})
    last = await place.openai.chat.completions.create(model=model, messages=conversation, tools=tools)
    assert "sunny" in (last.choices[0].message.content or "")
    assert [path for path, _ in place.sent] == ["/v1/responses"] * 2
    items = place.sent[-1][1]["input"]
    assert [item.get("type") for item in items] == [None, "reasoning", "function_call", "function_call_output"]
    assert items[1]["encrypted_content"]
    plain = await place.openai.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}])
    assert plain.choices[0].message.content
    assert place.sent[-1][0] == "/v1/chat/completions"


async def test_messages_reaches_a_thinking_model_with_its_thoughts(place: Place) -> None:
    model, conversation = "sim/sim-thinker", list(ASKED)
    tools: Any = [{"name": "get_weather", "input_schema": WEATHER["parameters"]}]
    wish: Any = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4000}
    answer = await place.anthropic.messages.create(model=model, messages=conversation, tools=tools, **wish)
    assert [block.type for block in answer.content] == ["thinking", "tool_use"]
    conversation.append({"role": "assistant", "content": [block.model_dump() for block in answer.content]})
    result = {"type": "tool_result", "tool_use_id": answer.content[1].id, "content": "sunny"}
    conversation.append({"role": "user", "content": [result]})
    last = await place.anthropic.messages.create(model=model, messages=conversation, tools=tools, **wish)
    assert "sunny" in last.content[-1].text
    assert place.sent[-1][0] == "/v1/responses"
    items = place.sent[-1][1]["input"]
    assert [item.get("type") for item in items] == [None, "reasoning", "function_call", "function_call_output"]


@pytest.mark.parametrize("target", TARGETS)
async def test_counting(place: Place, target: str) -> None:
    counted = await place.openai.responses.input_tokens.count(model=f"{target}/sim-small", input="hello there")
    assert counted.object == "response.input_tokens"
    assert counted.input_tokens > 1
    assert place.sent[-1][0].endswith("/count_tokens" if target == "sim-anthropic" else "/input_tokens")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("cue", "error"), [("429", openai.RateLimitError), ("400", openai.BadRequestError), ("500", openai.APIStatusError)]
)
async def test_errors_have_the_sdks_classes(place: Place, target: str, cue: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        await place.openai.responses.create(model=f"{target}/sim-small+{cue}", input="hello")


@pytest.mark.parametrize("target", TARGETS)
async def test_a_stream_that_is_cut_is_an_error_for_the_sdk(place: Place, target: str) -> None:
    stream = await place.openai.responses.create(
        model=f"{target}/sim-small+cut+after=3", input="say something long", stream=True
    )
    with pytest.raises(openai.APIError, match=r"ended before it was complete|broke off"):
        async for _ in stream:
            pass
    entry = await place.gateway.entry()
    assert entry.error in {"upstream_broken", "upstream_protocol"}


async def test_a_built_in_tool_is_lost_unless_it_is_demanded(place: Place) -> None:
    search: Any = {"type": "web_search"}
    raw = await place.openai.responses.with_raw_response.create(
        model="sim-anthropic/sim-small", input="hello", tools=[search]
    )
    assert raw.headers["x-trunkline-lost"] == "tools[0]"
    with pytest.raises(openai.BadRequestError, match=r"tools\[0\]: this model has no tool 'web_search'"):
        await place.openai.responses.create(
            model="sim-anthropic/sim-small", input="hello", tools=[search], tool_choice=search
        )


@pytest.mark.parametrize("stream", [False, True])
async def test_a_custom_tool_goes_to_a_family_that_has_none(place: Place, stream: bool) -> None:
    """As a function of one string, and its calls come back as free text."""
    tool: Any = {"type": "custom", "name": "apply_patch", "description": "Changes files."}
    asked: Any = {"model": "sim-anthropic/sim-small", "tools": [tool], "input": "please call apply_patch"}
    if stream:
        async with place.openai.responses.stream(**asked) as streaming:
            answer: Any = await streaming.get_final_response()
    else:
        answer = await place.openai.responses.create(**asked)
    call = answer.output[-1]
    assert (call.type, call.name) == ("custom_tool_call", "apply_patch")
    assert not call.input.startswith("{")
    _, body = place.sent[-1]
    assert body["tools"][0]["input_schema"]["required"] == ["input"]
    result: Any = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "done"}
    last = await place.openai.responses.create(
        model=asked["model"], tools=[tool],
        input=[{"role": "user", "content": asked["input"]}, call.model_dump(exclude_none=True), result],
    )  # fmt: skip
    assert "done" in last.output_text
