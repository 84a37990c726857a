"""wrk, for answers that are not streamed: one thread, a fixed number of connections, a fixed time.

It inherits this process's core, that of the load.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from msgspec import Struct

from bench.processes import StartFailed
from bench.readers import Asked

CONNECTIONS = 32
GRACE = 30.0
"""Seconds beyond its time that wrk is given to end."""

_SCRIPT = """\
wrk.method = "POST"
wrk.body = {body}
wrk.headers = {{ {headers} }}
done = function(summary, latency, requests)
  local e = summary.errors
  io.write("\\nJSON " .. string.format('{{"requests": %d, "errors": %d}}', summary.requests,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


class Load(Struct, frozen=True):
    requests: int
    errors: int


def run(asked: Asked, body: bytes, seconds: float, directory: Path) -> Load:
    """Raises StartFailed where wrk is missing or any answer was an error: such answers are cheaper than real ones."""
    program = shutil.which("wrk")
    if program is None:
        raise StartFailed("wrk is not installed: it is the load of the request measures (apt install nginx-light wrk)")
    fields = (line.split(": ", 1) for line in asked.headers)
    written = ", ".join(f"[{json.dumps(name)}] = {json.dumps(value)}" for name, value in fields)
    script = directory / "load.lua"
    script.write_text(_SCRIPT.format(body=f"[==[{body.decode()}]==]", headers=written))
    # Whole seconds are all that wrk takes.
    words = [
        program,
        "-t1",
        f"--timeout={GRACE:.0f}s",
        f"-c{CONNECTIONS}",
        f"-d{max(1, round(seconds))}s",
        "-s",
        str(script),
    ]
    ended = subprocess.run(
        [*words, f"http://127.0.0.1:{asked.port}{asked.path}"],
        capture_output=True,
        text=True,
        timeout=seconds + GRACE,
        check=False,
    )
    _, found, told = ended.stdout.partition("JSON ")
    if not found:
        raise StartFailed(f"wrk said: {ended.stdout}{ended.stderr}")
    load = Load(**json.loads(told))
    if load.errors or not load.requests:
        raise StartFailed(f"{asked.path} on port {asked.port}: {load.errors} errors in {load.requests} requests")
    return load
