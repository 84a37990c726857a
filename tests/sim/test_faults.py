"""Every cue does on the wire what the table says of it, seen through a bare socket."""

from __future__ import annotations

import asyncio
import gzip
import time
import zlib
from typing import Any

import msgspec
import pytest

from trunkline.sim.faults import FAULTS, CueError, parse
from trunkline.sim.server import Handle
from trunkline.sim.settings import Settings

from .conftest import CREDENTIALS, Raw, Starter, raw

CHAT, MESSAGES, DEPLOYMENT = "/v1/chat/completions", "/v1/messages", "/openai/deployments/sim-small/chat/completions"
STREAM: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
ASTREAM: dict[str, Any] = {"stream": True, "max_tokens": 200}


async def timed(sim: Handle, body: dict[str, Any], cues: str, path: str = CHAT) -> tuple[Raw, float]:
    begun = time.perf_counter()
    return await raw(sim, body, cues, path), time.perf_counter() - begun


# ── Time ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_latency_delays_the_head_and_ttft_the_first_event(sim: Handle) -> None:
    for cue in ("latency=300ms", "ttft=300ms"):
        begun = time.perf_counter()
        reader, writer = await asyncio.open_connection(sim.host, sim.port)
        content = msgspec.json.encode({"model": "sim-small", "messages": [{"role": "user", "content": "x"}], **STREAM})
        writer.write(
            f"POST {CHAT} HTTP/1.1\r\nhost: s\r\nx-sim-fault: {cue}\r\ncontent-length: {len(content)}\r\n".encode()
            + CREDENTIALS[CHAT] + b"\r\n" + content
        )  # fmt: skip
        await reader.readuntil(b"\r\n\r\n")
        head = time.perf_counter() - begun
        await reader.readuntil(b"data: ")
        first = time.perf_counter() - begun
        writer.transport.abort()
        assert first >= 0.29
        if cue.startswith("latency"):
            assert head >= 0.29
        else:
            assert first - head >= 0.1


async def test_pace_by_cue_and_by_settings(sim: Handle, starter: Starter) -> None:
    _, fast = await timed(sim, STREAM, "length=20")
    _, slow = await timed(sim, STREAM, "length=20, tps=50")
    assert slow >= max(0.39, fast)
    paced = await starter(Settings(pace=50))
    _, settled = await timed(paced, {"max_tokens": 200}, "length=20", MESSAGES)
    assert settled >= 0.39


async def test_slow_is_five_tokens_a_second_after_a_second(sim: Handle) -> None:
    _, seconds = await timed(sim, STREAM, "slow, length=2")
    assert seconds >= 1.35


async def test_stall_falls_silent_and_goes_on(sim: Handle) -> None:
    reply, seconds = await timed(sim, STREAM, "stall=400ms, after=2")
    assert seconds >= 0.39
    assert reply.events[-1] == b"data: [DONE]"
    stalled = await raw(sim, STREAM, "stall=30s, after=2", timeout=0.5)
    assert (stalled.end, len(stalled.events)) == ("silence", 2)


async def test_hang_answers_nothing(sim: Handle) -> None:
    assert await raw(sim, {}, "hang", timeout=0.3) == Raw(b"", b"", "silence")
    reply, seconds = await timed(sim, {}, "hang=200ms")
    assert (reply.head, reply.end) == (b"", "eof")
    assert seconds >= 0.19


# ── Connections ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_reset_and_close_before_the_head(sim: Handle) -> None:
    assert await raw(sim, {}, "reset") == Raw(b"", b"", "reset")
    assert await raw(sim, {}, "close") == Raw(b"", b"", "eof")


@pytest.mark.parametrize(("cue", "end"), [("cut", "reset"), ("short", "eof")])
async def test_broken_off_inside_the_body(sim: Handle, cue: str, end: str) -> None:
    streamed = await raw(sim, STREAM, f"{cue}, after=4")
    assert (streamed.status, streamed.end, len(streamed.events)) == (200, end, 4)
    assert not streamed.body.endswith(b"0\r\n\r\n")
    whole = await raw(sim, {"max_tokens": 99}, cue, MESSAGES)
    promised = int(whole.head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    assert 0 < len(whole.body) < promised
    assert whole.end == end


# ── Streams ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("path", "body"), [(CHAT, STREAM), (MESSAGES, ASTREAM), (DEPLOYMENT, STREAM)])
async def test_streams_that_go_wrong_inside(sim: Handle, path: str, body: dict[str, Any]) -> None:
    good = (await raw(sim, body, path=path)).events
    last = b"data: [DONE]" if path != MESSAGES else b"event: message_stop"
    assert good[-1].startswith(last)

    ended = await raw(sim, body, "end, after=3", path)
    assert (ended.end, len(ended.events)) == ("eof", 3)

    undone = await raw(sim, body, "no-done", path)
    assert len(undone.events) == len(good) - 1

    first = await raw(sim, body, "error-first", path)
    assert (first.status, len(first.events)) == (200, 1)
    assert b'"error"' in first.events[0]

    middle = await raw(sim, body, "error-mid, after=2", path)
    assert len(middle.events) == 3
    assert b'"error"' in middle.events[2]
    assert middle.events[2].startswith(b"event: error\n" if path == MESSAGES else b'data: {"error":')

    odd = await raw(sim, body, "unknown-event, after=2", path)
    assert len(odd.events) == len(good) + 1
    assert b"oddity" in odd.events[2]

    broken = await raw(sim, body, "bad-json, after=2", path)
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(broken.events[2].removeprefix(b"data: "))

    garbled = await raw(sim, body, "bad-sse, after=2", path)
    assert b"are no event" in garbled.events[2]


async def test_line_ends_and_pieces(sim: Handle) -> None:
    plain = await raw(sim, {"stream": True}, "length=5")
    crlf = await raw(sim, {"stream": True}, "length=5, crlf")
    assert crlf.body.count(b"\r\n\r\n") == len(plain.events)
    split = await raw(sim, {"stream": True}, "length=5, split=7")
    assert [len(event) for event in split.events] == [len(event) for event in plain.events]
    assert max(split.chunks) == 7
    assert len(split.chunks) > len(plain.chunks) == len(plain.events)


# ── Bodies ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_bodies_that_are_not_what_they_should_be(sim: Handle) -> None:
    broken = await raw(sim, {}, "bad-json")
    assert broken.end == "eof"
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(broken.body)
    empty = await raw(sim, {}, "empty")
    assert (empty.status, empty.body) == (200, b"")
    assert b"content-type: text/html" in (await raw(sim, {}, "wrong-type")).head
    assert len((await raw(sim, {}, "huge-headers=100")).head) > 100_000


async def test_gzip_flushes_every_event(sim: Handle) -> None:
    whole = await raw(sim, {}, "gzip")
    assert b"content-encoding: gzip" in whole.head
    assert msgspec.json.decode(gzip.decompress(whole.body))["object"] == "chat.completion"
    cut = await raw(sim, STREAM, "gzip, short, after=3")
    assert zlib.decompressobj(wbits=31).decompress(cut.body).count(b"data: ") == 3


async def test_usage_missing_or_on_the_finishing_chunk(sim: Handle) -> None:
    assert b'"usage"' not in (await raw(sim, {}, "no-usage")).body
    assert b'"usage"' not in (await raw(sim, ASTREAM, "no-usage", MESSAGES)).body
    silent = await raw(sim, STREAM, "no-usage")
    assert b"prompt_tokens" not in silent.body
    joined = await raw(sim, STREAM, "usage-with-finish")
    last = msgspec.json.decode(joined.events[-2].removeprefix(b"data: "))
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["usage"]["total_tokens"] > 0


# ── When ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_fail_first_counts_per_model_name(sim: Handle) -> None:
    for model in ("sim-small+fail-first=2", "sim-large+429+fail-first=2"):
        statuses = [(await raw(sim, {"model": model})).status for _ in range(4)]
        assert statuses == [429 if "429" in model else 503] * 2 + [200] * 2


async def test_rate_follows_the_seed(starter: Starter) -> None:
    runs = []
    for seed in (1, 1, 2):
        sim = await starter(Settings(faults="500+rate=0.5", seed=seed))
        runs.append([(await raw(sim, {})).status for _ in range(24)])
    assert runs[0] == runs[1] != runs[2]
    assert set(runs[0]) == {200, 500}


async def test_later_sources_win_and_none_forgets(starter: Starter) -> None:
    sim = await starter(Settings(faults="500"))
    assert (await raw(sim, {})).status == 500
    assert (await raw(sim, {"model": "sim-small+none"})).status == 200
    assert (await raw(sim, {"model": "sim-small"}, "none")).status == 200
    assert (await raw(sim, {"model": "fault-429"}, "none, 503")).status == 503


async def test_fault_is_short_for_a_cued_small_model(sim: Handle) -> None:
    assert (await raw(sim, {"model": "fault-429"})).status == 429
    assert b"sim-small" in (await raw(sim, {"model": "fault-length=9"})).body


# ── The grammar ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_grammar() -> None:
    assert parse("429+retry-after=2s", "slow, cut;after=5") == {
        "429": 1, "retry-after": 2, "slow": 1, "cut": 1, "after": 5,
    }  # fmt: skip
    assert parse("ttft=150ms+stall=1m+tps=0.5+latency=2") == {"ttft": 0.15, "stall": 60, "tps": 0.5, "latency": 2}
    assert parse("") == {}
    assert parse("429", "none+503") == {"503": 1}


@pytest.mark.parametrize(
    ("cues", "message"),
    [
        ("explode", "unknown fault 'explode'; known: fail-first, rate"),
        ("429=3", "fault '429' takes no value"),
        ("ttft=soon", "fault 'ttft' wants a time such as 2s or 150ms, not 'soon'"),
        ("ttft=20m", "longer than the 600 s allowed"),
        ("after=-1", "fault 'after' wants a whole number up to 100000, not '-1'"),
        ("after=999999999999", "wants a whole number"),
        ("rate=2s", "fault 'rate' wants a number such as 0.5, not '2s'"),
        ("+".join(FAULTS), "at most 32 can be combined"),
    ],
)
def test_cues_that_cannot_be_understood(cues: str, message: str) -> None:
    with pytest.raises(CueError) as failed:
        parse(cues)
    assert message in str(failed.value)


async def test_a_misspelt_cue_is_a_clear_400(sim: Handle) -> None:
    reply = await raw(sim, {}, "explode")
    assert reply.status == 400
    assert b"unknown fault 'explode'" in reply.body


def test_settings_with_a_misspelt_cue_do_not_start() -> None:
    from trunkline.sim.app import SimulatorApp

    with pytest.raises(CueError):
        SimulatorApp(Settings(faults="explode"))
