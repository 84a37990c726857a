"""The simulator and the gateway as people start them: two processes on free ports, for a whole test session."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PUBLIC = {
    "chat": "sim", "azure": "sim-azure", "messages": "sim-anthropic", "gemini": "sim-gemini", "vertex": "sim-vertex",
    "anthropic.claude": "sim-bedrock",
}  # fmt: skip
"""Public models: `chat-small` and `chat-large` are `sim`'s models of the same name, and so on."""

UPSTREAM_KEY = "sk-upstream-9876543210"
BEDROCK_KEY = f"bedrock-api-key-{UPSTREAM_KEY}"

PATIENCE = 20.0
"""Seconds for a process to say where it listens."""


@dataclass(frozen=True)
class Servers:
    """Where the two listen. `gateway` serves `sim`, `sim-azure`, `sim-anthropic` and so on, all of them `simulator`."""

    simulator: str
    gateway: str

    def calls(self) -> list[dict[str, Any]]:
        """What the simulator was asked, oldest first."""
        with urllib.request.urlopen(f"{self.simulator}/__sim/calls", timeout=PATIENCE) as answer:
            calls: list[dict[str, Any]] = json.load(answer)["calls"]
        return calls


@contextmanager
def servers(directory: Path, more: dict[str, Any] | None = None) -> Iterator[Servers]:
    """Both, their files in `directory`; ended by their process ids. `more`: sections of the configuration besides."""
    with _started(directory, "simulator", "sim", "--port", "0", "--pace", "0", "--ttft", "0") as simulator:
        config = directory / "trunkline.yaml"
        config.write_text(json.dumps(_config(simulator, directory) | (more or {})))  # JSON is YAML
        with _started(directory, "gateway", "serve", "--config", str(config)) as gateway:
            yield Servers(simulator, gateway)


def _config(simulator: str, directory: Path) -> dict[str, Any]:
    """The providers of `trunkline serve` without a configuration, but for the pace of their answers."""
    return {
        "listen": "127.0.0.1:0",
        "auth": "open",
        "providers": {
            "sim": {"kind": "openai", "base_url": f"{simulator}/v1", "api_key": UPSTREAM_KEY},
            "sim-azure": {"kind": "azure", "endpoint": simulator, "api_key": UPSTREAM_KEY, "api_version": "2024-10-21"},
            "sim-anthropic": {"kind": "anthropic", "base_url": simulator, "api_key": UPSTREAM_KEY},
            "sim-gemini": {"kind": "gemini", "base_url": simulator, "api_key": UPSTREAM_KEY},
            "sim-vertex": {"kind": "vertex", "base_url": simulator, "api_key": UPSTREAM_KEY, "project": "simulated"},
            "sim-bedrock": {"kind": "bedrock", "base_url": simulator, "api_key": BEDROCK_KEY, "region": "us-east-1"},
        },
        "models": {
            f"{name}-{size}": {"targets": [{"target": f"{provider}/{name}-{size}"}]}
            for name, provider in PUBLIC.items()
            for size in ("small", "large")
        },
        "state": {"durable": f"sqlite:///{directory}/trunkline.db", "directory": str(directory / "state")},
    }


@contextmanager
def _started(directory: Path, name: str, *command: str) -> Iterator[str]:
    """`trunkline COMMAND`, once it has said its address: that address."""
    said = directory / f"{name}.log"
    environment = {key: value for key, value in os.environ.items() if not re.search("OPENAI|ANTHROPIC|TRUNKLINE", key)}
    with said.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "trunkline", *command], cwd=directory, env=environment, stdout=log, stderr=log
        )
    try:
        yield _address(process, said)
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[bytes], said: Path) -> str:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"http://127\.0\.0\.1:\d+", said.read_text()):
            return found[0]
        time.sleep(0.02)
    raise AssertionError(f"it does not listen:\n{said.read_text()}")
