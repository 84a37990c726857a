"""The laws of the Messages dialect: reading undoes writing, chunk borders are invisible, bytes are stable."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.laws.generators import answers, law, normalize, pieces, requests, said, usages
from trunkline.core.errors import BadRequest, UpstreamBroken
from trunkline.core.events import Event, Failed, PartFinished, PartStarted, Reason, Started
from trunkline.core.request import Request
from trunkline.dialects.anthropic import DIALECT
from trunkline.dialects.base import Envelope, Quirks

REASONS: tuple[Reason, ...] = (
    "stop", "stop_sequence", "length", "context_window", "tool_calls", "refusal", "pause",
)  # fmt: skip
any_request = requests(cache=True, thinking=True, documents=True, is_error=True, top_k=True)
any_answer = answers(
    kinds=("text", "reasoning", "redacted_reasoning", "tool_call"), reasons=REASONS, usage=usages(cache_write_1h=True)
)


def write(events: list[Event], stream: bool) -> bytes:
    writer = DIALECT.writer(Envelope(stream))
    return b"".join(writer.feed(event) for event in events) + writer.eof()


def read(data: bytes, stream: bool, size: int = 0) -> list[Event]:
    reader = DIALECT.reader(stream)
    return [event for piece in pieces(data, size) for event in reader.feed(piece)] + list(reader.eof())


def bare(events: list[Event]) -> list[Event]:
    """Without the envelope fields that the dialect's own reader adds."""
    return [Started(e.id, e.model) if isinstance(e, Started) else e for e in normalize(events)]


@cache
def parameter_types() -> Any:
    """The request as Anthropic's SDK types it."""
    import pydantic
    from anthropic.types.message_create_params import MessageCreateParams

    return pydantic.TypeAdapter(MessageCreateParams)


@law(60)
@given(any_request)
def test_a_request_read_back_is_the_request(request: Request) -> None:
    lost: list[str] = []
    body = DIALECT.write_request(request, request.model, Quirks(), lost)
    assert lost == []
    assert said(DIALECT.read_request(body)) == said(request)


@law(25)
@given(any_request)
def test_any_request_is_valid_to_the_letter(request: Request) -> None:
    for quirks in (Quirks(), Quirks(adaptive_thinking=True, system_turns=True)):
        typed = parameter_types().validate_json(DIALECT.write_request(request, "m", quirks, []))
        assert typed["max_tokens"] == request.max_tokens


@law(30)
@given(any_request)
def test_the_same_request_gives_the_same_bytes(request: Request) -> None:
    first = DIALECT.write_request(request, "m", Quirks(), [])
    again = DIALECT.read_request(first)
    assert DIALECT.write_request(request, "m", Quirks(), []) == first
    assert DIALECT.write_request(again, "m", Quirks(), []) == first


@law(60)
@given(any_answer, st.booleans())
def test_an_answer_read_back_is_the_answer(events: list[Event], stream: bool) -> None:
    assert bare(read(write(events, stream), stream)) == bare(events)


@law(40)
@given(any_answer, st.booleans(), st.sampled_from([1, 7]))
def test_chunk_borders_are_invisible(events: list[Event], stream: bool, size: int) -> None:
    data = write(events, stream)
    assert read(data, stream, size) == read(data, stream)


@law(60)
@given(any_answer, st.data())
def test_a_stream_cut_anywhere_is_never_complete(events: list[Event], data: st.DataObject) -> None:
    whole = write(events, True)
    cut = whole[: data.draw(st.integers(0, len(whole) - len(b"\n\n") - 1))]
    out = read(cut, True)
    if b'message_stop"}' not in cut:
        assert isinstance(out[-1], Failed)
        assert isinstance(out[-1].error, UpstreamBroken)
    assert sum(isinstance(event, Failed) for event in out) <= 1


@law(60)
@given(answers(kinds=("text", "tool_call", "refusal", "media", "custom_tool_call"), choices=3))
def test_whatever_the_source_the_stream_is_exact(events: list[Event]) -> None:
    lines = [line[6:] for line in write(events, True).decode().split("\n") if line.startswith("data: ")]
    wire = [json.loads(line) for line in lines]
    assert wire[0]["type"] == "message_start"
    assert [event["type"] for event in wire[-2:]] == ["message_delta", "message_stop"]
    open_block, count = -1, 0
    for event in wire[1:-2]:
        if event["type"] == "content_block_start":
            assert (open_block, event["index"]) == (-1, count)
            open_block, count = count, count + 1
        else:
            assert event["index"] == open_block
            open_block = -1 if event["type"] == "content_block_stop" else open_block
    assert open_block == -1
    carried = [e for e in events if isinstance(e, PartStarted) and e.choice == 0]
    assert count == len([e for e in carried if e.kind in {"text", "tool_call", "refusal"}])


@law(200)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_garbage_is_an_error_never_a_crash(data: bytes) -> None:
    for stream in (False, True):
        assert isinstance(read(data, stream)[-1], Failed)
    assert DIALECT.read_error(502, [], data).message
    with pytest.raises(BadRequest):
        DIALECT.read_request(data)
    with pytest.raises(BadRequest):
        DIALECT.peek(data)


_junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "index", "delta", "content_block", "message", "usage", "content", "error", "text"]
            ),
            inner | st.sampled_from(["message_start", "content_block_start", "content_block_delta", "message_delta"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@law(300)
@given(
    _junk, st.sampled_from(["message_start", "content_block_start", "content_block_delta", "message_delta", "error"])
)
def test_json_of_any_other_shape_is_an_error_never_a_crash(junk: object, kind: str) -> None:
    wire = {"type": kind} | (junk if isinstance(junk, dict) else {"message": junk, "delta": junk})
    head = b'data: {"type":"message_start","message":{"id":"a","model":"b"}}\n\n'
    data = f"event: {kind}\ndata: {json.dumps(wire)}\n\n".encode()
    out = read(head + data, True)
    assert isinstance(out[-1], Failed)
    assert not any(isinstance(event, Failed | PartFinished) for event in out[:1])
    assert isinstance(read(json.dumps(junk).encode(), False)[-1], Failed)
    tap = DIALECT.tap(DIALECT.peek(b'{"model":"m","stream":true}'))
    assert tap.feed(data) == data
