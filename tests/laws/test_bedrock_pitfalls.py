"""The translation bugs that other gateways shipped on Bedrock, each a test by its tag."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trunkline.core.call import Peek
from trunkline.core.errors import UpstreamError
from trunkline.core.events import ArgumentsDelta, Event, Failed, Finished, PartFinished, PartStarted, Started, TextDelta
from trunkline.core.request import (
    CacheMark,
    Document,
    ForeignTool,
    Inline,
    Message,
    RedactedThinking,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from trunkline.core.usage import Usage
from trunkline.dialects import openai_chat
from trunkline.dialects.base import Envelope, Quirks
from trunkline.dialects.bedrock import DIALECT
from trunkline.dialects.bedrock.content_writer import tool_id
from trunkline.dialects.bedrock.eventstream import exception, frames

CLAUDE, NOVA, MISTRAL = "us.anthropic.claude-sonnet-4-5", "us.amazon.nova-2-lite-v1:0", "mistral.large"
ASK = Message("user", [Text("hi")])
CALL = Message("assistant", [ToolCall("a", "look", "{}"), ToolCall("b", "ask", '{"x": 1.50}')])
RESULTS = [Message("tool", [ToolResult("a", [Text("1")])]), Message("tool", [ToolResult("b", [Text("2")])])]
PDF = Inline("application/pdf", "JVBERi0=")


def written(model: str = CLAUDE, quirks: Quirks | None = None, **fields: Any) -> tuple[dict[str, Any], list[str]]:
    lost: list[str] = []
    request = Request("m", **{"messages": [ASK]} | fields)
    return json.loads(DIALECT.write_request(request, model, quirks or Quirks(), lost)), lost


def whole(*events: Event) -> dict[str, Any]:
    writer = DIALECT.writer(Envelope(False))
    for event in events:
        writer.feed(event)
    answer: dict[str, Any] = json.loads(writer.eof())
    return answer


def read(body: dict[str, Any]) -> list[Event]:
    reader = DIALECT.reader(False)
    return [*reader.feed(json.dumps(body).encode()), *reader.eof()]


def test_k1_a_history_of_calls_declares_its_tools() -> None:
    body, lost = written(messages=[ASK, CALL, *RESULTS])
    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == ["look", "ask"]
    assert not lost
    body, lost = written(messages=[ASK, CALL, *RESULTS], tools=[Tool("look")], tool_choice=ToolChoice("none"))
    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == ["look", "ask"]
    assert "toolChoice" not in body["toolConfig"]
    assert lost == ["tool_choice"]


def test_k1_there_is_no_tool_config_without_tools() -> None:
    assert "toolConfig" not in written(tools=[])[0]
    assert "toolConfig" not in written(tools=[Tool("look")], tool_choice=ToolChoice("none"))[0]
    body, lost = written(tools=[], tool_choice=ToolChoice("required"))
    assert "toolConfig" not in body
    assert lost == ["tool_choice"]


def test_k2_parallel_results_stand_in_one_turn() -> None:
    body, _ = written(messages=[ASK, CALL, *RESULTS, Message("user", [Text("and?")])])
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert [next(iter(block)) for block in body["messages"][2]["content"]] == ["toolResult", "toolResult", "text"]


def test_k3_where_results_must_stand_alone_the_words_beside_them_go_into_the_last() -> None:
    body, lost = written(MISTRAL, messages=[ASK, CALL, *RESULTS, Message("user", [Text("and?")])])
    last = body["messages"][-1]["content"]
    assert [list(block) for block in last] == [["toolResult"], ["toolResult"]]
    assert last[1]["toolResult"]["content"] == [{"text": "2"}, {"text": "and?"}]
    assert not lost


@pytest.mark.parametrize("blank", ["", " ", "\n\t"])
def test_k4_blank_texts_are_left_out(blank: str) -> None:
    body, _ = written(messages=[Message("system", [Text(blank)]), Message("user", [Text(blank), Text("hi")])])
    assert "system" not in body
    assert body["messages"] == [{"role": "user", "content": [{"text": "hi"}]}]
    body, _ = written(messages=[ASK, CALL, Message("tool", [ToolResult("a", [Text(blank)]), *RESULTS[1].parts])])
    assert body["messages"][2]["content"][0]["toolResult"]["content"] == []


def test_k5_documents_have_names_that_differ_and_that_the_service_takes() -> None:
    titles = [None, None, "a.b/c.pdf", "a-b-c-pdf", "document", "x" * 400]
    parts: list[Any] = [Document(PDF, title) for title in titles]
    body, _ = written(messages=[Message("user", [Text("read"), *parts])])
    names = [block["document"]["name"] for block in body["messages"][0]["content"] if "document" in block]
    assert names[:5] == ["document", "document-2", "a-b-c-pdf", "a-b-c-pdf-2", "document-3"]
    assert len(names[5]) <= 200
    assert len(set(names)) == len(names)


def test_k5_a_document_without_a_word_gets_one() -> None:
    body, _ = written(messages=[Message("user", [Document(PDF, "report")])])
    assert body["messages"][0]["content"][-1] == {"text": "report"}


def test_k6_cache_marks_are_points_and_nova_takes_none_at_tools() -> None:
    mark = CacheMark("1h")
    fields: dict[str, Any] = {
        "messages": [ASK, CALL, RESULTS[0], Message("tool", [ToolResult("b", [Text("2")], cache=mark, at="m.b")])],
        "tools": [Tool("look", cache=mark, at="tools[0]"), Tool("ask")],
    }
    body, lost = written(CLAUDE, **fields)
    point = {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert body["messages"][2]["content"][-1] == point
    assert body["toolConfig"]["tools"][1] == point
    assert not lost
    body, lost = written(NOVA, **fields)
    assert "cachePoint" not in json.dumps(body)
    assert sorted(lost) == ["m.b.cache_control", "tools[0].cache_control"]


def test_k6_behind_a_document_the_point_needs_a_text() -> None:
    body, _ = written(messages=[Message("user", [Text("read"), Document(PDF, "a", cache=CacheMark())])])
    kinds = [next(iter(block)) for block in body["messages"][0]["content"]]
    assert kinds == ["text", "document", "text", "cachePoint"]


@pytest.mark.parametrize(
    ("wire", "choice"),
    [
        ({"auto": {}}, ToolChoice("auto")),
        ({"any": {}}, ToolChoice("required")),
        ({"tool": {"name": "look"}}, ToolChoice("tool", "look")),
    ],
)
def test_k7_the_tool_choice_is_kept_both_ways(wire: dict[str, Any], choice: ToolChoice) -> None:
    spec = {"toolSpec": {"name": "look", "inputSchema": {"json": {"type": "object"}}}}
    body = {
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "toolConfig": {"tools": [spec], "toolChoice": wire},
    }
    request = DIALECT.read_request(json.dumps(body).encode(), Peek("m"))
    assert request.tool_choice == choice
    assert json.loads(DIALECT.write_request(request, CLAUDE, Quirks(), [])) == body
    chat = json.loads(openai_chat.DIALECT.write_request(request, "m", Quirks(), []))
    assert chat["tool_choice"] == {"auto": "auto", "any": "required"}.get(
        next(iter(wire)), {"type": "function", "function": {"name": "look"}}
    )


def test_k8_tools_of_other_kinds_are_reported_and_the_rest_is_sent() -> None:
    foreign = ForeignTool("openai_responses", {"type": "mcp", "server_url": "https://x"}, "tools[0]")
    body, lost = written(tools=[foreign, Tool("look", "", {})])
    [tool] = body["toolConfig"]["tools"]
    assert tool == {"toolSpec": {"name": "look", "inputSchema": {"json": {"type": "object", "properties": {}}}}}
    assert lost == ["tools[0]"]
    assert "toolConfig" not in written(tools=[foreign])[0]


@pytest.mark.parametrize(
    ("wire", "reason"), [("max_tokens", "length"), ("model_context_window_exceeded", "context_window")]
)
def test_k9_truncation_is_no_normal_stop(wire: str, reason: str) -> None:
    usage = {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}
    message = {"role": "assistant", "content": [{"text": "cut"}]}
    events = read({"output": {"message": message}, "stopReason": wire, "usage": usage, "metrics": {"latencyMs": 1}})
    finished = next(event for event in events if isinstance(event, Finished))
    assert finished.reason == reason
    assert whole(Started("", ""), finished)["stopReason"] == wire
    writer = openai_chat.DIALECT.writer(Envelope(False))
    for event in events:
        writer.feed(event)
    assert json.loads(writer.eof())["choices"][0]["finish_reason"] == "length"


def test_k10_errors_in_a_stream_are_exceptions_in_frames() -> None:
    error = UpstreamError("too fast", status=429, kind="rate_limit", code="upstream_rate_limit")
    writer = DIALECT.writer(Envelope(True))
    data = writer.feed(Started("", "")) + writer.feed(Failed(error)) + writer.eof()
    first, last = frames(data)
    assert (first.kind, first.name) == ("event", "messageStart")
    assert (last.kind, last.name) == ("exception", "throttlingException")
    assert json.loads(last.payload)["message"] == "too fast"
    assert frames(DIALECT.stream_error(error, "r")) == [last]
    back = list(DIALECT.reader(True).feed(data))
    assert isinstance(back[-1], Failed)
    assert (back[-1].error.kind, back[-1].error.status) == ("rate_limit", 429)


def test_k11_all_system_blocks_are_kept_both_ways() -> None:
    messages = [Message("system", [Text("one"), Text("two")]), Message("developer", [Text("three")]), ASK]
    body, lost = written(messages=messages)
    assert body["system"] == [{"text": "one"}, {"text": "two"}, {"text": "three"}]
    assert not lost
    request = DIALECT.read_request(json.dumps(body).encode(), Peek("m"))
    assert [part.text for part in request.messages[0].parts if isinstance(part, Text)] == ["one", "two", "three"]


def test_k12_an_exception_in_the_first_frame_comes_before_any_answer() -> None:
    """Nothing has been written then, so another target may still be tried."""
    data = exception("serviceUnavailableException", b'{"message":"later"}')
    [failed] = DIALECT.reader(True).feed(data)
    assert isinstance(failed, Failed)
    assert failed.error.retryable
    tap = DIALECT.tap(Peek("m", True))
    tap.feed(data)
    assert tap.error is not None
    assert tap.error.retryable


def test_k13_neighbours_of_one_role_are_one_turn() -> None:
    messages = [
        ASK,
        Message("user", [Text("you")]),
        Message("assistant", [Text("a")]),
        Message("assistant", [Text("b")]),
    ]
    body, _ = written(messages=[*messages, ASK])
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][1]["content"] == [{"text": "a"}, {"text": "b"}]
    body, lost = written(messages=[Message("assistant", [Text("a")], at="messages[0]"), ASK])
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert lost == ["messages[0].role"]


# ── Thoughts and signatures ────────────────────────────────────────────────────────────────────────────────────────


def test_thoughts_go_to_those_who_signed_them() -> None:
    parts: list[Any] = [
        Thinking("ours", "s1", maker="bedrock"),
        Thinking("claude's", "s2", maker="anthropic"),
        Thinking("google's", "s3", maker="gemini", at="g"),
        RedactedThinking("ZGF0YQ==", maker="anthropic"),
        Text("so"),
    ]
    body, lost = written(messages=[ASK, Message("assistant", parts), ASK])
    said = [block.get("reasoningContent") for block in body["messages"][1]["content"]]
    assert [each["reasoningText"]["text"] for each in said[:2]] == ["ours", "claude's"]
    assert said[2] == {"redactedContent": "WkdGMFlRPT0="}
    assert lost == ["g"]
    body, lost = written(NOVA, messages=[ASK, Message("assistant", parts), ASK])
    assert "claude's" not in json.dumps(body)


def test_a_signed_call_travels_in_its_id_and_comes_back() -> None:
    signed = PartStarted(0, "tool_call", 0, "call_1", "look", {"signature": "S" * 300})
    answer = whole(
        Started("", "", 0, None, "gemini"), signed, ArgumentsDelta(0, "{}"), PartFinished(0), Finished("tool_calls")
    )
    turn = answer["output"]["message"]
    result = {"toolResult": {"toolUseId": turn["content"][0]["toolUse"]["toolUseId"], "content": [{"text": "1"}]}}
    body = {"messages": [{"role": "user", "content": [{"text": "hi"}]}, turn, {"role": "user", "content": [result]}]}
    request = DIALECT.read_request(json.dumps(body).encode(), Peek("m"))
    [call] = request.messages[1].parts
    assert isinstance(call, ToolCall)
    assert (call.id, call.signature, call.maker) == ("call_1", "S" * 300, "gemini")
    [back] = request.messages[2].parts
    assert isinstance(back, ToolResult)
    assert back.call_id == "call_1"


def test_ids_that_the_service_refuses_are_changed_alike_and_stay_different() -> None:
    long = "call_" + "x" * 80
    assert tool_id("tooluse_1") == "tooluse_1"
    assert tool_id(long) == tool_id(long) != tool_id(long + "y")
    assert len(tool_id(long)) <= 64
    assert tool_id("a|b") != tool_id("a/b")


# ── Settings ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_reasoning_is_asked_for_in_each_familys_words() -> None:
    def asked(model: str, quirks: Quirks | None = None, **body: Any) -> Any:
        request = openai_chat.DIALECT.read_request(
            json.dumps(
                {"model": "m", "messages": [{"role": "user", "content": "hi"}], "reasoning_effort": "low"} | body
            ).encode()
        )
        return json.loads(DIALECT.write_request(request, model, quirks or Quirks(), [])).get(
            "additionalModelRequestFields"
        )

    assert asked(CLAUDE) == {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    adaptive = asked(CLAUDE, Quirks(adaptive_thinking=True))
    assert adaptive == {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}
    assert asked(NOVA) == {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}
    assert asked("openai.gpt-oss-120b-1:0") == {"reasoning_effort": "low"}
    assert asked("qwen.qwen3-32b-v1:0") == {"reasoning_config": "low"}
    assert asked(MISTRAL) is None
    assert asked("arn:aws:bedrock:x", Quirks(known_as=NOVA)) == asked(NOVA)


def test_usage_and_text_of_another_family_are_written_to_the_letter() -> None:
    usage = Usage(input=100, cache_read=60, cache_write=30, cache_write_1h=10, output=5)
    answer = whole(
        Started("x", "m", 0, None, "anthropic"), PartStarted(0, "text"), TextDelta(0, "hi"), PartFinished(0),
        Finished("stop"), usage,
    )  # fmt: skip
    assert answer["usage"] == {
        "inputTokens": 10, "outputTokens": 5, "totalTokens": 105, "cacheReadInputTokens": 60,
        "cacheWriteInputTokens": 30,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 10}, {"ttl": "5m", "inputTokens": 20}],
    }  # fmt: skip
