"""Others' validator: `steady` serves a published API description and refuses what the description does not allow.

npm `@stdy/cli`, MIT. It answers 400, and puts paths and codes into `x-steady-error-*` headers. Both OpenAI's and
Anthropic's SDK projects test against it.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec import Struct

from tests.corpus.exchanges import TOOLS, library

VERSION = "0.22.2"
CACHE = Path(os.environ.get("TRUNKLINE_TEST_CACHE") or Path.home() / ".cache" / "trunkline-tests")
NEEDED = [
    pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not here: @stdy/cli cannot be installed"),
    pytest.mark.skipif(not (TOOLS / "corpus.py").exists(), reason="the recorded exchanges (../shared) are not here"),
]

_ERROR = re.compile(r"x-steady-error-\d+-(path|code)")


class Validator(Struct, frozen=True):
    port: int
    path: str

    def refusal(self, body: bytes, strictly: bool = False) -> str | None:
        """Why the description does not allow the body; None where it does. `strictly`: doubts count too. Where no
        variant of a union fits, steady doubts itself and answers 200 with its errors in the headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            headers = {"content-type": "application/json", "authorization": "Bearer x", "x-api-key": "x"}
            connection.request("POST", self.path, body, headers | {"anthropic-version": "2023-06-01"})
            response = connection.getresponse()
            response.read()
        finally:
            connection.close()
        told = [(name.lower(), value) for name, value in response.getheaders()]
        errors = {name: value for name, value in told if _ERROR.fullmatch(name)}
        assert response.status in {200, 400}
        if not (errors if strictly else response.status == 400):
            return None
        return ", ".join(f"{name.removeprefix('x-steady-error-')} {value}" for name, value in sorted(errors.items()))


def _installed() -> Path:
    folder = CACHE / f"steady-{VERSION}"
    binary = folder / "node_modules" / ".bin" / "steady"
    if not binary.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), f"@stdy/cli@{VERSION}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
        if done.returncode:
            pytest.skip(f"@stdy/cli {VERSION} could not be installed: {done.stderr[-300:]}")
    return binary


@contextmanager
def serving(described: dict[str, tuple[str, str]]) -> Iterator[dict[str, Validator]]:
    """Descriptions (a file among the schemas, and the path that is asked), each served on a free port."""
    binary, running, found = _installed(), [], {}
    try:
        for name, (description, path) in described.items():
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            at = str(library().schemas() / description)
            command = [str(binary), "-q", "-p", str(port), "--host", "127.0.0.1", at]
            running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            found[name] = Validator(port, path)
        for process, validator in zip(running, found.values(), strict=True):
            _wait(process, validator.port)
        yield found
    finally:
        for process in running:
            process.terminate()
            process.wait(10)


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"the validator did not come up on port {port}")
