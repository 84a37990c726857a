"""The laws of the Bedrock dialects: reading undoes writing, chunk borders are invisible, bytes are stable, a
conversation grows at its end only, and no bytes make anything but a declared error."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.laws.generators import answers, ids, law, names, pieces, requests, said, spoken, texts, usages
from trunkline.core.call import Addressed, Peek
from trunkline.core.errors import BadRequest, UpstreamBroken
from trunkline.core.events import Event, Failed, PartKind, Reason, Started
from trunkline.core.request import Image, Message, Part, Request, Text, Tool, ToolCall, ToolChoice, ToolResult, Url
from trunkline.core.usage import Usage
from trunkline.dialects import composed
from trunkline.dialects.base import Dialect, Envelope, Quirks
from trunkline.dialects.bedrock.eventstream import Cutter, FrameError, event, exception, frames

CONVERSE, INVOKE = composed.CONVERSE, composed.INVOKE
CLAUDE, NOVA = "us.anthropic.claude-sonnet-4-5-v1:0", "amazon.nova-pro-v1:0"
KINDS: tuple[PartKind, ...] = ("text", "reasoning", "redacted_reasoning", "tool_call")
REASONS: tuple[Reason, ...] = (
    "stop", "stop_sequence", "length", "context_window", "tool_calls", "content_filter", "error",
)  # fmt: skip
FORMS = [(CONVERSE, ""), (INVOKE, "claude"), (INVOKE, "nova")]
IDS = ["converse", "invoke-claude", "invoke-nova"]


def _visible(parts: list[Part]) -> None:
    """No blank texts, and no pictures from the web: the service takes neither."""
    for part in parts:
        if isinstance(part, Text) and not part.text.strip():
            part.text = "x"
        elif isinstance(part, ToolResult):
            _visible(part.content)
        elif isinstance(part, Image) and isinstance(part.source, Url):
            kind = "image/png" if part.source.url.endswith("png") else "image/jpeg"
            part.source = Url(part.source.url.replace("https://", "s3://"), kind)


def sayable(request: Request) -> Request:
    """The request without what there is no word for here, and with all tools declared that it has called."""
    request.user = None
    called = {part.name for message in request.messages for part in message.parts if isinstance(part, ToolCall)}
    declared = {tool.name for tool in request.tools if isinstance(tool, Tool)}
    request.tools += [Tool(name, schema={"type": "object"}) for name in sorted(called - declared)]
    if request.tool_choice == ToolChoice("none"):
        request.tool_choice = request.parallel_tool_calls = None
    for message in request.messages:
        _visible(message.parts)
    for tool in request.tools:
        if isinstance(tool, Tool) and tool.description is not None and not tool.description:
            tool.description = None
    return request


any_request = requests(cache=True, thinking=True, is_error=True, top_k=True).map(sayable)
any_answer = answers(kinds=KINDS, reasons=REASONS, usage=usages(cache_write_1h=True)).map(lambda found: _made(found))


def _made(events: list[Event]) -> list[Event]:
    """By a model of Anthropic's, whose thoughts Converse has to carry; it counts no thinking apart."""
    return [
        msgspec.structs.replace(each, dialect="anthropic")
        if isinstance(each, Started)
        else msgspec.structs.replace(each, reasoning=0)
        if isinstance(each, Usage)
        else each
        for each in events
    ]


def write(dialect: Dialect, events: list[Event], stream: bool, framing: str = "") -> bytes:
    writer = dialect.writer(Envelope(stream, model="m", framing=framing))
    return b"".join(writer.feed(event) for event in events) + writer.eof()


def read(dialect: Dialect, data: bytes, stream: bool, size: int = 0) -> list[Event]:
    reader = dialect.reader(stream)
    return [event for piece in pieces(data, size) for event in reader.feed(piece)] + list(reader.eof())


# ── Requests ───────────────────────────────────────────────────────────────────────────────────────────────────────


@law(40)
@given(any_request)
def test_a_request_read_back_is_the_request(request: Request) -> None:
    lost: list[str] = []
    body = CONVERSE.write_request(request, CLAUDE, Quirks(), lost)
    assert lost == []
    assert said(CONVERSE.read_request(body, Peek(request.model, request.stream))) == said(request)


@law(40)
@given(any_request, st.sampled_from([CLAUDE, NOVA]))
def test_an_invoked_request_read_back_is_the_request(request: Request, model: str) -> None:
    """What Nova's own body cannot say of it is left out beforehand."""
    if model == NOVA:
        request.output = request.parallel_tool_calls = None
        request.messages = [message for message in request.messages if message.role != "assistant"]
        for message in request.messages:
            message.parts = [part for part in message.parts if not isinstance(part, ToolResult)]
        request.messages = [message for message in request.messages if message.parts] or [Message("user", [Text("x")])]
        for tool in request.tools:
            if isinstance(tool, Tool):
                tool.cache = None
    lost: list[str] = []
    body = INVOKE.write_request(request, model, Quirks(), lost)
    back = INVOKE.read_request(body, Peek(request.model, request.stream))
    assert lost == []
    if model == CLAUDE:
        _untyped(request)
        assert back.extra == {}
        assert not {"model", "stream"} & json.loads(body).keys()
        assert said(back) == said(request)
    else:
        again = INVOKE.write_request(back, model, Quirks(), lost)
        assert json.loads(again) == json.loads(body)


def _untyped(request: Request) -> None:
    """Claude's own bodies name no media type where an address is given."""
    for message in request.messages:
        for part in message.parts:
            if isinstance(part, Image) and isinstance(part.source, Url):
                part.source = Url(part.source.url)


@law(30)
@given(any_request, st.sampled_from([CLAUDE, NOVA, "mistral.large", "meta.llama4"]))
def test_any_request_is_valid_to_botocore(request: Request, model: str) -> None:
    import botocore.session
    from botocore.validate import ParamValidator

    shape = _shape(botocore.session)
    body = json.loads(CONVERSE.write_request(request, model, Quirks(), []))
    assert ParamValidator().validate({"modelId": "m"} | body, shape).generate_report() == ""
    roles = [turn["role"] for turn in body["messages"]]
    assert roles[0] == "user"
    assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"] * (len(roles) % 2)


def _shape(session: Any, cached: list[Any] = []) -> Any:  # noqa: B006  # loading takes a second
    if not cached:
        service = session.get_session().get_service_model("bedrock-runtime")
        cached.append(service.operation_model("Converse").input_shape)
    return cached[0]


@law(40)
@given(any_request, st.sampled_from([CLAUDE, NOVA, "mistral.large"]))
def test_the_same_request_gives_the_same_bytes_and_grows_at_its_end(request: Request, model: str) -> None:
    body = CONVERSE.write_request(request, model, Quirks(), [])
    assert CONVERSE.write_request(request, model, Quirks(), []) == body
    turns = json.loads(body)["messages"]
    request.messages += [Message("assistant", [Text("a")]), Message("user", [Text("b")])]
    longer = json.loads(CONVERSE.write_request(request, model, Quirks(), []))["messages"]
    assert longer[: len(turns)] == turns


# ── Answers ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("dialect", "framing"), FORMS, ids=IDS)
@pytest.mark.parametrize("stream", [True, False])
@law(40)
@given(any_answer)
def test_an_answer_read_back_is_the_answer(dialect: Dialect, framing: str, stream: bool, events: list[Event]) -> None:
    back = read(dialect, write(dialect, events, stream, framing), stream)
    ours, theirs = spoken(events), spoken(back)
    if framing == "claude":  # which has one word for both, and none for a call gone wrong
        same = {"content_filter": "refusal", "error": "refusal"}
        ours["reasons"] = {choice: same.get(reason, reason) for choice, reason in ours["reasons"].items()}
    assert theirs == ours
    assert [each for each in back if isinstance(each, Usage)] == [each for each in events if isinstance(each, Usage)]


@pytest.mark.parametrize(("dialect", "framing"), FORMS, ids=IDS)
@law(30)
@given(any_answer, st.sampled_from([1, 3, 7, 50, 333]))
def test_chunk_borders_are_invisible(dialect: Dialect, framing: str, events: list[Event], size: int) -> None:
    data = write(dialect, events, True, framing)
    assert read(dialect, data, True, size) == read(dialect, data, True)
    tap = dialect.tap(Peek("m", True))
    assert b"".join([*map(tap.feed, pieces(data, size)), tap.eof()]) == data
    assert tap.complete
    assert tap.error is None
    assert tap.usage is not None
    [usage] = [each for each in events if isinstance(each, Usage)]
    assert (tap.usage.input, tap.usage.output) == (usage.input, usage.output)


@pytest.mark.parametrize(("dialect", "framing"), FORMS, ids=IDS)
@law(30)
@given(any_answer, st.data())
def test_a_stream_cut_anywhere_is_never_complete(
    dialect: Dialect, framing: str, events: list[Event], data: st.DataObject
) -> None:
    whole = write(dialect, events, True, framing)
    last = len(whole) - 1
    if framing != "claude":
        last = whole.rindex(b"metadata" if framing == "" else b":event-type") - 40
        last = min(last, whole.rindex(b"messageStop") - 30) if framing == "" else last - 400
    cut = whole[: data.draw(st.integers(0, max(0, last)))]
    back = read(dialect, cut, True)
    assert isinstance(back[-1], Failed)
    assert isinstance(back[-1].error, UpstreamBroken)
    tap = dialect.tap(Peek("m", True))
    tail = tap.feed(cut)[len(cut) :] + tap.eof()
    assert not tap.complete
    assert frames(tail)[-1].kind == "exception"


# ── Frames ─────────────────────────────────────────────────────────────────────────────────────────────────────────

some_frames = st.lists(st.tuples(st.booleans(), names, st.binary(max_size=60)), min_size=1, max_size=5)


@law(30)
@given(some_frames, st.integers(1, 40))
def test_frames_are_what_botocore_reads(found: list[tuple[bool, str, bytes]], size: int) -> None:
    from botocore.eventstream import EventStreamBuffer

    data = b"".join(event(name, payload) if good else exception(name, payload) for good, name, payload in found)
    cutter, buffer = Cutter(), EventStreamBuffer()
    ours = [frame for piece in pieces(data, size) for frame in frames(cutter.feed(piece))]
    buffer.add_data(data)
    assert cutter.eof() == b""
    assert [(frame.kind == "event", frame.name, frame.payload) for frame in ours] == found
    theirs = [(each.headers[":message-type"] == "event", each.payload) for each in buffer]
    assert theirs == [(good, payload) for good, _, payload in found]


@law(60)
@given(some_frames, st.data())
def test_a_damaged_frame_is_noticed(found: list[tuple[bool, str, bytes]], data: st.DataObject) -> None:
    """One bit anywhere: in a length, a header, the payload or a checksum."""
    whole = bytearray(b"".join(event(name, payload) for _, name, payload in found))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= 1 << data.draw(st.integers(0, 7))
    cutter = Cutter()
    try:
        read_back = frames(cutter.feed(bytes(whole)))
    except FrameError:
        return
    assert cutter.eof() != b""  # a length that promises more than came
    assert len(read_back) < len(found)


# ── Anything else ──────────────────────────────────────────────────────────────────────────────────────────────────

FIELDS = [
    "messages", "role", "content", "text", "toolUse", "toolResult", "input", "document", "image", "source", "bytes",
    "name", "format", "system", "toolConfig", "tools", "toolSpec", "inferenceConfig", "maxTokens", "thinking", "json",
    "reasoningContent", "reasoningText", "redactedContent", "cachePoint", "type", "outputConfig", "textFormat",
    "additionalModelRequestFields", "anthropic_version", "schemaVersion", "output", "message", "stopReason", "usage",
]  # fmt: skip
EVENTS = ["messageStart", "contentBlockStart", "contentBlockDelta", "messageStop", "metadata", "chunk"]
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | texts | ids,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=20,
)


@pytest.mark.parametrize("dialect", [CONVERSE, INVOKE])
@law(60)
@given(st.binary(max_size=80) | _json.map(msgspec.json.encode))
def test_no_request_is_more_than_a_bad_one(dialect: Dialect, body: bytes) -> None:
    with suppress(BadRequest):
        peek = dialect.peek(body, Addressed("m"))
        request = dialect.read_request(body, peek)
        assert json.loads(CONVERSE.write_request(request, CLAUDE, Quirks(), []))["messages"]
    with suppress(BadRequest):
        CONVERSE.read_count_request(body, Peek("m"))


@pytest.mark.parametrize("dialect", [CONVERSE, INVOKE])
@pytest.mark.parametrize("stream", [True, False])
@law(60)
@given(st.binary(max_size=80), st.sampled_from(EVENTS), _json)
def test_no_answer_is_more_than_a_failed_one(
    dialect: Dialect, stream: bool, junk: bytes, name: str, value: object
) -> None:
    for data in (junk, event(name, msgspec.json.encode(value)) + junk, msgspec.json.encode(value)):
        back = read(dialect, data, stream)
        assert isinstance(back[-1], Failed) or not stream or name == "messageStop"  # whose reason may be missing
        tap = dialect.tap(Peek("m", True))
        tap.feed(data)
        tap.eof()
        assert tap.complete or tap.error is not None
