"""The official OpenAI SDK against the simulator's Responses API."""

from __future__ import annotations

import asyncio
from typing import Any

import openai as sdk
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from trunkline.sim.memory import MAX_RESPONSES, Kept, Memory
from trunkline.sim.server import Handle
from trunkline.sim.settings import Settings

from .conftest import KEY, Starter, raw

PATH = "/v1/responses"
WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}
TIME: dict[str, Any] = {**WEATHER, "name": "get_time"}
PATCH: dict[str, Any] = {"type": "custom", "name": "patch", "description": "takes text"}
ENCRYPTED: Any = ["reasoning.encrypted_content"]


async def events(openai: AsyncOpenAI, **request: Any) -> list[Any]:
    stream = await openai.responses.create(**{"model": "sim-small", "input": "hello", **request}, stream=True)
    return [event async for event in stream]


async def test_a_response_repeats_the_question_and_its_usage_adds_up(openai: AsyncOpenAI) -> None:
    answer = await openai.responses.create(model="sim-small", input="hello there")
    assert "simulator" in answer.output_text
    assert "hello there" in answer.output_text
    assert answer.status == "completed"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert answer.output[0].type == "message"


async def test_the_blocking_client_and_its_accumulator(sim: Handle) -> None:
    def run() -> None:
        with OpenAI(base_url=f"{sim.url}/v1", api_key=KEY, max_retries=0) as client:
            whole = client.responses.create(model="sim-small", input="hello")
            with client.responses.stream(model="sim-small", input="hello") as stream:
                seen = [event.type for event in stream]
                final = stream.get_final_response()
        assert final.output_text == whole.output_text
        assert final.usage == whole.usage
        assert seen[-1] == "response.completed"

    await asyncio.to_thread(run)


async def test_the_grammar_of_a_stream(openai: AsyncOpenAI) -> None:
    seen = await events(openai, model="sim-thinker", reasoning={"summary": "auto"}, include=ENCRYPTED)
    kinds = [event.type.removeprefix("response.") for event in seen]
    assert list(dict.fromkeys(kinds)) == [
        "created", "in_progress",
        "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta",
        "reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done",
        "content_part.added", "output_text.delta", "output_text.done", "content_part.done", "completed",
    ]  # fmt: skip
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    text = "".join(event.delta for event in seen if event.type == "response.output_text.delta")
    assert text == seen[-1].response.output_text
    thought, message = seen[-1].response.output
    assert (thought.type, message.type) == ("reasoning", "message")
    assert thought.summary[0].text.startswith("The user says")
    assert seen[-1].response.usage.output_tokens_details.reasoning_tokens > 5
    opened = [event.item.id for event in seen if event.type == "response.output_item.added"]
    assert opened == [thought.id, message.id]


async def test_each_event_names_itself_twice_and_nothing_says_done(sim: Handle) -> None:
    reply = await raw(sim, {"input": "hello", "stream": True}, path=PATH)
    for event in reply.events:
        name, data = event.split(b"\n")
        assert f'{{"type":"{name.removeprefix(b"event: ").decode()}"'.encode() in data
    assert b"[DONE]" not in reply.body
    assert reply.events[-1].startswith(b"event: response.completed")


async def test_padding_may_be_declined(openai: AsyncOpenAI) -> None:
    padded, plain = await events(openai), await events(openai, stream_options={"include_obfuscation": False})
    assert any(getattr(event, "obfuscation", None) for event in padded)
    assert not any(getattr(event, "obfuscation", None) for event in plain)


async def test_parallel_calls_their_results_and_the_turn_after(openai: AsyncOpenAI) -> None:
    asked: Any = [{"role": "user", "content": "call get_weather and get_time"}]
    first = await openai.responses.create(model="sim-small", input=asked, tools=[WEATHER, TIME], store=False)  # type: ignore[list-item]
    calls = [item for item in first.output if item.type == "function_call"]
    assert [call.name for call in calls] == ["get_weather", "get_time"]
    assert len({call.call_id for call in calls}) == 2
    sent = [item.model_dump(exclude_none=True) for item in first.output]
    results = [
        {"type": "function_call_output", "call_id": calls[0].call_id, "output": "sunny"},
        {
            "type": "function_call_output",
            "call_id": calls[1].call_id,
            "output": [{"type": "input_text", "text": "noon"}],
        },
    ]
    second = await openai.responses.create(
        model="sim-small", input=[*asked, *sent, *results], tools=[WEATHER, TIME], store=False  # type: ignore[list-item]
    )  # fmt: skip
    assert '"sunny"; "noon"' in second.output_text
    single = await openai.responses.create(
        model="sim-small", input=asked, tools=[WEATHER, TIME], parallel_tool_calls=False  # type: ignore[list-item]
    )  # fmt: skip
    assert len(single.output) == 1


async def test_streamed_calls_of_functions_and_of_custom_tools(openai: AsyncOpenAI) -> None:
    seen = await events(openai, input="use get_weather and patch", tools=[WEATHER, PATCH])
    function, custom = seen[-1].response.output
    assert (function.type, custom.type) == ("function_call", "custom_tool_call")
    arguments = [event for event in seen if event.type == "response.function_call_arguments.delta"]
    assert "".join(event.delta for event in arguments) == function.arguments == '{"city":"simulated city"}'
    pieces = [event for event in seen if event.type == "response.custom_tool_call_input.delta"]
    assert "".join(event.delta for event in pieces) == custom.input
    assert {event.item_id for event in pieces} == {custom.id}
    [done] = [event for event in seen if event.type == "response.custom_tool_call_input.done"]
    assert done.input == custom.input


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("none", []),
        ("required", ["get_weather"]),
        ({"type": "function", "name": "get_time"}, ["get_time"]),
        ({"type": "custom", "name": "patch"}, ["patch"]),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "get_time"}]},
            ["get_time"],
        ),
    ],
)
async def test_the_choice_of_a_tool(openai: AsyncOpenAI, choice: Any, names: list[str]) -> None:
    answer = await openai.responses.create(
        model="sim-small", input="hello", tools=[WEATHER, TIME, PATCH], tool_choice=choice  # type: ignore[list-item]
    )  # fmt: skip
    assert [item.name for item in answer.output if item.type in ("function_call", "custom_tool_call")] == names


async def test_tools_in_a_namespace_are_called_with_it(openai: AsyncOpenAI) -> None:
    space: Any = {"type": "namespace", "name": "crm", "description": "customers", "tools": [WEATHER]}
    answer = await openai.responses.create(model="sim-small", input="call get_weather", tools=[space])
    [call] = answer.output
    assert call.type == "function_call"
    assert call.namespace == "crm"


async def test_structured_answers(openai: AsyncOpenAI) -> None:
    class City(BaseModel):
        name: str
        people: int

    parsed = await openai.responses.parse(model="sim-small", input="hello", text_format=City)
    assert parsed.output_parsed is not None
    loose = await openai.responses.create(
        model="sim-small", input="a json object with 'size'", text={"format": {"type": "json_object"}}
    )
    assert loose.output_text == '{"size":"simulated size"}'


async def test_images_and_files_are_counted(openai: AsyncOpenAI) -> None:
    content: Any = [
        {"type": "input_text", "text": "what is this?"},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
    ]
    answer = await openai.responses.create(model="sim-small", input=[{"role": "user", "content": content}])
    assert "2 files (application/pdf, image/png)" in answer.output_text


async def test_a_limit_leaves_it_incomplete(openai: AsyncOpenAI) -> None:
    answer = await openai.responses.create(model="sim-small+length=90", input="hello", max_output_tokens=20)
    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert answer.output[0].status == "incomplete"  # type: ignore[union-attr]
    seen = await events(openai, model="sim-small+length=90", max_output_tokens=20)
    assert seen[-1].type == "response.incomplete"
    assert seen[-1].response.usage.output_tokens == 20


async def test_refused_filtered_and_failed(openai: AsyncOpenAI) -> None:
    refused = await openai.responses.create(model="sim-small+refuse", input="hello")
    assert refused.output[0].content[0].type == "refusal"  # type: ignore[union-attr,index]
    seen = await events(openai, model="sim-small+refuse")
    assert "".join(one.delta for one in seen if one.type == "response.refusal.delta").startswith("I am a simulator")
    filtered = await openai.responses.create(model="sim-small+filtered", input="hello")
    assert filtered.incomplete_details is not None
    assert filtered.incomplete_details.reason == "content_filter"
    failed = await openai.responses.create(model="sim-small+failed", input="hello")
    assert (failed.status, failed.error and failed.error.code) == ("failed", "server_error")
    assert (await events(openai, model="sim-small+failed"))[-1].type == "response.failed"


async def test_a_web_search_is_an_item_of_its_own_and_is_cited(openai: AsyncOpenAI) -> None:
    tools: Any = [{"type": "web_search"}]
    answer = await openai.responses.create(model="sim-small", input="search for cats", tools=tools)
    search, message = answer.output
    assert search.type == "web_search_call"
    assert search.action.query == "search for cats"  # type: ignore[union-attr]
    assert message.content[0].annotations[0].type == "url_citation"  # type: ignore[union-attr,index]
    seen = await events(openai, input="search for cats", tools=tools)
    kinds = [event.type for event in seen]
    assert "response.web_search_call.searching" in kinds
    assert "response.output_text.annotation.added" in kinds
    assert seen[-1].response.output_text == answer.output_text
    plain = await openai.responses.create(model="sim-small", input="hello", tools=tools)
    assert len(plain.output) == 1


async def test_logprobs_where_they_are_asked_for(openai: AsyncOpenAI) -> None:
    answer = await openai.responses.create(
        model="sim-small", input="hello", include=["message.output_text.logprobs"], top_logprobs=2
    )
    logprobs = answer.output[0].content[0].logprobs  # type: ignore[union-attr,index]
    assert "".join(one.token for one in logprobs) == answer.output_text
    assert len(logprobs[0].top_logprobs) == 2


async def test_a_long_prefix_is_cached(openai: AsyncOpenAI) -> None:
    asked: Any = [{"role": "user", "content": "word " * 3000}]
    first = await openai.responses.create(model="sim-small", input=asked)
    again = await openai.responses.create(
        model="sim-small", input=[*asked, *(item.model_dump(exclude_none=True) for item in first.output),
                                  {"role": "user", "content": "and?"}],
    )  # fmt: skip
    assert first.usage is not None
    assert again.usage is not None
    assert first.usage.input_tokens_details.cached_tokens == 0
    assert again.usage.input_tokens_details.cached_tokens >= 2900


# ── Reasoning over two turns ───────────────────────────────────────────────────────────────────────────────────────


async def test_sealed_reasoning_goes_back_with_its_call(openai: AsyncOpenAI, starter: Starter) -> None:
    asked: Any = [{"role": "user", "content": "call get_weather"}]
    settings: Any = {"model": "sim-thinker", "tools": [WEATHER], "include": ENCRYPTED, "store": False}
    first = await openai.responses.create(input=asked, **settings)
    thought, call = first.output
    assert thought.type == "reasoning"
    assert call.type == "function_call"
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    sent = [item.model_dump(exclude_none=True) for item in first.output]
    second = await openai.responses.create(input=[*asked, *sent, result], **settings)
    assert '"sunny"' in second.output_text

    alone: Any = [*asked, sent[0]]
    with pytest.raises(sdk.BadRequestError, match="without its required following item"):
        await openai.responses.create(input=alone, **settings)
    changed: Any = [*asked, {**sent[0], "encrypted_content": sent[0]["encrypted_content"][::-1]}, sent[1], result]
    with pytest.raises(sdk.BadRequestError, match="could not be verified") as refused:
        await openai.responses.create(input=changed, **settings)
    assert refused.value.code == "invalid_encrypted_content"
    bare: Any = [*asked, {"type": "reasoning", "id": thought.id, "summary": []}, sent[1], result]
    with pytest.raises(sdk.NotFoundError, match="not persisted when `store` is set to false"):
        await openai.responses.create(input=bare, **settings)

    elsewhere = await starter(Settings(secret="another organisation"))
    async with AsyncOpenAI(base_url=f"{elsewhere.url}/v1", api_key=KEY, max_retries=0) as foreign:
        with pytest.raises(sdk.BadRequestError, match="could not be verified"):
            await foreign.responses.create(input=[*asked, *sent, result], **settings)


async def test_tools_and_reasoning_only_here_where_the_model_says_so(openai: AsyncOpenAI) -> None:
    answer = await openai.responses.create(model="sim-responses-only", input="call get_weather", tools=[WEATHER])  # type: ignore[list-item]
    assert [item.type for item in answer.output] == ["reasoning", "function_call"]
    function: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    hello: Any = [{"role": "user", "content": "hello"}]
    with pytest.raises(sdk.BadRequestError, match="Function tools with reasoning_effort are not supported"):
        await openai.chat.completions.create(model="sim-responses-only", messages=hello, tools=[function])
    with pytest.raises(sdk.BadRequestError, match="'none'"):
        await openai.chat.completions.create(model="sim-responses-only", messages=hello, reasoning_effort="none")
    plain = await openai.chat.completions.create(model="sim-responses-only", messages=hello)
    assert plain.usage is not None
    assert plain.usage.completion_tokens_details is not None
    assert plain.usage.completion_tokens_details.reasoning_tokens


# ── State ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_conversation_goes_on_from_a_response(openai: AsyncOpenAI) -> None:
    first = await openai.responses.create(model="sim-small", input="call get_weather", tools=[WEATHER])  # type: ignore[list-item]
    [call] = first.output
    assert call.type == "function_call"
    result: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}]
    second = await openai.responses.create(model="sim-small", previous_response_id=first.id, input=result)
    assert '"sunny"' in second.output_text
    assert second.previous_response_id == first.id
    items = await openai.responses.input_items.list(second.id, order="asc")
    assert [item.type async for item in items] == ["message", "function_call", "function_call_output"]
    with pytest.raises(sdk.BadRequestError, match="No tool output found"):
        await openai.responses.create(model="sim-small", previous_response_id=first.id, input="never mind")
    with pytest.raises(sdk.BadRequestError, match="not found") as lost:
        await openai.responses.create(model="sim-small", previous_response_id="resp_other", input="x")
    assert lost.value.code == "previous_response_not_found"


async def test_a_reference_stands_for_an_item(openai: AsyncOpenAI) -> None:
    first = await openai.responses.create(model="sim-small", input="hello")
    reference: Any = [{"type": "item_reference", "id": first.output[0].id}, {"role": "user", "content": "again"}]
    second = await openai.responses.create(model="sim-small", input=reference)
    assert "again" in second.output_text
    with pytest.raises(sdk.NotFoundError, match="msg_other"):
        await openai.responses.create(model="sim-small", input=[{"type": "item_reference", "id": "msg_other"}])


async def test_an_item_of_a_kept_response_wants_its_reasoning(openai: AsyncOpenAI) -> None:
    first = await openai.responses.create(model="sim-thinker", input="call get_weather", tools=[WEATHER])  # type: ignore[list-item]
    thought, call = (item.model_dump(exclude_none=True) for item in first.output)
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}
    asked: list[Any] = [{"role": "user", "content": "call get_weather"}]
    with pytest.raises(sdk.BadRequestError, match=f"required 'reasoning' item: '{thought['id']}'"):
        await openai.responses.create(model="sim-thinker", input=[*asked, call, result])
    both = await openai.responses.create(model="sim-thinker", input=[*asked, thought, call, result])
    assert '"sunny"' in both.output_text
    del call["id"]
    unnamed = await openai.responses.create(model="sim-thinker", input=[*asked, call, result])
    assert unnamed.status == "completed"


async def test_kept_deleted_and_not_kept(openai: AsyncOpenAI) -> None:
    kept = await openai.responses.create(model="sim-small", input="hello")
    assert (await openai.responses.retrieve(kept.id)).output_text == kept.output_text
    await openai.responses.delete(kept.id)
    with pytest.raises(sdk.NotFoundError, match=kept.id):
        await openai.responses.retrieve(kept.id)
    loose = await openai.responses.create(model="sim-small", input="hello", store=False)
    with pytest.raises(sdk.NotFoundError):
        await openai.responses.retrieve(loose.id)


async def test_in_the_background_it_is_queued_runs_and_is_done(openai: AsyncOpenAI) -> None:
    response = await openai.responses.create(model="sim-small", input="hello", background=True)
    states = [response.status]
    while response.status in ("queued", "in_progress"):
        response = await openai.responses.retrieve(response.id)
        states.append(response.status)
    assert states == ["queued", "in_progress", "completed"]
    assert "hello" in response.output_text


async def test_the_background_can_be_cancelled(openai: AsyncOpenAI) -> None:
    response = await openai.responses.create(model="sim-small", input="hello", background=True)
    assert (await openai.responses.cancel(response.id)).status == "cancelled"
    assert (await openai.responses.retrieve(response.id)).status == "cancelled"
    assert (await openai.responses.cancel(response.id)).status == "cancelled"
    at_once = await openai.responses.create(model="sim-small", input="hello")
    with pytest.raises(sdk.BadRequestError, match="synchronous"):
        await openai.responses.cancel(at_once.id)


async def test_a_broken_stream_is_taken_up_again_behind_its_last_event(openai: AsyncOpenAI) -> None:
    seen = await events(openai, background=True)
    assert [event.type for event in seen[:3]] == ["response.created", "response.queued", "response.in_progress"]
    response_id = seen[0].response.id
    rest = await openai.responses.retrieve(response_id, stream=True, starting_after=5)
    numbers = [event.sequence_number async for event in rest]
    assert numbers == list(range(6, len(seen)))
    plain = await openai.responses.create(model="sim-small", input="hello")
    with pytest.raises(sdk.BadRequestError, match="cannot be streamed"):
        await openai.responses.retrieve(plain.id, stream=True)


async def test_the_input_is_counted_as_it_will_be(openai: AsyncOpenAI) -> None:
    request: Any = {"model": "sim-small", "input": "hello there", "instructions": "be brief", "tools": [WEATHER]}
    counted = await openai.responses.input_tokens.count(**request)
    answer = await openai.responses.create(**request)
    assert answer.usage is not None
    assert counted.input_tokens == answer.usage.input_tokens


def test_the_memory_is_bounded() -> None:
    memory = Memory(keep=3)
    for number in range(5):
        memory.add(Kept({"id": f"r{number}", "output": []}, [], []))
    assert [memory.get(f"r{number}") is not None for number in range(5)] == [False, False, True, True, True]
    assert MAX_RESPONSES >= 100


async def test_bedrock_has_responses_too(sim: Handle) -> None:
    async with AsyncOpenAI(base_url=f"{sim.url}/bedrock/openai/v1", api_key="ABSKany", max_retries=0) as client:
        answer = await client.responses.create(model="sim-small", input="hello")
    assert "hello" in answer.output_text


# ── Cues ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_cues_of_streams(sim: Handle, openai: AsyncOpenAI) -> None:
    asked = {"input": "hello", "stream": True}
    seen = await events(openai, model="sim-small+error-mid+after=4")
    assert [event.type for event in seen[3:]] == ["response.content_part.added", "error"]
    assert (seen[-1].message != "", seen[-1].code) == (True, None)
    assert [event.type for event in await events(openai, model="sim-small+error-first")] == ["error"]
    unended = await raw(sim, asked, "no-done", PATH)
    assert unended.events[-1].startswith(b"event: response.output_item.done")
    assert len((await raw(sim, asked, "end, after=3", PATH)).events) == 3
    assert (await raw(sim, asked, "cut, after=3", PATH)).end == "reset"
    odd = await raw(sim, asked, "unknown-event", PATH)
    assert odd.events[3].startswith(b"event: simulator.oddity")
    assert b"\r\n\r\n" in (await raw(sim, asked, "crlf, split=3", PATH)).body
    assert [event.type for event in await events(openai, model="sim-small+unknown-event")][-1] == "response.completed"
    uncounted = await events(openai, model="sim-small+no-usage")
    assert uncounted[-1].response.usage is None
