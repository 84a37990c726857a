"""Codex over the WebSocket of Responses: it sends its tools ahead (`generate: false`), then only what is new, and lets
nothing be stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.running import running as gateway_of
from trunkline.sim.server import start
from trunkline.sim.settings import Settings

from .command_lines import COMMAND_LINES
from .test_command_lines import TARGETS, providers

(CODEX,) = (client for client in COMMAND_LINES if client.program == "codex")


def arguments(gateway: str) -> list[str]:
    return [each.replace('wire_api = "responses"', 'wire_api = "responses", supports_websockets = true')
            for each in CODEX.arguments(gateway)]  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
async def test_one_turn_with_a_tool(target: str, tmp_path: Path) -> None:
    CODEX.installed()
    upstream = f"{target}/{TARGETS[target]}"
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    home.mkdir()
    scratch.mkdir()
    simulator = await start(settings=Settings())
    try:
        models = {CODEX.model: {"targets": [{"target": upstream}]}}
        async with gateway_of(tmp_path, {"providers": providers(simulator.url), "models": models}) as run:
            said = await replace(CODEX, arguments=arguments).turn(run.url, home, scratch)
            ahead, *asked = run.entries()
    finally:
        await simulator.aclose()
    assert (scratch / "made.txt").read_text() == "made"
    assert "The tools returned:" in said
    assert (ahead.status, ahead.target) == (200, None)
    assert [(entry.status, entry.target, entry.stream) for entry in asked] == [(200, upstream, True)] * 2
    assert all(entry.usage is not None and entry.usage.input > 5_000 for entry in asked)
