"""Translation keeps meaning, between every two dialects: answers, requests, and the bytes that prompt caches need."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.laws.generators import COMMON_REASONS, answers, normalize, requests, said, spoken
from trunkline.core.errors import BadRequest
from trunkline.core.events import Event, Finished, PartFinished, PartStarted, Reason, Started, TextDelta
from trunkline.core.request import (
    CacheMark,
    FileId,
    Foreign,
    ForeignTool,
    Image,
    Inline,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from trunkline.core.usage import Usage
from trunkline.dialects import anthropic, openai_chat
from trunkline.dialects.anthropic.vocabulary import STOP_REASONS
from trunkline.dialects.base import Dialect, Envelope, Quirks
from trunkline.dialects.effort import BUDGETS, effort_of
from trunkline.dialects.openai_chat.vocabulary import FINISH_REASONS

CHAT, MESSAGES = openai_chat.DIALECT, anthropic.DIALECT
DIALECTS = (CHAT, MESSAGES)
WORDS = {CHAT.name: FINISH_REASONS, MESSAGES.name: STOP_REASONS}
ALL_REASONS: tuple[Reason, ...] = (
    "stop",
    "stop_sequence",
    "length",
    "context_window",
    "tool_calls",
    "refusal",
    "pause",
)
pairs = st.sampled_from(list(product(DIALECTS, DIALECTS)))
crossings = st.sampled_from([(CHAT, MESSAGES), (MESSAGES, CHAT)])

speakers = st.sampled_from(["", CHAT.name, MESSAGES.name])
any_answer = answers(kinds=("text", "reasoning", "tool_call"), reasons=COMMON_REASONS)


def read(dialect: Dialect, data: bytes, stream: bool) -> list[Event]:
    reader = dialect.reader(stream)
    return [*reader.feed(data), *reader.eof()]


def write(dialect: Dialect, events: list[Event], stream: bool) -> bytes:
    writer = dialect.writer(Envelope(stream))
    return b"".join(writer.feed(event) for event in events) + writer.eof()


# ── Answers ────────────────────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=150, deadline=None)
@given(
    answers(kinds=("text", "reasoning", "tool_call"), reasons=COMMON_REASONS), crossings, st.booleans(), st.booleans()
)
def test_an_answer_says_the_same_in_the_other_dialect(
    events: list[Event], crossing: tuple[Dialect, Dialect], upstream_streams: bool, client_streams: bool
) -> None:
    upstream, client = crossing
    heard = read(upstream, write(upstream, events, upstream_streams), upstream_streams)
    told = normalize(read(client, write(client, heard, client_streams), client_streams))
    assert spoken(told) == spoken(normalize(events))
    assert told[-1] == events[-1]


@settings(max_examples=60, deadline=None)
@given(answers(reasons=ALL_REASONS), crossings, st.booleans())
def test_a_stop_reason_goes_by_the_tables(events: list[Event], crossing: tuple[Dialect, Dialect], stream: bool) -> None:
    upstream, client = crossing
    heard = read(upstream, write(upstream, events, stream), stream)
    reason = next(event.reason for event in heard if isinstance(event, Finished))
    word = WORDS[client.name][reason]
    assert f'"{word}"'.encode() in write(client, heard, stream)
    told = next(event for event in read(client, write(client, heard, stream), stream) if isinstance(event, Finished))
    assert WORDS[client.name][told.reason] == word


# ── Requests ───────────────────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=100, deadline=None)
@given(requests(), pairs)
def test_a_request_says_the_same_in_every_dialect(request: Request, pair: tuple[Dialect, Dialect]) -> None:
    client, upstream = pair
    lost: list[str] = []
    read_in = client.read_request(client.write_request(request, "m", Quirks(), lost))
    sent = upstream.read_request(upstream.write_request(read_in, "m", Quirks(), lost))
    assert lost == []
    assert _plain(sent) == _plain(read_in)


def _plain(request: Request) -> Any:
    """A tool that said nothing said "", and one whole `stop` differs from none only where there is one."""
    value = said(request)
    for message in value["messages"]:
        for part in message["parts"] if message["role"] == "tool" else ():
            part["content"] = [found for found in part["content"] if found.get("text") != ""]
    return value


@settings(max_examples=80, deadline=None)
@given(requests(cache=True, thinking=True, documents=True, is_error=True, top_k=True), pairs)
def test_the_same_request_gives_the_same_bytes(request: Request, pair: tuple[Dialect, Dialect]) -> None:
    client, upstream = pair
    body = client.write_request(request, "m", Quirks(), [])
    first, again = client.read_request(body), client.read_request(body)
    assert _written(upstream, first) == _written(upstream, again)


def _written(upstream: Dialect, request: Request) -> bytes | str:
    """The body, or why there is none: a message may hold nothing that this dialect can say."""
    try:
        return upstream.write_request(request, "m", Quirks(), [])
    except BadRequest as error:
        return error.message


@settings(max_examples=100, deadline=None)
@given(requests(cache=True, thinking=True), pairs, st.data())
def test_a_conversation_that_grows_only_grows_at_its_end(
    request: Request, pair: tuple[Dialect, Dialect], data: st.DataObject
) -> None:
    """Prompt caches match prefixes of bytes: what was sent before must be sent again, to the byte."""
    client, upstream = pair
    whole = json.loads(client.write_request(request, "m", Quirks(), []))
    ends = [i for i, message in enumerate(whole["messages"], 1) if message["role"] == "user"]
    cut = data.draw(st.sampled_from(ends)) if ends else len(whole["messages"])
    shorter = whole | {"messages": whole["messages"][:cut]}
    sent = [_messages(upstream, client.read_request(json.dumps(body).encode())) for body in (shorter, whole)]
    assert sent[1].startswith(sent[0].removesuffix(b"]"))


def _messages(upstream: Dialect, request: Request) -> bytes:
    body = upstream.write_request(request, "m", Quirks(), [])
    return bytes(msgspec.json.decode(body, type=dict[str, msgspec.Raw])["messages"])


@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh", "max"])
def test_a_level_of_reasoning_is_asked_for_in_every_dialect(effort: str) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "reasoning_effort": effort}
    lost: list[str] = []
    request = CHAT.read_request(json.dumps(body).encode())
    adaptive = json.loads(MESSAGES.write_request(request, "m", Quirks(adaptive_thinking=True), lost))
    budgeted = json.loads(MESSAGES.write_request(request, "m", Quirks(), lost))
    assert lost == []
    if effort == "none":
        assert adaptive["thinking"] == {"type": "disabled"}
        assert "thinking" not in budgeted
        return
    assert adaptive["thinking"] == {"type": "adaptive"}
    assert adaptive["output_config"] == {"effort": "low" if effort == "minimal" else effort}
    assert budgeted["thinking"] == {"type": "enabled", "budget_tokens": BUDGETS[effort]}
    for asked in (adaptive, budgeted):
        back = MESSAGES.read_request(json.dumps(asked).encode())
        wanted = {"minimal": "low", "max": "xhigh"}.get(effort, effort) if asked is budgeted else effort
        assert effort_of(back.reasoning) == ("low" if wanted == "minimal" else wanted)
        sent = json.loads(CHAT.write_request(back, "m", Quirks(), []))
        assert sent["reasoning_effort"] == effort_of(back.reasoning)


# ── Nothing is dropped in silence ──────────────────────────────────────────────────────────────────────────────────

_FIELDS: dict[str, Any] = {
    "tools": [Tool("f", schema={"type": "object"}), ForeignTool("elsewhere", {"type": "search"}, "tools[1]")],
    "tool_choice": ToolChoice("required"),
    "parallel_tool_calls": False,
    "output": OutputFormat("json_schema", "answer", schema={"type": "object"}),
    "max_tokens": 4321,
    "temperature": 0.25,
    "top_p": 0.75,
    "top_k": 40,
    "seed": 77,
    "stop": ["halt"],
    "frequency_penalty": 0.125,
    "presence_penalty": 0.375,
    "logit_bias": {"5": 10},
    "logprobs": True,
    "top_logprobs": 3,
    "n": 2,
    "reasoning": Reasoning("high"),
    "verbosity": "low",
    "stream": True,
    "user": "someone",
    "metadata": {"team": "red"},
    "tier": "flex",
    "cache": CacheMark("1h"),
    "extra": {"novelty": 1},
}
"""A value for every field of `Request` that a client can set, each to be found in a body by its text."""

_SHOWN = {
    "tools": '"f"', "tool_choice": '"tool_choice"', "output": '"json_schema"', "reasoning": "high",
    "metadata": '"red"', "cache": '"1h"', "extra": '"novelty"', "stream": '"stream":true', "stop": '"halt"',
    "parallel_tool_calls": "parallel_tool",
}  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.sets(st.sampled_from(sorted(_FIELDS)), min_size=1), st.sampled_from(["", *(d.name for d in DIALECTS)]), st.data()
)
def test_every_field_is_sent_or_reported(fields: set[str], speaks: str, data: st.DataObject) -> None:
    upstream = data.draw(st.sampled_from(DIALECTS))
    drop = data.draw(st.sets(st.sampled_from(["temperature", "top_p", "top_k", "stop", "n", "reasoning", "output"])))
    values = {name: _FIELDS[name] for name in fields}
    if "tools" not in fields:
        values.pop("parallel_tool_calls", None)  # says nothing where nothing can be called
    request = Request("m", [Message("user", [Text("hi", at="messages[0].content")])], dialect=speaks, **values)
    lost: list[str] = []
    body = upstream.write_request(request, "m", Quirks(adaptive_thinking=True, drop=frozenset(drop)), lost).decode()
    for name in values:
        shown = _SHOWN.get(name) or msgspec.json.encode(_FIELDS[name]).decode()
        assert shown in body or request.name_of(name) in lost or (name == "extra" and "novelty" in lost), (name, body)


_PARTS: dict[str, Part] = {
    "text": Text("hello", extra={"novelty": 1}, at="at"),
    "picture": Image(Inline("image/png", "AAAA"), detail="low", at="at"),
    "file": Image(FileId("file_1"), at="at"),
    "foreign": Foreign("elsewhere", {"type": "x"}, at="at"),
}


@pytest.mark.parametrize("upstream", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("kind", _PARTS)
def test_every_part_is_sent_or_reported_by_its_path(upstream: Dialect, kind: str) -> None:
    part = _PARTS[kind]
    messages = [
        Message("user", [Text("ask"), part]),
        Message("assistant", [ToolCall("c", "f", "{}")]),
        Message("tool", [ToolResult("c", [Text("seen"), part])]),
    ]
    lost: list[str] = []
    body = upstream.write_request(Request("m", messages, dialect="elsewhere"), "m", Quirks(), lost).decode()
    told = {"text": ("hello", ["at.novelty"] * 2), "picture": ("AAAA", None), "file": ("", ["at"] * 2)}
    shown, reported = told.get(kind, ("", ["at"] * 2))
    assert body.count(shown) >= 2
    if reported is not None:
        assert lost == reported


def test_images_in_tool_results_follow_the_last_of_them() -> None:
    """Chat's tool messages hold text, and must stand together behind the calls that they answer."""
    image = Image(Inline("image/png", "AAAA"))
    messages = [
        Message("user", [Text("look")]),
        Message("assistant", [ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}")]),
        Message("tool", [ToolResult("a", [Text("one"), image])]),
        Message("tool", [ToolResult("b", [image])]),
        Message("user", [Text("well?")]),
    ]
    sent = json.loads(CHAT.write_request(Request("m", messages, dialect=MESSAGES.name), "m", Quirks(), []))["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "tool", "user", "user"]
    assert [part["type"] for part in sent[4]["content"]] == ["image_url", "image_url"]
    assert [message["content"] for message in sent[2:4]] == ["one", ""]


def test_usage_survives_where_the_two_count_differently() -> None:
    """Messages counts the cached part beside the input, chat within it."""
    usage = Usage(input=100, cache_read=60, cache_write=30, output=20, reasoning=5)
    events = [*read(CHAT, write(CHAT, _answer(usage), False), False)]
    out = json.loads(write(MESSAGES, events, False))["usage"]
    assert out["input_tokens"] == 10
    assert (out["cache_read_input_tokens"], out["cache_creation_input_tokens"]) == (60, 30)
    assert read(MESSAGES, write(MESSAGES, events, True), True)[-1] == usage


def _answer(usage: Usage) -> list[Event]:
    return [Started("i", "m"), PartStarted(0, "text"), TextDelta(0, "x"), PartFinished(0), Finished("stop"), usage]
