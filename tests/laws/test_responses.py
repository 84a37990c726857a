"""The laws of the Responses dialect: reading undoes writing, chunk borders are invisible, bytes are stable, and the
other families understand the same."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.laws.generators import answers, normalize, pieces, requests, said, spoken
from trunkline.core.call import Peek
from trunkline.core.errors import BadRequest
from trunkline.core.events import Event, Failed, Finished, PartStarted, Reason, Started
from trunkline.core.request import Request
from trunkline.core.usage import Usage
from trunkline.dialects import anthropic, openai_chat
from trunkline.dialects.base import Dialect, Envelope, Quirks
from trunkline.dialects.openai_responses import DIALECT
from trunkline.dialects.openai_responses.vocabulary import NAME

REASONS: tuple[Reason, ...] = ("stop", "length", "tool_calls", "content_filter")
OTHERS = st.sampled_from([openai_chat.DIALECT, anthropic.DIALECT])
any_answer = answers(kinds=("text", "refusal", "reasoning", "tool_call"), reasons=REASONS)
plain_answer = answers(kinds=("text", "reasoning", "tool_call"), reasons=REASONS)


def write(dialect: Dialect, events: list[Event], stream: bool) -> bytes:
    writer = dialect.writer(Envelope(stream, request_id="req_1"))
    return b"".join(writer.feed(event) for event in events) + writer.eof()


def read(dialect: Dialect, data: bytes, stream: bool, size: int = 0) -> list[Event]:
    reader = dialect.reader(stream)
    return [event for piece in pieces(data, size) for event in reader.feed(piece)] + list(reader.eof())


def own(events: list[Event]) -> list[Event]:
    """As this dialect's reader gives them: its signatures hold an id and an encrypted content."""
    return [msgspec.structs.replace(e, dialect=NAME) if isinstance(e, Started) else e for e in events]


def payloads(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in data.decode().split("\n") if line.startswith("data: ")]


# ── Answers ────────────────────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=50, deadline=None)
@given(any_answer, st.booleans(), st.booleans())
def test_an_answer_read_back_says_the_same(events: list[Event], stream: bool, translated: bool) -> None:
    meant = events if translated else own(events)
    told = normalize(read(DIALECT, write(DIALECT, meant, stream), stream))
    assert _without_ids(spoken(told)) == _without_ids(spoken(normalize(events)))
    assert told[-1] == events[-1]


def _without_ids(told: dict[str, Any]) -> dict[str, Any]:
    """A thought's id is part of what proves it here."""
    return told | {"signatures": [signature.rpartition(":")[2] for signature in told["signatures"]]}


@settings(max_examples=25, deadline=None)
@given(any_answer, st.sampled_from([1, 7, 50]))
def test_chunk_borders_are_invisible(events: list[Event], size: int) -> None:
    data = write(DIALECT, events, True)
    assert read(DIALECT, data, True, size) == read(DIALECT, data, True)
    tap = DIALECT.tap(Peek("m", stream=True))
    assert b"".join([*map(tap.feed, pieces(data, size)), tap.eof()]) == data
    assert (tap.complete, tap.usage) == (True, events[-1])


@settings(max_examples=30, deadline=None)
@given(any_answer)
def test_a_stream_follows_the_grammar(events: list[Event]) -> None:
    """Numbered from 0, items added in order and done before the next, deltas that make up what is done, and the whole
    once more at the end."""
    stream = payloads(write(DIALECT, events, True))
    assert [event["sequence_number"] for event in stream] == list(range(len(stream)))
    assert [event["type"] for event in stream[:2]] == ["response.created", "response.in_progress"]
    last = stream[-1]["response"]
    assert stream[-1]["type"] == f"response.{last['status']}"
    added = [event["output_index"] for event in stream if event["type"] == "response.output_item.added"]
    done = [event["item"] for event in stream if event["type"] == "response.output_item.done"]
    assert added == list(range(len(added)))
    assert done == last["output"]
    assert len({item["id"] for item in done}) == len(done)
    _follow(stream)


def _follow(stream: list[dict[str, Any]]) -> None:
    said: dict[Any, str] = {}
    open_item = -1
    for event in stream:
        kind = event["type"]
        if kind == "response.output_item.added":
            assert event["output_index"] == open_item + 1
            open_item = event["output_index"]
        elif "output_index" in event:
            assert event["output_index"] == open_item
        place = event.get("output_index"), event.get("content_index"), event.get("summary_index")
        if kind.endswith(".delta"):
            said[place] = said.get(place, "") + event["delta"]
        for field in ("text", "refusal", "arguments"):
            if kind.endswith(".done") and field in event:
                assert event[field] == said.get(place, "")


@settings(max_examples=25, deadline=None)
@given(any_answer, st.data())
def test_a_stream_cut_anywhere_before_its_last_event_is_broken(events: list[Event], data: st.DataObject) -> None:
    whole = write(DIALECT, events, True)
    borders = [0] + [at + 2 for at in range(len(whole)) if whole.startswith(b"\n\n", at)]
    cut = whole[: data.draw(st.integers(0, borders[-2]))]
    told = read(DIALECT, cut, True)
    assert isinstance(told[-1], Failed)
    assert not any(isinstance(event, Finished) for event in told)
    tap = DIALECT.tap(Peek("m", stream=True))
    assert (tap.feed(cut) + tap.eof()).endswith(b"\n\n")
    assert (tap.complete, tap.error is not None) == (False, True)


@settings(max_examples=50, deadline=None)
@given(plain_answer, OTHERS, st.booleans(), st.booleans(), st.booleans())
def test_an_answer_says_the_same_through_another_family(
    events: list[Event], other: Dialect, theirs: bool, ours: bool, to_us: bool
) -> None:
    """From a model of theirs to a client of ours, and the other way about."""
    upstream, client = (other, DIALECT) if to_us else (DIALECT, other)
    heard = read(upstream, write(upstream, own(events) if upstream is DIALECT else events, theirs), theirs)
    told = normalize(read(client, write(client, heard, ours), ours))
    meant = _without_ids(spoken(normalize(events)))
    found = _without_ids(spoken(told))
    found["signatures"] = [signature.rpartition(":")[2] for signature in found["signatures"]]
    if "content_filter" in meant["reasons"].values():  # Messages has one word for refusing and for being stopped
        found["reasons"] = meant["reasons"]
    assert found == meant
    assert told[-1] == events[-1]


def test_an_answer_without_parts_is_whole() -> None:
    events: list[Event] = [Started("a", "m"), Finished("stop"), Usage(input=1, output=1)]
    for stream in (True, False):
        told = read(DIALECT, write(DIALECT, events, stream), stream)
        assert not any(isinstance(event, PartStarted) for event in told)
        assert told[-1] == events[-1]


# ── Requests ───────────────────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=30, deadline=None)
@given(requests())
def test_a_request_read_back_is_the_request(request: Request) -> None:
    lost: list[str] = []
    body = DIALECT.write_request(request, request.model, Quirks(), lost)
    again = DIALECT.read_request(body)
    assert _plain(again) == _plain(request)
    assert set(lost) <= _UNSPEAKABLE


_UNSPEAKABLE = {"stop", "seed", "n", "frequency_penalty", "presence_penalty", "logit_bias", "top_k", "max_tokens"}
"""Fields of the core that Responses has no word for; and a limit below the least is raised to that."""


def _plain(request: Request) -> Any:
    """Texts of one turn are one text; a tool that is not strict says so; nothing said is nothing."""
    value = said(request)
    for name in _UNSPEAKABLE:
        value.pop(name, None)
    for message in value["messages"]:
        texts: list[dict[str, Any]] = []
        for part in message["parts"]:
            part.pop("custom", None)
            if "detail" in part:
                part["detail"] = part["detail"] or "auto"
            if "content" in part:
                part["content"] = [inner for inner in part["content"] if inner.get("text") != ""]
            if message["role"] == "assistant" and texts and _is_text(part) and _is_text(texts[-1]):
                texts[-1]["text"] += part["text"]
            elif part.get("text") != "" or message["role"] != "assistant":
                texts.append(part)
        message["parts"] = texts
    for tool in value["tools"]:
        tool["strict"] = bool(tool["strict"])
    return value


def _is_text(part: dict[str, Any]) -> bool:
    return {"text", "cache"} <= part.keys()


@settings(max_examples=25, deadline=None)
@given(requests(thinking=True, documents=True, is_error=True), OTHERS)
def test_the_same_request_gives_the_same_bytes(request: Request, client: Dialect) -> None:
    body = client.write_request(request, "m", Quirks(), [])
    first, again = (_written(DIALECT, client.read_request(body)) for _ in range(2))
    assert first == again


def _written(upstream: Dialect, request: Request) -> bytes | str:
    try:
        return upstream.write_request(request, "m", Quirks(), [])
    except BadRequest as error:
        return error.message


@settings(max_examples=30, deadline=None)
@given(requests(thinking=True), st.sampled_from([openai_chat.DIALECT, anthropic.DIALECT]), st.booleans())
def test_a_conversation_that_grows_only_grows_at_its_end(request: Request, other: Dialect, to_us: bool) -> None:
    """Prompt caches match prefixes of bytes: what was sent before must be sent again, to the byte."""
    client, upstream = (other, DIALECT) if to_us else (DIALECT, other)
    field, name = ("messages", "input") if to_us else ("input", "messages")
    whole = json.loads(client.write_request(request, "m", Quirks(), []))
    ends = [i for i, item in enumerate(whole[field], 1) if item.get("role") == "user"]
    sent = [
        _part(upstream.write_request(client.read_request(json.dumps(body).encode()), "m", Quirks(), []), name)
        for body in (whole | {field: whole[field][:cut]} for cut in [*ends, len(whole[field])])
    ]
    assert all(longer.startswith(shorter.removesuffix(b"]")) for shorter, longer in pairwise(sent))


def _part(body: bytes, name: str) -> bytes:
    return bytes(msgspec.json.decode(body, type=dict[str, msgspec.Raw])[name])


@settings(max_examples=40, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["type", "role", "content", "text", "call_id", "output", "summary"]), inner),
                    max_leaves=8))  # fmt: skip
def test_any_input_is_read_or_refused_by_name(value: Any) -> None:
    try:
        request = DIALECT.read_request(json.dumps({"model": "m", "input": value}).encode())
    except BadRequest as error:
        named = error.param or ""
    else:
        named = "input"
        assert json.loads(DIALECT.write_request(request, "m", Quirks(), []))["model"] == "m"
    assert named.startswith("input")


@pytest.mark.parametrize(
    "data", [b"", b"null", b"[]", b"{", b'{"output":3}', b"\xff", b'{"output":[{"type":"message"}]}']
)
def test_an_answer_that_is_none_is_the_upstreams_mistake(data: bytes) -> None:
    events = read(DIALECT, data, False)
    if data.startswith(b'{"output":['):
        assert isinstance(events[-1], Finished)
    else:
        assert isinstance(events[-1], Failed)
        assert events[-1].error.status == 502
