"""Asking a live target what it takes: the simulator refuses some things, and the probe finds out which."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from tests.edges.families import OPENAI
from tests.edges.test_failover import refused_port
from tests.running import write_config
from trunkline.cli.main import root
from trunkline.config import load
from trunkline.edge.probe import QUESTIONS, Finding, overrides
from trunkline.providers.catalog import facts_of

SIMULATED = {"sim": {"enabled": True}}


def probed(directory: Path, target: str, *options: str) -> dict[str, str]:
    path = str(write_config(directory, SIMULATED))
    ran = CliRunner().invoke(root, ["probe", target, "--config", path, "--json", *options])
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)
    assert told["cost_nano_usd"] == 0
    return {each["name"]: each["verdict"] for each in told["findings"]}


def test_a_reasoning_model_refuses_sampling_and_the_old_name_of_the_limit(tmp_path: Path) -> None:
    said = probed(tmp_path, "sim/sim-thinker", "--write", str(tmp_path / "found.yaml"))
    assert set(said) == {each.name for each in QUESTIONS}
    refused = {"temperature", "top_p", "stop", "logprobs", "max_tokens"}
    assert {name for name, verdict in said.items() if verdict == "no"} == refused
    assert {name for name, verdict in said.items() if verdict == "unasked"} == {"top_k", "prefill"}
    assert "unclear" not in said.values()
    written = yaml.safe_load((tmp_path / "found.yaml").read_text())
    config = load(write_config(tmp_path, SIMULATED | written), environ={})
    facts = facts_of("sim-thinker", "sim", config.catalog)
    assert facts.refuses == ("temperature", "top_p", "stop", "logprobs")
    assert facts.max_tokens_name == "max_completion_tokens"
    assert facts.parallel_tools


def test_messages_are_asked_in_their_own_words(tmp_path: Path) -> None:
    said = probed(tmp_path, "sim-anthropic/sim-small")
    assert said["top_k"] == said["temperature"] == said["image"] == said["prefill"] == "yes"
    assert said["seed"] == said["n"] == said["max_completion_tokens"] == "unasked"


@pytest.mark.parametrize("target", ["sim-gemini/sim-small", "sim-bedrock/sim-small"])
def test_every_family_can_be_asked(target: str, tmp_path: Path) -> None:
    said = probed(tmp_path, target)
    assert said["text"] == said["tools"] == said["streaming"] == said["streaming_usage"] == "yes"


def test_nothing_more_is_asked_of_a_target_that_does_not_answer(tmp_path: Path) -> None:
    sections = {"providers": {"one": OPENAI.provider(f"http://127.0.0.1:{refused_port()}")}}
    ran = CliRunner().invoke(root, ["probe", "one/m", "--config", str(write_config(tmp_path, sections)), "--json"])
    assert ran.exit_code == 1
    (found,) = json.loads(ran.stdout)["findings"]
    assert found["verdict"] == "unclear"


def test_an_unknown_target_is_an_error_of_the_caller(tmp_path: Path) -> None:
    ran = CliRunner().invoke(root, ["probe", "nobody/m", "--config", str(write_config(tmp_path, SIMULATED))])
    assert ran.exit_code == 1
    assert "nobody/m" in ran.stderr


def test_a_file_that_cannot_be_written_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    out = str(tmp_path / "missing" / "found.yaml")
    ran = CliRunner().invoke(root, ["probe", "sim/sim-small", "--write", out])
    assert ran.exit_code == 2
    assert f"{out} cannot be written: No such file or directory" in ran.stderr


def test_what_was_not_clear_overrides_nothing() -> None:
    findings = [Finding("tools", "unclear"), Finding("image", "yes"), Finding("document", "unclear")]
    assert overrides(findings) == {}
    assert overrides([Finding("image", "no"), Finding("document", "yes")]) == {"inputs": ["text", "document"]}
