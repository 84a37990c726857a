"""Another configuration while calls go on: nothing is dropped, a bad one changes nothing, and workers agree."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.edges.families import OPENAI
from tests.edges.upstreams import Upstream, stream, whole
from tests.running import Child, child, running, until, write_config
from tests.talking import Answer, ask, connected, request
from trunkline.config import load
from trunkline.config.changes import AT_START, change, version
from trunkline.config.schema import Config
from trunkline.edge.watch import Watch

ADMIN = "an-admin-key-of-some-length"
AS_ADMIN = {"authorization": f"Bearer {ADMIN}"}
GOOD = whole(OPENAI.answer)
KEY = OPENAI.provider("")["api_key"]


def sections(first: Upstream, second: Upstream, target: str = "one", **more: Any) -> dict[str, Any]:
    providers = {"one": OPENAI.provider(first.url), "two": OPENAI.provider(second.url)}
    models = {"smart": {"targets": [{"target": f"{target}/m"}]}}
    return {"admin_key": ADMIN, "providers": providers, "models": models} | more


async def call(port: int, model: str = "smart") -> Answer:
    return await ask(port, OPENAI.path, OPENAI.ask(model))


async def reload(port: int) -> Answer:
    return await ask(port, "/admin/v1/config/reload", headers=AS_ADMIN, method="POST")


async def shown(port: int) -> Any:
    return (await ask(port, "/admin/v1/config", headers=AS_ADMIN)).json


# ── What changes, and when ─────────────────────────────────────────────────────────────────────────────────────────


async def test_the_next_call_has_the_new_targets_and_the_one_in_work_its_old(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    slow = stream(OPENAI.events[0], go_on, *OPENAI.events[1:])
    async with (
        Upstream(slow) as one,
        Upstream(GOOD) as two,
        running(tmp_path, sections(one, two)) as run,
        connected(run.port) as streaming,
    ):
        await streaming.send(request(OPENAI.path, OPENAI.ask("smart", stream=True)))
        await streaming.read_head()
        write_config(tmp_path, sections(one, two, "two"))
        done = await reload(run.port)
        assert (done.status, done.json["changed"]) == (200, ["models"])
        answer = await call(run.port)
        go_on.set()
        body = b""
        while piece := await streaming.read_chunk():
            body += piece
    assert answer.headers["x-trunkline-target"] == "two/m"
    assert body.endswith(b"data: [DONE]\n\n")


async def test_a_provider_that_goes_takes_its_calls_to_their_end(tmp_path: Path) -> None:
    """Its row and its credentials are gone when the call in work asks for them again."""
    held = asyncio.Event()

    async def refused_later(writer: asyncio.StreamWriter) -> None:
        await held.wait()
        await whole({"error": {"message": "no"}}, 429)(writer)

    async with Upstream(refused_later, GOOD) as one, Upstream(GOOD) as two:
        before = sections(one, two)
        before["providers"]["one"] |= {"api_keys": ["sk-a", "sk-b"]}
        async with running(tmp_path, before) as run:
            waiting = asyncio.create_task(call(run.port))
            await one.arrived.wait()
            after = sections(one, two, "two")
            del after["providers"]["one"]
            write_config(tmp_path, after)
            assert (await reload(run.port)).json["changed"] == ["providers", "models"]
            assert (await call(run.port, "one/m")).status == 404
            held.set()
            answer = await waiting
            wallets = run.gateway.upstream.sender._wallets
            assert (answer.status, answer.headers["x-trunkline-target"]) == (200, "one/m")
            assert wallets == {}
    assert [each.headers["authorization"] for each in one.asked] == [f"Bearer {KEY}", "Bearer sk-a"]


async def test_what_a_provider_has_open_is_kept_while_its_row_stays(tmp_path: Path) -> None:
    async with Upstream(whole({}, 429, {"retry-after": "60"}), GOOD) as one, Upstream(GOOD) as two:
        before = sections(one, two)
        before["providers"]["one"] |= {"api_keys": ["sk-b"]}
        async with running(tmp_path, before) as run:
            assert (await call(run.port)).status == 200
            write_config(tmp_path, before | {"ledger": {"capture": "none"}})
            assert (await reload(run.port)).json["changed"] == ["ledger"]
            assert [(await call(run.port)).status for _ in range(3)] == [200] * 3
            opened = run.gateway.stores.transport.stats()["opened"]
    # the first credential rests still
    assert [each.headers["authorization"] for each in one.asked[1:]] == ["Bearer sk-b"] * 4
    assert opened == 1


async def test_a_changed_credential_is_used_at_once(tmp_path: Path) -> None:
    async with Upstream(GOOD) as one, Upstream(GOOD) as two, running(tmp_path, sections(one, two)) as run:
        await call(run.port)
        first = (await shown(run.port))["version"]
        changed = sections(one, two)
        changed["providers"]["one"]["api_key"] = "sk-another"
        write_config(tmp_path, changed)
        await reload(run.port)
        await call(run.port)
        now = await shown(run.port)
    assert [each.headers["authorization"] for each in one.asked] == [f"Bearer {KEY}", "Bearer sk-another"]
    assert now["version"] != first
    assert "sk-another" not in json.dumps(now)


async def test_no_call_is_dropped_while_it_changes_again_and_again(tmp_path: Path) -> None:
    async with Upstream(GOOD) as one, Upstream(GOOD) as two, running(tmp_path, sections(one, two)) as run:
        stop = asyncio.Event()
        statuses: list[int] = []

        async def calling() -> None:
            while not stop.is_set():
                statuses.append((await call(run.port)).status)

        callers = [asyncio.create_task(calling()) for _ in range(4)]
        for turn in range(20):
            write_config(tmp_path, sections(one, two, ("two", "one")[turn % 2]))
            assert (await reload(run.port)).status == 200
        stop.set()
        await asyncio.gather(*callers)
    assert set(statuses) == {200}
    assert one.asked
    assert two.asked


async def test_limits_change_and_what_was_counted_stays(tmp_path: Path) -> None:
    def limited(most: int, target: str) -> dict[str, Any]:
        return sections(one, two, target, limits=[{"allow": [f"requests={most}/hour"]}])

    async with Upstream(GOOD) as one, Upstream(GOOD) as two, running(tmp_path, sections(one, two), begin=True) as run:
        assert [(await call(run.port)).status for _ in range(3)] == [200] * 3
        write_config(tmp_path, limited(2, "one"))
        assert (await reload(run.port)).json["changed"] == ["limits"]
        assert [(await call(run.port)).status for _ in range(3)] == [200, 200, 429]
        write_config(tmp_path, limited(2, "two"))
        await reload(run.port)
        assert (await call(run.port)).status == 429, "another target is no fresh start"
        write_config(tmp_path, limited(3, "two"))
        await reload(run.port)
        assert [(await call(run.port)).status for _ in range(2)] == [200, 429]
        write_config(tmp_path, sections(one, two))
        await reload(run.port)
        assert [(await call(run.port)).status for _ in range(3)] == [200] * 3


async def test_weights_change_while_calls_go_on(tmp_path: Path) -> None:
    def weighted(first: int, second: int) -> dict[str, Any]:
        rows = [{"target": "one/m", "weight": first}, {"target": "two/m", "weight": second}]
        return sections(one, two) | {"models": {"smart": {"strategy": "weighted", "targets": rows}}}

    async with Upstream(GOOD) as one, Upstream(GOOD) as two, running(tmp_path, weighted(9, 1)) as run:
        for _ in range(20):
            await call(run.port)
        assert (len(one.asked), len(two.asked)) == (18, 2)
        write_config(tmp_path, weighted(1, 9))
        await reload(run.port)
        for _ in range(20):
            await call(run.port)
    assert (len(one.asked), len(two.asked)) == (20, 20)


async def test_the_simulator_comes_with_a_configuration_that_wants_it(tmp_path: Path) -> None:
    async with Upstream(GOOD) as one, Upstream(GOOD) as two, running(tmp_path, sections(one, two)) as run:
        assert (await call(run.port, "sim/sim-small")).status == 404
        write_config(tmp_path, sections(one, two, sim={"enabled": True}))
        await reload(run.port)
        assert (await call(run.port, "sim/sim-small")).status == 200
        write_config(tmp_path, sections(one, two))
        await reload(run.port)
        assert (await call(run.port, "sim/sim-small")).status == 404


# ── What is refused, and what waits ────────────────────────────────────────────────────────────────────────────────


async def test_a_bad_configuration_changes_nothing_and_is_seen(tmp_path: Path) -> None:
    async with Upstream(GOOD) as one, Upstream(GOOD) as two, running(tmp_path, sections(one, two)) as run:
        before = await shown(run.port)
        bad = sections(one, two, "nobody", admin_key="short")
        write_config(tmp_path, bad)
        refused = await reload(run.port)
        assert (refused.status, OPENAI.error_code(refused.json)) == (400, "config_refused")
        assert 'there is no provider "nobody"' in refused.json["error"]["message"]
        assert "models.smart.targets[0].target" in refused.json["error"]["message"]
        now = await shown(run.port)
        assert (now["version"], now["config"]) == (before["version"], before["config"])
        assert 'there is no provider "nobody"' in now["error"]
        ready = await ask(run.port, "/readyz")
        assert (ready.status, ready.json["degraded"]) == (200, True)
        assert b"nobody" not in ready.body
        assert b"nobody" in (await ask(run.port, "/readyz", headers=AS_ADMIN)).body
        metrics = (await ask(run.port, "/metrics", headers=AS_ADMIN)).body
        assert b"trunkline_config_refused 1.0" in metrics
        assert (await call(run.port)).status == 200
        write_config(tmp_path, sections(one, two))
        assert (await reload(run.port)).json["changed"] == []
        assert (await ask(run.port, "/readyz")).json["degraded"] is False


async def test_what_needs_a_start_waits_and_the_rest_is_taken(tmp_path: Path) -> None:
    async with Upstream(GOOD) as one, Upstream(GOOD) as two, running(tmp_path, sections(one, two)) as run:
        write_config(tmp_path, sections(one, two, "two", server={"max_body_size": 10}, transport={"client": "general"}))
        done = (await reload(run.port)).json
        assert done["waiting_for_restart"] == ["transport", "server"]
        assert done["changed"] == ["models"]
        assert (await call(run.port)).headers["x-trunkline-target"] == "two/m"
        now = await shown(run.port)
    assert now["waiting_for_restart"] == ["transport", "server"]
    assert now["config"]["server"]["max_body_size"] > 10


def test_a_section_either_changes_or_waits() -> None:
    config = Config()
    assert set(AT_START) < set(Config.__struct_fields__)
    assert change(config, Config()).applied == change(config, Config()).waiting == ()
    found = change(config, Config(listen="127.0.0.1:1", models={}, ledger=Config().ledger, reload="watch"))
    assert (found.waiting, found.applied) == (("listen",), ("reload",))
    assert found.config == Config(reload="watch")


def test_a_version_is_of_what_is_said_and_gives_no_secret_away(tmp_path: Path) -> None:
    def of(key: str, url: str = "sqlite:///a.db") -> str:
        providers = {"p": {"kind": "openai", "api_key": key}}
        return version(load(write_config(tmp_path, {"providers": providers, "state": {"durable": url}})))

    assert of("sk-1") == of("sk-1")
    assert of("sk-1") != of("sk-2") != of("sk-2", "sqlite:///b.db")


# ── The watch ──────────────────────────────────────────────────────────────────────────────────────────────────────


def in_place(directory: Path) -> Path:
    (directory / "config").write_text("one")
    return directory / "config"


def linked(directory: Path) -> Path:
    """As Kubernetes mounts a ConfigMap: the file is a link through a link to a directory."""
    for name in ("one", "two"):
        (directory / name).mkdir()
        (directory / name / "config").write_text(name)
    (directory / "..data").symlink_to("one")
    (directory / "config").symlink_to("..data/config")
    return directory / "config"


def write(path: Path) -> None:
    path.write_text("two")


def replace(path: Path) -> None:
    path.with_suffix(".new").write_text("two")
    path.with_suffix(".new").replace(path)


def remove_and_write(path: Path) -> None:
    path.unlink()
    path.write_text("two")


def swap(path: Path) -> None:
    (path.parent / "..new").symlink_to("two")
    (path.parent / "..new").rename(path.parent / "..data")


@pytest.mark.parametrize(
    ("make", "alter"),
    [(in_place, write), (in_place, replace), (in_place, remove_and_write), (linked, swap)],
    ids=["written in place", "replaced", "removed and written", "links swapped"],
)
def test_a_change_is_noticed_once(make: Callable[[Path], Path], alter: Callable[[Path], None], tmp_path: Path) -> None:
    path, seen = make(tmp_path), threading.Semaphore(0)
    watch = Watch(path, seen.release, every=0.01)
    try:
        alter(path)
        assert seen.acquire(timeout=10)
        os.utime(path, (1, 1))  # touched, not changed
        assert not seen.acquire(timeout=0.1)
    finally:
        watch.close()
    assert path.read_text() == "two"


# ── The program ────────────────────────────────────────────────────────────────────────────────────────────────────


async def agreed(run: Child, workers: int, version: str | None = None) -> str:
    """The version that all workers have, once they have the same: each process must have been heard."""

    async def heard() -> dict[int, str]:
        found = {}
        for _ in range(12 * workers):
            told = await shown(run.port)
            found[told["process"]] = told["version"]
        return found

    loop = asyncio.get_running_loop()
    deadline = loop.time() + 20
    while True:
        found = await heard()
        versions = set(found.values())
        if len(found) == workers and len(versions) == 1 and versions != {version}:
            return versions.pop()
        assert loop.time() < deadline, found
        await asyncio.sleep(0.05)


async def test_a_signal_and_a_changed_file_reload_the_program(tmp_path: Path) -> None:
    async with Upstream(GOOD) as one, Upstream(GOOD) as two, child(tmp_path, sections(one, two)) as run:
        first = (await shown(run.port))["version"]
        silent = {"format": "json", "level": "error"}
        write_config(tmp_path, sections(one, two, "two", reload="watch", log=silent))
        run.signal(signal.SIGHUP)
        second = await agreed(run, 1, first)
        assert (await call(run.port)).headers["x-trunkline-target"] == "two/m"
        write_config(tmp_path, sections(one, two, "one", reload="watch"))
        third = await agreed(run, 1, second)
        assert (await call(run.port)).headers["x-trunkline-target"] == "one/m"
        run.signal(signal.SIGTERM)
        assert await run.ended() == 0
    assert len({first, second, third}) == 3
    # the first one was taken up by a gateway that became silent with it
    assert ["the file has changed: version" in line for line in run.said if "is in force" in line] == [True]


async def test_all_workers_end_with_the_same_version(tmp_path: Path) -> None:
    async with (
        Upstream(GOOD) as one,
        Upstream(GOOD) as two,
        child(tmp_path, sections(one, two), "--workers", "2") as run,
    ):
        first = await agreed(run, 2)
        write_config(tmp_path, sections(one, two, "two"))
        run.signal(signal.SIGHUP)
        second = await agreed(run, 2, first)
        write_config(tmp_path, sections(one, two, "one", ledger={"capture": "none"}))
        assert (await reload(run.port)).status == 200  # one of them hears it
        third = await agreed(run, 2, second)
        # One that replaces another while the file is broken, and says what only a start may take up, agrees too.
        write_config(tmp_path, sections(one, two, "nobody"))
        os.kill((await shown(run.port))["process"], signal.SIGKILL)
        await until(lambda: any("starting another" in line for line in run.said), "the worker is replaced")
        assert await agreed(run, 2, second) == third
        assert (await call(run.port)).status == 200
        run.signal(signal.SIGTERM)
        assert await run.ended() == 0


async def test_many_signals_at_once_do_no_harm(tmp_path: Path) -> None:
    async with Upstream(GOOD) as one, Upstream(GOOD) as two, child(tmp_path, sections(one, two)) as run:
        for _ in range(50):
            run.signal(signal.SIGHUP)
        assert (await call(run.port)).status == 200
        run.signal(signal.SIGTERM)
        assert await run.ended() == 0


async def test_only_the_admin_key_may_look_and_order(tmp_path: Path) -> None:
    async with Upstream(GOOD) as one, Upstream(GOOD) as two, running(tmp_path, sections(one, two)) as run:
        for method, path, status in (
            ("GET", "/admin/v1/config", 401),
            ("POST", "/admin/v1/config/reload", 401),
        ):
            assert (await ask(run.port, path, method=method)).status == status
        for method, path, status in (
            ("GET", "/admin/v1/config/reload", 405),
            ("POST", "/admin/v1/config", 405),
            ("GET", "/admin/v1/config/other", 404),
        ):
            assert (await ask(run.port, path, headers=AS_ADMIN, method=method)).status == status
