"""The ledger stage alone: when the entry is written, and what is in it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.stages.scripted import Clock, Inner, Kept, Named, Said, a_call
from trunkline.core.call import Attempt, Call, Capture, Key, Peek
from trunkline.core.errors import ClientGone, Forbidden, ShuttingDown, UpstreamBroken
from trunkline.core.reply import Reply
from trunkline.core.usage import Usage
from trunkline.stages.ledger import MAX_RECORDED, Ledger

USED = Usage(input=10, output=5)


def stage(price: tuple[int, str] | None = None) -> tuple[Ledger, Kept]:
    kept = Kept(price=price)
    return Ledger(kept, kept, kept, Clock(60.0)), kept


def asked(capture: Capture = "metadata") -> Call:
    call = a_call(body=b'{"a": "question"}')
    call.body, call.peek = b'{"a": "question"}', Peek("smart", stream=True)
    call.key, call.capture = Key("k1", "ada"), capture
    call.tags, call.lost = ("t",), ["seed"]
    call.target = Named("one/a", "openai:a")
    call.attempts = [Attempt("one/a", 0.5)]
    return call


async def test_the_entry_is_written_when_the_end_is_known_and_once() -> None:
    ledger, kept = stage()
    reply = await ledger(asked(), Inner([Reply(Said(USED), body=b"answer")]))
    assert kept.appended == []
    reply.finish()
    reply.finish(ClientGone("late news"))
    assert len(kept.appended) == 1
    assert kept.recorded == kept.appended
    entry = kept.appended[0]
    assert (entry.id, entry.at, entry.surface, entry.status) == ("req_1", 1000.0, "/v1/chat/completions", 200)
    assert (entry.key, entry.model, entry.target, entry.price_model) == ("k1", "smart", "one/a", "openai:a")
    assert (entry.stream, entry.usage, entry.error) == (True, USED, None)
    assert (entry.bytes_in, entry.duration) == (17, 11.0)
    assert (entry.cost, entry.price_date) == (None, None)


RAISED: list[tuple[BaseException, int, str]] = [
    (Forbidden("no", code="model_not_allowed"), 403, "model_not_allowed"),
    (UpstreamBroken("oh"), 502, "upstream_broken"),
    (asyncio.CancelledError(), 499, "client_closed_request"),
    (asyncio.CancelledError(ShuttingDown("bye")), 503, "shutting_down"),
    (RuntimeError("a bug with secrets"), 500, "internal_error"),
]


@pytest.mark.parametrize(("raised", "status", "code"), RAISED)
async def test_whatever_is_raised_has_an_entry_and_goes_on(raised: BaseException, status: int, code: str) -> None:
    ledger, kept = stage()
    with pytest.raises(type(raised)):
        await ledger(asked(), Inner([raised]))
    (entry,) = kept.appended
    assert (entry.status, entry.error, entry.usage) == (status, code, None)
    assert "secrets" not in str(entry)


async def test_a_price_makes_a_cost_on_entry_and_call() -> None:
    ledger, kept = stage((123, "2026-11-22"))
    call = asked()
    (await ledger(call, Inner([Reply(Said(USED), body=b"")]))).finish()
    assert (kept.appended[0].cost, kept.appended[0].price_date, call.cost) == (123, "2026-11-22", 123)


ESTIMATES: list[tuple[Said, Usage | None]] = [
    (Said(USED), USED),
    (Said(None, produced=9), Usage(input=2, output=9, estimated=True)),
    (Said(None, complete=True), Usage(input=2, output=0, estimated=True)),
    (Said(None, complete=False), None),
]


@pytest.mark.parametrize(("flow", "usage"), ESTIMATES)
async def test_usage_is_estimated_where_none_came_and_something_was_said(flow: Said, usage: Usage | None) -> None:
    ledger, kept = stage()
    (await ledger(asked(), Inner([Reply(flow, body=b"")]))).finish()
    assert kept.appended[0].usage == usage


@pytest.mark.parametrize(
    ("flow_error", "given", "code"),
    [
        (None, None, None),
        (UpstreamBroken("x"), None, "upstream_broken"),
        (None, ClientGone("x"), "client_closed_request"),
        (UpstreamBroken("x"), ClientGone("x"), "client_closed_request"),
    ],
)
async def test_an_answer_that_ended_badly_keeps_its_status_and_says_why(
    flow_error: Any, given: Any, code: str | None
) -> None:
    ledger, kept = stage()
    (await ledger(asked(), Inner([Reply(Said(USED, error=flow_error), body=b"")]))).finish(given)
    assert (kept.appended[0].status, kept.appended[0].error) == (200, code)


@pytest.mark.parametrize("capture", ["none", "metadata", "full"])
async def test_what_is_kept_beside_the_counts(capture: Capture) -> None:
    ledger, kept = stage()
    (await ledger(asked(capture), Inner([Reply(Said(USED), body=b"an answer")]))).finish(ClientGone("it went"))
    entry = kept.appended[0]
    described = (entry.tags, entry.lost, len(entry.attempts), entry.message)
    assert described == (((), (), 0, None) if capture == "none" else (("t",), ("seed",), 1, "it went"))
    bodies = (entry.request, entry.response)
    assert bodies == (('{"a": "question"}', "an answer") if capture == "full" else (None, None))


async def test_a_stream_is_kept_as_it_went_out_up_to_a_bound() -> None:
    ledger, kept = stage()
    reply = await ledger(asked("full"), Inner([Reply(Said(USED, out=b"end"), head=b"begin ")]))
    assert reply.flow.feed(b"middle ") == b"middle "
    assert reply.flow.eof() == b"end"
    reply.finish()
    assert kept.appended[0].response == "begin middle end"

    reply = await ledger(asked("full"), Inner([Reply(Said(USED))]))
    for _ in range(3):
        assert len(reply.flow.feed(b"x" * (MAX_RECORDED // 2 + 1))) == MAX_RECORDED // 2 + 1
    reply.finish()
    assert len(kept.appended[1].response or "") == MAX_RECORDED


def a_picture(megabytes: float) -> bytes:
    data = b"iVBORw0KGgo" * int(megabytes * 1024 * 1024 / 11)
    return b'{"a":"what is this?","url":"data:image/png;base64,' + data + b'"}'


@pytest.mark.parametrize(
    ("body", "low", "high"),
    [
        (a_picture(0.01), 1500, 1600),
        (a_picture(4), 1500, 1600),
        (b'{"a":"' + b"word " * 1000 + b'"}', 1250, 1250),
        (b'{"a":"' + b"word " * 400_000 + b'"}', 500_000, 500_010),
        (b"[" * 100_000, 25_000, 25_000),
        (b'{"a":"\xff\xfe"}', 2, 3),
    ],
    ids=["a small picture", "a large one", "text", "more text than is decoded", "too deep", "not UTF-8"],
)
async def test_the_input_is_estimated_by_what_it_is(body: bytes, low: int, high: int) -> None:
    ledger, kept = stage()
    call = asked()
    call.body = body
    reply = await ledger(call, Inner([Reply(Said(None, produced=1), body=b"answer")]))
    reply.finish()
    usage = kept.appended[0].usage
    assert usage is not None
    assert low <= usage.input <= high
    assert usage.estimated
