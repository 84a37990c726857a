"""The stage that makes a call once: who gets which answer, who pays, and what is forgotten."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.running import until
from tests.stages.scripted import Named, Said, a_call
from trunkline.core.call import Call, Key, Peek
from trunkline.core.errors import (
    BadRequest,
    ClientGone,
    DeadlineExceeded,
    GatewayError,
    IdempotencyKeyReused,
    ShuttingDown,
    UpstreamBroken,
    UpstreamUnreachable,
)
from trunkline.core.pipeline import Handler
from trunkline.core.reply import Reply
from trunkline.core.usage import Usage
from trunkline.dialects import openai_chat
from trunkline.stages.idempotency import Idempotency
from trunkline.stages.idempotency.settings import IdempotencySettings

USED = Usage(input=3, output=4)


@dataclass
class Place:
    path: str = "/v1/chat/completions"
    operation: str = "generate"
    dialect: Any = openai_chat.DIALECT


class Now:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def stage(**settings: Any) -> tuple[Idempotency, Now]:
    now = Now()
    return Idempotency(IdempotencySettings(**settings), now), now


def a_try(
    key: bytes | None = b"once", body: bytes = b"{}", who: str = "k1", path: str = "/v1/chat/completions"
) -> Call:
    call = a_call(headers=[(b"idempotency-key", key)] if key is not None else [], body=body)
    call.surface = Place(path)
    call.body, call.peek, call.key = body, Peek("smart"), Key(who, who)
    return call


@dataclass
class Upstream:
    """Answers when it is told to, and counts how often it is asked."""

    answer: Any = None
    asked: list[Call] = field(default_factory=list)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    ended: list[str] = field(default_factory=list)

    async def __call__(self, call: Call) -> Reply:
        self.asked.append(call)
        call.target = Named("p/m")
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        if isinstance(self.answer, BaseException):
            raise self.answer
        made: Reply = self.answer() if callable(self.answer) else whole(b"answer")
        made.on_finish.append(lambda error: self.ended.append(error.code if error is not None else "well"))
        return made


def whole(body: bytes, status: int = 200) -> Reply:
    return Reply(Said(USED), body=body, status=status, headers=[(b"x-a", b"b")])


class Line:
    """A source that brings what it is given, and an end or an error where it is told to."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes | GatewayError] = asyncio.Queue()
        self.closed = False

    async def read(self) -> bytes:
        got = await self.queue.get()
        if isinstance(got, GatewayError):
            raise got
        return got

    def close(self) -> None:
        self.closed = True


class Counting:
    """A flow: complete at `.`, counts what goes by."""

    def __init__(self) -> None:
        self.complete = False
        self.error: GatewayError | None = None
        self.produced = 0

    @property
    def usage(self) -> Usage | None:
        return Usage(output=self.produced)

    def feed(self, data: bytes) -> bytes:
        self.produced += len(data)
        self.complete = self.complete or data.endswith(b".")
        return data

    def eof(self) -> bytes:
        return b"" if self.complete else self.fail(UpstreamBroken("cut"))

    def fail(self, error: GatewayError) -> bytes:
        self.error = error
        return b"!" + error.code.encode()


async def everything(reply: Reply) -> bytes:
    """As the server reads a stream."""
    assert reply.source is not None
    out, flow = reply.head, reply.flow
    while flow.error is None and (data := await reply.source.read()):
        out += flow.feed(data)
        if flow.complete:
            reply.finish()
    reply.finish(None)
    reply.close()
    return out


async def asked(made: Idempotency, call: Call, upstream: Handler) -> asyncio.Task[Reply]:
    """A call under way."""
    task = asyncio.create_task(made(call, upstream))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


def streaming() -> tuple[Upstream, Line]:
    line = Line()
    upstream = Upstream(lambda: Reply(Counting(), source=line, content_type=b"text/event-stream"))
    upstream.go.set()
    return upstream, line


# ── Whole answers ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_without_the_header_nothing_is_remembered() -> None:
    made, _ = stage()
    upstream = Upstream()
    upstream.go.set()
    await made(a_try(None), upstream)
    await made(a_try(None), upstream)
    assert len(upstream.asked) == 2
    assert len(made.records) == 0


async def test_the_same_call_is_made_once() -> None:
    made, _ = stage()
    upstream = Upstream()
    upstream.go.set()
    first = await made(a_try(), upstream)
    call = a_try()
    second = await made(call, upstream)
    assert (first.body, second.body) == (b"answer", b"answer")
    assert first.headers == [(b"x-a", b"b")]
    assert second.headers == [(b"x-a", b"b"), (b"x-trunkline-replayed", b"true")]
    assert len(upstream.asked) == 1
    assert upstream.ended == ["well"]
    assert first.flow.usage == USED
    assert second.flow.usage == Usage(), "it is paid once"
    assert first.flow.complete
    assert second.flow.complete
    assert call.target == Named("p/m")


@pytest.mark.parametrize("change", [{"who": "k2"}, {"path": "/v1/embeddings"}, {"key": b"other"}])
async def test_a_key_is_the_callers_own_and_the_surfaces(change: dict[str, Any]) -> None:
    made, _ = stage()
    upstream = Upstream()
    upstream.go.set()
    await made(a_try(), upstream)
    await made(a_try(**change), upstream)
    assert len(upstream.asked) == 2


async def test_another_request_under_the_same_key_is_refused() -> None:
    made, _ = stage()
    upstream = Upstream()
    upstream.go.set()
    await made(a_try(), upstream)
    with pytest.raises(IdempotencyKeyReused) as caught:
        await made(a_try(body=b'{"other":1}'), upstream)
    assert (caught.value.status, caught.value.code) == (422, "idempotency_key_reused")
    assert len(upstream.asked) == 1


@pytest.mark.parametrize("given", [b"", b"  ", b"x" * 256, "é".encode()])
async def test_a_key_has_a_bound(given: bytes) -> None:
    made, _ = stage()
    with pytest.raises(BadRequest):
        await made(a_try(given), Upstream())


async def test_whoever_comes_while_the_first_runs_waits_for_its_answer() -> None:
    made, _ = stage()
    upstream = Upstream()
    tries = [await asked(made, a_try(), upstream) for _ in range(5)]
    upstream.go.set()
    assert [(await each).body for each in tries] == [b"answer"] * 5
    assert len(upstream.asked) == 1


async def test_what_fails_before_it_begins_may_be_tried_again() -> None:
    made, _ = stage()
    upstream = Upstream(UpstreamUnreachable("down"))
    tries = [await asked(made, a_try(), upstream) for _ in range(2)]
    upstream.go.set()
    for each in tries:
        with pytest.raises(UpstreamUnreachable):
            await each
    assert len(upstream.asked) == 1
    upstream.answer = None
    assert (await made(a_try(), upstream)).body == b"answer"
    assert len(upstream.asked) == 2


async def test_an_answer_that_is_an_error_may_be_tried_again() -> None:
    made, _ = stage()
    upstream = Upstream(lambda: whole(b"busy", 503))
    upstream.go.set()
    assert (await made(a_try(), upstream)).status == 503
    await asyncio.sleep(0)
    await made(a_try(), upstream)
    assert len(upstream.asked) == 2


async def test_a_mistake_of_ours_is_an_error_for_all(caplog: pytest.LogCaptureFixture) -> None:
    made, _ = stage()
    upstream = Upstream(ZeroDivisionError())
    upstream.go.set()
    with pytest.raises(GatewayError) as caught:
        await made(a_try(), upstream)
    assert caught.value.code == "internal_error"
    await until(lambda: "mistake" in caplog.text, "the log says so")


# ── Who leaves ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_call_goes_on_without_its_client_and_is_paid() -> None:
    made, _ = stage()
    upstream = Upstream()
    first = await asked(made, a_try(), upstream)
    first.cancel(ClientGone("gone"))
    await asyncio.sleep(0)
    second = await asked(made, a_try(), upstream)
    upstream.go.set()
    assert (await second).body == b"answer"
    paid = await first
    assert paid.flow.usage == USED
    assert len(upstream.asked) == 1


async def test_with_nobody_left_it_ends_after_a_while() -> None:
    made, _ = stage(linger=0.01)
    upstream = Upstream()
    first = await asked(made, a_try(), upstream)
    first.cancel(ClientGone("gone"))
    with pytest.raises(ClientGone):
        await first
    assert upstream.ended == ["cancelled"]
    await until(lambda: not len(made.records), "it is forgotten")
    upstream.go.set()
    assert (await made(a_try(), upstream)).body == b"answer"


async def test_a_listener_that_leaves_takes_nobody_with_it() -> None:
    made, _ = stage(linger=0.0)
    upstream = Upstream()
    first, second = [await asked(made, a_try(), upstream) for _ in range(2)]
    second.cancel(ClientGone("gone"))
    with pytest.raises(asyncio.CancelledError):
        await second
    upstream.go.set()
    assert (await first).body == b"answer"


async def test_a_stop_ends_it_at_once() -> None:
    made, _ = stage()
    upstream = Upstream()
    first = await asked(made, a_try(), upstream)
    first.cancel(ShuttingDown("stop"))
    with pytest.raises(asyncio.CancelledError):
        await first
    await until(lambda: upstream.ended == ["cancelled"], "the call ends")


async def test_a_listeners_deadline_is_its_own() -> None:
    made, _ = stage()
    upstream, call = Upstream(), a_try()
    first = await asked(made, a_try(), upstream)
    call.deadline = asyncio.get_running_loop().time()
    with pytest.raises(DeadlineExceeded):
        await made(call, upstream)
    upstream.go.set()
    assert (await first).body == b"answer"


async def test_what_goes_on_is_ended_with_the_gateway() -> None:
    made, _ = stage()
    upstream = Upstream()
    first = await asked(made, a_try(), upstream)
    first.cancel(ClientGone("gone"))
    await asyncio.sleep(0)
    await made.aclose(ShuttingDown("stop"))
    assert upstream.ended == ["cancelled"]
    with pytest.raises(ShuttingDown):
        await first


# ── Streams ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_stream_is_followed_from_its_beginning_while_it_runs() -> None:
    made, _ = stage()
    upstream, line = streaming()
    first = await made(a_try(), upstream)
    reading = asyncio.create_task(everything(first))
    line.queue.put_nowait(b"one ")
    await until(lambda: line.queue.empty(), "the first piece is told")
    second = await made(a_try(), upstream)
    for piece in (b"two ", b"three.", b""):
        line.queue.put_nowait(piece)
    assert await reading == b"one two three."
    assert await everything(second) == b"one two three."
    assert await everything(await made(a_try(), upstream)) == b"one two three.", "and after it"
    assert len(upstream.asked) == 1
    assert upstream.ended == ["well"]
    assert line.closed
    assert first.flow.usage == Usage(output=14)
    assert second.flow.usage == Usage()
    assert second.content_type == b"text/event-stream"


async def test_the_end_is_known_when_the_last_piece_is_read() -> None:
    made, _ = stage()
    upstream, line = streaming()
    reply = await made(a_try(), upstream)
    assert reply.source is not None
    line.queue.put_nowait(b"more ")
    assert await reply.source.read() == b"more "
    assert not reply.flow.complete
    line.queue.put_nowait(b"end.")
    assert await reply.source.read() == b"end."
    assert reply.flow.complete, "so that the ledger has it before the client does"
    line.queue.put_nowait(b"")
    assert await reply.source.read() == b""


async def test_a_stream_that_broke_off_is_told_again_as_it_was() -> None:
    made, _ = stage()
    upstream, line = streaming()
    first = await made(a_try(), upstream)
    line.queue.put_nowait(b"half")
    line.queue.put_nowait(UpstreamBroken("broke"))
    told = await everything(first)
    assert told == b"half!upstream_broken"
    second = await made(a_try(), upstream)
    assert await everything(second) == told
    assert second.flow.error is not None
    assert len(upstream.asked) == 1


async def test_bytes_that_broke_off_are_cut_for_everyone() -> None:
    made, _ = stage()
    upstream, line = streaming()

    def sound() -> Reply:
        reply = Reply(Counting(), source=line)
        reply.raw = True
        return reply

    upstream.answer = sound
    first = await made(a_try(), upstream)
    line.queue.put_nowait(b"half")
    line.queue.put_nowait(UpstreamBroken("broke"))
    for reply in (first, await made(a_try(), upstream)):
        assert reply.raw
        with pytest.raises(UpstreamBroken):
            await everything(reply)


async def test_the_entry_of_a_client_that_left_waits_for_the_end() -> None:
    made, _ = stage()
    upstream, line = streaming()
    first = await made(a_try(), upstream)
    written: list[tuple[GatewayError | None, Usage | None]] = []
    first.on_finish.append(lambda error: written.append((error, first.flow.usage)))
    line.queue.put_nowait(b"half ")
    first.finish(ClientGone("gone"))
    first.close()
    assert written == []
    second = await made(a_try(), upstream)
    line.queue.put_nowait(b"done.")
    line.queue.put_nowait(b"")
    assert await everything(second) == b"half done."
    assert written == [(None, Usage(output=10))]


async def test_a_stream_without_listeners_ends_after_a_while() -> None:
    made, _ = stage(linger=0.01)
    upstream, line = streaming()
    first = await made(a_try(), upstream)
    written: list[GatewayError | None] = []
    first.on_finish.append(written.append)
    first.finish(ClientGone("gone"))
    first.close()
    await until(lambda: written, "the entry is written")
    assert isinstance(written[0], ClientGone)
    assert line.closed
    assert upstream.ended == ["client_closed_request"]
    await made(a_try(), upstream)
    assert len(upstream.asked) == 2


async def test_a_listeners_deadline_ends_its_stream_with_a_word() -> None:
    made, _ = stage()
    upstream, _ = streaming()
    first = await made(a_try(), upstream)
    call = a_try()
    call.deadline = asyncio.get_running_loop().time() + 0.01
    second = await made(call, upstream)
    assert second.source is not None
    with pytest.raises(DeadlineExceeded) as caught:
        await second.source.read()
    assert b"deadline_exceeded" in second.flow.fail(caught.value)
    assert second.flow.error is caught.value
    assert first.flow.error is None


async def test_the_entry_of_work_that_goes_on_waits_for_its_end() -> None:
    """An answer that was accepted: its reply is finished by whoever does the work, and not by the server."""

    class Accepted(Reply):
        __slots__ = ()

        def finish(self, error: GatewayError | None = None) -> None:
            pass

    made, _ = stage()
    accepted = Accepted(Said(USED), body=b"queued")
    upstream = Upstream(lambda: accepted)
    upstream.go.set()
    reply = await made(a_try(), upstream)
    written: list[tuple[GatewayError | None, int]] = []
    reply.on_finish.append(lambda error: written.append((error, reply.status)))
    reply.finish()
    reply.finish()
    assert reply.body == b"queued"
    assert written == []
    accepted.status = 499
    gone = ClientGone("cancelled")
    Reply.finish(accepted, gone)
    assert written == [(gone, 499)]
    assert upstream.ended == ["client_closed_request"]


# ── Bounds ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def kept(made: Idempotency, upstream: Upstream, *keys: bytes) -> list[int]:
    """How often each of these is asked when it comes (again)."""
    counts = []
    for key in keys:
        before = len(upstream.asked)
        await made(a_try(key), upstream)
        await asyncio.sleep(0)
        counts.append(len(upstream.asked) - before)
    return counts


async def test_answers_are_forgotten_in_time() -> None:
    made, now = stage(ttl=60.0)
    upstream = Upstream()
    upstream.go.set()
    assert await kept(made, upstream, b"a") == [1]
    now.seconds += 59.0
    assert await kept(made, upstream, b"a") == [0]
    now.seconds += 1.0
    assert await kept(made, upstream, b"a") == [1]


async def test_only_so_many_are_kept() -> None:
    made, _ = stage(max_entries=2)
    upstream = Upstream()
    upstream.go.set()
    assert await kept(made, upstream, b"a", b"b", b"c") == [1, 1, 1]
    assert await kept(made, upstream, b"b", b"c", b"a") == [0, 0, 1]
    assert len(made.records) == 2


async def test_only_so_much_is_kept() -> None:
    made, _ = stage(memory=2500)
    upstream = Upstream(lambda: whole(b"x" * 1000))
    upstream.go.set()
    assert await kept(made, upstream, b"a", b"b", b"c") == [1, 1, 1]
    assert made.records.size == 2000
    assert await kept(made, upstream, b"c", b"b") == [0, 0]


async def test_an_answer_too_large_is_given_once() -> None:
    made, _ = stage(max_size=1024)
    upstream = Upstream(lambda: whole(b"x" * 1025))
    tries = [await asked(made, a_try(), upstream) for _ in range(2)]
    upstream.go.set()
    assert [len((await each).body or b"") for each in tries] == [1025, 1025], "whoever waited for it has it too"
    with pytest.raises(IdempotencyKeyReused) as caught:
        await made(a_try(), upstream)
    assert caught.value.code == "idempotent_answer_too_large"
    assert made.records.size == 0
    assert len(upstream.asked) == 1


async def test_a_stream_too_large_goes_as_fast_as_its_listeners() -> None:
    made, _ = stage(max_size=1024)
    upstream, line = streaming()
    first = await made(a_try(), upstream)
    for _ in range(10):
        line.queue.put_nowait(b"x" * 100_000)
    line.queue.put_nowait(b".")
    line.queue.put_nowait(b"")
    await until(lambda: line.queue.qsize() < 10, "some of it is read ahead")
    await asyncio.sleep(0.01)
    assert line.queue.qsize() > 5, "and not more"
    assert len(await everything(first)) == 1_000_001
    assert made.records.size == 0
