"""The gateway as it is run in earnest: keys required, ledger with its journal, metrics and prices on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from bench.families import FAMILIES, KINDS, provider
from bench.machine import LOAD, UNDER_TEST, free_port
from bench.processes import Process, StartFailed
from bench.readers import Asked, asked

_CONFIG = """\
listen: 127.0.0.1:{port}
auth: required
providers:
{providers}
transport: {{max_connections: 4000}}
state: {{hot: "{hot}", durable: "sqlite:///{dir}/trunkline.db", directory: "{dir}/state"}}
log: {{format: json, level: warning}}
models:
  plain: {{targets: [{{target: {first}}}]}}
  guarded: {{strategy: latency, targets: [{{target: {first}}}, {{target: {second}}}]}}
limits:
  - {{models: [guarded], allow: ["requests=1000000000/minute", "cost=1000000/month"]}}
  - {{scope: key, models: [guarded], allow: [
      "requests=1000000000/minute", "tokens=1000000000000/minute", "cost=1000000/month", "concurrent_requests=10000"]}}
"""
PLAIN, GUARDED = "plain", "guarded"
"""Public models of the same upstream: one with nothing in its way, and one with two targets of which the quicker is
chosen, and with limits and budgets that are never reached."""
TWIN = "chat-twin"
SLOW = "chat-slow"
COST = "x-trunkline-cost-usd"
PATIENCE = 20.0
"""Seconds until the gateway must answer, priced."""


def _providers(upstream: int, source: int, slow: int) -> str:
    """A provider of every family at the upstream, one at the source of streams, and one whose streams hardly move."""
    rows = {provider(name, False): (name, upstream) for name in FAMILIES}
    rows |= {provider(name, True): (name, source) for name in FAMILIES}
    rows[SLOW] = ("chat", slow)
    rows[TWIN] = ("chat", upstream)
    return "\n".join(f"  {name}: {_row(family, port)}" for name, (family, port) in rows.items())


def _row(family: str, port: int) -> str:
    region = ", region: us-east-1" if KINDS[family] == "bedrock" else ""
    address = f"http://127.0.0.1:{port}{FAMILIES[family].base}"
    return f'{{kind: {KINDS[family]}, api_key: upstream-key, base_url: "{address}"{region}}}'


def environment() -> dict[str, str]:
    """This process's environment without the providers' credentials, which would change what the gateway serves."""
    return {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_ENDPOINT"))}


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "trunkline", *words]


class Gateway:
    """Started on the core under test, with one key; ready when an answer carries its cost."""

    def __init__(self, directory: Path, upstream: int, source: int, slow: int = 1, hot: str = "memory://") -> None:
        directory.mkdir()
        self.port = free_port()
        config = directory / "trunkline.yaml"
        model = FAMILIES["chat"].model
        facts = {"first": f"{provider('chat', False)}/{model}", "second": f"{TWIN}/{model}", "hot": hot}
        rows = _providers(upstream, source, slow)
        config.write_text(_CONFIG.format(dir=directory, port=self.port, providers=rows, **facts))
        made = subprocess.run(
            command("keys", "create", "bench", "--config", str(config)),
            capture_output=True,
            text=True,
            cwd=directory,
            env=environment(),
            check=False,
        )
        if made.returncode:
            raise StartFailed(f"no key could be made: {made.stderr}")
        self.secret = made.stdout.strip()
        self.process = Process(
            command("serve", "--config", str(config)), UNDER_TEST, directory / "output", directory, environment()
        )
        self.process.wait_for(self.port)
        self._wait_for_prices()

    def asked(self, client: str, target: str, stream: bool = False) -> Asked:
        return asked(self.port, client, target, self.secret, stream)

    def public(self, model: str) -> Asked:
        """A public model, by a chat client."""
        return Asked(self.port, "chat", model, self.secret)

    def slow(self) -> Asked:
        """Where streams hardly move."""
        return Asked(self.port, "chat", f"{SLOW}/{FAMILIES['chat'].model}", self.secret)

    def _wait_for_prices(self) -> None:
        """Prices load in the background: until they are there a call does less work than it should. Raises
        StartFailed."""
        question = self.asked("chat", "chat")
        deadline = time.monotonic() + PATIENCE
        last = "no answer"
        while time.monotonic() < deadline:
            self.process.check()
            call = urllib.request.Request(
                f"http://127.0.0.1:{self.port}{question.path}",
                data=question.body(1000),
                headers={"content-type": "application/json", "authorization": f"Bearer {self.secret}"},
            )
            try:
                with urllib.request.urlopen(call, timeout=PATIENCE) as answer:
                    if COST in answer.headers:
                        return
                    last = "an answer without its cost"
            except urllib.error.HTTPError as error:
                last = f"status {error.code}: {error.read(300).decode('utf-8', 'replace')}"
            time.sleep(0.1)
        raise StartFailed(f"the gateway gave {last}")


class Source:
    """The two servers of streams, one process: at 50 chunks a second, and one that hardly moves."""

    PACE = 50
    SLOW_PACE = 0.5

    def __init__(self, log: Path) -> None:
        self.port, self.slow = free_port(), free_port()
        words = [str(self.port), str(1 / self.PACE), str(self.slow), str(1 / self.SLOW_PACE)]
        self.process = Process([sys.executable, "-m", "bench.source", *words], LOAD, log)
        self.process.wait_for(self.slow)
