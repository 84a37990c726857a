"""Other gateways, measured as ours is: the same load, upstream and core, one request shape, nginx in the same run.

Each is installed at a fixed version into a temporary folder, which takes minutes, and thrown away with it. Each runs in
its leanest form, without a ledger and with no more of keys than it insists on: our full pipeline beside their bare one.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct

from bench import wrk
from bench.figures import Figure
from bench.gateway import environment
from bench.machine import UNDER_TEST, free_port
from bench.measures.requests import SMALL
from bench.meter import Meter, ratio
from bench.payloads import MODEL
from bench.processes import Process, StartFailed
from bench.readers import Asked, asked
from bench.rig import Rig

INSTALL_TIME = 900.0
TARGET = 4.5
"""What we ask of ourselves, shown beside theirs."""

_TENSORZERO = """\
import sys, threading
from tensorzero import _start_http_gateway
gateway = _start_http_gateway(config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None,
    async_setup=False)
print(gateway.base_url, flush=True)
threading.Event().wait()
"""


class Peer(Struct, frozen=True):
    name: str
    packages: tuple[str, ...]
    install: Callable[[Path, tuple[str, ...]], None]
    start: Callable[[Path, int], tuple[Process, Asked]]
    """Given its folder and the upstream's port; the process and how to ask it. Listening when it returns."""


def pip(folder: Path, packages: tuple[str, ...]) -> None:
    _run(sys.executable, "-m", "venv", str(folder / "venv"))
    _run(str(folder / "venv/bin/python"), "-m", "pip", "install", "--quiet", *packages)


def npm(folder: Path, packages: tuple[str, ...]) -> None:
    _run("npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", str(folder), *packages)


def _run(*words: str) -> None:
    """Raises StartFailed."""
    try:
        ended = subprocess.run(words, capture_output=True, text=True, timeout=INSTALL_TIME, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StartFailed(f"{words[0]}: {error}") from None
    if ended.returncode:
        raise StartFailed(f"{' '.join(words)}: {ended.stderr[-500:]}")


def _start(folder: Path, port: int, *words: str, **more: str) -> Process:
    process = Process(words, UNDER_TEST, folder / "output", folder, environment() | more)
    process.wait_for(port)
    return process


def litellm(folder: Path, upstream: int) -> tuple[Process, Asked]:
    port = free_port()
    config = folder / "config.yaml"
    config.write_text(
        f"model_list:\n- model_name: {MODEL['openai']}\n  litellm_params:\n    model: openai/{MODEL['openai']}\n"
        f"    api_key: upstream-key\n    api_base: http://127.0.0.1:{upstream}/v1\n"
    )
    words = [str(folder / "venv/bin/litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    secret = "sk-" + secrets.token_hex(32)  # it refuses to start without one
    local = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MASTER_KEY": secret,
        "PATH": f"{folder}/venv/bin:{environment().get('PATH', '')}",
    }
    return _start(folder, port, *words, **local), asked(port, "chat", secret=secret)


def portkey(folder: Path, upstream: int) -> tuple[Process, Asked]:
    port = free_port()
    program = folder / "node_modules/@portkey-ai/gateway/build/start-server.js"
    process = _start(folder, port, "node", str(program), f"--port={port}", "--headless")
    fields = ("x-portkey-provider: openai", f"x-portkey-custom-host: http://127.0.0.1:{upstream}/v1")
    return process, Asked(port, "chat", MODEL["openai"], extra=fields)


def tensorzero(folder: Path, upstream: int) -> tuple[Process, Asked]:
    config = folder / "tensorzero.toml"
    config.write_text(
        f'[models.chat]\nrouting = ["local"]\n[models.chat.providers.local]\ntype = "openai"\n'
        f'model_name = "{MODEL["openai"]}"\napi_base = "http://127.0.0.1:{upstream}/v1/"\n'
        'api_key_location = "none"\n[gateway]\nobservability.enabled = false\n'
    )
    program = folder / "serve.py"
    program.write_text(_TENSORZERO)
    process = Process(
        [str(folder / "venv/bin/python"), str(program), str(config)],
        UNDER_TEST,
        folder / "output",
        folder,
        environment(),
    )
    port = int(process.said(r"http://[^/]*:(\d+)"))
    return process, Asked(port, "chat", "tensorzero::model_name::chat", prefix="/openai")


PEERS = (
    Peer("tensorzero 2026.6.0", ("tensorzero==2026.6.0",), pip, tensorzero),
    Peer("portkey 1.15.2", ("@portkey-ai/gateway@1.15.2",), npm, portkey),
    Peer("litellm 1.106.2", ("litellm[proxy]==1.106.2",), pip, litellm),
)


def measure(rig: Rig) -> Iterator[Figure]:
    """Ours, then each peer that can be installed and started; what cannot is said, not skipped in silence."""
    yield _compare(rig, "trunkline", rig.gateway.process, rig.gateway.asked("chat", "chat"))
    for peer in PEERS:
        folder = rig.directory / peer.name.replace(" ", "-")
        folder.mkdir()
        print(f"installing {peer.name} …", file=sys.stderr)
        try:
            peer.install(folder, peer.packages)
            process, question = peer.start(folder, rig.upstream.port)
            with process:
                _first_call(question)
                figure = _compare(rig, peer.name, process, question)
        except StartFailed as error:
            print(f"{peer.name} was not measured: {error}", file=sys.stderr)
        else:
            yield figure


def _first_call(question: Asked) -> None:
    """One call by itself: a first one may load for seconds what the others share. Raises StartFailed."""
    fields = dict(line.split(": ", 1) for line in question.headers)
    url = f"http://127.0.0.1:{question.port}{question.path}"
    try:
        urllib.request.urlopen(urllib.request.Request(url, question.body(SMALL), fields), timeout=60).close()
    except OSError as error:
        raise StartFailed(f"{question.path}: {error}") from None


def _compare(rig: Rig, name: str, process: Process, question: Asked) -> Figure:
    pairs = ((Meter(process), question), (Meter(rig.yardstick.process), asked(rig.yardstick.port, "chat")))
    for _ in range(rig.rounds + 1):
        for meter, each in pairs:
            with meter.round() as units:
                units.append(wrk.run(each, each.body(SMALL), rig.seconds, rig.directory).requests)
    for meter, _ in pairs:
        meter.costs.pop(0)  # the first round warms up
    return ratio(f"{name}, 1 kB", TARGET, pairs[0][0], pairs[1][0])
