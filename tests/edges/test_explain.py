"""Explaining a call tells where it would go; the router then sends it there, and the ledger's record says the same."""

from __future__ import annotations

import asyncio
import json
import random
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from tests.running import Running, running, until, write_config
from tests.talking import Answer, ask, connected, request
from trunkline.cli.explain import explain
from trunkline.edge.dry import Described
from trunkline.sim.server import start
from trunkline.sim.settings import Settings
from trunkline.stages.routing.choose import remade

ADMIN = "the-admin-key-of-this-test"
AS_ADMIN = {"authorization": f"Bearer {ADMIN}"}
CHAT = "/v1/chat/completions"


def hello(model: str, text: str = "hello", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


async def explained(run: Running, **described: Any) -> Answer:
    return await ask(run.port, "/admin/v1/explain", described, AS_ADMIN)


def two(**model: Any) -> dict[str, Any]:
    """One model on two of the simulator's."""
    targets = [{"target": "sim/sim-small"}, {"target": "sim/sim-large", "tier": model.pop("tier", 0)}]
    return {"models": {"smart": {"targets": targets, **model}}, "sim": {"enabled": True}, "admin_key": ADMIN}


async def test_what_it_tells(tmp_path: Path) -> None:
    sections = two(strategy=["cost", "latency"])
    sections["models"]["smart"]["targets"][0]["when"] = '"batch" in tags'
    sections["models"]["smart"]["fallback"] = ["spare"]
    sections["models"]["spare"] = {"targets": [{"target": "sim/sim-thinker"}]}
    async with running(tmp_path, sections) as run:
        told = (await explained(run, body=hello("smart"))).json
    assert told["model"] == "smart"
    assert told["strategies"] == {"smart": ["cost", "latency"], "spare": ["priority"]}
    assert told["chosen"] == "sim/sim-large"
    assert told["then"] == ["sim/sim-thinker"]
    assert told["choice"] == {"passed": {"sim/sim-small": "when"}}
    first, second, third = told["candidates"]
    assert first["verdicts"] == {"when": '`"batch" in tags` is false'}
    assert second["verdicts"] == third["verdicts"] == {}
    assert second["ranks"] == {"cost": 0.0, "latency": pytest.approx(0.03)}
    assert (third["model"], third["tier"], third["known"]["pending"]) == ("spare", 0, 0)


async def test_headers_tags_and_other_families_count_as_they_do_for_a_call(tmp_path: Path) -> None:
    sections = two()
    sections["models"]["smart"]["targets"][0]["when"] = (
        '"batch" in tags && headers["x-team"] == "a" && path.startsWith("/v1/messages")'
    )
    body = hello("smart", max_tokens=10)
    async with running(tmp_path, sections) as run:
        headers = {"X-Team": "a", "x-trunkline-tags": "one, batch"}
        told = [
            (await explained(run, body=body, path="/v1/messages", headers=headers)).json["chosen"],
            (await explained(run, body=body, path="/v1/messages", headers={"x-team": "a"}, tags=["batch"])).json[
                "chosen"
            ],
            (await explained(run, body=body, headers=headers)).json["chosen"],
        ]
        gemini = await explained(run, body={"contents": []}, path="/v1beta/models/smart:generateContent")
    assert told == ["sim/sim-small", "sim/sim-small", "sim/sim-large"]
    assert gemini.json["model"] == "smart"


async def test_nothing_is_sent_and_nothing_changes(tmp_path: Path) -> None:
    async with running(tmp_path, two(strategy="weighted")) as run:
        told = [(await explained(run, body=hello("smart"))).json["chosen"] for _ in range(5)]
        assert run.entries() == []
        assert [each.pending for each in run.gateway.board.shown()] == [0, 0]
    assert set(told) == {"sim/sim-small"}


MISTAKES: list[tuple[dict[str, Any], int, str]] = [
    ({}, 400, "missing required field `body`"),
    ({"body": []}, 400, "must be a JSON object, not an array"),
    ({"body": hello("nope/x")}, 404, "nope/x"),
    ({"body": hello("smart"), "path": "/v1/nothing"}, 404, "There is no endpoint '/v1/nothing'"),
    ({"body": hello("smart"), "heders": {}}, 400, "heders"),
    ({"body": hello("smart"), "headers": {"x-trunkline-strict": "maybe"}}, 400, "x-trunkline-strict must be"),
    ({"body": hello("smart"), "headers": {"x-é": "1"}}, 400, "Header fields are"),
    ({"body": hello("smart"), "path": "/v1/responses/resp_1/cancel"}, 400, "asks no model"),
    ({"body": hello("smart"), "key": "someone"}, 503, "database"),
]


@pytest.mark.parametrize(("described", "status", "words"), MISTAKES, ids=[case[2] for case in MISTAKES])
async def test_a_mistake_is_named(described: dict[str, Any], status: int, words: str, tmp_path: Path) -> None:
    async with running(tmp_path, two()) as run:
        answer = await explained(run, **described)
    assert answer.status == status
    assert words in answer.json["error"]["message"]


async def test_it_needs_the_admin_key(tmp_path: Path) -> None:
    async with running(tmp_path, two()) as run:
        assert (await ask(run.port, "/admin/v1/explain", {"body": hello("smart")})).status == 401
        assert (await ask(run.port, "/admin/v1/explain", None, AS_ADMIN)).status == 405
        assert (await ask(run.port, "/admin/v1/explain/x", {}, AS_ADMIN)).status == 404


@pytest.mark.parametrize("strategy", [["weighted"], ["latency"], ["least_busy"], ["cost", "weighted"]], ids=str)
async def test_who_would_be_asked_next_is(strategy: list[str], tmp_path: Path) -> None:
    """All targets fail: the attempts are those that were told, in this order."""
    simulator = await start(settings=Settings(faults="503"))
    try:
        provider = {"kind": "openai", "base_url": f"{simulator.url}/v1", "api_key": "k"}
        rows = [{"target": f"{name}/x", "weight": weight} for name, weight in (("a", 3), ("b", 2), ("c", 2), ("d", 1))]
        sections = {
            "providers": dict.fromkeys("abcd", provider),
            "models": {"smart": {"targets": rows, "strategy": strategy}},
            "admin_key": ADMIN,
            "routing": {"health": {"enabled": False}},
        }
        async with running(tmp_path, sections) as run:
            for number in range(12):
                told = (await explained(run, body=hello("smart"))).json
                assert (await ask(run.port, CHAT, hello("smart"))).status == 503
                entry = await run.entry(number + 1)
                assert [each.target for each in entry.attempts] == [told["chosen"], *told["then"]]
    finally:
        await simulator.aclose()


async def test_a_key_counts_with_its_tags_and_what_it_may_ask_for(tmp_path: Path) -> None:
    sections = two() | {"auth": "required"}
    sections["models"]["smart"]["targets"][0]["when"] = 'key.name == "special" && "vip" in tags'
    sections["models"]["other"] = {"targets": [{"target": "sim/sim-small"}]}
    async with running(tmp_path, sections, begin=True) as run:
        await until(
            lambda: run.gateway.stores.shipper is not None and run.gateway.stores.shipper.keys is not None,
            "the database",
        )
        spec = {"name": "special", "tags": ["vip"], "models": ["smart"]}
        assert (await ask(run.port, "/admin/v1/keys", spec, AS_ADMIN)).status == 201
        nobody = await explained(run, body=hello("smart"))
        special = await explained(run, body=hello("smart"), key="special")
        forbidden = await explained(run, body=hello("other"), key="special")
        unknown = await explained(run, body=hello("smart"), key="nobody")
    assert (nobody.json["chosen"], special.json["chosen"]) == ("sim/sim-large", "sim/sim-small")
    assert (forbidden.status, forbidden.json["error"]["code"]) == (403, "model_not_allowed")
    assert unknown.status == 400


# ── The command ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_command_asks_the_running_gateway(tmp_path: Path) -> None:
    async with running(tmp_path, two(strategy="least_busy")) as run:
        options = ["--url", run.url, "--admin-key", ADMIN]
        table = await asyncio.to_thread(CliRunner().invoke, explain, ["-m", "smart", "-p", "hello", *options])
        body = tmp_path / "request.json"
        body.write_text(json.dumps(hello("smart", max_tokens=5)))
        anthropic = [str(body), "--path", "/v1/messages", "-H", "x-team: a", "--tag", "t", "--json", *options]
        shown = await asyncio.to_thread(CliRunner().invoke, explain, anthropic)
        wrong = await asyncio.to_thread(CliRunner().invoke, explain, ["-m", "smrt", "-p", "hello", *options])
    assert table.exit_code == shown.exit_code == 0
    assert "smart goes to sim/sim-" in table.output
    assert "(least_busy); if it fails, sim/sim-" in table.output
    assert json.loads(shown.output)["strategies"] == {"smart": ["least_busy"]}
    assert wrong.exit_code == 1
    assert "Did you mean 'smart'?" in wrong.output


def test_offline_it_goes_by_the_configuration(tmp_path: Path) -> None:
    path = write_config(tmp_path, two(tier=1, strategy="cost"))
    result = CliRunner().invoke(explain, ["--offline", "-m", "smart", "-p", "hi", "-c", str(path)])
    assert result.exit_code == 0, result.output
    assert "smart goes to sim/sim-small (it comes first); if it fails, sim/sim-large." in result.output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "Give either a FILE"),
        (["-p", "hello"], "A --prompt needs a --model"),
        (["-p", "x", "-m", "m", "-H", "nothing"], "expected NAME: VALUE"),
        (["--offline", "-p", "x", "-m", "m", "--key", "k"], "leave out --key or --offline"),
        (["-p", "x", "-m", "m", "--url", "http://127.0.0.1:9", "--admin-key", "k"], "No gateway answers"),
    ],
)
def test_what_the_command_cannot_do_it_says(options: list[str], words: str) -> None:
    result = CliRunner().invoke(explain, options)
    assert result.exit_code != 0
    assert words in result.output


# ── A thousand decisions ───────────────────────────────────────────────────────────────────────────────────────────

STRATEGIES: dict[str, dict[str, Any]] = {
    "ordered": {},
    "turns": {"strategy": "weighted"},
    "idle": {"strategy": "least_busy"},
    "quick": {"strategy": "latency"},
    "cheap": {"strategy": "cost"},
    "roomy": {"strategy": "quota"},
    "mixed": {"strategy": ["cost", "weighted"], "tolerance": 3},
    "homely": {"strategy": "weighted", "affinity": {"by": "session"}},
    "tested": {"strategy": "least_busy"},
    "picky": {"strategy": "latency"},
}
TIE = 0.01
"""Two ranks of this relative distance may change places in the milliseconds between explaining and asking."""


def many(urls: list[str]) -> dict[str, Any]:
    """Ten models, one a strategy, each on the same three simulators at three prices."""
    names = ["one/gpt-4o", "two/gpt-4o-mini", "three/gpt-4.1"]
    providers = {
        name: {"kind": "openai", "base_url": f"{url}/v1", "api_key": "k"}
        for name, url in zip(("one", "two", "three"), urls, strict=True)
    }
    models: dict[str, Any] = {}
    for model, settings in STRATEGIES.items():
        rows: list[dict[str, Any]] = [{"target": name, "weight": 3 - at} for at, name in enumerate(names)]
        models[model] = {"targets": rows, **settings}
    models["tested"]["targets"][2]["canary"] = 0.3
    models["picky"]["targets"][0]["when"] = '"batch" in tags'
    models["roomy"]["targets"][0]["quota"] = {"rpm": 60}
    models["ordered"]["targets"][0]["quota"] = {"rpm": 40}
    return {"providers": providers, "models": models, "admin_key": ADMIN}


def close(told: dict[str, Any]) -> bool:
    """Whether the comparison that decided was next to a tie."""
    ranks = sorted(told["choice"]["steps"][-1]["ranks"].values()) if told["choice"] else []
    return any(after - before <= TIE * abs(before) for before, after in pairwise(ranks))


async def test_a_thousand_calls_go_where_it_was_said(tmp_path: Path) -> None:
    dice = random.Random(11)
    told: list[dict[str, Any]] = []
    went: list[str] = []
    async with AsyncExitStack() as stack:
        simulators = [await start(settings=Settings(ttft=ttft, pace=0)) for ttft in (0.0, 0.001, 0.002)]
        for simulator in simulators:
            stack.push_async_callback(simulator.aclose)
        run = await stack.enter_async_context(running(tmp_path, many([each.url for each in simulators])))
        run.gateway.stores.prices.load()
        admin, line = [await stack.enter_async_context(connected(run.port)) for _ in range(2)]
        for number in range(1000):
            body = hello(dice.choice([*STRATEGIES]), f"question {dice.randrange(30)}", stream=dice.random() < 0.3)
            headers = {"x-trunkline-tags": "batch"} if dice.random() < 0.5 else {}
            asked = {"body": body, "headers": headers}
            if number % 10 == 0:
                await admin.send(request("/admin/v1/explain", asked, AS_ADMIN))
                told.append((await admin.answer()).json)
            else:  # the same without HTTP, which takes most of the time
                described = msgspec.convert(asked | {"body": msgspec.Raw(json.dumps(body).encode())}, Described)
                told.append(msgspec.to_builtins(run.gateway.explain(described, None)))
            await line.send(request(CHAT, body, headers))
            went.append((await line.answer()).headers["x-trunkline-target"])
        entries = run.entries()
    assert len({(each["model"], target) for each, target in zip(told, went, strict=True)}) >= 20, "choices varied"
    elsewhere = [each for each, target in zip(told, went, strict=True) if each["chosen"] != target]
    assert [each for each in elsewhere if not close(each)] == []
    assert len(elsewhere) <= 2
    assert len(entries) == 1000
    for entry, explanation in zip(entries, told, strict=True):
        attempt = entry.attempts[0]
        recorded = remade(attempt.choice) if attempt.choice is not None else None
        first = next(each["target"] for each in explanation["candidates"] if not each["verdicts"])
        assert (recorded or first) == attempt.target == entry.target
        assert json.dumps(explanation["choice"] and explanation["choice"].get("passed")) == json.dumps(
            attempt.choice and (attempt.choice.passed or None)
        )
