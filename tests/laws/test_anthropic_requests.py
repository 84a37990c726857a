"""What a request from elsewhere becomes as a Messages request, what it loses, and how a bad one is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trunkline.core.errors import BadRequest
from trunkline.core.request import (
    Audio,
    Document,
    Foreign,
    ForeignTool,
    Image,
    Inline,
    Message,
    OutputFormat,
    PlainText,
    Reasoning,
    Refusal,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from trunkline.dialects.anthropic import DIALECT, api_version
from trunkline.dialects.base import Quirks

ASK = Message("user", [Text("hi")])
TOOLS: list[Tool | ForeignTool] = [Tool("look", schema={"type": "object"}), Tool("ask")]
ADAPTIVE = Quirks(adaptive_thinking=True)


def written(quirks: Quirks | None = None, **fields: Any) -> tuple[dict[str, Any], list[str]]:
    lost: list[str] = []
    request = Request("m", **{"messages": [ASK]} | fields)
    return json.loads(DIALECT.write_request(request, "claude", quirks or Quirks(), lost)), lost


def read(**body: Any) -> Request:
    return DIALECT.read_request(
        json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]} | body).encode()
    )


# ── Reading ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"model": 7}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"text": "no type"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages[0].content[0].source"),
        ({"system": [{"type": "text", "text": 7}]}, "system[0].text"),
        ({"tools": [{"name": "look"}]}, "tools[0].input_schema"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "hard"}}, "thinking.type"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"temperature": "hot"}, "temperature"),
        ({"metadata": {"user_id": 7}}, "metadata.user_id"),
    ],
)
def test_a_bad_request_names_the_field(body: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read(**body)
    assert refused.value.param == param
    assert param in refused.value.message


def test_a_mixed_user_turn_becomes_messages_in_order_with_their_paths() -> None:
    content = [
        {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "1"}], "is_error": True},
        {"type": "tool_result", "tool_use_id": "b"},
        {"type": "text", "text": "and now?"},
    ]
    found = read(messages=[{"role": "user", "content": content}]).messages
    assert [message.role for message in found] == ["tool", "user"]
    assert [part.at for message in found for part in message.parts] == [f"messages[0].content[{i}]" for i in range(3)]
    first = found[0].parts[0]
    assert isinstance(first, ToolResult)
    assert (first.is_error, first.content[0].at) == (True, "messages[0].content[0].content[0]")


def test_what_only_anthropic_understands_is_kept_whole() -> None:
    search = {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]}
    nested = {"type": "document", "source": {"type": "content", "content": "x"}, "title": "t"}
    web = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    request = read(
        messages=[{"role": "user", "content": [search, nested]}], tools=[web], container="c", mcp_servers=[1]
    )
    assert [part for part in request.messages[0].parts if not isinstance(part, Foreign)] == []
    assert request.tools == [ForeignTool("anthropic", web, "tools[0]")]
    assert request.extra == {"container": "c", "mcp_servers": [1]}
    out = json.loads(DIALECT.write_request(request, "m", Quirks(), []))
    assert out["messages"][0]["content"] == [search, nested]
    assert out["tools"] == [web]
    assert (out["container"], out["mcp_servers"]) == ("c", [1])


def test_unknown_fields_come_back_at_every_level() -> None:
    body = {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi", "novel": 1}], "fresh": 2}],
        "tools": [{"name": "look", "input_schema": {}, "defer_loading": True}],
        "tool_choice": {"type": "any", "novel": 3},
        "thinking": {"type": "adaptive", "novel": 4},
        "output_config": {"effort": "low", "task_budget": {"total": 5}},
        "metadata": {"user_id": "u", "novel": 6},
        "cache_control": {"type": "ephemeral", "scope": "novel"},
        "novel": {"deep": [7]},
    }
    lost: list[str] = []
    out = json.loads(DIALECT.write_request(read(**body), "m", Quirks(), lost))
    assert {name: out[name] for name in body} == body
    assert lost == []


def test_the_older_name_of_the_output_format_is_read() -> None:
    schema = {"type": "object"}
    assert read(output_format={"type": "json_schema", "schema": schema}).output == OutputFormat(
        "json_schema", schema=schema
    )


# ── Writing: messages ──────────────────────────────────────────────────────────────────────────────────────────────


def test_parallel_results_meet_in_one_user_turn_before_what_the_user_says() -> None:
    calls = Message("assistant", [ToolCall(i, "look", "{}") for i in "ab"])
    results = [Message("tool", [ToolResult(i, [Text(i)])]) for i in "ab"]
    out, lost = written(messages=[ASK, calls, Message("user", [Text("wait")]), *results, ASK], tools=TOOLS)
    assert [message["role"] for message in out["messages"]] == ["user", "assistant", "user"]
    kinds = [block["type"] for block in out["messages"][2]["content"]]
    assert (kinds, lost) == (["tool_result", "tool_result", "text", "text"], [])


def test_instructions_alone_are_said_by_the_user() -> None:
    out, lost = written(messages=[Message("system", [Text("count to three")], at="messages[0]")])
    assert out["messages"] == [{"role": "user", "content": "count to three"}]
    assert "system" not in out
    assert lost == ["messages[0].role"]


def test_the_id_of_a_call_is_spelt_in_allowed_letters_on_both_sides() -> None:
    call, result = ToolCall("functions.look:0", "look", "{}"), ToolResult("functions.look:0", [])
    out, _ = written(messages=[ASK, Message("assistant", [call]), Message("tool", [result])])
    assert out["messages"][1]["content"][0]["id"] == "functions_look_0"
    assert out["messages"][2]["content"][0]["tool_use_id"] == "functions_look_0"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{}", "model"),
        (b'{"model":7}', "model"),
        (b'{"model":"m","stream":"yes"}', "stream"),
        (b"[]", None),
        (b"{", None),
    ],
)
def test_a_peek_names_the_field(body: bytes, param: str | None) -> None:
    with pytest.raises(BadRequest) as refused:
        DIALECT.peek(body)
    assert refused.value.param == param
    assert refused.value.code == ("invalid_json" if param is None else "invalid_request")


def test_leading_instructions_of_any_role_are_the_system_prompt_and_empty_texts_are_left_out() -> None:
    messages = [
        Message("system", [Text("a"), Text("")]),
        Message("developer", [Text("b")]),
        Message("user", [Text(""), Text("c")]),
    ]
    out, _ = written(messages=messages)
    assert out["system"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert out["messages"] == [{"role": "user", "content": "c"}]


@pytest.mark.parametrize(
    ("arguments", "wanted", "lost"),
    [
        ("", {}, []),
        ("{}", {}, []),
        ('{"big":12345678901234567890123}', {"big": 12345678901234567890123}, []),
        ('{"cut":', {"arguments": '{"cut":'}, ["here.arguments"]),
        ("[1]", {"arguments": "[1]"}, ["here.arguments"]),
    ],
)
def test_arguments_become_an_object(arguments: str, wanted: dict[str, Any], lost: list[str]) -> None:
    turn = Message("assistant", [ToolCall("a", "look", arguments, at="here")])
    out, gone = written(messages=[ASK, turn, Message("tool", [ToolResult("a", [])])])
    assert out["messages"][1]["content"][0]["input"] == wanted
    assert gone == lost


def test_parts_without_a_block_are_reported_by_path() -> None:
    parts = [
        Text("hi"),
        Image(Inline("image/png", "AAAA"), detail="high", at="p[1]"),
        Audio("AAAA", "wav", at="p[2]"),
        Foreign("openai_chat", {}, at="p[3]"),
        Document(Inline("text/plain", "aGVsbG8="), title="t.txt", at="p[4]"),
        Document(PlainText("x"), at="p[5]", extra={"novel": 1}),
    ]
    user = Message("user", parts, name="ann", at="m")
    out, lost = written(messages=[user, Message("assistant", [Refusal("no")]), ASK])
    blocks = out["messages"][0]["content"]
    assert [block["type"] for block in blocks] == ["text", "image", "document", "document"]
    assert blocks[2] == {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "hello"},
        "title": "t.txt",
    }
    assert out["messages"][1]["content"] == "no"
    assert sorted(lost) == ["m.name", "p[1].detail", "p[2]", "p[3]", "p[5].novel"]


# ── Writing: tools and answers ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"tool_choice": ToolChoice("required")}, {"type": "any"}),
        ({"tool_choice": ToolChoice("none"), "parallel_tool_calls": False}, {"type": "none"}),
        ({"tool_choice": ToolChoice("tool", "ask")}, {"type": "tool", "name": "ask"}),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        ({"parallel_tool_calls": True}, None),
    ],
)
def test_tool_choices(fields: dict[str, Any], wanted: dict[str, Any] | None) -> None:
    out, lost = written(tools=TOOLS, **fields)
    assert (out.get("tool_choice"), lost) == (wanted, [])


def test_allowed_tools_filter_and_a_choice_without_tools_is_lost() -> None:
    out, lost = written(tools=TOOLS, tool_choice=ToolChoice("required", allowed=("ask",)))
    assert ([tool["name"] for tool in out["tools"]], out["tool_choice"], lost) == (["ask"], {"type": "any"}, [])
    assert out["tools"][0]["input_schema"] == {"type": "object", "properties": {}}
    with pytest.raises(BadRequest, match=r"tools\[0\]: this model has no tool 'web'"):
        written(tools=[ForeignTool("openai_chat", {"type": "web"}, "tools[0]")], tool_choice=ToolChoice("required"))
    out, lost = written(tool_choice=ToolChoice("required"))
    assert "tools" not in out
    assert "tool_choice" not in out
    assert lost == ["tool_choice"]


def test_fields_without_a_word_are_reported_in_the_clients_words() -> None:
    names = {"output": "response_format", "tier": "service_tier"}
    out, lost = written(
        n=2, seed=1, frequency_penalty=0.5, presence_penalty=0.0, logit_bias={"1": 2}, logprobs=True, top_logprobs=3,
        verbosity="low", tier="flex", metadata={"a": "b"}, output=OutputFormat("json_object"), temperature=1.5,
        stop=["\n", "END"], extra={"store": True}, names=names, user="u",
    )  # fmt: skip
    assert sorted(lost) == [
        "frequency_penalty", "logit_bias", "logprobs", "metadata", "n", "response_format", "seed", "service_tier",
        "stop", "store", "temperature", "top_logprobs", "verbosity",
    ]  # fmt: skip
    assert out == {
        "model": "claude", "max_tokens": 8192, "messages": [{"role": "user", "content": "hi"}], "temperature": 1.0,
        "stop_sequences": ["END"], "metadata": {"user_id": "u"},
    }  # fmt: skip


def test_a_model_that_refuses_a_field_is_spared_it() -> None:
    out, lost = written(Quirks(drop=frozenset({"temperature", "top_p"})), temperature=0.5, top_p=0.5, top_k=4)
    assert ("temperature" in out, "top_p" in out, out["top_k"]) == (False, False, 4)
    assert lost == ["temperature", "top_p"]


@pytest.mark.parametrize(
    ("reasoning", "limit", "quirks", "thinking", "effort", "max_tokens", "lost"),
    [
        (Reasoning("medium"), None, Quirks(), {"type": "enabled", "budget_tokens": 8192}, None, 16384, []),
        (Reasoning("high"), 4000, Quirks(), {"type": "enabled", "budget_tokens": 2000}, None, 4000, []),
        (Reasoning("low"), 4000, Quirks(), {"type": "enabled", "budget_tokens": 1024}, None, 4000, []),
        (Reasoning("low"), 500, Quirks(), None, None, 500, ["reasoning"]),
        (Reasoning("none"), 500, Quirks(), None, None, 500, []),
        (Reasoning("whatever"), 500, Quirks(), None, None, 500, ["reasoning"]),
        (Reasoning(budget=100), 4000, Quirks(), {"type": "enabled", "budget_tokens": 1024}, None, 4000, []),
        (Reasoning("medium"), 500, ADAPTIVE, {"type": "adaptive"}, "medium", 500, []),
        (Reasoning("minimal"), 500, ADAPTIVE, {"type": "adaptive"}, "low", 500, []),
        (Reasoning("none"), 500, ADAPTIVE, {"type": "disabled"}, None, 500, []),
        (Reasoning(None, 9000, "enabled"), 9999, ADAPTIVE, {"type": "adaptive"}, "high", 9999, ["reasoning"]),
        (Reasoning(None, 2000, "enabled"), 9999, Quirks(), {"type": "enabled", "budget_tokens": 2000}, None, 9999, []),
        (Reasoning("low", None, "adaptive"), 9, Quirks(), {"type": "adaptive"}, "low", 9, []),
        (Reasoning("low"), 9, Quirks(drop=frozenset({"reasoning"})), None, None, 9, ["reasoning"]),
    ],
)  # fmt: skip
def test_thinking(
    reasoning: Reasoning,
    limit: int | None,
    quirks: Quirks,
    thinking: Any,
    effort: Any,
    max_tokens: int,
    lost: list[str],
) -> None:
    out, gone = written(quirks, reasoning=reasoning, max_tokens=limit)
    assert out.get("thinking") == thinking
    assert out.get("output_config", {}).get("effort") == effort
    assert (out["max_tokens"], gone) == (max_tokens, lost)


def test_thinking_wants_little_sampling() -> None:
    out, lost = written(reasoning=Reasoning("low"), max_tokens=4000, temperature=0.2, top_p=0.97, top_k=3)
    assert ("temperature" in out, out["top_p"], "top_k" in out) == (False, 0.97, False)
    assert lost == ["temperature", "top_k"]


def test_the_api_version_follows_the_sampling_parameters() -> None:
    assert api_version(True) == "2023-06-01"
    assert api_version(False) == "2026-10-21"
