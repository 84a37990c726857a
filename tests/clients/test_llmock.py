"""A judge that is not ours: llmock stands in for both providers, fails on cue, and grades its client, the gateway.

llmock groups attempts by their body. Where a stream breaks after it has begun the gateway must not try again, but tell:
so the caller here does what an application does, and asks once more when it is told of an error.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.edges.families import ANTHROPIC, FAMILIES, OPENAI, Family
from tests.running import Running, running
from tests.talking import Answer, ask
from trunkline.policy.retry import pause
from trunkline.stages.routing import journey

LLMOCK = shutil.which("llmock", path=str(Path(sys.executable).parent))

pytestmark = pytest.mark.skipif(LLMOCK is None, reason="llmock is not installed: make test installs it")

FAULTS: dict[str, dict[str, Any]] = {
    "rate limit": {"type": "fail", "status": 429, "retry_after": 2},
    "overloaded": {"type": "fail", "status": 503},
    "server error": {"type": "fail", "status": 500},
    "bad request": {"type": "fail", "status": 400},
    "unauthorised": {"type": "fail", "status": 401},
    "disconnected": {"type": "stream_fault", "kind": "disconnect", "after_chunks": 2},
    "truncated": {"type": "stream_fault", "kind": "truncate", "after_chunks": 2},
    "stalled": {"type": "stream_fault", "kind": "stall", "after_chunks": 2, "stall_seconds": 5},
    "slow": {"type": "slow_first_token", "seconds": 0.2},
}


@pytest.fixture(scope="module")
def started() -> Iterator[int]:
    """The port of an llmock for this file: it takes seconds to start."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert LLMOCK is not None
    command = [LLMOCK, "serve", "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    try:
        while not answers(port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.fixture
async def llmock(started: int) -> int:
    assert (await ask(started, "/_llmock/reset", {})).status < 300
    return started


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def sections(port: int) -> dict[str, Any]:
    """Each public model has one target, and the other family as its second."""
    url = f"http://127.0.0.1:{port}"
    targets = [{"target": "openai/gpt-4o"}, {"target": "anthropic/claude-sonnet-4-5"}]
    return {
        "transport": {"idle_timeout": 0.7},
        "providers": {"openai": OPENAI.provider(url), "anthropic": ANTHROPIC.provider(url + "/anthropic")},
        "models": {
            "openai": {"targets": targets},
            "anthropic": {"targets": targets[::-1]},
        },
    }


async def ask_as_applications_do(run: Running, client: Family, **fields: Any) -> list[Answer]:
    """Once more where the first answer was, or ended with, an error that may pass."""
    answer = await ask(run.port, client.path, client.ask(client.name, **fields))
    if answer.status != 200 or client.terminator in answer.body or not fields["stream"]:
        return [answer]
    assert b'"error"' in answer.events[-1]
    return [answer, await ask(run.port, client.path, client.ask(client.name, **fields))]


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("client", FAMILIES, ids=str)
async def test_its_verdict_finds_no_fault(client: Family, streaming: bool, llmock: int, tmp_path: Path) -> None:
    async with running(tmp_path, sections(llmock)) as run:
        for number, (name, fault) in enumerate(FAULTS.items()):
            if fault["type"] != "fail" and not streaming:
                continue
            queued = await ask(llmock, "/_llmock/scenario", {"behaviors": [fault]})
            assert queued.status == 201
            body = {"stream": streaming, "messages": [{"role": "user", "content": f"call {number}"}]}
            said = await ask_as_applications_do(run, client, **body)
            if name == "bad request":
                assert [answer.status for answer in said] == [400]
            else:
                assert said[-1].status == 200, name
                assert not streaming or client.terminator in said[-1].body, name
            assert len(said) == (2 if name in ("disconnected", "truncated", "stalled") else 1), name
    verdict = (await ask(llmock, "/_llmock/verdict")).json
    found = [finding for finding in verdict["findings"] if finding["severity"] == "error"]
    found += [finding for finding in verdict["findings"] if finding["code"] == "no_read_timeout"]
    assert found == []
    assert verdict["calls"] >= len(FAULTS) - 3


# ── A model with one target, which the gateway itself asks again ───────────────────────────────────────────────────

AGAIN = 3
TRIED_AGAIN: dict[str, tuple[dict[str, Any], int, int]] = {
    "rate limit": ({"type": "fail", "status": 429, "retry_after": 1}, 200, 2),
    "overloaded twice": ({"type": "fail", "status": 503, "times": 2}, 200, 3),
    "storm": ({"type": "fail", "status": 500, "times": None}, 500, 1 + AGAIN),
    "rate limit for longer than the call may take": ({"type": "fail", "status": 429, "retry_after": 60}, 429, 1),
    "bad request": ({"type": "fail", "status": 400}, 400, 1),
}
"""What happens, and what the client sees: the status, and after how many attempts."""


def alone(port: int) -> dict[str, Any]:
    """Each public model has one target."""
    shape = sections(port)
    # The judge measures pauses: so long that a busy machine cannot make the second look like the first.
    retry = {"again": AGAIN, "base": 0.8, "longest": 2.0}
    for name, target in (("openai", "openai/gpt-4o"), ("anthropic", "anthropic/claude-sonnet-4-5")):
        shape["models"][name] = {"targets": [{"target": target}], "retry": retry}
    return shape


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("client", FAMILIES, ids=str)
async def test_its_verdict_finds_no_fault_in_how_a_target_is_asked_again(
    client: Family, streaming: bool, llmock: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def halfway(number: int, base: float, longest: float, draw: Any, advice: float | None = None) -> float:
        return pause(number, base, longest, lambda: 0.5, advice)

    monkeypatch.setattr(journey, "pause", halfway)  # pauses by chance may shrink, which the judge takes for none
    async with running(tmp_path, alone(llmock)) as run:
        for number, (name, (fault, status, attempts)) in enumerate(TRIED_AGAIN.items()):
            assert (await ask(llmock, "/_llmock/scenario", {"behaviors": [fault]})).status == 201
            messages = [{"role": "user", "content": f"call {number}"}]
            said = await ask(run.port, client.path, client.ask(client.name, stream=streaming, messages=messages))
            assert (said.status, said.headers["x-trunkline-attempts"]) == (status, str(attempts)), name
            await ask(llmock, "/_llmock/scenario", method="DELETE")
    verdict = (await ask(llmock, "/_llmock/verdict")).json
    codes = {finding["code"] for finding in verdict["findings"]}
    assert codes <= {"gave_up"}  # of the pause that would have been too long
    assert verdict["attempts"] == sum(attempts for _, _, attempts in TRIED_AGAIN.values())
    assert verdict["calls"] == len(TRIED_AGAIN)
