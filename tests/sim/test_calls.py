"""What the simulator remembers of its calls: an application's test reads here what was really sent."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
from openai import AsyncOpenAI

from trunkline.sim.server import Handle
from trunkline.sim.settings import Settings

from .conftest import HELLO, KEY, Starter, raw


async def calls(sim: Handle) -> list[dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.get(f"{sim.url}/__sim/calls") as reply:
        return list((await reply.json())["calls"])


async def eventually(sim: Handle, field: str) -> dict[str, Any]:
    """The last call, once the field is set: bounded, and ends as soon as it is."""
    async with asyncio.timeout(3):
        while (found := (await calls(sim))[-1])[field] is None:
            await asyncio.sleep(0.005)
    return found


async def test_a_call_is_shown_with_its_body_and_masked_credentials(sim: Handle, openai: AsyncOpenAI) -> None:
    await openai.chat.completions.create(model="sim-small+length=4", messages=HELLO)
    [call] = await calls(sim)
    assert (call["method"], call["path"], call["status"]) == ("POST", "/v1/chat/completions", 200)
    assert call["body"]["messages"] == HELLO
    assert (call["model"], call["cues"]) == ("sim-small", {"length": 4})
    headers = dict(call["headers"])
    assert headers["authorization"] == "Bearer ****6789"
    assert KEY not in str(call)
    assert "openai" in headers["user-agent"].lower()
    assert 0 <= call["first_byte_after"] <= call["finished_after"]
    assert call["client_gone_after"] is None


async def test_deleting_forgets_calls_and_counters(sim: Handle) -> None:
    model = {"model": "sim-small+fail-first=1"}
    assert [(await raw(sim, model)).status for _ in range(2)] == [503, 200]
    async with aiohttp.ClientSession() as session, session.delete(f"{sim.url}/__sim/calls") as reply:
        assert reply.status == 204
    assert await calls(sim) == []
    assert (await raw(sim, model)).status == 503
    assert [(call.model, call.status) for call in sim.app.calls] == [("sim-small", 503)]


async def test_memory_is_bounded(starter: Starter) -> None:
    sim = await starter(Settings(keep_calls=3, keep_body=130))
    for i in range(5):
        await raw(sim, {"user": "u" * 20 * i})
    kept = await calls(sim)
    assert [call["number"] for call in kept] == [3, 4, 5]
    assert kept[0]["body"]["user"] == "u" * 40
    assert kept[-1]["body"] is None
    assert kept[-1]["size"] > 130


async def test_a_client_that_leaves_a_stream_is_noticed_at_once(sim: Handle, openai: AsyncOpenAI) -> None:
    stream = await openai.chat.completions.create(model="sim-small+tps=2", messages=HELLO, stream=True)
    await anext(aiter(stream))
    left = time.time()
    await stream.close()
    call = await eventually(sim, "client_gone_after")
    assert abs(call["client_gone_at"] - left) < 0.5
    assert call["finished_after"] is None
    assert call["events"] < 5


async def test_a_client_that_gives_up_waiting_is_noticed(sim: Handle) -> None:
    assert (await raw(sim, {}, "hang", timeout=0.1)).end == "silence"
    call = await eventually(sim, "client_gone_after")
    assert (call["status"], call["events"]) == (None, 0)
    assert call["client_gone_after"] >= 0.09


async def test_neither_a_whole_answer_nor_our_own_break_counts_as_leaving(sim: Handle) -> None:
    for cues in ("", "cut", "reset", "short", "close"):
        await raw(sim, {"stream": True}, cues)
    assert [call["client_gone_after"] for call in await calls(sim)] == [None] * 5


async def test_own_pages(sim: Handle) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{sim.url}/") as reply:
            assert "no real model" in await reply.text()
        async with session.get(f"{sim.url}/__sim/faults") as reply:
            assert (await reply.json())["ttft"]["kind"] == "duration"
    assert await calls(sim) == []
