"""`trunkline serve` as people run it: how it starts, stops and is made of several processes."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.edges.families import OPENAI
from tests.edges.upstreams import Answer, Upstream, stream, whole
from tests.running import Child, child, shipped, until, write_config
from tests.talking import ask, connected, request


def one_target(url: str, **sections: Any) -> dict[str, Any]:
    return {"providers": {"up": OPENAI.provider(url)}} | sections


# ── Start ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_without_any_configuration_the_simulator_answers(tmp_path: Path) -> None:
    async with child(tmp_path, None, "--port", "0") as run:
        await until(lambda: "simulator" in "".join(run.said), "the start says who answers")
        models = await ask(run.port, "/v1/models")
        named = [model["id"] for model in models.json["data"]]
        assert "sim/sim-small" in named
        answer = await ask(run.port, OPENAI.path, OPENAI.ask("sim/sim-small"))
        run.signal(signal.SIGTERM)
        assert await run.ended() == 0
    assert answer.status == 200
    assert answer.headers["x-trunkline-target"] == "sim/sim-small"
    assert any(f"listens on http://127.0.0.1:{run.port} (auth: open)" in line for line in run.said)
    assert len(shipped(tmp_path)) == 1


@pytest.mark.parametrize("options", [[], ["--host", "0.0.0.0"]])
async def test_open_to_others_is_refused(options: list[str], tmp_path: Path) -> None:
    sections: dict[str, Any] = {} if options else {"listen": "0.0.0.0:0"}
    command = [sys.executable, "-m", "trunkline", "serve", "--config", str(write_config(tmp_path, sections)), *options]
    process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stderr=asyncio.subprocess.PIPE)
    _, said = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert b"--insecure" in said
    assert b"Traceback" not in said


@pytest.mark.parametrize(
    ("sections", "options", "why"),
    [
        ({"limits": [{"allow": ["requests=9/day"]}]}, ["--workers", "2"], b"2 workers that count each for itself"),
        ({"server": {"workers": 2}, "teams": {"a": {"limits": ["cost=1/day"]}}}, [], b"name a Redis"),
        ({"state": {"hot": "redis://user@host"}}, ["--workers", "2"], b"a user and no password"),
        ({"state": {"hot": "redis://h?timeout=1"}}, [], b"no option"),
    ],
)
async def test_a_hot_store_that_cannot_serve_is_refused(
    sections: dict[str, Any], options: list[str], why: bytes, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "trunkline", "serve", "--config", str(write_config(tmp_path, sections)), *options]
    process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stderr=asyncio.subprocess.PIPE)
    _, said = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert b"state.hot" in said
    assert why in said
    assert b"Traceback" not in said


async def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    async with Upstream(whole({})) as up:
        path = write_config(tmp_path, {"listen": f"127.0.0.1:{up.port}"})
        command = [sys.executable, "-m", "trunkline", "serve", "--config", str(path)]
        process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stderr=asyncio.subprocess.PIPE)
        _, said = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert b"cannot listen" in said
    assert b"--port" in said


# ── Stop ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_stop_lets_running_calls_finish(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    answer = stream(OPENAI.events[0], go_on, *OPENAI.events[1:])
    async with (
        Upstream(answer) as up,
        child(tmp_path, one_target(up.url)) as run,
        connected(run.port) as streaming,
        connected(run.port) as idle,
    ):
        await streaming.send(request(OPENAI.path, OPENAI.ask("up/m", stream=True)))
        await streaming.read_head()
        await streaming.read_chunk()
        await idle.send(request("/healthz", method="GET"))
        await idle.answer()

        run.signal(signal.SIGTERM)
        await until(lambda: "stopping" in "".join(run.said), "the stop is said")
        await idle.send(request(OPENAI.path, OPENAI.ask("up/m")))
        refused = await idle.answer()
        await idle.send(request("/readyz", method="GET"))
        ready = await idle.answer()
        await idle.send(request("/healthz", method="GET"))
        live = await idle.answer()
        go_on.set()
        rest = await streaming.read_body()
        assert await run.ended() == 0
    assert (refused.status, refused.headers["retry-after"]) == (503, "5")
    assert OPENAI.error_code(refused.json) == "shutting_down"
    assert (ready.status, ready.json["draining"], live.status) == (503, True, 200)
    assert rest.endswith(b"data: [DONE]\n\n")
    assert sorted((entry.status, entry.error) for entry in shipped(tmp_path)) == [(200, None), (503, "shutting_down")]
    assert len(up.asked) == 1


HELD: dict[str, Answer] = {
    "a stream": stream(OPENAI.events[0], None),
    "a whole answer": whole(b"{", headers={"content-length": "100"}),
}


@pytest.mark.parametrize("how", ["drain_timeout", "second signal"])
@pytest.mark.parametrize("case", HELD)
async def test_the_wait_has_an_end(case: str, how: str, tmp_path: Path) -> None:
    """Cut calls are told so as long as they can be, and are in the ledger as what they are."""
    sections = {"server": {"drain_timeout": 0.3 if how == "drain_timeout" else 60.0}}
    streaming = case == "a stream"
    async with (
        Upstream(HELD[case]) as up,
        child(tmp_path, one_target(up.url, **sections)) as run,
        connected(run.port) as line,
    ):
        await line.send(request(OPENAI.path, OPENAI.ask("up/m", stream=streaming)))
        await up.arrived.wait()
        if streaming:
            await line.read_head()
            await line.read_chunk()
        run.signal(signal.SIGTERM)
        await until(lambda: "stopping" in "".join(run.said), "the stop is said")
        if how == "second signal":
            run.signal(signal.SIGTERM)
        if streaming:
            body = await line.read_body()
        else:
            answer = await line.answer()
            body = answer.body
            assert answer.status == 503
        assert await run.ended(10) == 0
    assert b"[DONE]" not in body
    assert b"shutting_down" in body
    assert [entry.error for entry in shipped(tmp_path)] == ["shutting_down"]


# ── Several processes ──────────────────────────────────────────────────────────────────────────────────────────────


def workers_of(run: Child) -> set[int]:
    """Process ids of the supervisor's children."""
    listed = Path(f"/proc/{run.process.pid}/task/{run.process.pid}/children").read_text()
    return {int(pid) for pid in listed.split()}


async def ready(run: Child, count: int) -> None:
    """Wait until so many workers are there, and take signals as a running server does."""
    await until(lambda: len(workers_of(run)) == count and all(map(catches_sigterm, workers_of(run))), "all workers run")


def catches_sigterm(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    caught = re.search(r"^SigCgt:\s*(\w+)$", status, re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")
async def test_two_workers_serve_and_a_killed_one_comes_back(tmp_path: Path) -> None:
    async with (
        Upstream(whole(OPENAI.answer)) as up,
        child(tmp_path, one_target(up.url), "--workers", "2") as run,
    ):
        await ready(run, 2)
        before = workers_of(run)
        assert len(before) == 2
        statuses = [(await ask(run.port, OPENAI.path, OPENAI.ask("up/m"))).status for _ in range(20)]
        killed = min(before)
        os.kill(killed, signal.SIGKILL)
        await until(lambda: len(workers_of(run)) == 2 and killed not in workers_of(run), "the worker is replaced")
        statuses += [(await ask(run.port, OPENAI.path, OPENAI.ask("up/m"))).status for _ in range(20)]
        metrics = await ask(run.port, "/metrics")
        run.signal(signal.SIGTERM)
        assert await run.ended() == 0
    assert statuses == [200] * 40
    assert metrics.status == 200
    assert re.search(rb"^trunkline_\w+", metrics.body, re.MULTILINE)
    entries = shipped(tmp_path)
    assert len(entries) == len({entry.id for entry in entries}) == 40
    assert not any((tmp_path / "state" / "journal").glob("*.jsonl"))


async def test_workers_share_one_sqlite_file(tmp_path: Path) -> None:
    """Keys made and disabled by one are known to all within a moment, and each call has its one entry."""
    admin = {"authorization": "Bearer an-admin-key-of-some-length"}
    sections = {"auth": "required", "admin_key": "an-admin-key-of-some-length"}
    async with (
        Upstream(whole(OPENAI.answer)) as up,
        child(tmp_path, one_target(up.url, **sections), "--workers", "3") as run,
    ):
        assert any("3 workers share one SQLite file" in line for line in run.said)

        async def made(name: str) -> str:
            answer = await ask(run.port, "/admin/v1/keys", {"name": name}, admin)
            while answer.status == 503:  # this one has not opened the database yet
                await asyncio.sleep(0.05)
                answer = await ask(run.port, "/admin/v1/keys", {"name": name}, admin)
            assert answer.status == 201, answer.body
            return str(answer.json["secret"])

        async def asked(secret: str) -> int:
            given = {"authorization": f"Bearer {secret}"}
            return (await ask(run.port, OPENAI.path, OPENAI.ask("up/m"), given)).status

        async def all_say(secret: str, status: int) -> None:
            loop = asyncio.get_running_loop()
            deadline = loop.time() + 20
            while {await asked(secret) for _ in range(24)} != {status}:
                assert loop.time() < deadline
                await asyncio.sleep(0.05)

        secrets = await asyncio.gather(*(made(f"key-{number}") for number in range(6)))
        for secret in secrets:
            await all_say(secret, 200)
        before = await asyncio.gather(*(asked(secret) for secret in secrets for _ in range(10)))
        assert set(before) == {200}
        await ask(run.port, "/admin/v1/keys/key-0", {"disabled": True}, admin, "PATCH")
        await all_say(secrets[0], 401)
        answered = len(up.asked)
        run.signal(signal.SIGTERM)
        assert await run.ended() == 0
    entries = shipped(tmp_path)
    assert len({entry.id for entry in entries}) == len(entries)
    assert len([entry for entry in entries if entry.status == 200]) == answered


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")
async def test_a_second_signal_reaches_the_workers(tmp_path: Path) -> None:
    sections = one_target("http://127.0.0.1:9", server={"drain_timeout": 60.0})
    async with Upstream(stream(OPENAI.events[0], None)) as up:
        sections["providers"] = {"up": OPENAI.provider(up.url)}
        async with child(tmp_path, sections, "--workers", "2") as run, connected(run.port) as line:
            await ready(run, 2)
            await line.send(request(OPENAI.path, OPENAI.ask("up/m", stream=True)))
            await line.read_head()
            await line.read_chunk()
            run.signal(signal.SIGTERM)
            await until(lambda: "".join(run.said).count("stopping") == 2, "both workers say that they stop")
            run.signal(signal.SIGTERM)
            assert b"shutting_down" in await line.read_body()
            assert await run.ended(15) == 0


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")
async def test_workers_do_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    sections = one_target("http://127.0.0.1:9")
    async with child(tmp_path, sections, "--workers", "2") as run:
        await ready(run, 2)
        workers = workers_of(run)
        assert "".join(run.said).count("127.0.0.1") == 1  # one line says where it listens
        run.signal(signal.SIGKILL)
        await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "the workers are gone")
        await run.ended()
    assert "".join(run.said).count("the supervisor is gone") == 2


async def test_a_worker_whose_supervisor_is_gone_before_it_looks_ends_too(tmp_path: Path) -> None:
    gone = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await gone.wait()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        share = tmp_path / "share"
        share.mkdir()
        words = ["--worker", str(listening.fileno()), str(gone.pid), str(share)]
        config = write_config(tmp_path, one_target("http://127.0.0.1:9"))
        worker = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "trunkline", "serve", *words, "--config", str(config)],
            pass_fds=(listening.fileno(),),
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await asyncio.wait_for(worker.communicate(), 20)
    assert b"the supervisor is gone" in said
