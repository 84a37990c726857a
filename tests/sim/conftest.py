"""A simulator in the test's own event loop, the official SDKs pointed at it, and a socket to see its bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import msgspec
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncAzureOpenAI, AsyncOpenAI

from trunkline.sim.server import Handle, start
from trunkline.sim.settings import Settings

KEY = "sk-test-0123456789"
HELLO: list[Any] = [{"role": "user", "content": "hello there"}]

Starter = Callable[[Settings], Awaitable[Handle]]


@pytest.fixture
async def starter() -> AsyncIterator[Starter]:
    """Starts simulators with settings; they are closed at the test's end."""
    handles: list[Handle] = []

    async def run(settings: Settings) -> Handle:
        handles.append(await start(settings=settings))
        return handles[-1]

    yield run
    for handle in handles:
        await handle.aclose()


@pytest.fixture
async def sim(starter: Starter) -> Handle:
    return await starter(Settings())


@pytest.fixture
async def openai(sim: Handle) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{sim.url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
async def azure(sim: Handle) -> AsyncIterator[AsyncAzureOpenAI]:
    client = AsyncAzureOpenAI(azure_endpoint=sim.url, api_key=KEY, api_version="2024-10-21", max_retries=0)
    async with client:
        yield client


@pytest.fixture
async def anthropic(sim: Handle) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(base_url=sim.url, api_key=KEY, max_retries=0) as client:
        yield client


class Raw(NamedTuple):
    """What came over the socket. `end`: `eof` or `reset`."""

    head: bytes
    body: bytes
    end: str
    chunks: tuple[int, ...] = ()
    """Sizes of the HTTP chunks, where the body came in chunks."""

    @property
    def status(self) -> int:
        return int(self.head.split(b" ")[1])

    @property
    def events(self) -> list[bytes]:
        return [event for event in self.body.replace(b"\r\n", b"\n").split(b"\n\n") if event]


VERSIONED = "?api-version=2024-10-21"
BEARER = b"authorization: Bearer k\r\n"
CREDENTIALS = {
    "/v1/chat/completions": BEARER,
    "/openai/deployments/sim-small/chat/completions": b"api-key: k\r\n",
    "/v1/messages": b"x-api-key: k\r\nanthropic-version: 2023-06-01\r\n",
}


async def raw(
    sim: Handle, body: dict[str, Any], cues: str = "", path: str = "/v1/chat/completions", timeout: float = 5.0
) -> Raw:
    """Send one request by hand and read until the connection ends."""
    asked = {} if body.keys() & {"input", "prompt"} else {"messages": HELLO}
    content = msgspec.json.encode({"model": "sim-small", **asked, **body})
    target = f"{path}{VERSIONED}" if "/deployments/" in path else path
    reader, writer = await asyncio.open_connection(sim.host, sim.port)
    writer.write(
        f"POST {target} HTTP/1.1\r\nhost: sim\r\nconnection: close\r\nx-sim-fault: {cues}\r\n".encode()
        + CREDENTIALS.get(path, BEARER) + b"content-length: %d\r\n\r\n" % len(content) + content
    )  # fmt: skip
    received, end = b"", "eof"
    try:
        async with asyncio.timeout(timeout):
            while data := await reader.read(65_536):
                received += data
    except ConnectionResetError:
        end = "reset"
    except TimeoutError:
        end = "silence"
    finally:
        writer.transport.abort()
    head, _, rest = received.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head:
        return Raw(head, rest, end)
    chunks = dechunked(rest)
    return Raw(head, b"".join(chunks), end, tuple(map(len, chunks)))


def dechunked(data: bytes) -> list[bytes]:
    """The chunks of a chunked body, as far as they have come."""
    chunks: list[bytes] = []
    while data:
        size, _, rest = data.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            break
        chunks.append(rest[:length])
        data = rest[length + 2 :]
    return chunks
