"""What the real services refuse, the simulator refuses: a gateway that writes such a request must not pass."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trunkline.sim.anthropic_check import check as check_anthropic
from trunkline.sim.openai_check import check as check_openai
from trunkline.sim.persona import MODELS
from trunkline.sim.problems import Problem
from trunkline.sim.server import Handle
from trunkline.sim.settings import Settings
from trunkline.sim.signer import Signer

from .conftest import HELLO, Starter, raw

SIGNER = Signer("test")
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CALLED = {
    "role": "assistant",
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "x"}

OPENAI_REFUSED: list[tuple[dict[str, Any], str, str | None]] = [
    ({"messages": None}, "Missing required parameter: 'messages'", "messages"),
    ({"messages": []}, "empty array", "messages"),
    ({"model": None}, "you must provide a model parameter", None),
    ({"messages": [{"role": "bot", "content": "x"}]}, "Invalid value: 'bot'", "messages[0].role"),
    ({"messages": [{"role": "user", "content": None}]}, "got null", "messages.[0].content"),
    ({"messages": [{"role": "user", "content": 5}]}, "expected a string or an array", "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{}]}]}, "Missing required", "messages[0].content[0].type"),
    (
        {"messages": [{"role": "system", "content": [{"type": "image_url"}]}]},
        "image_url",
        "messages[0].content[0].type",
    ),
    ({"messages": [RESULT]}, "must be a response to a preceding message", "messages.[0].role"),
    ({"messages": [CALLED]}, "did not have response messages: c1", "messages.[1].role"),
    ({"messages": [CALLED, *HELLO]}, "did not have response messages: c1", "messages.[1].role"),
    ({"messages": [CALLED, RESULT, RESULT]}, "must be a response", "messages.[2].role"),
    ({"max_tokens": 5, "max_completion_tokens": 5}, "at the same time", "max_tokens"),
    ({"max_tokens": 0}, "below minimum", "max_tokens"),
    ({"temperature": 3}, "above maximum", "temperature"),
    ({"temperature": "hot"}, "expected a number", "temperature"),
    ({"n": 129}, "above maximum", "n"),
    ({"n": 3, "model": "sim-large+length=40000"}, "'n' times the cue 'length' is above 100000", "n"),
    ({"stream": "yes"}, "Invalid type for 'stream'", "stream"),
    ({"stream_options": {"include_usage": True}}, "only allowed when 'stream'", "stream_options"),
    ({"top_logprobs": 2}, "only allowed when 'logprobs'", "top_logprobs"),
    ({"stop": list("abcde")}, "array too long", "stop"),
    ({"reasoning_effort": "huge"}, "Invalid value: 'huge'", "reasoning_effort"),
    ({"top_k": 4}, "Unknown parameter: 'top_k'", "top_k"),
    ({"tools": [{"type": "web"}]}, "Invalid value: 'web'", "tools[0].type"),
    ({"tools": [{"type": "function", "function": {}}]}, "Missing required", "tools[0].function.name"),
    (
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "array"}}}]},
        'must be of type "object"',
        "tools[0].function.parameters",
    ),
    ({"tool_choice": "auto"}, "only allowed when 'tools'", "tool_choice"),
    ({"parallel_tool_calls": True}, "only allowed when 'tools'", "parallel_tool_calls"),
    ({"tools": [TOOL], "tool_choice": "maybe"}, "Invalid value: 'maybe'", "tool_choice"),
    (
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
        "tool 'g' not found",
        "tool_choice",
    ),
    ({"response_format": {"type": "xml"}}, "Invalid value: 'xml'", "response_format.type"),
    ({"response_format": {"type": "json_object"}}, "must contain the word 'json'", "messages"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
        "Missing required",
        "response_format.json_schema.name",
    ),
    (
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "s", "strict": True, "schema": {"type": "object"}},
            }
        },
        "'additionalProperties' is required",
        "response_format",
    ),
    ({"model": "sim-thinker", "max_tokens": 5}, "Use 'max_completion_tokens' instead", "max_tokens"),
    ({"model": "sim-thinker", "temperature": 0.5}, "Only the default (1)", "temperature"),
    ({"model": "sim-thinker", "stop": ["x"]}, "'stop' is not supported", "stop"),
]


@pytest.mark.parametrize(("change", "message", "param"), OPENAI_REFUSED, ids=[row[1] for row in OPENAI_REFUSED])
async def test_openai_refuses(sim: Handle, change: dict[str, Any], message: str, param: str | None) -> None:
    reply = await raw(sim, change)
    assert reply.status == 400
    error = msgspec.json.decode(reply.body)["error"]
    assert message in error["message"]
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"


USE = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}]}
GIVEN = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "x"}]}
ATOOL = {"name": "f", "input_schema": {"type": "object"}}
THINK = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000}
NEW = "2026-10-21"


def block(role: str, **fields: Any) -> dict[str, Any]:
    return {"messages": [*HELLO, {"role": role, "content": [fields]}]}


ANTHROPIC_REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"max_tokens": None}, "max_tokens: Field required"),
    ({"max_tokens": -1}, "max_tokens: Input should be greater than or equal to 0"),
    ({"messages": None}, "messages: Field required"),
    ({"messages": []}, "messages: at least one message is required"),
    ({"messages": ["x"]}, "messages.0: Input does not match the expected shape"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role: Input should be"),
    ({"messages": [{"role": "system", "content": "x"}]}, 'Unexpected role "system"'),
    ({"messages": [{"role": "user", "content": ""}]}, "messages.0: all messages must have non-empty content"),
    ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
    (block("user", type="text", text=""), "messages.1.content.0.text: text content blocks must be non-empty"),
    (block("user", type="tool_use"), "messages.1.content.0: `tool_use` blocks are not allowed in `user`"),
    (block("user", type="image"), "messages.1.content.0.source: Field required"),
    ({"messages": [*HELLO, GIVEN]}, "unexpected `tool_use_id` found in `tool_result` blocks: t1"),
    ({"messages": [*HELLO, USE]}, "messages.1: `tool_use` ids were found without `tool_result` blocks"),
    ({"messages": [*HELLO, USE, *HELLO]}, "messages.1: `tool_use` ids were found without `tool_result` blocks"),
    ({"temperature": 1.5}, "temperature: range: 0..1"),
    ({"n": 2}, "n: Extra inputs are not permitted"),
    ({"stream": "yes"}, "stream: Input should be a valid boolean"),
    ({"output_config": {"effort": "huge"}}, "does not support effort level 'huge'"),
    ({"tools": [{"input_schema": {}}]}, "tools.0.name: Field required"),
    ({"tools": [{"name": "f", "input_schema": {}}]}, "input_schema.type: Input should be 'object'"),
    ({"tools": [ATOOL, ATOOL]}, "Tool names must be unique"),
    ({"tools": [ATOOL], "tool_choice": {"type": "maybe"}}, "Input tag 'maybe' found using 'type'"),
    ({"tools": [ATOOL], "tool_choice": {"type": "tool", "name": "g"}}, "Tool 'g' not found"),
    ({"tool_choice": {"type": "any"}}, "tools must be provided"),
    ({"thinking": {"type": "hard"}}, "Input tag 'hard'"),
    ({"thinking": {"type": "enabled"}}, "budget_tokens: Field required"),
    ({"thinking": {"type": "enabled", "budget_tokens": 1000}}, "greater than or equal to 1024"),
    ({"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 1024}, "`max_tokens` must be greater"),
    ({**THINK, "temperature": 0.5}, "may only be set to 1 when thinking is enabled"),
    ({**THINK, "tools": [ATOOL], "tool_choice": {"type": "any"}}, "when tool_choice forces tool use"),
    ({**THINK, "messages": [*HELLO, USE, GIVEN]}, "Expected `thinking` or `redacted_thinking`, but found `tool_use`"),
    (block("assistant", type="thinking", thinking="x", signature="y"), "Invalid `signature` in `thinking` block"),
    (block("assistant", type="redacted_thinking", data="é"), "Invalid `data` in `redacted_thinking` block"),
]


@pytest.mark.parametrize(("change", "message"), ANTHROPIC_REFUSED, ids=[row[1] for row in ANTHROPIC_REFUSED])
async def test_anthropic_refuses(sim: Handle, change: dict[str, Any], message: str) -> None:
    body = {"max_tokens": 100, **change}
    reply = await raw(sim, {name: value for name, value in body.items() if value is not None or name == "messages"},
                      path="/v1/messages")  # fmt: skip
    assert reply.status == 400
    error = msgspec.json.decode(reply.body)["error"]
    assert message in error["message"]
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize("change", [{"temperature": 1}, {"top_p": 1}, {"top_k": 5}, block("assistant", type="document",
    source={"type": "text", "data": "x"})], ids=["temperature", "top_p", "top_k", "document"])  # fmt: skip
def test_the_newer_anthropic_version_refuses_more(change: dict[str, Any]) -> None:
    body: dict[str, Any] = {"model": "sim-small", "max_tokens": 5, "messages": HELLO, **change}
    check_anthropic(body, "2023-06-01", SIGNER)
    with pytest.raises(Problem, match=NEW):
        check_anthropic(body, NEW, SIGNER)


@pytest.mark.parametrize(
    ("path", "headers", "status", "message"),
    [
        ("/v1/chat/completions", {}, 401, "provide an API key"),
        ("/v1/chat/completions", {"authorization": "Bearer "}, 401, "provide an API key"),
        ("/openai/deployments/d/chat/completions", {}, 401, "missing subscription key"),
        ("/v1/messages", {"anthropic-version": NEW}, 401, "x-api-key header is required"),
        ("/v1/messages", {"x-api-key": "k"}, 400, "anthropic-version: header is required"),
        ("/v1/messages", {"x-api-key": "k", "anthropic-version": "2024"}, 400, "is not a valid version"),
        ("/v1/nothing", {}, 404, "unknown path /v1/nothing"),
        ("/__sim/nothing", {}, 404, "GET and DELETE /__sim/calls"),
    ],
)
async def test_headers_and_paths(sim: Handle, path: str, headers: dict[str, str], status: int, message: str) -> None:
    import aiohttp

    async with aiohttp.ClientSession() as session:
        body = {"model": "sim-small", "max_tokens": 5, "messages": HELLO}
        async with session.post(f"{sim.url}{path}", headers=headers, json=body) as reply:
            assert (reply.status, message in await reply.text()) == (status, True)


async def test_methods_bodies_and_models(sim: Handle) -> None:
    import aiohttp

    async with aiohttp.ClientSession(headers={"authorization": "Bearer k"}) as session:
        url = f"{sim.url}/v1/chat/completions"
        async with session.get(url) as reply:
            assert (reply.status, "wants POST" in await reply.text()) == (405, True)
        for body in (b"{", b"[]", b"\xff", b""):
            async with session.post(url, data=body) as reply:
                assert (reply.status, "JSON body" in await reply.text()) == (400, True)
        async with session.post(url, json={"model": "sim-unknown", "messages": HELLO}) as reply:
            assert (reply.status, (await reply.json())["error"]["code"]) == (404, "model_not_found")
        async with session.get(f"{sim.url}/v1/models/sim-unknown") as reply:
            assert reply.status == 404


async def test_a_body_above_the_bound_is_413(starter: Starter) -> None:
    sim = await starter(Settings(max_body=100))
    assert (await raw(sim, {})).status == 200
    for path in ("/v1/chat/completions", "/v1/messages"):
        assert (await raw(sim, {"user": "x" * 200_000}, path=path)).status == 413


async def test_a_prompt_longer_than_the_context_is_refused_without_a_cue(sim: Handle) -> None:
    long: list[Any] = [{"role": "user", "content": "word " * 600}]
    reply = await raw(sim, {"model": "sim-tiny", "messages": long})
    assert (reply.status, msgspec.json.decode(reply.body)["error"]["code"]) == (400, "context_length_exceeded")
    reply = await raw(sim, {"model": "sim-tiny", "messages": long, "max_tokens": 5}, path="/v1/messages")
    assert b"prompt is too long: 605 tokens > 512 maximum" in reply.body


JSON = st.recursive(st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
                    max_leaves=5)  # fmt: skip
FIELD = st.sampled_from(
    ["messages", "tools", "tool_choice", "stop", "response_format", "max_tokens", "thinking", "system", "n", "stream"]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(FIELD, JSON, max_size=3))
async def test_no_shape_of_request_breaks_it(sim: Handle, change: dict[str, Any]) -> None:
    for path in ("/v1/chat/completions", "/v1/messages"):
        reply = await raw(sim, {"max_tokens": 5, **change}, path=path)
        assert reply.status in (200, 400)


def test_a_thinking_model_takes_what_a_plain_one_takes() -> None:
    check_openai({"model": "m", "messages": HELLO, "max_completion_tokens": 5}, MODELS["sim-thinker"])
