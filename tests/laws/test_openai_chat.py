"""The laws of the Chat Completions dialect: reading undoes writing, chunk borders are invisible, bytes are stable."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.laws.generators import answers, normalize, pieces, requests, said, spoken
from trunkline.core.call import Peek
from trunkline.core.errors import BadRequest, UpstreamBroken
from trunkline.core.events import (
    Event,
    Failed,
    Finished,
    PartFinished,
    PartStarted,
    Reason,
    Started,
)
from trunkline.core.request import Request
from trunkline.core.usage import Usage
from trunkline.dialects.base import Envelope, Quirks
from trunkline.dialects.openai_chat import DIALECT

REASONS: tuple[Reason, ...] = ("stop", "length", "tool_calls", "content_filter")
KINDS = ("text", "refusal", "reasoning", "redacted_reasoning", "tool_call")
any_request = requests()
own_request = requests(cache=True).map(lambda request: _spoken_here(request))
ordered_answer = answers(kinds=("tool_call",), reasons=REASONS) | answers(kinds=("text",), reasons=REASONS)
any_answer = answers(kinds=KINDS, reasons=REASONS) | answers(kinds=KINDS, reasons=REASONS, choices=3)


def _spoken_here(request: Request) -> Request:
    request.dialect = DIALECT.name
    return request


def write(events: list[Event], stream: bool) -> bytes:
    writer = DIALECT.writer(Envelope(stream))
    return b"".join(writer.feed(event) for event in events) + writer.eof()


def read(data: bytes, stream: bool, size: int = 0) -> list[Event]:
    reader = DIALECT.reader(stream)
    return [event for piece in pieces(data, size) for event in reader.feed(piece)] + list(reader.eof())


def bare(events: list[Event]) -> list[Event]:
    """Without the envelope fields that the dialect's own reader adds, and the parts numbered as they come."""
    return [Started(e.id, e.model) if isinstance(e, Started) else e for e in normalize(events)]


def by_choice(events: list[Event]) -> dict[int, dict[str, object]]:
    """What each choice says: chat keeps apart what stands in different fields, not in which order it came."""
    choice_of = {e.index: e.choice for e in events if isinstance(e, PartStarted)}
    out: dict[int, list[Event]] = {}
    for event in events:
        match event:
            case PartStarted(choice=choice) | Finished(choice=choice):
                out.setdefault(choice, []).append(event)
            case PartFinished() | Started() | Usage():
                pass
            case _:
                out.setdefault(choice_of[event.index], []).append(event)  # type: ignore[union-attr]
    encrypted = {c: [e.data for e in said_ if isinstance(e, PartStarted) and e.data] for c, said_ in out.items()}
    return {c: spoken(said_) | {"encrypted": encrypted[c]} for c, said_ in out.items()}


@settings(max_examples=80, deadline=None)
@given(any_request | own_request)
def test_a_request_read_back_is_the_request(request: Request) -> None:
    lost: list[str] = []
    body = DIALECT.write_request(request, request.model, Quirks(), lost)
    assert lost == []
    assert _merged(said(DIALECT.read_request(body))) == _merged(said(request))


def _merged(request: dict[str, Any]) -> dict[str, Any]:
    """A tool that said nothing said "": chat wants a text."""
    for message in request["messages"]:
        for part in message["parts"] if message["role"] == "tool" else ():
            part["content"] = [found for found in part["content"] if found.get("text") != ""]
    return request


@settings(max_examples=40, deadline=None)
@given(requests(cache=True, thinking=True, documents=True, is_error=True, top_k=True))
def test_the_same_request_gives_the_same_bytes(request: Request) -> None:
    request.dialect = DIALECT.name
    first = DIALECT.write_request(request, "m", Quirks(), [])
    assert DIALECT.write_request(request, "m", Quirks(), []) == first
    again = DIALECT.write_request(DIALECT.read_request(first), "m", Quirks(), [])
    assert DIALECT.write_request(DIALECT.read_request(again), "m", Quirks(), []) == again


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from(["x_host", "prediction", "a.b"]), st.integers(), min_size=1))
def test_fields_that_nobody_knows_come_back_wherever_they_stand(unknown: dict[str, int]) -> None:
    body = {
        "model": "m",
        "messages": [
            {"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png", **unknown}, **unknown},
                {"type": "file", "file": {"file_id": "f", **unknown}},
                {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav", **unknown}},
            ], **unknown},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}", **unknown}, **unknown}]},
            {"role": "tool", "tool_call_id": "c", "content": "ok", **unknown},
        ],
        "tools": [{"type": "function", "function": {"name": "f", **unknown}, **unknown}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}, **unknown}, **unknown},
        "stream": True,
        "stream_options": {"include_usage": True, **unknown},
        **unknown,
    }  # fmt: skip
    lost: list[str] = []
    request = DIALECT.read_request(json.dumps(body).encode())
    assert json.loads(DIALECT.write_request(request, "m", Quirks(), lost)) == body
    assert lost == []


@settings(max_examples=80, deadline=None)
@given(ordered_answer, st.booleans())
def test_an_answer_read_back_is_the_answer(events: list[Event], stream: bool) -> None:
    again = bare(read(write(events, stream), stream))
    if any(isinstance(e, PartStarted) and e.kind == "text" for e in events):
        assert by_choice(again) == by_choice(events)  # neighbouring texts are one here
    else:
        assert again == bare(events)


@settings(max_examples=100, deadline=None)
@given(any_answer, st.booleans())
def test_an_answer_read_back_says_the_same_in_every_choice(events: list[Event], stream: bool) -> None:
    again = read(write(events, stream), stream)
    assert by_choice(normalize(again)) == by_choice(normalize(events))
    assert again[-1] == events[-1]


@settings(max_examples=60, deadline=None)
@given(any_answer, st.booleans(), st.sampled_from([1, 7]))
def test_chunk_borders_are_invisible(events: list[Event], stream: bool, size: int) -> None:
    data = write(events, stream)
    assert read(data, stream, size) == read(data, stream)


@settings(max_examples=60, deadline=None)
@given(any_answer, st.booleans(), st.sampled_from([0, 1, 7]))
def test_the_tap_passes_the_bytes_and_reads_what_the_reader_reads(events: list[Event], stream: bool, size: int) -> None:
    data = write(events, stream)
    tap = DIALECT.tap(Peek("m", stream, include_usage=True))
    out = b"".join([*map(tap.feed, pieces(data, size if stream else 0)), tap.eof()])
    assert out == data
    assert tap.complete
    assert tap.error is None
    assert tap.usage == read(data, stream)[-1]


@settings(max_examples=60, deadline=None)
@given(any_answer, st.data())
def test_a_stream_cut_anywhere_is_never_complete(events: list[Event], data: st.DataObject) -> None:
    """Complete is: every choice that began has its reason, or `[DONE]`."""
    whole = write(events, True)
    cut = whole[: data.draw(st.integers(0, whole.rindex(b'"finish_reason":"')))]
    out = read(cut, True)
    begun = {json.loads(line[6:])["choices"][0]["index"] for line in cut.split(b"\n\n")[:-1]}
    if cut.count(b'"finish_reason":"') < max(len(begun), 1):
        assert isinstance(out[-1], Failed)
        assert isinstance(out[-1].error, UpstreamBroken)
        tap = DIALECT.tap(Peek("m", True, include_usage=True))
        tap.feed(cut)
        if not cut.count(b'"finish_reason":"'):
            assert b'"upstream_broken"' in tap.eof()
            assert not tap.complete
    assert sum(isinstance(event, Failed) for event in out) <= 1


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_garbage_is_an_error_never_a_crash(data: bytes) -> None:
    for stream in (False, True):
        assert isinstance(read(data, stream)[-1], Failed)
    assert DIALECT.read_error(502, [], data).message
    with pytest.raises(BadRequest):
        DIALECT.read_request(data)
    with pytest.raises(BadRequest):
        DIALECT.peek(data)


_names = st.sampled_from(
    ["id", "model", "choices", "index", "delta", "message", "content", "tool_calls", "function", "name", "arguments",
     "reasoning", "reasoning_details", "usage", "prompt_tokens", "error", "code", "finish_reason", "logprobs", "audio"]
)  # fmt: skip
_junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(_junk, st.sampled_from(["delta", "choice", "chunk"]))
def test_json_of_any_other_shape_is_an_error_never_a_crash(junk: object, where: str) -> None:
    chunk = {
        "delta": {"choices": [{"index": 0, "delta": junk}]},
        "choice": {"choices": [junk]},
        "chunk": junk,
    }[where]
    data = b"data: " + json.dumps(chunk).encode() + b"\n\n"
    out = read(data, True)
    assert sum(isinstance(event, Failed) for event in out) <= 1
    whole = read(json.dumps(chunk).encode(), False)
    assert isinstance(whole[-1], Failed) or any(isinstance(event, Finished) for event in whole)
    tap = DIALECT.tap(Peek("m", True, include_usage=True))
    assert tap.feed(data) == data


@settings(max_examples=300, deadline=None)
@given(_junk, st.sampled_from(["messages", "tools", "tool_choice", "response_format", "content", "stream_options"]))
def test_a_request_of_any_other_shape_names_its_field(junk: object, where: str) -> None:
    body: dict[str, object] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    if where == "content":
        body["messages"] = [{"role": "user", "content": junk}]
    else:
        body[where] = junk
    assert _refused_field(json.dumps(body).encode()) != ""


def _refused_field(body: bytes) -> str | None:
    """The field that is wrong; None where none is and the request can be written."""
    try:
        DIALECT.write_request(DIALECT.read_request(body), "m", Quirks(), [])
    except BadRequest as error:
        return error.param or ""
    return None
