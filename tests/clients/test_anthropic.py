"""The official Anthropic SDK through the gateway: what it can ask of each provider, and what comes back."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest
from pydantic import BaseModel

from .drivers import GOOGLE, HELLO, OPENAI, TARGETS, Messages, drained, settled, user

PNG = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQ="}
ONE_AT_A_TIME = {"sim", "sim-azure", "sim-anthropic"}
"""Providers that can be told to call no two tools at once."""


def loses_in_chat(*paths: str) -> Any:
    """A mark for what OpenAI's format cannot be told."""
    return pytest.mark.loses(*paths, to=OPENAI)


def tool(name: str, **properties: Any) -> Any:
    return {"name": name, "input_schema": {"type": "object", "properties": properties, "required": list(properties)}}


WEATHER = tool("get_weather", city={"type": "string"})
TIME = tool("get_time", zone={"enum": ["UTC", "CET"]})
BOTH = [user("call get_weather and get_time")]


class Person(BaseModel):
    name: str
    age: int


def text_of(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def calls_of(message: Any) -> list[tuple[str, Any]]:
    return [(block.name, block.input) for block in message.content if block.type == "tool_use"]


def turn_of(message: Any) -> Any:
    """An answer sent back as it came, by the SDK's own means."""
    return {"role": "assistant", "content": [block.to_dict() for block in message.content]}


def result_of(call: Any, content: Any, **more: Any) -> Any:
    return {"type": "tool_result", "tool_use_id": call.id, "content": content, **more}


async def test_message(messages: Messages) -> None:
    message = await messages.ask()
    assert "hello there" in text_of(message)
    assert message.stop_reason == "end_turn"
    assert (message.type, message.role) == ("message", "assistant")
    assert message.usage.output_tokens > 10


async def test_instructions(messages: Messages) -> None:
    short = await messages.ask()
    message = await messages.ask(system=[{"type": "text", "text": "be brief"}])
    assert message.usage.input_tokens > short.usage.input_tokens


async def test_stream(messages: Messages) -> None:
    whole = await messages.ask()
    events = await messages.ask(stream=True)
    kinds = [event.type for event in events if event.type != "ping"]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert "".join(event.delta.text for event in events if event.type == "content_block_delta") == text_of(whole)


async def test_stream_helper(messages: Messages) -> None:
    whole = await messages.ask()
    streamed, events = await messages.follow()
    assert text_of(streamed) == text_of(whole)
    assert streamed.stop_reason == whole.stop_reason
    assert streamed.usage.output_tokens == whole.usage.output_tokens
    assert streamed.usage.input_tokens == whole.usage.input_tokens
    assert "text" in events


@pytest.mark.parametrize("how", ["whole", "streamed"])
async def test_tools_over_two_turns(messages: Messages, how: str) -> None:
    async def ask(conversation: list[Any]) -> Any:
        if how == "whole":
            return await messages.ask(conversation, tools=[WEATHER, TIME])
        return (await messages.follow(conversation, tools=[WEATHER, TIME]))[0]

    first = await ask(BOTH)
    assert first.stop_reason == "tool_use"
    assert calls_of(first) == [("get_weather", {"city": "simulated city"}), ("get_time", {"zone": "UTC"})]
    results = [result_of(call, f"result {call.name}") for call in first.content if call.type == "tool_use"]
    second = await ask([*BOTH, turn_of(first), user(results)])
    assert '"result get_weather"; "result get_time"' in text_of(second)
    assert second.stop_reason == "end_turn"


@pytest.mark.loses("tool_choice.disable_parallel_tool_use", to=[*GOOGLE, "sim-bedrock"])
async def test_one_tool_at_a_time(messages: Messages) -> None:
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    message = await messages.ask(BOTH, tools=[WEATHER, TIME], tool_choice=choice)
    told = ["get_weather"] if messages.target in ONE_AT_A_TIME else ["get_weather", "get_time"]
    assert [name for name, _ in calls_of(message)] == told


@pytest.mark.parametrize("choice", ["none", "any", "get_time"])
async def test_tool_choice(messages: Messages, choice: str) -> None:
    named = {"type": "tool", "name": choice} if choice == "get_time" else {"type": choice}
    message = await messages.ask(tools=[WEATHER, TIME], tool_choice=named)
    expected = {"none": [], "any": ["get_weather"], "get_time": ["get_time"]}
    assert [name for name, _ in calls_of(message)] == expected[choice]


@loses_in_chat("messages[2].content[0].is_error")
async def test_failed_tool_with_a_picture(messages: Messages) -> None:
    asked = [user("call get_weather")]
    first = await messages.ask(asked, tools=[WEATHER])
    [call] = first.content
    content = [{"type": "text", "text": "no sun"}, {"type": "image", "source": PNG}]
    second = await messages.ask(
        [*asked, turn_of(first), user([result_of(call, content, is_error=True)])], tools=[WEATHER]
    )
    assert "image/png" in text_of(second)


async def test_structured_output(messages: Messages) -> None:
    schema = anthropic.transform_schema(Person)
    message = await messages.ask(output_config={"format": {"type": "json_schema", "schema": schema}})
    assert Person.model_validate_json(text_of(message)).name == "simulated name"
    named = {"max_tokens": 100, "messages": HELLO, "output_format": Person}
    parsed = await settled(messages.client.messages.parse(**messages.named(named)))
    assert parsed.parsed_output == Person.model_validate_json(text_of(message))


@pytest.mark.loses("messages[0].content[1]", to=["sim-bedrock"])  # it fetches nothing
async def test_vision(messages: Messages) -> None:
    content = [
        {"type": "image", "source": PNG},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.jpg"}},
        {"type": "text", "text": "look"},
    ]
    message = await messages.ask([user(content)])
    assert ("1 file" if messages.target == "sim-bedrock" else "2 files") in text_of(message)
    assert "image/png" in text_of(message)


@pytest.mark.loses("messages[0].content[0].title", to=GOOGLE)
async def test_documents(messages: Messages) -> None:
    content = [{"type": "document", "source": PDF, "title": "a.pdf"}, {"type": "text", "text": "read"}]
    named = "document/pdf" if messages.target == "sim-bedrock" else "application/pdf"
    assert f"1 file ({named})" in text_of(await messages.ask([user(content)]))


@pytest.mark.loses("messages[0].content[0]", to=[*OPENAI, "sim-bedrock"])
async def test_document_by_url(messages: Messages) -> None:
    source = {"type": "url", "url": "https://example.com/a.pdf"}
    content = [{"type": "document", "source": source}, {"type": "text", "text": "read"}]
    answer = text_of(await messages.ask([user(content)]))
    assert ("1 file" in answer) is (messages.target in {"sim-anthropic", *GOOGLE})


@pytest.mark.only_at(*OPENAI, "sim-anthropic")
@pytest.mark.parametrize("how", ["whole", "streamed"])
@pytest.mark.parametrize("thinking", ["adaptive", "effort"])
async def test_thinking_over_two_turns(messages: Messages, thinking: str, how: str) -> None:
    effort = {"output_config": {"effort": "low"}} if thinking == "effort" else {}
    await _think_twice(messages, how, model="sim-thinker", thinking={"type": "adaptive"}, **effort)


@pytest.mark.only_at(*OPENAI, "sim-anthropic")
@pytest.mark.parametrize("how", ["whole", "streamed"])
@pytest.mark.parametrize("kind", ["thinking", "redacted_thinking"])
@loses_in_chat("thinking.budget_tokens")
async def test_a_budget_over_two_turns(messages: Messages, kind: str, how: str) -> None:
    model = "sim-small+redacted" if kind == "redacted_thinking" else "sim-small"
    await _think_twice(messages, how, kind, model=model, thinking={"type": "enabled", "budget_tokens": 1024})


async def _think_twice(messages: Messages, how: str, kind: str = "thinking", **thinking: Any) -> None:
    """A tool is called after some thought, and the thought is sent back, signed, with the tool's result."""

    async def ask(conversation: list[Any]) -> Any:
        request = {"tools": [WEATHER], "max_tokens": 4000, **thinking}
        if how == "whole":
            return await messages.ask(conversation, **request)
        return (await messages.follow(conversation, **request))[0]

    asked = [user("call get_weather")]
    first = await ask(asked)
    thoughts = [block for block in first.content if block.type == kind]
    shown = messages.target == "sim-anthropic" or thinking["model"] == "sim-thinker"  # in chat nobody sees thoughts
    assert len(thoughts) == shown
    assert all(block.signature for block in thoughts if block.type == "thinking")
    assert first.usage.output_tokens_details.thinking_tokens > 10
    call = first.content[-1]
    second = await ask([*asked, turn_of(first), user([result_of(call, "sunny")])])
    assert "sunny" in text_of(second)


async def test_stop_sequence(messages: Messages) -> None:
    message = await messages.ask(stop_sequences=["never said", "simulator"])
    assert text_of(message) == "I am sim-small, a "
    told = {"sim-anthropic": ("stop_sequence", "simulator"), "sim-bedrock": ("stop_sequence", None)}
    assert (message.stop_reason, message.stop_sequence) == told.get(messages.target, ("end_turn", None))


async def test_length_stop(messages: Messages) -> None:
    message = await messages.ask(max_tokens=4)
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 4)


async def test_refusal(messages: Messages) -> None:
    for message in (
        await messages.ask(model="sim-small+refuse"),
        (await messages.follow(model="sim-small+refuse"))[0],
    ):
        assert message.stop_reason == "refusal"


@loses_in_chat("top_k")
@pytest.mark.loses("metadata.user_id", to=GOOGLE)
@pytest.mark.loses("top_k", "metadata.user_id", to=["sim-bedrock"])
async def test_sampling(messages: Messages) -> None:
    """The SDK has no such parameters any more, and the API version that it names refuses them."""
    request = {"extra_body": {"temperature": 0.3, "top_k": 5}, "metadata": {"user_id": "someone"}}
    if messages.target != "sim-anthropic":
        assert text_of(await messages.ask(**request))
        return
    with pytest.raises(anthropic.BadRequestError, match="not supported on API version") as failed:
        await messages.ask(**request)
    messages.note_failure(failed.value)


@pytest.mark.loses("system[0].cache_control", to=[*OPENAI, *GOOGLE])
async def test_cache_marks(messages: Messages) -> None:
    system = [{"type": "text", "text": f"{messages.target} " * 1500, "cache_control": {"type": "ephemeral"}}]
    await messages.ask(system=system)
    message = await messages.ask(system=system)
    assert message.usage.cache_read_input_tokens > 1000
    assert message.usage.input_tokens < 500


async def test_count_tokens(messages: Messages) -> None:
    count = messages.client.messages.with_raw_response.count_tokens
    raw = await settled(count(messages=HELLO, tools=[WEATHER], **messages.named({})))
    assert 10 < (await settled(raw.parse())).input_tokens < 200
    assert raw.headers.get("x-trunkline-estimated") is None


async def test_models(messages: Messages) -> None:
    listed = [model.id for model in await drained(await settled(messages.client.models.list()))]
    assert {"chat-small", "azure-large", "messages-small"} <= set(listed)
    assert (await settled(messages.client.models.retrieve("messages-small"))).display_name == "messages-small"
    with pytest.raises(anthropic.NotFoundError):
        await settled(messages.client.models.retrieve("no-such-model"))


async def test_headers(messages: Messages) -> None:
    message = await messages.ask()
    assert messages.headers["request-id"] == message._request_id == messages.headers["x-request-id"]
    assert messages.headers["x-trunkline-target"] == f"{messages.target}/sim-small"
    lost = "prompt_filter_results, choices[0].content_filter_results" if messages.target == "sim-azure" else None
    assert messages.headers.get("x-trunkline-lost-answer") == lost


async def test_strict_mode_refuses_what_would_be_lost(messages: Messages) -> None:
    system = [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}]
    request = {"system": system, "extra_headers": {"x-trunkline-strict": "1"}}
    if messages.target in {"sim-anthropic", "sim-bedrock"}:
        assert text_of(await messages.ask(**request))
        return
    with pytest.raises(anthropic.BadRequestError, match=r"system\[0\]\.cache_control") as failed:
        await messages.ask(**request)
    messages.note_failure(failed.value)


async def test_a_client_s_time_limit(messages: Messages) -> None:
    with pytest.raises(anthropic.APITimeoutError) as failed:
        await messages.ask(model="sim-small+hang=30s", timeout=0.3)
    messages.note_failure(failed.value)


async def test_a_deadline(messages: Messages) -> None:
    with pytest.raises(anthropic.GatewayTimeoutError) as failed:
        await messages.ask(model="sim-small+hang=30s", extra_headers={"x-trunkline-deadline-ms": "200"})
    messages.note_failure(failed.value)


async def test_retries_by_the_sdk(messages: Messages, request: pytest.FixtureRequest) -> None:
    """`fail-first` counts by the model's name, so each run has a name of its own."""
    own = 200 + TARGETS.index(messages.target) + 10 * ("async" in request.node.name)
    model = f"sim-small+529+retry-after=10ms+fail-first=2+length={own}"
    with pytest.raises(anthropic.OverloadedError):
        await messages.ask(model=model)
    patient = Messages(messages.client.with_options(max_retries=1), messages.target)
    assert text_of(await patient.ask(model=model))
