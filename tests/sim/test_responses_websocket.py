"""The Responses API over a WebSocket, asked by the official SDK."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from openai import AsyncOpenAI

from trunkline.sim.server import Handle

pytest.importorskip("websockets")


async def until_the_end(connection: Any) -> list[Any]:
    seen = []
    async with asyncio.timeout(5):
        while not seen or seen[-1].type not in (
            "response.completed",
            "response.incomplete",
            "response.failed",
            "error",
        ):
            seen.append(await connection.recv())
    return seen


async def test_two_turns_on_one_connection(openai: AsyncOpenAI) -> None:
    async with openai.responses.connect() as connection:
        await connection.response.create(model="sim-small", input="hello there", store=False)
        first = await until_the_end(connection)
        assert [event.sequence_number for event in first] == list(range(len(first)))
        assert first[0].type == "response.created"
        text = "".join(event.delta for event in first if event.type == "response.output_text.delta")
        assert "hello there" in text
        await connection.response.create(
            model="sim-small", input="and again", store=False, previous_response_id=first[0].response.id
        )
        second = await until_the_end(connection)
        assert second[-1].response.previous_response_id == first[0].response.id


async def test_errors_leave_the_connection_open(openai: AsyncOpenAI) -> None:
    async with openai.responses.connect() as connection:
        await connection.response.create(model="sim-small+429", input="hello")
        [limited] = await until_the_end(connection)
        assert (limited.status, limited.error.code) == (429, "rate_limit_exceeded")
        await connection.response.create(model="sim-small+502", input="hello")
        assert (await until_the_end(connection))[0].status == 502
        await connection.send({"type": "response.teleport"})  # type: ignore[arg-type]
        [unknown] = await until_the_end(connection)
        assert "response.teleport" in unknown.error.message
        await connection.send_raw("{")
        assert (await until_the_end(connection))[0].error.code == "invalid_json"
        await connection.response.create(model="sim-small+split=3+crlf", input="hello")
        assert (await until_the_end(connection))[-1].type == "response.completed"


async def test_a_long_message_in_pieces(openai: AsyncOpenAI, sim: Handle) -> None:
    async with openai.responses.connect() as connection:
        await connection.response.create(model="sim-large", input="word " * 50_000)
        assert (await until_the_end(connection))[-1].response.usage.input_tokens > 50_000
    assert next(iter(sim.app.calls)).size > 250_000


async def test_the_cue_cut_ends_the_connection(openai: AsyncOpenAI) -> None:
    async with openai.responses.connect() as connection:
        await connection.response.create(model="sim-small+cut+after=3", input="hello")
        with pytest.raises(Exception, match=r"close|reset"):
            await until_the_end(connection)
