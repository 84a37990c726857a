"""Starting and stopping: embedded in a loop, and as a program with its command line."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner

from trunkline.cli.sim import sim as command
from trunkline.sim.faults import FAULTS
from trunkline.sim.server import start, start_embedded

from .conftest import raw


async def test_embedded_starts_within_milliseconds_and_closes_under_load() -> None:
    await (await start()).aclose()  # the imports are not what is timed
    begun = time.perf_counter()
    host, port, aclose = await start_embedded()
    assert time.perf_counter() - begun < 0.25
    _, writer = await asyncio.open_connection(host, port)
    await aclose()
    await aclose()
    writer.close()
    with pytest.raises(OSError, match=r"[Cc]onnect"):
        await asyncio.open_connection(host, port)


async def test_closing_ends_a_hanging_call() -> None:
    handle = await start()
    hanging = asyncio.create_task(raw(handle, {}, "hang"))
    async with asyncio.timeout(3):
        while not len(handle.app.calls):
            await asyncio.sleep(0.001)
        await handle.aclose()
        assert (await hanging).end in ("reset", "eof")


async def test_the_program_serves_and_stops_on_sigterm() -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from trunkline.cli.sim import sim; sim()", "--port", "0", "--pace", "0",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert program.stdout is not None
        async with asyncio.timeout(20):
            line = (await program.stdout.readline()).decode()
        matched = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        assert matched is not None
        _, writer = await asyncio.open_connection("127.0.0.1", int(matched[1]))
        writer.close()
        await writer.wait_closed()
    finally:
        program.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            _, errors = await program.communicate()
    assert (program.returncode, errors) == (0, b"")


def test_breaks_are_real_on_uvloop_too() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def ends() -> list[tuple[str, int]]:
        handle = await start()
        replies = [await raw(handle, {"stream": True}, cues) for cues in ("reset", "close", "cut", "short", "")]
        await handle.aclose()
        return [(reply.end, min(3, len(reply.events))) for reply in replies]

    assert uvloop.run(ends()) == [("reset", 0), ("eof", 0), ("reset", 3), ("eof", 3), ("eof", 3)]


def test_the_simulator_stands_alone() -> None:
    """It is a second reading of the wire formats: nothing of the gateway may be in it, and nothing heavy."""
    script = (
        "import sys, trunkline.sim.app, trunkline.sim.server; "
        "print(*{'.'.join(n.split('.')[:2]) for n in sys.modules if n.startswith('trunkline.')}); "
        "print(*{n for n in ('aiohttp', 'sqlalchemy', 'rich') if n in sys.modules})"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=20)
    assert shown.stdout.splitlines() == ["trunkline.sim", ""]


def test_help_teaches_and_lists_the_cues() -> None:
    shown = CliRunner().invoke(command, ["--help"])
    assert "sim-small+429" in shown.output
    assert "x-sim-fault" in shown.output
    listed = CliRunner().invoke(command, ["--list-faults"])
    assert all(fault.text in listed.output for fault in FAULTS.values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fault", "explode"], "unknown fault 'explode'"),
        (["--ttft", "soon"], "--ttft wants a time such as 2s or 150ms"),
        (["--port", "99999"], "not in the range"),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1:4010"),
    ],
)
def test_bad_options_are_named(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code != 0
    assert message in result.output
