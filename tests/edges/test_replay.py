"""Replaying the ledger: the router's own choices made again, and what others would have come to."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.running import running, write_config
from tests.talking import connected, request
from trunkline.cli.replay import replay
from trunkline.config import load
from trunkline.config.plane import plane_of
from trunkline.core.call import Attempt, Entry
from trunkline.core.choice import Choice, Step
from trunkline.core.usage import Usage
from trunkline.policy.standing import Board
from trunkline.providers.prices import PriceList
from trunkline.sim.server import start
from trunkline.stages.routing.replay import Replay, learn
from trunkline.stages.routing.route import Routes
from trunkline.state.database import Database
from trunkline.state.ledger import Ledger
from trunkline.state.location import locate
from trunkline.state.migrations import migrate

ROWS = ["one/gpt-4o", "two/gpt-4o-mini"]
PRICED = {"one/gpt-4o": "openai:gpt-4o", "two/gpt-4o-mini": "openai:gpt-4o-mini"}
USAGE = Usage(input=1000, output=100)
BEGIN = 1_790_000_000.0


def sections(urls: Sequence[str] = ("https://one.example", "https://two.example"), **model: Any) -> dict[str, Any]:
    providers = {
        name: {"kind": "openai", "base_url": f"{url}/v1", "api_key": "k"}
        for name, url in zip(("one", "two"), urls, strict=True)
    }
    return {"providers": providers, "models": {"smart": {"targets": [{"target": row} for row in ROWS], **model}}}


def entry(number: int, *tried: tuple[str, float, str | None], **facts: Any) -> Entry:
    """A call that tried these: (target, seconds, why it failed)."""
    attempts, start = [], 0.0
    for target, seconds, reason in tried:
        attempts.append(Attempt(target, start, seconds, 500 if reason else 200, reason))
        start += seconds
    target, _, reason = tried[-1]
    return Entry(
        id=f"req_{number:06}",
        at=BEGIN + number,
        surface="/v1/chat/completions",
        status=200 if reason is None else 500,
        model=facts.pop("model", "smart"),
        target=target,
        price_model=PRICED[target],
        attempts=attempts,
        duration=start,
        usage=USAGE if reason is None else None,
        cost=1_000_000 if reason is None else None,
        error=reason,
        **facts,
    )


def replayed(path: Path, entries: Sequence[Entry]) -> tuple[Replay, list[str | None]]:
    config = load(path, environ={})
    plane, prices = plane_of(config), PriceList()
    prices.load()
    routes = Routes(config.models, plane.own, plane.directory.resolve, Board(), prices)
    played = Replay(routes, learn(entries), random.Random(0).random)
    return played, [played.play(each) for each in entries]


def test_a_call_that_stays_is_as_it_was(tmp_path: Path) -> None:
    entries = [entry(number, (ROWS[0], 2.0, None)) for number in range(50)]
    entries += [entry(50, (ROWS[0], 1.0, "upstream_server"), (ROWS[1], 1.0, None))]
    entries += [entry(51, (ROWS[0], 0.5, "upstream_invalid_request"))]
    played, _ = replayed(write_config(tmp_path, sections()), entries)
    was, would = played.was.shown(), played.would.shown()
    assert played.moved == 0
    assert would == was
    assert (was["calls"], was["errors"], was["cost"]) == (52, 1, 51_000_000)
    assert was["duration_p50"] == pytest.approx(2.0, rel=0.05)


def test_what_was_hedged_or_went_on_elsewhere_ended_as_the_call_did(tmp_path: Path) -> None:
    hedged = entry(1, (ROWS[0], 3.0, "outrun"), (ROWS[1], 1.0, None))
    broken = entry(2, (ROWS[0], 3.0, "upstream_broken"), (ROWS[1], 1.0, None))
    hedged.attempts[1].kind, broken.attempts[1].kind = "hedge", "continuation"
    played, first = replayed(write_config(tmp_path, sections()), [hedged, broken])
    assert first == [ROWS[0], ROWS[0]]
    would = played.would.shown()
    assert (would["calls"], would["errors"], would["targets"]) == (2, 0, {ROWS[0]: 2})
    assert would["duration_p50"] == pytest.approx(4.0, rel=0.05)


def test_a_call_that_moves_takes_and_costs_what_its_new_target_does(tmp_path: Path) -> None:
    """Alternating targets, the second at a third of the time and a fraction of the price."""
    entries = [entry(number, (ROWS[number % 2], (3.0, 1.0)[number % 2], None)) for number in range(100)]
    played, first = replayed(write_config(tmp_path, sections(strategy="cost")), entries)
    assert set(first) == {ROWS[1]}
    assert played.moved == 50
    would = played.would.shown()
    assert would["targets"] == {ROWS[1]: 100}
    assert would["duration_p95"] == pytest.approx(1.0, rel=0.05)
    mini = 1000 * 150 + 100 * 600  # nano-dollars by the token, of a list price of 0.15 and 0.60 dollars a million
    assert would["cost"] == 50 * 1_000_000 + 50 * mini


def test_a_target_that_fails_often_fails_in_thought_too(tmp_path: Path) -> None:
    entries = [entry(number, (ROWS[0], 1.0, None)) for number in range(200)]
    entries += [entry(200 + number, (ROWS[1], 0.1, "upstream_server" if number % 2 else None)) for number in range(200)]
    path = write_config(tmp_path, sections(strategy="cost"))
    config = load(path, environ={})
    assert config.models["smart"].strategy == ("cost",)
    played, _ = replayed(path, entries)
    would = played.would.shown()
    assert would["calls"] == 400
    assert would["errors"] < played.was.errors == 100, "the other target answers after it"
    assert would["targets"][ROWS[0]] > 50


def test_latency_sends_them_to_the_quick_one(tmp_path: Path) -> None:
    entries = [entry(number, (ROWS[number % 2], (3.0, 0.3)[number % 2], None)) for number in range(300)]
    played, first = replayed(write_config(tmp_path, sections(strategy="latency")), entries)
    assert first.count(ROWS[1]) > 270
    assert played.would.took.mean is not None
    assert played.would.took.mean < 0.7


def test_a_target_without_traffic_has_no_known_latency(tmp_path: Path) -> None:
    entries = [entry(number, (ROWS[0], 1.0, None)) for number in range(10)]
    played, _ = replayed(write_config(tmp_path, sections(strategy="cost")), entries)
    would = played.would.shown()
    assert (would["unknown"], would["duration_p50"]) == (10, None)


def test_what_never_came_to_be_routed_is_left_out(tmp_path: Path) -> None:
    refused = Entry("req_x", BEGIN, "/v1/chat/completions", 401, error="invalid_api_key")
    played, first = replayed(write_config(tmp_path, sections()), [refused])
    assert first == [None]
    assert played.was.calls == 0


# ── What a real gateway did ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("strategy", ["priority", "weighted", "cost"])
async def test_the_configuration_as_it_is_comes_to_what_was(strategy: str, tmp_path: Path) -> None:
    """These depend on nothing that the ledger does not have, so every first target is found again; all others are
    made again from what was written down of the choice."""
    async with AsyncExitStack() as stack:
        simulators = [await start() for _ in range(2)]
        for simulator in simulators:
            stack.push_async_callback(simulator.aclose)
        setup = sections([each.url for each in simulators], strategy=strategy)
        setup["models"]["smart"]["targets"][0]["weight"] = 3
        run = await stack.enter_async_context(running(tmp_path, setup))
        run.gateway.stores.prices.load()
        line = await stack.enter_async_context(connected(run.port))
        for number in range(120):
            body = {"model": "smart", "messages": [{"role": "user", "content": f"question {number}"}]}
            await line.send(request("/v1/chat/completions", body))
            assert (await line.answer()).status == 200
        entries = run.entries()
    played, first = replayed(tmp_path / "trunkline.yaml", entries)
    assert first == [each.attempts[0].target for each in entries]
    assert played.moved == 0
    assert played.recorded == played.agreeing == (0 if strategy == "priority" else 120)
    assert played.would.cost == played.was.cost > 0


# ── The command ────────────────────────────────────────────────────────────────────────────────────────────────────


def stored(directory: Path, entries: Sequence[Entry]) -> Database:
    database = Database(locate(f"sqlite:///{directory}/trunkline.db"))
    migrate(database)
    Ledger(database).append(entries)
    return database


def choosing(number: int, target: str) -> Entry:
    """One that wrote down a choice: of the first by its rank."""
    made = entry(number, (target, 1.0, None), model="smart" if number % 5 else "gone")
    made.at = time.time() - 1000 + number
    made.attempts[0].choice = Choice((Step("cost", {ROWS[0]: 1.0, ROWS[1]: 2.0}),))
    return made


def test_the_command(tmp_path: Path) -> None:
    stored(tmp_path, [choosing(number, ROWS[number == 7]) for number in range(50)]).close()
    path = str(write_config(tmp_path, sections()))
    table = CliRunner().invoke(replay, ["--config", path, "--strategy", "cost", "--strategy", "latency"])
    assert table.exit_code == 0, table.output
    assert "39 of 40 calls would have been asked of another target first." in table.output
    assert "10 calls are left out" in table.output
    assert "39 of 40 recorded choices come out the same" in table.output
    assert "Assumed:\n- A call that stays" in table.output
    weighted = ["--strategy", "weighted", "--weight", "one/gpt-4o=3", "--since", "1h", "--model", "smart", "--json"]
    found = json.loads(CliRunner().invoke(replay, ["--config", path, *weighted]).output)
    assert found["would"]["targets"] == {ROWS[0]: 30, ROWS[1]: 10}
    assert found["was"]["targets"] == {ROWS[0]: 39, ROWS[1]: 1}
    nothing = CliRunner().invoke(replay, ["--config", path, "--until", "2h"])
    assert "0 of 0 calls" in nothing.output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--strategy", "best"], "'best' is not one of"),
        (["--weight", "one"], "expected TARGET=WEIGHT"),
        (["--weight", "one/gpt-4o=-1"], "expected TARGET=WEIGHT"),
        (["--weight", "nobody/x=1"], "no public model has the target 'nobody/x'"),
        (["--model", "nope"], "the configuration has no public model 'nope'"),
        (["--since", "yesterday"], "expected 7d"),
    ],
)
def test_what_is_wrong_is_named(options: list[str], words: str, tmp_path: Path) -> None:
    stored(tmp_path, [choosing(1, ROWS[0])]).close()
    result = CliRunner().invoke(replay, ["--config", str(write_config(tmp_path, sections())), *options])
    assert result.exit_code != 0
    assert words in result.output
