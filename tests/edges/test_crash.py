"""`kill -9` at any moment: every answer that a client has whole is in the ledger exactly once after the next start."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.edges.families import FAMILIES
from tests.edges.upstreams import Upstream, stream, whole
from tests.running import child, journalled, shipped
from tests.talking import connected, request

ROUNDS = 20
CALLERS = 4
LONGEST = 0.25
"""Seconds of load before the kill, at most."""


@pytest.fixture
async def upstreams() -> AsyncIterator[dict[str, Any]]:
    """Per family, one provider that answers whole and one that streams."""
    openai, anthropic = FAMILIES
    async with (
        Upstream(whole(openai.answer)) as one,
        Upstream(stream(*openai.events)) as two,
        Upstream(whole(anthropic.answer)) as three,
        Upstream(stream(*anthropic.events)) as four,
    ):
        yield {
            "openai-whole": openai.provider(one.url),
            "openai-stream": openai.provider(two.url),
            "anthropic-whole": anthropic.provider(three.url),
            "anthropic-stream": anthropic.provider(four.url),
        }


async def call_until_dead(port: int, caller: int, seen: set[str]) -> None:
    """Call again and again, noting the id of every answer that came whole."""
    family, streaming = FAMILIES[caller % 2], caller // 2 % 2 == 1
    model = f"{family.name}-{'stream' if streaming else 'whole'}/m"
    try:
        async with connected(port) as line:
            while True:
                await line.send(request(family.path, family.ask(model, stream=streaming)))
                head = await line.read_head()
                body = b""
                if streaming:
                    while family.terminator not in body:
                        body += await line.read_chunk()
                    seen.add(head.headers["x-request-id"])
                    while await line.read_chunk():
                        pass
                else:
                    await line.read_body()
                    seen.add(head.headers["x-request-id"])
    except (ConnectionError, asyncio.IncompleteReadError):
        pass


async def test_no_finished_answer_is_lost_and_none_is_counted_twice(upstreams: dict[str, Any], tmp_path: Path) -> None:
    dice = random.Random(20)
    seen: set[str] = set()
    sections = {"providers": upstreams}
    for _ in range(ROUNDS):
        async with child(tmp_path, sections) as run:
            calling = [asyncio.create_task(call_until_dead(run.port, n, seen)) for n in range(CALLERS)]
            await asyncio.sleep(dice.uniform(0, LONGEST))
            run.signal(signal.SIGKILL)
            await run.ended()
            await asyncio.wait_for(asyncio.gather(*calling), 20)
    async with child(tmp_path, sections) as run:
        run.signal(signal.SIGTERM)
        assert await run.ended() == 0
    ids = [entry.id for entry in [*shipped(tmp_path), *journalled(tmp_path)]]
    assert len(seen) > ROUNDS
    assert seen - set(ids) == set()
    assert len(ids) == len(set(ids))
