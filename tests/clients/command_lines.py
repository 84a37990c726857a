"""The vendors' command-line clients: installed once into a cache, and run as their users run them, for one turn.

Nothing that they do may depend on the internet: whatever they send elsewhere than to this machine goes to a proxy that
is not there. Each has a home of its own, so that no setting of the machine's owner plays a part.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.corpus.steady import CACHE

KEY = "any"
INSTALLING = 300
"""Seconds that npm may take: the clients weigh a hundred megabytes and more each."""
PATIENCE = 90
"""Seconds for a turn; a few are usual."""

NOWHERE = "http://127.0.0.1:9"
OFFLINE = {"HTTP_PROXY": NOWHERE, "HTTPS_PROXY": NOWHERE, "ALL_PROXY": NOWHERE, "NO_PROXY": "127.0.0.1,localhost"}
OFFLINE |= {name.lower(): value for name, value in OFFLINE.items()}

GEMINI_SETTINGS = {
    "security": {"auth": {"selectedType": "gemini-api-key"}},
    "general": {"enableAutoUpdate": False},
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
}


@dataclass(frozen=True)
class CommandLine:
    """One client: what it is, how it is pointed at a gateway, and what one turn of it is."""

    package: str
    version: str
    program: str
    family: str
    """The provider that speaks its own language."""
    surface: str
    model: str
    """Of its vendor's: it offers other tools and settings for each model that it knows."""
    prompt: str
    """Has the model call a tool that writes `made` into `made.txt`."""
    losable: str
    """Paths that may be lost on the way to another family (a pattern): they steer caches and sampling, or are tools of
    OpenAI's own; thoughts without a signature, which nobody wants back; a system turn, which is told as the user's."""
    environment: Callable[[str], Mapping[str, str]]
    """What tells it the gateway's address."""
    arguments: Callable[[str], list[str]]
    files: Mapping[str, str] = field(default_factory=dict)
    """Settings that it finds in its home."""

    def __str__(self) -> str:
        return self.program

    def installed(self) -> Path:
        """Its program, in the cache; the test is skipped where it is not there and cannot be had."""
        folder = CACHE / f"{self.program}-{self.version}"
        binary = folder / "node_modules" / ".bin" / self.program
        if binary.exists():
            return binary
        if shutil.which("npm") is None:
            pytest.skip(f"npm is not here: {self.package} cannot be installed")
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            "npm",
            "install",
            "--no-audit",
            "--no-fund",
            "--prefix",
            str(folder),
            f"{self.package}@{self.version}",
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALLING, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip(f"{self.package} {self.version} was not installed within {INSTALLING} s")
        if done.returncode:
            pytest.skip(f"{self.package} {self.version} could not be installed: {done.stderr[-300:]}")
        return binary

    async def turn(self, gateway: str, home: Path, scratch: Path) -> str:
        """One turn in the directory `scratch`: what it printed. Fails with that where the turn fails or hangs."""
        for name, text in self.files.items():
            path = home / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), **OFFLINE, **self.environment(gateway)}
        process = await asyncio.create_subprocess_exec(
            self.installed(), *self.arguments(gateway),
            cwd=scratch, env=environment, start_new_session=True,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # it, and what it may have left running
        assert process.returncode == 0, f"{out.decode()}\n{err.decode()}"
        return out.decode()


CLAUDE_PROMPT = 'Please call Bash({"command": "printf made > made.txt", "description": "Makes it"}) and tell me.'
CODEX_PROMPT = 'Please call exec_command({"cmd": "printf made > made.txt"}) and tell me.'
GEMINI_PROMPT = 'Please call run_shell_command({"command": "printf made > made.txt"}) and tell me.'


def _codex(gateway: str) -> list[str]:
    provider = f'{{name = "Trunkline", base_url = "{gateway}/v1", env_key = "TRUNKLINE_KEY", wire_api = "responses"}}'
    return [
        "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--model", "gpt-5.5",
        "--config", f"model_providers.trunkline={provider}", "--config", "model_provider=trunkline", CODEX_PROMPT,
    ]  # fmt: skip


COMMAND_LINES = (
    CommandLine(
        package="@anthropic-ai/claude-code", version="2.1.197", program="claude", family="sim-anthropic",
        surface="/v1/messages", model="claude-opus-5", prompt=CLAUDE_PROMPT,
        losable=r".*\.cache_control|context_management|metadata\.user_id|messages\[\d+\]\.(role|content\[0\])",
        environment=lambda gateway: {
            "ANTHROPIC_BASE_URL": gateway,
            "ANTHROPIC_API_KEY": KEY,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        },
        arguments=lambda gateway: ["--print", CLAUDE_PROMPT, "--model", "claude-opus-5", "--allowedTools", "Bash"],
    ),
    CommandLine(
        package="@openai/codex", version="0.169.0", program="codex", family="sim",
        surface="/v1/responses", model="gpt-5.5", prompt=CODEX_PROMPT,
        losable=r"input\[\d+\]|tools\[\d+\](\.format)?|text\.verbosity|prompt_cache_key|client_metadata",
        environment=lambda gateway: {"TRUNKLINE_KEY": KEY},
        arguments=_codex,
    ),
    CommandLine(
        package="@google/gemini-cli", version="0.61.0", program="gemini", family="sim-gemini",
        surface="/v1beta/models/{model}:streamGenerateContent", model="gemini-3.1-pro-preview", prompt=GEMINI_PROMPT,
        losable=r"generationConfig\.top[KP]",
        environment=lambda gateway: {"GOOGLE_GEMINI_BASE_URL": gateway, "GEMINI_API_KEY": KEY},
        arguments=lambda gateway: [
            "--prompt", GEMINI_PROMPT, "--model", "gemini-3.1-pro-preview", "--yolo", "--skip-trust",
        ],
        files={".gemini/settings.json": json.dumps(GEMINI_SETTINGS)},
    ),
)  # fmt: skip
