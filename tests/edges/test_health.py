"""A provider that is dead, failing in part, limited or healing, over real sockets: who is asked, and what is shown."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.edges.families import OPENAI
from tests.edges.upstreams import Answer, Upstream, whole
from tests.running import Running, running, until
from tests.talking import Answer as Answered
from tests.talking import ask
from trunkline.cli.main import root

ADMIN = "0123456789abcdef"
FAILED = whole({"error": {"message": "no", "type": "x", "param": None, "code": None}}, 500)
LIMITED = whole({"error": {"message": "no", "type": "x", "code": None}}, 429, {"retry-after": "30"})
GOOD = whole(OPENAI.answer)


def sections(*upstreams: Upstream, **routing: Any) -> dict[str, Any]:
    names = ("one", "two", "three")[: len(upstreams)]
    return {
        "admin_key": ADMIN,
        "providers": {name: OPENAI.provider(each.url) for name, each in zip(names, upstreams, strict=True)},
        "models": {"smart": {"targets": [{"target": f"{name}/a"} for name in names]}},
        "routing": routing,
    }


async def called(run: Running, times: int = 1) -> list[str]:
    """Who answered each of so many calls, or the status of those that nobody did."""
    who = []
    for _ in range(times):
        answer = await ask(run.port, OPENAI.path, OPENAI.ask("smart"))
        who.append(answer.headers["x-trunkline-target"] if answer.status == 200 else str(answer.status))
    return who


async def asked_of(run: Running, path: str) -> Answered:
    return await ask(run.port, path, method="GET", headers={"authorization": f"Bearer {ADMIN}"})


async def shown(run: Running) -> dict[str, Any]:
    body: dict[str, Any] = (await asked_of(run, "/admin/v1/health")).json
    return body


async def test_a_dead_target_is_out_after_five_failures_and_nobody_notices(tmp_path: Path) -> None:
    async with Upstream(FAILED) as one, Upstream(GOOD) as two, running(tmp_path, sections(one, two)) as run:
        assert await called(run, 12) == ["two/a"] * 12
        found = await shown(run)
    assert len(one.asked) == 5
    first, second = found["targets"]
    assert (first["target"], first["state"], first["cause"]) == ("one/a", "out", "failures")
    assert first["reason"] == "5 failures in a row, the last of them: upstream_server"
    assert 2.0 <= first["until"] - first["since"] <= 5.0
    assert (second["state"], second["success_rate"], second["successes"]) == ("well", 1.0, 12)
    assert [each["state"] for each in found["changes"]] == ["out"]


async def test_it_is_tried_again_and_comes_back(tmp_path: Path) -> None:
    async with (
        Upstream(*[FAILED] * 5, GOOD) as one,
        Upstream(GOOD) as two,
        running(tmp_path, sections(one, two, health={"first": 0.05})) as run,
    ):
        assert await called(run, 6) == ["two/a"] * 6
        await asyncio.sleep(0.06)
        assert await called(run, 4) == ["one/a"] * 4
        found = await shown(run)
    assert [each["state"] for each in found["changes"]] == ["returning", "on trial", "out"]


async def test_a_single_target_is_always_tried(tmp_path: Path) -> None:
    async with Upstream(FAILED) as one, running(tmp_path, sections(one)) as run:
        assert await called(run, 9) == ["500"] * 9
    assert len(one.asked) == 9


async def test_where_all_are_out_the_soonest_to_return_is_tried(tmp_path: Path) -> None:
    async with (
        Upstream(FAILED) as one,
        Upstream(*[FAILED] * 6, GOOD) as two,
        running(tmp_path, sections(one, two, health={"first": 1000.0, "longest": 1000.0})) as run,
    ):
        await called(run, 6)
        assert await called(run, 3) == ["two/a"] * 3 or "one/a" not in await called(run, 3)
    assert {each.path for each in two.asked} == {"/v1/chat/completions"}


async def test_a_rate_limit_is_a_rest_and_no_failure(tmp_path: Path) -> None:
    async with Upstream(LIMITED, GOOD) as one, Upstream(GOOD) as two, running(tmp_path, sections(one, two)) as run:
        assert await called(run, 3) == ["two/a"] * 3
        found = await shown(run)
    assert len(one.asked) == 1
    row = found["targets"][0]
    assert (row["target"], row["state"], row["cause"]) == ("one/a", "resting", "limited")
    assert 29.0 <= row["until"] - row["since"] <= 34.0


@pytest.mark.parametrize("answer", [FAILED, LIMITED], ids=["fails", "limited"])
async def test_metrics_and_readiness_tell_of_it(answer: Answer, tmp_path: Path) -> None:
    async with Upstream(answer) as one, Upstream(GOOD) as two, running(tmp_path, sections(one, two)) as run:
        await called(run, 6)
        metrics = (await asked_of(run, "/metrics")).body.decode()
        ready = await asked_of(run, "/readyz")
    cause = "failures" if answer is FAILED else "limited"
    assert f'trunkline_target_out{{cause="{cause}",target="one/a"}} 1.0' in metrics
    assert f'trunkline_target_outages_total{{cause="{cause}",target="one/a"}} 1.0' in metrics
    assert ready.status == 200
    assert ready.json["targets"] == {"known": 2, "out": 1}


async def test_a_credential_that_fails_while_another_one_works_rests(tmp_path: Path) -> None:
    async def by_credential(writer: asyncio.StreamWriter) -> None:
        broken = one.asked[-1].headers["authorization"] == "Bearer broken"
        await (FAILED if broken else GOOD)(writer)

    async with Upstream(by_credential) as one, Upstream(GOOD) as two:
        plan = sections(one, two)
        del plan["providers"]["one"]["api_key"]
        plan["providers"]["one"]["api_keys"] = ["broken", "sound"]
        async with running(tmp_path, plan) as run:
            assert await called(run, 10) == ["two/a", "one/a"] * 5
            assert await called(run, 10) == ["one/a"] * 10
            found = await shown(run)
    assert [(each["credential"], each["state"]) for each in found["credentials"]] == [("credential 1 of 2", "resting")]
    assert "5 failures in a row" in found["credentials"][0]["reason"]


async def test_a_target_is_given_no_more_than_it_may_have_at_a_time(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def held(writer: asyncio.StreamWriter) -> None:
        await release.wait()
        await GOOD(writer)

    async with Upstream(held) as one, Upstream(GOOD) as two:
        plan = sections(one, two)
        plan["models"]["smart"]["targets"][0]["max_concurrency"] = 2
        async with running(tmp_path, plan) as run:
            first = [asyncio.ensure_future(called(run)) for _ in range(2)]
            while len(one.asked) < 2:
                await asyncio.sleep(0.005)
            assert await called(run, 3) == ["two/a"] * 3
            release.set()
            assert [await each for each in first] == [["one/a"], ["one/a"]]
            assert await called(run) == ["one/a"]


async def test_a_reload_keeps_what_is_known_and_takes_other_rules(tmp_path: Path) -> None:
    async with Upstream(FAILED) as one, Upstream(GOOD) as two, running(tmp_path, sections(one, two)) as run:
        await called(run, 3)
        before = run.gateway.board.of("one/a")
        run.gateway.board.configure(run.gateway.config.routing.health, run.gateway.config.routing.concurrency)
        await called(run, 3)
        assert run.gateway.board.of("one/a") is before
        assert before.state(now()) == "out"


# ── Active probes ──────────────────────────────────────────────────────────────────────────────────────────────────


def probed(*upstreams: Upstream, **probe: Any) -> dict[str, Any]:
    plan = sections(*upstreams, health={"first": 1000.0, "longest": 1000.0})
    for provider in plan["providers"].values():
        provider["probe"] = probe
    return plan


async def test_a_probe_that_goes_well_brings_a_target_back(tmp_path: Path) -> None:
    async with (
        Upstream(*[FAILED] * 5, GOOD) as one,
        Upstream(GOOD) as two,
        running(tmp_path, probed(one, two, every=10.0)) as run,
    ):
        await called(run, 5)
        await look_later(run, 11.0)
        await until(lambda: len(one.asked) == 6, "the probe")
        standing = run.gateway.board.of("one/a")
        await until(lambda: standing.refuses(now()) is None, "the end of its time")
        assert await called(run, 3) == ["one/a"] * 3
        entries = run.entries()
    assert one.asked[5].json["messages"] == [{"role": "user", "content": "Hi"}]
    assert len(entries) == 8  # a probe is no call


async def test_a_probe_that_fails_puts_an_idle_target_out(tmp_path: Path) -> None:
    async with (
        Upstream(FAILED) as one,
        Upstream(LIMITED) as two,
        running(tmp_path, probed(one, two, idle=10.0)) as run,
    ):
        await look_later(run, 11.0)
        await until(lambda: not run.gateway.board.of("one/a").well, "what the probe found")
        await until(lambda: len(two.asked) == 1, "the other probe")
        found = await shown(run)
    assert [(each["target"], each["state"], each["reason"]) for each in found["targets"]] == [
        ("one/a", "out", "a probe failed: upstream_server"),
        ("two/a", "well", None),  # it has enough to do
    ]


async def test_a_target_can_be_reached_without_a_credential(tmp_path: Path) -> None:
    nothing = whole(b"", 404)
    async with (
        Upstream(nothing) as one,
        Upstream(whole(b"", 503)) as two,
        running(tmp_path, probed(one, two, how="reach", idle=10.0)) as run,
    ):
        await look_later(run, 11.0)
        await until(lambda: not run.gateway.board.of("two/a").well, "what the probe found")
        assert run.gateway.board.of("one/a").well
    assert [(each.path, "authorization" in each.headers) for each in one.asked] == [("/", False)]


async def look_later(run: Running, seconds: float) -> None:
    """Have it look for what is to be probed as if so much time had passed."""
    await asyncio.sleep(0)  # its own first look
    run.gateway.probing.look(now() + seconds)


def now() -> float:
    return asyncio.get_running_loop().time()


# ── The command ────────────────────────────────────────────────────────────────────────────────────────────────────


async def command(*words: str, key: str | None = ADMIN) -> Result:
    environment = {"TRUNKLINE_ADMIN_KEY": key}
    return await asyncio.to_thread(CliRunner().invoke, root, ["health", *words], env=environment)


async def test_the_command_shows_who_is_out_and_who_was_never_asked(tmp_path: Path) -> None:
    async with (
        Upstream(FAILED) as one,
        Upstream(GOOD) as two,
        Upstream(GOOD) as three,
        running(tmp_path, sections(one, two, three)) as run,
    ):
        await called(run, 6)
        told = await command("--url", run.url, "--changes")
        as_json = await command("--url", run.url, "--json")
    assert told.exit_code == 0
    first, second, third = [line for line in told.stdout.splitlines() if "/a " in line][:3]
    assert first.split()[:2] == ["one/a", "out"]
    assert "5 failures in a row" in first
    assert second.split()[:2] == ["three/a", "well"]
    assert third.split()[:2] == ["two/a", "well"]
    assert "3 targets, 1 left out" in told.stderr
    assert [each["target"] for each in json.loads(as_json.stdout)["targets"]] == ["one/a", "three/a", "two/a"]


async def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    async with Upstream(GOOD) as one, running(tmp_path, sections(one)) as run:
        wrong = await command("--url", run.url, key="another-key-than-that")
    absent = await command("--url", run.url)
    unset = await command("--url", "http://127.0.0.1:1", key=None)
    assert (wrong.exit_code, absent.exit_code, unset.exit_code) == (1, 1, 1)
    assert "needs the admin key" in wrong.stderr
    assert "No gateway answers at" in absent.stderr
    assert "set `admin_key` in its configuration" in unset.stderr
