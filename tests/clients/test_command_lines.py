"""The vendors' command-line clients work through the gateway with models of every family: they ask, the model calls a
tool of theirs, the tool does its work, and its result goes back, with whatever signatures the model gave."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.running import running as gateway_of
from trunkline.sim.server import start
from trunkline.sim.settings import Settings

from .command_lines import COMMAND_LINES, CommandLine

TARGETS = {
    "sim": "sim-thinker",
    "sim-anthropic": "claude-opus-4-5",
    "sim-gemini": "sim-thinker",
    "sim-bedrock": "us.anthropic.claude-opus-4-5-20251101-v1:0",
}
"""One provider a family (Azure speaks OpenAI's languages, Vertex Google's), and a model there that signs its thoughts
and wants them back with the tool's result."""


def providers(simulator: str) -> dict[str, dict[str, str]]:
    return {
        "sim": {"kind": "openai", "base_url": f"{simulator}/v1", "api_key": "any"},
        "sim-anthropic": {"kind": "anthropic", "base_url": simulator, "api_key": "any"},
        "sim-gemini": {"kind": "gemini", "base_url": simulator, "api_key": "any"},
        "sim-bedrock": {"kind": "bedrock", "base_url": simulator, "api_key": "any", "region": "us-east-1"},
    }


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("client", COMMAND_LINES, ids=str)
async def test_one_turn_with_a_tool(client: CommandLine, target: str, tmp_path: Path) -> None:
    client.installed()
    upstream = f"{target}/{TARGETS[target]}"
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    home.mkdir()
    scratch.mkdir()
    simulator = await start(settings=Settings())
    try:
        models = {client.model: {"targets": [{"target": upstream}]}}
        async with gateway_of(tmp_path, {"providers": providers(simulator.url), "models": models}) as run:
            said = await client.turn(run.url, home, scratch)
            entries = run.entries()
    finally:
        await simulator.aclose()
    assert (scratch / "made.txt").read_text() == "made"
    assert f"I am {TARGETS[target]}, a simulator; no real model has answered. The tools returned:" in said
    asked = [entry for entry in entries if entry.surface == client.surface]
    assert len(asked) >= 2
    for entry in asked:
        assert (entry.status, entry.error, entry.target, entry.model) == (200, None, upstream, client.model)
        assert entry.usage is not None
        assert entry.usage.input > 5_000  # such clients have much to say of their tools
        assert entry.usage.output > 0
        losable = client.losable if target != client.family else ""
        assert [path for path in entry.lost if not re.fullmatch(losable, path)] == []
    assert {entry.status for entry in entries} == {200}
