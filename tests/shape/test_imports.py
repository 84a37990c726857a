"""Importing does nothing, and little: a command line that starts at once, a gateway that serves within a second."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("aiohttp", "alembic", "genai_prices", "prometheus_client", "pydantic", "rich", "sqlalchemy", "uvicorn", "yaml")

PROBE = """
import json, sys, threading, time
begun = time.process_time()
import {module}
print(json.dumps([time.process_time() - begun, threading.active_count(), sorted(sys.modules)]))
"""


def probe(module: str) -> tuple[float, int, set[str]]:
    """CPU seconds that importing a module takes in a fresh interpreter; threads running then; what it pulled in."""
    command = [sys.executable, "-I", "-c", PROBE.format(module=module)]
    seconds, threads, modules = json.loads(subprocess.check_output(command, timeout=30))
    return seconds, threads, {name.partition(".")[0] for name in modules}


@pytest.mark.parametrize("module", ["trunkline", "trunkline.cli", "trunkline.cli.main", "trunkline.config"])
def test_an_import_is_light(module: str) -> None:
    seconds, threads, modules = probe(module)
    assert modules.isdisjoint(HEAVY)
    assert threads == 1
    assert seconds < 0.5, "CPU time, with room for a slow machine: 0.1 s is usual"


def test_the_package_itself_imports_nothing_else() -> None:
    *_, modules = probe("trunkline")
    assert modules.isdisjoint({"msgspec", "click", "asyncio"})
