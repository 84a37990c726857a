"""Z9, a stream that is delivered all at once: between any two families the first word arrives before the second is
said."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.edges.surface_calls import GENERATE
from tests.edges.upstreams import Answer, Upstream, chunk
from tests.running import running
from tests.talking import connected, request
from trunkline.core.events import Event, Finished, PartFinished, PartStarted, Started, TextDelta
from trunkline.core.usage import Usage
from trunkline.dialects import anthropic, composed, gemini, openai_chat, openai_responses
from trunkline.dialects.base import Dialect, Envelope

UPSTREAMS: dict[str, Dialect] = {
    "openai": openai_chat.DIALECT,
    "anthropic": anthropic.DIALECT,
    "gemini": gemini.DIALECT,
    "bedrock": composed.CONVERSE,
}
"""Kinds of provider, and what they stream in."""
CLIENTS = {
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/served:streamGenerateContent?alt=sse",
    "bedrock": "/model/served/converse-stream",
}
MORE = {"bedrock": {"region": "us-east-1"}}
FIRST: list[Event] = [Started("id_1", "m"), PartStarted(0, "text"), TextDelta(0, "earlier")]
THEN: list[Event] = [TextDelta(0, "later"), PartFinished(0), Finished("stop"), Usage(input=1, output=2)]


def halting(dialect: Dialect, gate: asyncio.Event) -> Answer:
    """A stream that says one word, and the other once the gate is open."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        teller = dialect.writer(Envelope(True, model="m", request_id="r"))
        kind = dialect.stream_type("").decode()
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        writer.write(chunk(b"".join(map(teller.feed, FIRST))))
        await writer.drain()
        await gate.wait()
        writer.write(chunk(b"".join(map(teller.feed, THEN)) + teller.eof()) + b"0\r\n\r\n")
        await writer.drain()

    return answer


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("kind", UPSTREAMS)
async def test_z9_no_stream_is_held_back_until_its_end(kind: str, client: str, tmp_path: Path) -> None:
    gate = asyncio.Event()
    spoken = openai_responses.DIALECT if (kind, client) == ("openai", "openai_responses") else UPSTREAMS[kind]
    async with Upstream(halting(spoken, gate)) as up:
        sections: dict[str, Any] = {
            "providers": {"up": {"kind": kind, "base_url": up.url, "api_key": "k"} | MORE.get(kind, {})},
            "models": {"served": {"targets": [{"target": "up/m"}]}},
        }
        body = json.dumps({"model": "served", "stream": True, **GENERATE[client][0]}).encode()
        async with running(tmp_path, sections) as run, connected(run.port) as line:
            await line.send(request(CLIENTS[client], body))
            assert (await line.read_head()).status == 200
            received = b""
            while b"earlier" not in received:
                received += await line.read_chunk()
            assert b"later" not in received
            gate.set()
            while piece := await line.read_chunk():
                received += piece
    assert b"later" in received
