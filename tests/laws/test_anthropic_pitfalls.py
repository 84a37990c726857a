"""Translation bugs that other gateways shipped on Anthropic's side, one test each; A1 to A12 are their numbers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trunkline.core.errors import BadRequest, UpstreamBroken
from trunkline.core.events import (
    ArgumentsDelta,
    Event,
    Failed,
    Finished,
    PartFinished,
    PartStarted,
    ReasoningDelta,
    Started,
    TextDelta,
)
from trunkline.core.request import (
    CacheMark,
    Message,
    OutputFormat,
    Reasoning,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from trunkline.core.usage import Usage
from trunkline.dialects.anthropic import DIALECT
from trunkline.dialects.base import Envelope, Quirks
from trunkline.dialects.openai_chat import DIALECT as CHAT
from trunkline.dialects.sse import events as sse_events

ASK = Message("user", [Text("hi")], at="messages[0]")
CALL = ToolCall("call_1", "look", '{"at":1}', at="messages[1].tool_calls[0]")
RESULT = Message("tool", [ToolResult("call_1", [Text("seen")])], at="messages[2]")
LOOK = Tool("look", schema={"type": "object"})
HARD = Reasoning(effort="high")


def written(request: Request, quirks: Quirks | None = None) -> tuple[dict[str, Any], list[str]]:
    lost: list[str] = []
    return json.loads(DIALECT.write_request(request, "claude", quirks or Quirks(), lost)), lost


def streamed(*events: Event) -> list[dict[str, Any]]:
    writer = DIALECT.writer(Envelope(True))
    data = b"".join(writer.feed(event) for event in events) + writer.eof()
    return [json.loads(payload) for _, payload in sse_events(data)]


def read(*wire: dict[str, Any]) -> list[Event]:
    reader = DIALECT.reader(True)
    data = b"".join(b"event: %s\ndata: %s\n\n" % (w["type"].encode(), json.dumps(w).encode()) for w in wire)
    return [*reader.feed(data), *reader.eof()]


START = {"type": "message_start", "message": {"id": "msg_1", "model": "claude", "usage": {"input_tokens": 5}}}
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}}
STOP = {"type": "message_stop"}


def test_A1_thinking_leads_the_replayed_turn() -> None:
    thought = Thinking("hm", "sig")
    late = Message("assistant", [Text("let me see"), CALL, thought])
    out, lost = written(Request("m", [ASK, late, RESULT], reasoning=HARD, tools=[LOOK]))
    assert [block["type"] for block in out["messages"][1]["content"]] == ["thinking", "text", "tool_use"]
    assert out["messages"][1]["content"][0]["signature"] == "sig"
    assert (out["thinking"]["type"], lost) == ("enabled", [])


def test_A1_without_its_thinking_the_turn_goes_on_without_thinking() -> None:
    request = Request("m", [ASK, Message("assistant", [CALL]), RESULT], reasoning=HARD, tools=[LOOK])
    request.names = {"reasoning": "reasoning_effort"}
    out, lost = written(request)
    assert "thinking" not in out
    assert lost == ["reasoning_effort"]
    later = Request("m", [*request.messages, Message("assistant", [Text("done")]), ASK], reasoning=HARD, tools=[LOOK])
    assert written(later)[0]["thinking"]["type"] == "enabled"


def test_A1_thinking_survives_a_client_that_speaks_chat() -> None:
    thinking = {"type": "thinking", "thinking": "hm", "signature": "sig"}
    call = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 1}}
    answer = {"id": "msg_1", "type": "message", "model": "c", "content": [thinking, call], "stop_reason": "tool_use"}
    reader, writer = DIALECT.reader(False), CHAT.writer(Envelope(False))
    events = [*reader.feed(json.dumps(answer).encode()), *reader.eof()]
    chat = json.loads(b"".join(map(writer.feed, events)) + writer.eof())
    turns = [
        {"role": "user", "content": "hi"},
        chat["choices"][0]["message"],
        {"role": "tool", "tool_call_id": "toolu_1", "content": "seen"},
    ]
    body = {"model": "m", "messages": turns, "reasoning_effort": "high"}
    out, _ = written(CHAT.read_request(json.dumps(body).encode()))
    assert out["messages"][1]["content"] == [thinking, call]
    assert out["thinking"]["type"] == "enabled"


def test_A1_unsigned_thinking_is_reported_not_sent() -> None:
    turn = Message("assistant", [Thinking("hm", None, at="messages[1].reasoning_content"), Text("well")])
    out, lost = written(Request("m", [ASK, turn, ASK]))
    assert out["messages"][1]["content"] == "well"
    assert lost == ["messages[1].reasoning_content"]


def test_A2_arguments_survive_the_switch_of_blocks() -> None:
    def block(index: int, *pieces: str) -> list[dict[str, Any]]:
        call = {"type": "tool_use", "id": f"toolu_{index}", "name": "look", "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
        return [
            {"type": "content_block_start", "index": index, "content_block": call},
            *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
            {"type": "content_block_stop", "index": index},
        ]

    events = read(START, *block(0, "", '{"a"', ":1}"), *block(1, '{"b":2}'), *block(2), END, STOP)
    arguments: dict[int, str] = {}
    for event in events:
        if isinstance(event, ArgumentsDelta):
            arguments[event.index] = arguments.get(event.index, "") + event.json
    assert arguments == {0: '{"a":1}', 1: '{"b":2}', 2: "{}"}


def test_A3_a_delta_of_another_kind_opens_its_own_part() -> None:
    events = read(
        START,
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
        START,
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "so"}},
        {"type": "content_block_stop", "index": 0},
        END,
        STOP,
    )
    assert sum(isinstance(event, Started) for event in events) == 1
    assert [e.kind for e in events if isinstance(e, PartStarted)] == ["text", "reasoning", "text"]
    out = streamed(*events)
    assert [e["type"] for e in out].count("message_start") == 1
    started = {e["index"]: e["content_block"]["type"] for e in out if e["type"] == "content_block_start"}
    told = {e["index"]: e["delta"]["type"] for e in out if e["type"] == "content_block_delta"}
    assert started == {0: "text", 1: "thinking", 2: "text"}
    assert told == {1: "thinking_delta", 2: "text_delta"}


def test_A4_blocks_are_numbered_without_gaps_whatever_is_left_out() -> None:
    out = streamed(
        Started("x", "m"),
        PartStarted(0, "media", data={"id": "audio_1"}),
        PartFinished(0),
        PartStarted(1, "text"),
        TextDelta(1, "a"),
        PartFinished(1),
        PartStarted(2, "text", 1),
        TextDelta(2, "the other choice"),
        PartFinished(2),
        PartStarted(3, "tool_call", 0, "c", "look"),
        PartFinished(3),
        Finished("tool_calls", 0),
        Finished("stop", 1),
    )
    blocks = [(e["type"], e["index"]) for e in out if "index" in e]
    expected = ["content_block_start", "content_block_delta", "content_block_stop"]
    assert blocks == [(name, 0) for name in expected] + [("content_block_start", 1), ("content_block_stop", 1)]


def test_A4_what_is_left_out_is_told() -> None:
    writer = DIALECT.writer(Envelope(False))
    for event in (Started("x", "m"), PartStarted(0, "media"), PartFinished(0), Finished("stop"), Finished("stop", 1)):
        writer.feed(event)
    assert json.loads(writer.eof())["content"] == []
    assert writer.lost == ["content.media", "choices[1]"]


def test_A5_a_stream_of_tools_alone_starts_at_0_and_never_overlaps() -> None:
    out = streamed(
        Started("x", "m"),
        PartStarted(0, "tool_call", 0, "c1", "look"),
        ArgumentsDelta(0, '{"a":1}'),
        PartFinished(0),
        PartStarted(1, "tool_call", 0, "c2", "look"),
        ArgumentsDelta(1, "{}"),
        PartFinished(1),
        Finished("tool_calls"),
    )
    assert [e["index"] for e in out if "index" in e] == [0, 0, 0, 1, 1, 1]
    assert out[-2]["delta"]["stop_reason"] == "tool_use"


def test_A6_thinking_and_a_forced_tool_do_not_go_together() -> None:
    for choice in (ToolChoice("required"), ToolChoice("tool", "look")):
        out, lost = written(Request("m", [ASK], tools=[LOOK], tool_choice=choice, reasoning=HARD))
        assert out["tool_choice"] == {"type": "auto"}
        assert (out["thinking"]["type"], lost) == ("enabled", ["tool_choice"])
    schema = {"type": "object", "additionalProperties": False}
    out, lost = written(Request("m", [ASK], output=OutputFormat("json_schema", schema=schema), reasoning=HARD))
    assert out["output_config"] == {"format": {"type": "json_schema", "schema": schema}}
    assert "tool_choice" not in out
    assert lost == []


def test_A7_cache_marks_stay_on_tool_use_and_tool_result() -> None:
    mark = {"type": "ephemeral", "ttl": "1h"}
    call = {"type": "tool_use", "id": "t", "name": "look", "input": {}, "cache_control": mark}
    result = {"type": "tool_result", "tool_use_id": "t", "content": "ok", "cache_control": {"type": "ephemeral"}}
    body = {
        "model": "m",
        "max_tokens": 1,
        "messages": [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}],
    }
    request = DIALECT.read_request(json.dumps(body).encode())
    assert [part.cache for message in request.messages for part in message.parts] == [CacheMark("1h"), CacheMark()]  # type: ignore[union-attr]
    request.dialect = ""
    assert written(request)[0]["messages"] == body["messages"]


@pytest.mark.parametrize("system_turns", [True, False])
def test_A8_a_later_system_message_leaves_the_prefix_as_it_was(system_turns: bool) -> None:
    quirks = Quirks(system_turns=system_turns)
    before = [Message("system", [Text("be kind")]), ASK, Message("assistant", [Text("hello")]), ASK]
    after = [*before, Message("system", [Text("be brief")], at="messages[4]"), Message("user", [Text("now")])]
    short, _ = written(Request("m", before), quirks)
    long, lost = written(Request("m", after), quirks)
    assert long["system"] == short["system"] == "be kind"
    assert long["messages"][:2] == short["messages"][:2]
    assert ("system" in [m["role"] for m in long["messages"]]) == system_turns
    assert lost == ([] if system_turns else ["messages[4].role"])
    assert "be brief" in json.dumps(long["messages"])


def test_A9_cache_tokens_are_counted_once() -> None:
    counts = {"input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 40}
    start = {"type": "message_start", "message": {"id": "m", "model": "c", "usage": counts | {"output_tokens": 1}}}
    for later in ({"output_tokens": 7}, counts | {"output_tokens": 7}):
        usage = read(start, END | {"usage": later}, STOP)[-1]
        assert usage == Usage(input=150, cache_read=100, cache_write=40, output=7)
    out = streamed(Started("x", "m"), Finished("stop"), Usage(input=150, cache_read=100, cache_write=40, output=7))
    assert out[-2]["usage"] == counts | {"output_tokens": 7}


def test_A10_the_first_event_has_the_role() -> None:
    first = streamed(Started("chatcmpl-1", "m"), Finished("stop"))[0]["message"]
    assert (first["role"], first["type"], first["id"]) == ("assistant", "message", "chatcmpl-1")
    assert first["content"] == []
    assert first["usage"] == {"input_tokens": 0, "output_tokens": 0}


def test_A11_a_prefill_is_sent_clean_or_refused_by_name() -> None:
    request = Request("m", [ASK, Message("assistant", [Text("The answer: ")], at="messages[1]")])
    assert written(request)[0]["messages"][-1] == {"role": "assistant", "content": "The answer:"}
    with pytest.raises(BadRequest, match=r"messages\[1\].* user message") as refused:
        written(request, Quirks(prefill=False))
    assert refused.value.param == "messages[1]"


def test_A12_the_stream_ends_with_message_stop_even_without_usage() -> None:
    out = streamed(Started("x", "m"), PartStarted(0, "text"), TextDelta(0, "a"), PartFinished(0), Finished("length"))
    assert [event["type"] for event in out[-2:]] == ["message_delta", "message_stop"]
    assert out[-2]["delta"] == {"stop_reason": "max_tokens", "stop_sequence": None}
    assert out[-2]["usage"] == {"output_tokens": 0}


def test_A12_a_source_that_broke_off_does_not_end_well() -> None:
    broken = streamed(Started("x", "m"), PartStarted(0, "reasoning"), ReasoningDelta(0, "h"))
    assert [event["type"] for event in broken[-1:]] == ["error"]
    failed = streamed(Started("x", "m"), Failed(UpstreamBroken("gone")))
    assert [event["type"] for event in failed] == ["message_start", "error"]
    assert isinstance(read(START, END)[-1], Failed)
