"""Fuzz a dialect, guided by coverage: `python -m tests.fuzz DIALECT`, or `operations` for what is none. `make fuzz`
runs them all, one after another.

A find ends the run with a stack and leaves the input in the current directory; `--input FILE` runs it again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["trunkline"]):
    from tests.fuzz import operations
    from tests.fuzz.dialects import DIALECTS
    from tests.fuzz.harness import MAX_BODY, one_input
from tests.fuzz.seeds import seeds

OPERATIONS = "operations"
TARGETS = (*DIALECTS, OPERATIONS)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("dialect", nargs="?", choices=sorted(TARGETS), help="all of them where left out")
    parser.add_argument("--minutes", type=float, default=0.0, help="how long a dialect; 0: only --runs counts")
    parser.add_argument("--runs", type=int, default=-1, help="how many inputs; -1: only --minutes counts")
    parser.add_argument("--input", type=Path, help="run this input and nothing else")
    options = parser.parse_args()
    if options.dialect is None:
        sys.exit(_each_in_turn(options))
    if options.input is not None:
        _run(options.dialect, options.input.read_bytes())
        return
    with tempfile.TemporaryDirectory() as directory:
        for number, data in enumerate(_seeds(options.dialect)):
            (Path(directory) / f"{number:05}").write_bytes(data)
        flags = [f"-max_len={MAX_BODY}", "-timeout=20", "-rss_limit_mb=3000", "-seed=1", "-print_final_stats=1"]
        flags += [f"-max_total_time={round(options.minutes * 60)}"] if options.minutes else []
        flags += [f"-runs={options.runs}"]
        atheris.Setup([sys.argv[0], *flags, directory], partial(_run, options.dialect))
        atheris.Fuzz()


def _run(name: str, data: bytes) -> None:
    """The fuzzer wants nothing back."""
    if name == OPERATIONS:
        operations.one_input(data)
    else:
        one_input(DIALECTS[name], _ALL, data)


_ALL = list(DIALECTS.values())


def _seeds(name: str) -> Iterator[bytes]:
    return operations.seeds() if name == OPERATIONS else seeds(name)


def _each_in_turn(options: argparse.Namespace) -> int:
    """A process each: the fuzzer ends the one that it runs in. The number of dialects with a find."""
    import subprocess

    failed = 0
    for name in TARGETS:
        print(f"== {name}", flush=True)
        command = [sys.executable, "-m", "tests.fuzz", name, "--minutes", str(options.minutes or 1.0)]
        failed += subprocess.run([*command, "--runs", str(options.runs)], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    main()
