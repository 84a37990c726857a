"""CPU of the transports, per whole request and per read of a stream, in this process alone; the server is another one.

`floor` is the same exchange on bare sockets with no HTTP: what is above it is the client's own. Run it with
`python bench/bench_transport.py`; it takes a few seconds and needs nothing but this package.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from typing import cast

import uvloop

from trunkline.edge.transport.base import Origin, TransportSettings
from trunkline.edge.transport.open import open_transport

REQUESTS = 8_000
STREAMS = 8
CHUNKS = 500
CALLERS = 16
BODY = b'{"model":"m","messages":[{"role":"user","content":"' + b"hello " * 100 + b'"}]}'
STREAM = b'{"stream":true}'
HEADERS = [
    (b"content-type", b"application/json"),
    (b"authorization", b"Bearer sk-abcdefghijklmnop"),
    (b"user-agent", b"bench"),
    (b"x-request-id", b"0123456789abcdef"),
]
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: bench\r\nX-Request-Id: 0123456789abcdef\r\n"
    b"Content-Length: 600\r\n\r\n" + b"x" * 600
)


class Server(asyncio.Protocol):
    """Answers whatever ends like a JSON object."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if data.endswith(STREAM):
            self.transport.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            self.chunk(CHUNKS)
        elif data.endswith(b"}"):
            self.transport.write(ANSWER)

    def chunk(self, left: int) -> None:
        if left:
            self.transport.write(b"c8\r\n" + b"d" * 200 + b"\r\n")
            asyncio.get_running_loop().call_later(0.002, self.chunk, left - 1)
        else:
            self.transport.write(b"0\r\n\r\n")


class Bare(asyncio.Protocol):
    """The floor: write, wait for the answer."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.answer.set_result(None)

    async def exchange(self) -> None:
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport.write(BODY)
        await self.answer


def serve(port: multiprocessing.Queue[int]) -> None:
    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
        port.put(server.sockets[0].getsockname()[1])
        await asyncio.sleep(120)

    uvloop.run(main())


def report(label: str, cpu: float, count: int) -> None:
    print(f"{label:32} {cpu / count * 1e6:7.1f} µs of CPU")


async def floor(port: int) -> None:
    loop = asyncio.get_running_loop()
    bare = [(await loop.create_connection(Bare, "127.0.0.1", port))[1] for _ in range(CALLERS)]

    async def caller(connection: Bare) -> None:
        for _ in range(REQUESTS // CALLERS):
            await connection.exchange()

    start = time.process_time()
    await asyncio.gather(*map(caller, bare))
    report("floor, an exchange", time.process_time() - start, REQUESTS)


async def client(name: str, port: int) -> None:
    transport, origin = open_transport(TransportSettings(client=name)), Origin("http", "127.0.0.1", port)

    async def requests(count: int) -> None:
        for _ in range(count):
            response = await transport.send(origin, b"POST", b"/v1/chat/completions", HEADERS, BODY)
            assert len(await response.body()) == 600
            response.close()

    async def stream() -> int:
        response = await transport.send(origin, b"POST", b"/v1/chat/completions", HEADERS, STREAM)
        reads = 0
        while await response.read():
            reads += 1
        return reads

    await asyncio.gather(*(requests(2) for _ in range(CALLERS)))  # connect, import, fill caches
    start = time.process_time()
    await asyncio.gather(*(requests(REQUESTS // CALLERS) for _ in range(CALLERS)))
    report(f"{name}, a request", time.process_time() - start, REQUESTS)
    start = time.process_time()
    reads = sum(await asyncio.gather(*(stream() for _ in range(STREAMS))))
    report(f"{name}, a read of a stream", time.process_time() - start, reads)
    await transport.aclose()


def main() -> None:
    ports: multiprocessing.Queue[int] = multiprocessing.Queue()
    server = multiprocessing.Process(target=serve, args=(ports,), daemon=True)
    server.start()
    port = ports.get(timeout=10)
    uvloop.run(floor(port))
    uvloop.run(client("lean", port))
    uvloop.run(client("general", port))
    server.terminate()


if __name__ == "__main__":
    main()
