"""What the taps conclude from a stream that they hardly read: its end, its usage, and what is owed if it breaks off."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trunkline.core.call import Peek
from trunkline.core.errors import UpstreamUnreachable
from trunkline.core.events import Failed
from trunkline.core.reply import Flow
from trunkline.core.usage import Usage
from trunkline.dialects import anthropic, openai_chat
from trunkline.dialects.base import Envelope

CHAT, MESSAGES = openai_chat.DIALECT, anthropic.DIALECT
DONE = b"data: [DONE]\n\n"


def chunk(text: str | None = None, finish: str | None = None, index: int = 0, **more: Any) -> bytes:
    delta = {} if text is None else {"content": text}
    choices = [{"index": index, "delta": delta, "finish_reason": finish}]
    return b"data: " + json.dumps({"id": "c", "choices": choices} | more, separators=(",", ":")).encode() + b"\n\n"


def chat(*events: bytes, n: int = 1, asked: bool = True) -> tuple[Flow, bytes]:
    """Each event a chunk of its own, then the end."""
    tap = CHAT.tap(Peek("m", stream=True, include_usage=asked, n=n), "req_1")
    return tap, b"".join([*map(tap.feed, events), tap.eof()])


# ── Chat ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "said", ["data: [DONE]", "data:[DONE]", "[DONE]", 'data: [DONE]\n\n","usage":{', "\r\ndata: [DONE]"]
)
@pytest.mark.parametrize("at_once", [True, False])
def test_the_words_of_an_answer_do_not_end_it(said: str, at_once: bool) -> None:
    events = [chunk("a"), chunk(said), chunk(said)]
    tap, out = chat(b"".join(events)) if at_once else chat(*events)
    assert not tap.complete
    assert tap.usage is None
    assert out.startswith(b"".join(events))
    assert b'"upstream_broken"' in out


@pytest.mark.parametrize("done", [DONE, b"data:[DONE]\n\n", b"data: [DONE]\r\n\r\n", b"data: [DONE]"])
@pytest.mark.parametrize("at_once", [True, False])
def test_done_ends_an_answer(done: bytes, at_once: bool) -> None:
    events = [chunk("a"), done]
    tap, _ = chat(b"".join(events)) if at_once else chat(*events)
    assert tap.complete


def test_usage_beside_a_piece_of_the_answer_is_read() -> None:
    tap, _ = chat(chunk("a", usage={"prompt_tokens": 3, "completion_tokens": 1}), chunk("b"), chunk(finish="stop"))
    assert (tap.usage, tap.complete) == (Usage(input=3, output=1), True)


def test_an_error_beside_a_piece_of_the_answer_is_read() -> None:
    tap, out = chat(chunk("a"), chunk("", error={"message": "no", "code": 502}))
    assert tap.error is not None
    assert out.count(b"error") == 1


def test_of_several_choices_all_must_have_finished() -> None:
    both = [chunk("a"), chunk("b", index=1), chunk(finish="stop")]
    for events in (both, [b"".join(both)]):
        assert not chat(*events, n=2)[0].complete
        assert chat(*events, chunk(finish="length", index=1), n=2)[0].complete
        reader = CHAT.reader(True)
        assert isinstance([*reader.feed(b"".join(events)), *reader.eof()][-1], Failed)


def test_a_host_that_ignores_n_is_complete_with_the_choice_it_began() -> None:
    assert chat(chunk("a"), chunk(finish="stop"), n=3)[0].complete


def test_an_error_in_the_last_event_is_passed_on_though_its_blank_line_is_missing() -> None:
    error = b'data: {"error":{"message":"no more","code":503}}'
    tap, out = chat(chunk("a"), error)
    assert out == chunk("a") + error + b"\n\n"
    assert tap.error is not None
    assert tap.error.kind == "overloaded"


def test_half_an_event_behind_the_end_is_left_out() -> None:
    whole = chunk("a") + chunk(finish="stop")
    tap, out = chat(whole + b'data: {"id":"c","choi')
    assert (out, tap.complete) == (whole, True)


def test_usage_that_nobody_asked_for_is_counted_and_taken_out() -> None:
    usage = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2}}\n\n'
    tap, out = chat(chunk("a"), chunk(finish="stop"), usage, DONE, asked=False)
    assert out == chunk("a") + chunk(finish="stop") + DONE
    assert tap.usage == Usage(input=9, output=2)


# ── Messages ───────────────────────────────────────────────────────────────────────────────────────────────────────


def event(type_: str, **fields: Any) -> bytes:
    return f"event: {type_}\ndata: {json.dumps({'type': type_} | fields)}\n\n".encode()


START = event(
    "message_start",
    message={"id": "m", "usage": {"input_tokens": 20, "cache_read_input_tokens": 5, "output_tokens": 1}},
)
WORDS = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "word " * 100})
COUNT = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 101})


def messages(*events: bytes) -> tuple[Flow, bytes]:
    tap = MESSAGES.tap(Peek("m", stream=True), "req_1")
    return tap, b"".join([*map(tap.feed, events), tap.eof()])


def test_an_answer_cut_before_its_count_is_estimated_on_what_is_known_of_the_input() -> None:
    tap, _ = messages(START, WORDS)
    usage = tap.usage
    assert usage is not None
    assert (usage.input, usage.cache_read, usage.estimated) == (25, 5, True)
    assert usage.output == tap.produced > 100


def test_an_answer_cut_behind_its_count_is_no_estimate() -> None:
    assert messages(START, WORDS, COUNT)[0].usage == Usage(input=25, cache_read=5, output=101)


def test_without_any_count_there_is_none() -> None:
    assert messages(WORDS)[0].usage is None


@pytest.mark.parametrize("said", ["event: message_stop", 'data: {"type": "message_stop"}', "event: error\ndata: {}"])
def test_the_words_of_a_message_do_not_end_it(said: str) -> None:
    tap, out = messages(START, event("content_block_delta", index=0, delta={"type": "text_delta", "text": said}))
    assert not tap.complete
    assert b"upstream_broken" in out


# ── Errors in the stream ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dialect", [CHAT, MESSAGES], ids=lambda dialect: dialect.name)
def test_an_error_in_a_stream_names_the_call(dialect: Any) -> None:
    out = dialect.tap(Peek("m", stream=True), "req_1").fail(UpstreamUnreachable("gone"))
    assert b'"request_id":"req_1"' in out
    writer = dialect.writer(Envelope(stream=True, request_id="req_1"))
    assert b'"request_id":"req_1"' in writer.feed(Failed(UpstreamUnreachable("gone")))
