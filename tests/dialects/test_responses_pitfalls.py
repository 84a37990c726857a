"""Bugs that other gateways shipped around OpenAI's Responses, each as a test, by its tag in our list of them.

O11, a background answer that is resumed at `starting_after`, belongs to the operation that keeps answers, not here.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from trunkline.core.call import Peek
from trunkline.core.errors import BadRequest
from trunkline.core.events import (
    ArgumentsDelta,
    Event,
    Failed,
    Finished,
    PartFinished,
    PartStarted,
    SignatureDelta,
    Started,
    TextDelta,
)
from trunkline.core.request import ToolCall, ToolResult
from trunkline.core.usage import Usage
from trunkline.dialects import anthropic, openai_chat, openai_responses
from trunkline.dialects.base import Dialect, Envelope, Quirks
from trunkline.dialects.carried import unpack
from trunkline.providers.models import quirks_of

CHAT, MESSAGES, RESPONSES = openai_chat.DIALECT, anthropic.DIALECT, openai_responses.DIALECT
THINKS = Quirks(encrypted_thoughts=True)
CALL = {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": '{"at": "it"}'}
THOUGHT = {
    "type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "gAAA",
}  # fmt: skip


def asked(*items: Any, **fields: Any) -> bytes:
    return json.dumps({"model": "m", "input": [{"role": "user", "content": "hi"}, *items], **fields}).encode()


def sent(
    client: Dialect, body: bytes, upstream: Dialect, quirks: Quirks = THINKS, lost: list[str] | None = None
) -> Any:
    """What the upstream gets of a client's request."""
    written = upstream.write_request(client.read_request(body), "m", quirks, [] if lost is None else lost)
    return json.loads(written)


def answered(*output: Any, **fields: Any) -> list[Event]:
    """A whole answer of a Responses upstream, as events."""
    usage = {"input_tokens": 9, "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 1}}
    body = {"id": "resp_1", "model": "m", "created_at": 1, "status": "completed", "output": output, "usage": usage}
    reader = RESPONSES.reader(False)
    return [*reader.feed(json.dumps(body | fields).encode()), *reader.eof()]


def told(client: Dialect, events: list[Event]) -> Any:
    writer = client.writer(Envelope(stream=False))
    return json.loads(b"".join(writer.feed(event) for event in events) + writer.eof())


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events)


# ── What tools give ────────────────────────────────────────────────────────────────────────────────────────────────

PIXEL = "data:image/png;base64,iVBORw0KGgo="


@pytest.mark.parametrize(
    "output", ["done", [{"type": "input_text", "text": "done"}, {"type": "input_image", "image_url": PIXEL}]]
)
def test_o1_a_tools_output_may_be_a_string_or_an_array(output: Any) -> None:
    body = asked(CALL, {"type": "function_call_output", "call_id": "call_1", "output": output})
    chat, messages, own = (sent(RESPONSES, body, each) for each in (CHAT, MESSAGES, RESPONSES))
    assert chat["messages"][2] == {"role": "tool", "tool_call_id": "call_1", "content": "done"}
    given = messages["messages"][2]["content"][0]["content"]
    assert given == "done" if isinstance(output, str) else [part["type"] for part in given] == ["text", "image"]
    if isinstance(output, list):
        assert chat["messages"][3]["content"][0]["type"] == "image_url"
        assert own["input"][2]["output"] == [output[0], {**output[1], "detail": "auto"}]


@pytest.mark.parametrize("upstream", [CHAT, MESSAGES])
def test_o2_a_replayed_history_keeps_its_calls_and_its_reasoning_is_no_text(upstream: Dialect) -> None:
    lost: list[str] = []
    result = {"type": "function_call_output", "call_id": "call_1", "output": "done"}
    out = sent(RESPONSES, asked(THOUGHT, CALL, result), upstream, lost=lost)
    assert "hm" not in json.dumps(out)
    assert "look" in json.dumps(out["messages"][1])
    assert lost == ["input[1]"]


def test_o2_several_calls_in_a_row_are_one_turn() -> None:
    second = CALL | {"call_id": "call_2"}
    results = [{"type": "function_call_output", "call_id": f"call_{i}", "output": "done"} for i in (1, 2)]
    chat, messages = (sent(RESPONSES, asked(CALL, second, *results), each) for each in (CHAT, MESSAGES))
    assert [call["id"] for call in chat["messages"][1]["tool_calls"]] == ["call_1", "call_2"]
    assert [block["tool_use_id"] for block in messages["messages"][2]["content"]] == ["call_1", "call_2"]


# ── Encrypted thoughts ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("client", [CHAT, MESSAGES, RESPONSES])
def test_o3_z11_an_encrypted_thought_goes_back_to_the_family_that_made_it_and_to_no_other(client: Dialect) -> None:
    """Which deployment of it is for routing to keep: a conversation stays where its thoughts are."""
    body = _second_turn(client, told(client, answered(THOUGHT, CALL)))
    items = sent(client, body, RESPONSES)["input"]
    assert items[1] == THOUGHT
    for other in (CHAT, MESSAGES):
        lost: list[str] = []
        assert "gAAA" not in json.dumps(sent(client, body, other, lost=lost))
        assert lost


@pytest.mark.parametrize("client", [CHAT, MESSAGES])
def test_o3_the_identity_path_too_takes_out_what_another_family_encrypted(client: Dialect) -> None:
    body = _second_turn(client, told(client, answered(THOUGHT, CALL)))
    passed = client.patch(body, "m", client.peek(body), Quirks())
    assert b"tl1" not in passed
    assert b"gAAA" not in passed
    assert b"call_1" in passed


def _second_turn(client: Dialect, answer: Any) -> bytes:
    """The answer sent back with the tool's result, as that family's clients do it."""
    user = {"role": "user", "content": "hi"}
    if client is CHAT:
        message = answer["choices"][0]["message"]
        result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "done"}
        return json.dumps({"model": "m", "messages": [user, message, result]}).encode()
    if client is MESSAGES:
        result = {"type": "tool_result", "tool_use_id": answer["content"][1]["id"], "content": "done"}
        turns = [user, {"role": "assistant", "content": answer["content"]}, {"role": "user", "content": [result]}]
        return json.dumps({"model": "m", "max_tokens": 9, "messages": turns}).encode()
    result = {"type": "function_call_output", "call_id": "call_1", "output": "done"}
    return asked(*answer["output"], result)


def test_o4_a_thought_stays_next_to_its_call_for_a_client_that_keeps_ids_alone() -> None:
    """Two steps in one answer: each thought comes back before the call that it led to."""
    later = {**THOUGHT, "id": "rs_2", "encrypted_content": "gBBB"}
    second = CALL | {"call_id": "call_2"}
    message = told(CHAT, answered(THOUGHT, CALL, later, second))["choices"][0]["message"]
    for kept in ({"tool_calls"}, {"tool_calls", "reasoning_content", "reasoning_details"}):
        turn = {"role": "assistant"} | {name: value for name, value in message.items() if name in kept}
        results = [{"role": "tool", "tool_call_id": call["id"], "content": "done"} for call in message["tool_calls"]]
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}, turn, *results]}).encode()
        items = sent(CHAT, body, RESPONSES)["input"]
        assert [item.get("id") or item.get("call_id") for item in items[1:]] == [
            "rs_1", "call_1", "rs_2", "call_2", "call_1", "call_2",
        ]  # fmt: skip


def test_o4_a_thought_that_nothing_follows_is_not_sent() -> None:
    thinking = told(MESSAGES, answered(THOUGHT))["content"]
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": thinking},
             {"role": "user", "content": "well?"}]  # fmt: skip
    lost: list[str] = []
    out = sent(MESSAGES, json.dumps({"model": "m", "max_tokens": 99, "messages": turns}).encode(), RESPONSES, lost=lost)
    assert [item.get("type") for item in out["input"]] == [None, None]
    assert lost == ["messages[1]"]


# ── Streams ────────────────────────────────────────────────────────────────────────────────────────────────────────

CREATED = {"type": "response.created", "response": {"id": "resp_1", "model": "m", "created_at": 1}}
WORDS: list[dict[str, Any]] = [
    {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "id": "msg_1"}},
    {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hi"},
]


def heard(data: bytes) -> list[Event]:
    reader = RESPONSES.reader(True)
    return [*reader.feed(data), *reader.eof()]


@pytest.mark.parametrize(
    "error",
    [
        {"type": "error", "code": "rate_limit_exceeded", "message": "slow down", "param": None},
        {"type": "error", "error": {"type": "too_many", "code": "rate_limit_exceeded", "message": "slow down"}},
        {"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": "slow down"}}},
    ],
)
def test_o6_an_error_inside_the_stream_is_one(error: dict[str, Any]) -> None:
    data = sse(CREATED, *WORDS, error)
    last = heard(data)[-1]
    assert isinstance(last, Failed)
    assert (last.error.kind, last.error.message) == ("rate_limit", "slow down")
    tap = RESPONSES.tap(Peek("m", stream=True))
    assert tap.feed(data) == data
    assert tap.error is not None
    writer = RESPONSES.writer(Envelope(stream=True))
    out = b"".join(writer.feed(event) for event in heard(data)) + writer.eof()
    assert out.count(b"event: error\n") == out.count(b"event: response.failed\n") == 1
    assert b"event: response.completed" not in out


def test_o10_a_stream_that_is_cut_does_not_look_complete() -> None:
    data = sse(CREATED, *WORDS)
    events = heard(data)
    assert isinstance(events[-1], Failed)
    assert not any(isinstance(event, Finished) for event in events)
    tap = RESPONSES.tap(Peek("m", stream=True))
    assert tap.feed(data) == data
    assert b"upstream_broken" in tap.eof()
    assert not tap.complete


def test_o5_usage_counts_in_an_answer_that_is_cut_short_by_its_limit() -> None:
    usage = {"input_tokens": 9, "output_tokens": 2}
    whole = {"id": "resp_1", "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    events = heard(sse(CREATED, *WORDS, {"type": "response.incomplete", "response": whole | {"usage": usage}}))
    assert events[-1] == Usage(input=9, output=2)
    assert [event.reason for event in events if isinstance(event, Finished)] == ["length"]


def test_an_item_that_ends_as_another_than_it_began_breaks_nothing() -> None:
    """A host's mistake: what it says at the end has no part to go to."""
    ends = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]}
    begun = {"type": "web_search_call", "id": "ws_1", "status": "in_progress"}
    done = {"type": "response.completed", "response": {"id": "resp_1", "status": "completed"}}
    events = heard(
        sse(
            CREATED,
            {"type": "response.output_item.added", "output_index": 0, "item": begun},
            {"type": "response.output_item.done", "output_index": 0, "item": ends},
            done,
        )
    )
    assert isinstance(events[-1], Finished)
    for client in (CHAT, MESSAGES):
        assert "hm" not in json.dumps(told(client, events))


# ── Tools, effort, limits ──────────────────────────────────────────────────────────────────────────────────────────


def test_o7_namespaces_and_tool_search_are_kept_for_who_knows_them_and_reported_elsewhere() -> None:
    tools = [{"type": "tool_search"}, {"type": "namespace", "name": "crm", "description": "", "tools": []}]
    history = [
        {"type": "tool_search_call", "call_id": None, "execution": "server", "arguments": {}, "status": "completed"},
        {"type": "tool_search_output", "call_id": None, "execution": "server", "tools": [], "status": "completed"},
        CALL | {"namespace": "crm"},
        {"type": "function_call_output", "call_id": "call_1", "output": "done"},
    ]
    lost: list[str] = []
    own = sent(RESPONSES, asked(*history, tools=tools), RESPONSES, lost=lost)
    assert (own["tools"], own["input"][1:], lost) == (tools, history, [])
    out = sent(RESPONSES, asked(*history, tools=tools), CHAT, lost=lost)
    assert sorted(lost) == ["input[1]", "input[2]", "input[3].namespace", "tools[0]", "tools[1]"]
    assert out["messages"][1]["tool_calls"][0]["id"] == "call_1"


@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh", "max"])
def test_o9_no_effort_is_dropped_on_the_way(effort: str) -> None:
    chat = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], "reasoning_effort": effort})
    assert sent(CHAT, chat.encode(), RESPONSES)["reasoning"]["effort"] == effort
    assert sent(RESPONSES, asked(reasoning={"effort": effort}), CHAT)["reasoning_effort"] == effort


def test_z6_responses_reach_a_host_that_has_chat_alone() -> None:
    body = asked(
        instructions="be brief", max_output_tokens=50, text={"format": {"type": "json_object"}, "verbosity": "low"},
        tools=[{"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": True}],
        tool_choice={"type": "function", "name": "look"}, parallel_tool_calls=False,
    )  # fmt: skip
    lost: list[str] = []
    function = {"name": "look", "parameters": {"type": "object"}, "strict": True}
    assert sent(RESPONSES, body, CHAT, lost=lost) == {
        "model": "m",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}],
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "parallel_tool_calls": False,
        "response_format": {"type": "json_object"},
        "max_completion_tokens": 50,
        "verbosity": "low",
    }
    assert lost == []


def test_z7_no_limit_is_invented_for_a_caller_who_set_none() -> None:
    """Messages needs one: it is the model's own."""
    assert "max_completion_tokens" not in sent(RESPONSES, asked(), CHAT)
    model = quirks_of("claude-opus-4-5", Quirks())
    assert sent(RESPONSES, asked(), MESSAGES, model)["max_tokens"] == model.max_tokens_default >= 32_000
    chat = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()
    assert "max_output_tokens" not in sent(CHAT, chat, RESPONSES)


def test_z2_azures_filter_results_are_kept() -> None:
    filters = [{"source_type": "prompt", "blocked": False}]
    assert told(RESPONSES, answered(content_filters=filters))["content_filters"] == filters


# ── And what is ours alone ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_tool_that_is_not_strict_stays_so() -> None:
    """Responses takes silence for strict, chat for not."""
    tools = [{"type": "function", "function": {"name": "look"}}]
    chat = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": tools}).encode()
    nothing = {"type": "object", "properties": {}}
    assert sent(CHAT, chat, RESPONSES)["tools"] == [
        {"type": "function", "name": "look", "parameters": nothing, "strict": False}
    ]


def test_custom_tools_and_their_grammars_go_between_openais_dialects() -> None:
    grammar = {"syntax": "lark", "definition": "start: /a/"}
    tool = {"type": "custom", "name": "patch", "format": {"type": "grammar", **grammar}}
    call = {"type": "custom_tool_call", "call_id": "call_1", "name": "patch", "input": "aaa"}
    result = {"type": "custom_tool_call_output", "call_id": "call_1", "output": "done"}
    out = sent(RESPONSES, asked(call, result, tools=[tool]), CHAT)
    custom = {"name": "patch", "format": {"type": "grammar", "grammar": grammar}}
    assert out["tools"] == [{"type": "custom", "custom": custom}]
    assert out["messages"][1]["tool_calls"][0]["custom"] == {"name": "patch", "input": "aaa"}
    again = sent(CHAT, json.dumps(out).encode(), RESPONSES)
    assert again["tools"] == [tool]
    assert again["input"][1:] == [call, result]


def test_a_signed_call_and_redacted_thoughts_of_others_come_back_through_a_responses_client() -> None:
    thoughts = [{"type": "thinking", "thinking": "hm", "signature": "sig"}, {"type": "redacted_thinking", "data": "xx"}]
    call = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    answer = {"id": "msg_1", "type": "message", "model": "c", "content": [*thoughts, call], "stop_reason": "tool_use"}
    reader = MESSAGES.reader(False)
    events = [*reader.feed(json.dumps(answer).encode()), *reader.eof()]
    assert any(isinstance(event, SignatureDelta) for event in events)
    output = told(RESPONSES, events)["output"]
    assert [item["type"] for item in output] == ["reasoning", "reasoning", "function_call"]
    result = {"type": "function_call_output", "call_id": output[2]["call_id"], "output": "done"}
    body = asked(*output, result)
    assert sent(RESPONSES, body, MESSAGES)["messages"][1]["content"] == [*thoughts, call]
    assert unpack(output[2]["call_id"]) == ("toolu_1", [])
    passed = json.loads(RESPONSES.patch(body, "m", RESPONSES.peek(body), Quirks()))
    assert [item.get("type") for item in passed["input"]] == [None, "function_call", "function_call_output"]


@pytest.mark.parametrize("client", [CHAT, MESSAGES, RESPONSES])
@pytest.mark.parametrize("stream", [False, True])
def test_g1_a_signed_call_comes_back_signed_through_clients_that_have_no_field_for_it(
    client: Dialect, stream: bool
) -> None:
    """As Gemini's models sign their calls; a text's own signature is left out."""
    events: list[Event] = [
        Started("g1", "gemini-4-argon", dialect="gemini"),
        PartStarted(0, "text"), TextDelta(0, "well"), SignatureDelta(0, "text-signature"), PartFinished(0),
        PartStarted(1, "tool_call", 0, "call_1", "look", {"signature": "c2ln"}), ArgumentsDelta(1, "{}"),
        PartFinished(1), Finished("tool_calls"), Usage(input=1, output=1),
    ]  # fmt: skip
    writer = client.writer(Envelope(stream))
    reader = client.reader(stream)
    out = b"".join(writer.feed(event) for event in events) + writer.eof()
    heard = [*reader.feed(out), *reader.eof()]
    assert "text-signature" not in out.decode()
    call_id = next(event.id for event in heard if isinstance(event, PartStarted) and event.kind == "tool_call")
    request = client.read_request(_calling(client, call_id))
    call = next(part for message in request.messages for part in message.parts if isinstance(part, ToolCall))
    result = next(part for message in request.messages for part in message.parts if isinstance(part, ToolResult))
    assert (call.id, call.signature, call.maker, result.call_id) == ("call_1", "c2ln", "gemini", "call_1")


def _calling(client: Dialect, call_id: str) -> bytes:
    """A conversation in which this call was answered."""
    if client is RESPONSES:
        return asked(CALL | {"call_id": call_id}, {"type": "function_call_output", "call_id": call_id, "output": "ok"})
    user: Any = {"role": "user", "content": "hi"}
    if client is CHAT:
        call: Any = {"id": call_id, "type": "function", "function": {"name": "look", "arguments": "{}"}}
        turns = [
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call_id, "content": "ok"},
        ]
    else:
        call = {"type": "tool_use", "id": call_id, "name": "look", "input": {}}
        result = {"type": "tool_result", "tool_use_id": call_id, "content": "ok"}
        turns = [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    return json.dumps({"model": "m", "max_tokens": 99, "messages": [user, *turns]}).encode()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": 3}, "input"),
        ({"input": [3]}, "input[0]"),
        ({"input": [{"role": "nobody", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0]"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id"),
        ({"input": [{"type": "reasoning", "summary": ["x"]}]}, "input[0].summary[0]"),
        ({"input": "x", "tools": [{"name": "f"}]}, "tools[0].type"),
        ({"input": "x", "tool_choice": "maybe"}, "tool_choice"),
        (
            {"input": "x", "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": ["f"]}},
            "tool_choice.tools[0]",
        ),
        ({"input": "x", "text": {"format": {"type": "yaml"}}}, "text.format.type"),
        ({"input": "x", "reasoning": {"effort": 3}}, "reasoning.effort"),
        ({"input": "x", "max_output_tokens": "9"}, "max_output_tokens"),
    ],
)
def test_what_is_wrong_is_named(body: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        RESPONSES.read_request(json.dumps({"model": "m"} | body).encode())
    assert caught.value.param == param
