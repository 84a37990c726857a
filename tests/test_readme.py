"""The README does what it says: its snippets run against a gateway as `trunkline serve` starts it, its configuration
loads, its commands work in the order in which they stand there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.running import PATIENCE, child

TEXT = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
WRITTEN = "http://127.0.0.1:4000"
"""The address in the README's snippets; each is run with the address of the test's own gateway instead."""


def blocks(language: str, holding: str) -> list[str]:
    """The fenced pieces of the README in this language that hold this text."""
    return [text for text in re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.M | re.S) if holding in text]


SNIPPETS = blocks("python", WRITTEN)
NEEDED = re.findall(r"^# pip install (\S+)", TEXT, re.M)
(CURL,) = (shlex.split(text.replace("\\\n", " ")) for text in blocks("sh", "curl"))
(CONFIGURATION,) = blocks("yaml", "trunkline.yaml")
COMMANDS = [shlex.split(line, comments=True) for line in blocks("sh", ".venv")[0].splitlines()]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """One with nothing configured: the simulator answers."""
    async with child(tmp_path_factory.mktemp("readme"), None, "--port", "0") as process:
        yield f"http://127.0.0.1:{process.port}"


def run(*command: str, directory: Path, **variables: str) -> str:
    """What a program writes to its standard output; it must succeed."""
    done = subprocess.run(
        command, cwd=directory, env=os.environ | variables, capture_output=True, text=True, timeout=3 * PATIENCE
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_is_a_snippet_for_every_sdk() -> None:
    assert NEEDED == ["openai", "anthropic", "google-genai", "boto3", "openai"]
    assert len(SNIPPETS) == len(NEEDED)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=NEEDED)
def test_a_snippet_prints_what_the_simulator_says(gateway: str, snippet: str, tmp_path: Path) -> None:
    said = run(sys.executable, "-c", snippet.replace(WRITTEN, gateway), directory=tmp_path)
    assert said.count("a simulator; no real model has answered") == snippet.count("print(")


def test_the_first_call_is_answered(gateway: str, tmp_path: Path) -> None:
    command = [word.replace(WRITTEN, gateway) for word in CURL]
    assert "no real model has answered" in run(*command, "--silent", directory=tmp_path)


@pytest.mark.parametrize("model", ["gpt-5.5", "claude-sonnet-5", "gemini-3.1-pro-preview"])
def test_an_applications_own_models_are_answered(gateway: str, model: str, tmp_path: Path) -> None:
    command = [word.replace(WRITTEN, gateway).replace("sim/sim-small", model) for word in CURL]
    assert f"I am {model}, a simulator" in run(*command, "--silent", directory=tmp_path)


def test_the_commands_do_what_stands_beside_them(tmp_path: Path) -> None:
    (tmp_path / "trunkline.yaml").write_text(CONFIGURATION)
    wanted = [words[1:] for words in COMMANDS if words[0] == "trunkline" and words[1] != "serve"]
    credentials = {"OPENAI_API_KEY": "sk-example", "ANTHROPIC_API_KEY": "sk-example"}
    said = {
        words[0]: run(sys.executable, "-m", "trunkline", *words, directory=tmp_path, **credentials) for words in wanted
    }
    assert "sk-example" not in said["check"]
    assert "bedrock/eu.anthropic.claude-sonnet-4-5" in said["models"]
    assert re.fullmatch(r"tl-\S{43}\n", said["keys"])
    assert "usage" in said
