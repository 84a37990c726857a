"""What is remembered of responses, between processes and past their ends."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

from tests.running import Child, child, until
from tests.talking import Answer, ask

SIMULATED: dict[str, Any] = {"sim": {"enabled": True}}
PATH = "/v1/responses"
TRIES = 12
"""Connections, over which the system spreads the calls to two workers: that all meet the same one has a chance of one
in two thousand."""


async def create(run: Child, **body: Any) -> Any:
    answer = await ask(run.port, PATH, {"model": "sim-bedrock/chat-small", "input": "one"} | body)
    assert answer.status == 200, answer.body
    return answer.json


async def shown(run: Child, id: str) -> Answer:
    return await ask(run.port, f"{PATH}/{id}")


async def test_every_worker_knows_at_once_what_one_has_answered(tmp_path: Path) -> None:
    async with child(tmp_path, {**SIMULATED, "server": {"workers": 2}}) as run:
        previous = None
        for turn in range(TRIES):
            previous = (await create(run, input=f"turn {turn}", previous_response_id=previous))["id"]
            assert (await shown(run, previous)).status == 200
        listed = (await ask(run.port, f"{PATH}/{previous}/input_items?limit=100&order=asc")).json["data"]
        assert [item["content"][0]["text"] for item in listed[::2]] == [f"turn {turn}" for turn in range(TRIES)]


async def test_every_worker_can_cancel_and_delete_what_another_makes(tmp_path: Path) -> None:
    async with child(tmp_path, {**SIMULATED, "server": {"workers": 2}}) as run:
        for number in range(TRIES // 2):
            slow = (await create(run, model="sim-bedrock/chat-small+tps=1", background=True))["id"]
            how = ("/cancel", "POST") if number % 2 else ("", "DELETE")
            ended = await ask(run.port, f"{PATH}/{slow}{how[0]}", {}, method=how[1])
            assert ended.status == 200, ended.body
            after = await shown(run, slow)
            told = "not_found" if how[1] == "DELETE" else "cancelled"
            assert told in str([after.json.get("status"), after.json.get("error")]), number


async def test_a_killed_gateway_has_lost_nothing_that_was_answered(tmp_path: Path) -> None:
    async with child(tmp_path, SIMULATED) as run:
        done = await create(run)
        slow = (await create(run, model="sim/chat-small+tps=1", background=True))["id"]
        run.signal(signal.SIGKILL)
        await run.ended()
    async with child(tmp_path, SIMULATED) as run:
        assert (await shown(run, done["id"])).json["output"] == done["output"]
        follow = await create(run, model="sim-gemini/chat-small", previous_response_id=done["id"])
        assert follow["status"] == "completed"

        async def status() -> str:
            answer = await shown(run, slow)
            return str(answer.json["status"])

        async with asyncio.timeout(20):
            while await status() in {"queued", "in_progress"}:
                await asyncio.sleep(0.05)
        assert await status() == "failed"


async def test_a_stop_waits_for_the_background(tmp_path: Path) -> None:
    async with child(tmp_path, SIMULATED) as run:
        begun = (await create(run, model="sim/chat-small+ttft=1s", background=True))["id"]
        run.signal(signal.SIGTERM)
        await until(lambda: "stopping: " in "".join(run.said), "the stop is said")
        assert "stopping: 0 calls" not in "".join(run.said)
        assert await run.ended() == 0
    async with child(tmp_path, SIMULATED) as run:
        assert (await shown(run, begun)).json["status"] == "completed"


async def test_a_websocket_is_refused_in_words(tmp_path: Path) -> None:
    upgrade = {
        "connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip
    async with child(tmp_path, SIMULATED) as run:
        answer = await ask(run.port, "/v1/chat/completions", headers=upgrade)
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
        assert answer.json["error"]["code"] == "method_not_allowed"
        assert (await ask(run.port, "/healthz")).status == 200
        assert "upgrade" not in "".join(run.said).lower()
