"""The laws of the Gemini dialect: reading undoes writing, chunk borders are invisible in both framings, bytes are
stable, a conversation grows at its end only, and no bytes make anything but a declared error."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.laws.generators import answers, arguments, ids, law, names, pieces, requests, said, spoken, usages
from trunkline.core.call import Peek
from trunkline.core.errors import BadRequest, UpstreamBroken
from trunkline.core.events import Event, Failed, PartStarted, Reason, Started
from trunkline.core.request import Image, Message, Request, Text, Thinking, Tool, ToolCall, ToolResult, Url
from trunkline.core.usage import Usage
from trunkline.dialects.base import Envelope, Quirks
from trunkline.dialects.gemini import ARRAY, DIALECT
from trunkline.dialects.gemini.framing import ArraySplitter
from trunkline.dialects.gemini.schema import MAX_NODES, simplified

REASONS: tuple[Reason, ...] = ("stop", "length", "tool_calls", "content_filter", "error")
FRAMINGS = [(True, ""), (True, ARRAY), (False, "")]
PEEK = Peek("m")


def sayable(request: Request) -> Request:
    """The request without what there is no word for here."""
    request.parallel_tool_calls = request.user = None
    request.stream = False
    for tool in request.tools:
        if isinstance(tool, Tool):
            tool.strict = None
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, Image) and isinstance(part.source, Url):
                kind = "image/png" if part.source.url.endswith("png") else "image/jpeg"
                part.source = Url(part.source.url, kind)
            if isinstance(part, Thinking) and part.signature is not None:
                part.signature = base64.b64encode(part.signature.encode()).decode()  # bytes, to Google's types
    return request


any_request = requests(thinking=True, is_error=True, top_k=True).map(sayable)
any_answer = answers(kinds=("text", "reasoning", "tool_call"), reasons=REASONS, choices=2, usage=usages())


def write(events: list[Event], stream: bool, framing: str = "") -> bytes:
    writer = DIALECT.writer(Envelope(stream, model="m", framing=framing))
    return b"".join(writer.feed(event) for event in events) + writer.eof()


def read(data: bytes, stream: bool, size: int = 0) -> list[Event]:
    reader = DIALECT.reader(stream)
    return [event for piece in pieces(data, size) for event in reader.feed(piece)] + list(reader.eof())


def told(events: list[Event]) -> Any:
    """What an answer says. Google numbers no parts, so texts that follow each other are one text."""
    heads = [(event.id, event.model) for event in events if isinstance(event, Started)]
    counts = [
        (usage.input, usage.cache_read, usage.output, usage.reasoning) for usage in events if isinstance(usage, Usage)
    ]
    words = [spoken(_of(events, choice)) for choice in (0, 1)]
    said = [{name: each[name] for name in ("text", "reasoning", "signatures")} for each in words]
    return heads, counts, said, spoken(events)["reasons"], [sorted(each["calls"], key=str) for each in words]


def _of(events: list[Event], choice: int) -> list[Event]:
    """The events of one alternative's parts: alternatives do not keep their order among each other."""
    own = {event.index for event in events if isinstance(event, PartStarted) and event.choice == choice}
    return [event for event in events if getattr(event, "index", None) in own]


# ── Requests ───────────────────────────────────────────────────────────────────────────────────────────────────────


@law(60)
@given(any_request)
def test_a_request_read_back_is_the_request(request: Request) -> None:
    lost: list[str] = []
    body = DIALECT.write_request(request, request.model, Quirks(), lost)
    assert lost == []
    assert said(DIALECT.read_request(body, Peek(request.model))) == said(request)


@law(40)
@given(any_request)
def test_the_same_request_gives_the_same_bytes(request: Request) -> None:
    for quirks in (Quirks(), Quirks(signed_calls=True, media_results=True), Quirks(json_schema=False)):
        first = DIALECT.write_request(request, "m", quirks, [])
        assert DIALECT.write_request(request, "m", quirks, []) == first


@law(40)
@given(any_request)
def test_googles_types_take_every_request(request: Request) -> None:
    from google.genai import types

    for quirks in (Quirks(signed_calls=True, media_results=True), Quirks(json_schema=False, thinking_budget=True)):
        body = json.loads(DIALECT.write_request(request, "m", quirks, []))
        for content in body["contents"]:
            assert content["role"] in {"user", "model"}
            types.Content.model_validate(content)
        types.GenerationConfig.model_validate(body.get("generationConfig", {}))
        for tool in body.get("tools", ()):
            types.Tool.model_validate(tool)


turns = st.lists(
    st.tuples(st.text(min_size=1, max_size=9), st.lists(st.tuples(ids, names, arguments()), max_size=3)), max_size=4
)


@law(40)
@given(turns)
def test_a_growing_conversation_grows_at_its_end_only(turns: list[tuple[str, list[tuple[str, str, str]]]]) -> None:
    messages = [Message("system", [Text("be brief")]), Message("user", [Text("hello")])]
    before: list[Any] = []
    for text, calls in turns:
        unique = {f"{call_id}{number}": rest for number, (call_id, *rest) in enumerate(calls)}
        answer = [ToolCall(call_id, name, args) for call_id, (name, args) in unique.items()]
        messages.append(Message("assistant", [Text(text), *answer]))
        messages += [Message("tool", [ToolResult(call_id, [Text(text)])]) for call_id in unique]
        messages.append(Message("user", [Text(text)]))
        body = DIALECT.write_request(Request("m", messages, "openai_chat"), "m", Quirks(signed_calls=True), [])
        now = msgspec.json.decode(body)["contents"]
        assert now[: len(before)] == before
        before = now


# ── Answers ────────────────────────────────────────────────────────────────────────────────────────────────────────


@law(80)
@given(any_answer, st.sampled_from(FRAMINGS))
def test_an_answer_read_back_is_the_answer(events: list[Event], framing: tuple[bool, str]) -> None:
    back = read(write(events, *framing), framing[0])
    named = [Started(e.id, e.model or "m") if isinstance(e, Started) else e for e in events]
    assert told(back) == told(named)


@law(40)
@given(any_answer, st.sampled_from(FRAMINGS), st.sampled_from([1, 7]))
def test_chunk_borders_are_invisible(events: list[Event], framing: tuple[bool, str], size: int) -> None:
    data = write(events, *framing)
    assert read(data, framing[0], size) == read(data, framing[0])


@law(40)
@given(any_answer, st.sampled_from(["", ARRAY]), st.sampled_from([1, 7, 0]))
def test_the_tap_passes_every_byte_and_knows_the_end(events: list[Event], framing: str, size: int) -> None:
    data = write(events, True, framing)
    tap = DIALECT.tap(Peek("m", True, True, 2, framing))
    out = b"".join(tap.feed(piece) for piece in pieces(data, size)) + tap.eof()
    assert out == data
    assert (tap.complete, tap.error) == (True, None)
    usage = next(event for event in read(data, True) if isinstance(event, Usage))
    assert tap.usage == usage


@law(60)
@given(any_answer, st.sampled_from(["", ARRAY]), st.data())
def test_a_stream_cut_before_its_end_is_never_complete(events: list[Event], framing: str, data: st.DataObject) -> None:
    whole = write(events, True, framing)
    end = whole.rindex(b'"finishReason"')
    cut = whole[: data.draw(st.integers(0, end))]
    out = read(cut, True)
    assert isinstance(out[-1], Failed)
    assert isinstance(out[-1].error, UpstreamBroken)
    tap = DIALECT.tap(Peek("m", True, True, 2, framing))
    tap.feed(cut)
    last = tap.eof()
    assert not tap.complete
    assert b'"error"' in last
    assert last.endswith(b"]" if framing else b"\r\n\r\n")


@law(60)
@given(st.lists(st.recursive(st.none() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))))
def test_an_array_is_cut_at_its_elements(values: list[Any]) -> None:
    values = [{"a": value} for value in values]
    data = json.dumps(values, indent=1).encode()
    for size in (1, 3, len(data)):
        splitter = ArraySplitter()
        blocks = [splitter.feed(piece) for piece in pieces(data, size)]
        assert b"".join(blocks) + splitter.eof() == data
        assert splitter.closed
        found = [json.loads(b"[" + block.strip(b" \n,[]") + b"]") for block in blocks if block.strip(b" \n,[]")]
        assert [value for each in found for value in each] == values


# ── Anything else ──────────────────────────────────────────────────────────────────────────────────────────────────


@law(200)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_garbage_is_an_error_never_a_crash(data: bytes) -> None:
    for stream in (False, True):
        assert isinstance(read(data, stream)[-1], Failed)
    assert DIALECT.read_error(502, [], data).message
    with pytest.raises(BadRequest):
        DIALECT.read_request(data, PEEK)


_WORDS = (
    "contents", "parts", "role", "text", "thought", "thoughtSignature", "functionCall", "functionResponse", "name",
    "args", "response", "inlineData", "fileData", "mimeType", "generationConfig", "thinkingConfig", "tools", "index",
    "functionDeclarations", "toolConfig", "functionCallingConfig", "mode", "candidates", "content", "finishReason",
    "usageMetadata", "promptFeedback", "error", "system_instruction", "logprobsResult", "responseSchema", "parameters",
)  # fmt: skip
_junk = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3) | st.sampled_from(["user", "model", "STOP"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_WORDS), inner, max_size=4),
    max_leaves=14,
)


@law(200)
@given(_junk)
def test_json_of_any_other_shape_is_an_error_never_a_crash(junk: Any) -> None:
    for wire in (junk, {"contents": junk}, {"contents": [{"parts": [junk]}]}, {"contents": "x", "tools": junk}):
        body = json.dumps(wire).encode()
        with suppress(BadRequest):
            assert DIALECT.read_request(body, PEEK).messages
    for wire in (junk, {"candidates": junk}, {"candidates": [junk]}, {"candidates": [{"content": {"parts": [junk]}}]}):
        for stream, data in ((False, json.dumps(wire)), (True, f"data: {json.dumps(wire)}\r\n\r\n")):
            assert read(data.encode(), stream)
            tap = DIALECT.tap(Peek("m", True))
            tap.feed(data.encode())
            tap.eof()


@law(200)
@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=3) | st.sampled_from(["string", "#/$defs/a", "#"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["type", "properties", "items", "anyOf", "allOf", "$ref", "$defs", "a", "enum", "const", "required"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    )
)
def test_any_schema_is_simplified_within_bounds(junk: Any) -> None:
    text = json.dumps(simplified(junk if isinstance(junk, dict) else {"properties": {"a": junk}}))
    assert len(text) < MAX_NODES * 100
