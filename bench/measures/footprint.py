"""How soon the gateway answers after its command, and how much memory it holds: idle, under streams, after long use."""

from __future__ import annotations

import asyncio
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import uvloop

from bench import wrk
from bench.figures import Figure
from bench.gateway import Source, command, environment
from bench.machine import UNDER_TEST, free_port
from bench.payloads import request
from bench.processes import Process, StartFailed
from bench.readers import Fleet
from bench.rig import Rig

STARTS = 5
PATIENCE = 10.0
OPEN_STREAMS = 1000
MANY = 100_000
"""Requests after which memory must be what it was."""
SETTLE = 3.0
"""Seconds after which nothing of the start is still under way."""


def first_answer(directory: Path) -> float:
    """Seconds from the command to the first answer of the built-in simulator. Raises StartFailed."""
    port = free_port()
    begun = time.perf_counter()
    words = command("serve", "--port", str(port))
    with Process(words, UNDER_TEST, directory / "output", directory, environment()) as process:
        while time.perf_counter() - begun < PATIENCE:
            process.check()
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            try:
                connection.connect()
            except OSError:
                time.sleep(0.002)
                continue
            model = json.loads(_exchange(connection, "GET", "/v1/models"))["data"][0]["id"]
            _exchange(connection, "POST", "/v1/chat/completions", request(model, 1000))
            taken = time.perf_counter() - begun
            connection.close()
            return taken
    raise StartFailed(f"no answer within {PATIENCE:.0f} s")


def _exchange(connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None) -> bytes:
    connection.request(method, path, body, {"content-type": "application/json"} if body else {})
    answer = connection.getresponse()
    data = answer.read()
    if answer.status != 200:
        raise StartFailed(f"{path}: status {answer.status}: {data[:300].decode('utf-8', 'replace')}")
    return data


def start(rig: Rig) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(dir=rig.directory) as name:
        times = [first_answer(Path(name)) for _ in range(STARTS)]
    note = f"best of {STARTS}; median {statistics.median(times):.2f} s"
    yield Figure("serve to first answer", min(times), "s", 0.7, note=note, samples={"seconds": times})
    bare = [_run("pass") for _ in range(STARTS)]
    imports = [_run("import trunkline") for _ in range(STARTS)]
    over = min(imports) - min(bare)
    yield Figure("import trunkline", over, "s", 0.15, note="over a bare interpreter", samples={"seconds": imports})


def _run(code: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - begun


def memory(rig: Rig) -> Iterator[Figure]:
    process = rig.gateway.process
    time.sleep(SETTLE)
    yield Figure("memory, idle", process.rss, "MiB", 80)
    question = rig.gateway.asked("chat", "chat")
    body = question.body(1000)
    before, sent = 0.0, 0
    while sent < MANY:
        sent += wrk.run(question, body, rig.seconds, rig.directory).requests
        before = before or process.rss  # the first round fills pools and caches, which is no growth
    time.sleep(SETTLE)
    after = process.rss
    note = f"{before:.1f} MiB after the first round, {after:.1f} MiB after {sent:,} requests"
    yield Figure("memory, growth over 100,000 requests", after - before, "MiB", 5, note=note)
    yield Figure(f"memory, {OPEN_STREAMS:,} open streams", uvloop.run(_streaming(rig)), "MiB", 150)


async def _streaming(rig: Rig) -> float:
    """Resident memory in MiB while all streams are in the middle of their answers."""
    question = rig.gateway.slow()
    fleet = await Fleet.connect(question.port, OPEN_STREAMS)
    chunks = round(2 * SETTLE * Source.SLOW_PACE) + 3
    running = asyncio.create_task(fleet.run(question, chunks, spread=1.0))
    await asyncio.sleep(1.0 + SETTLE)
    seen = rig.gateway.process.rss
    await running
    fleet.close()
    return seen
