"""Where the gateway's time goes: py-spy looks at the running process from outside, so that nothing in it is changed.

Shares are of CPU time (samples of threads that were running, the interpreter's lock held or not); the cost of a
function is its share of what the same round measured per request or chunk. `self` is the function alone, `total` with
what it called.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from itertools import islice
from pathlib import Path

import uvloop
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from bench import wrk
from bench.families import FAMILIES
from bench.gateway import Source
from bench.measures.requests import LARGE, SMALL
from bench.measures.streams import STREAMS
from bench.processes import Process, StartFailed
from bench.readers import Asked, Fleet
from bench.rig import Rig

RATE = 250
"""Samples a second: enough for shares of a per cent in a few seconds, and a small load of its own."""
TOP = 60
ASLEEP = frozenset({"Condition.wait (threading.py)", "wait (threading.py)"})
"""A thread that waits for its turn, which py-spy sometimes takes for a busy one."""
WRAPPER = 0.4
"""Share of the samples above which a function with no time of its own is only a wrapper of the whole."""


class Subject(Struct, frozen=True):
    """What to profile: `size` bytes of a whole request, or None for a stream."""

    client: str
    upstream: str
    size: int | None = None


SUBJECTS = {
    "requests": Subject("chat", "chat", SMALL),
    "large": Subject("chat", "chat", LARGE),
    "translated": Subject("chat", "anthropic", SMALL),
    "stream": Subject("chat", "chat"),
    "translated-stream": Subject("chat", "anthropic"),
    "translated-stream-back": Subject("anthropic", "chat"),
}
"""Beside these, `CLIENT:UPSTREAM` and `CLIENT:UPSTREAM:stream` of any two families."""


def subject_of(name: str) -> Subject:
    """Raises StartFailed for a name that is no subject."""
    if name in SUBJECTS:
        return SUBJECTS[name]
    client, _, rest = name.partition(":")
    upstream, _, stream = rest.partition(":")
    if client not in FAMILIES or upstream not in FAMILIES or stream not in {"", "stream"}:
        raise StartFailed(f"{name}: profile one of {', '.join(SUBJECTS)}, or CLIENT:UPSTREAM of {', '.join(FAMILIES)}")
    return Subject(client, upstream, None if stream else SMALL)


def profile(rig: Rig, name: str) -> None:
    """Load the gateway, watch it, print the dearest functions. Raises StartFailed."""
    subject = subject_of(name)
    question = rig.gateway.asked(subject.client, subject.upstream, stream=subject.size is None)
    process = rig.gateway.process
    stacks = rig.directory / "stacks"
    # The first pass measures, the second is watched: the watcher stops the process for each sample.
    before = process.cpu
    done = _load(rig, question, subject.size)
    cost = (process.cpu - before) / done * 1e6
    with Watched(process, rig.seconds, stacks):
        _load(rig, question, subject.size)
    _show(stacks.read_text(), cost, "request" if subject.size else "chunk", name)


def _load(rig: Rig, question: Asked, size: int | None) -> int:
    """How many requests, or chunks, went through."""
    if size is not None:
        return wrk.run(question, question.body(size), rig.seconds, rig.directory).requests
    chunks = round(rig.seconds * Source.PACE)

    async def run() -> None:
        fleet = await Fleet.connect(question.port, STREAMS)
        await fleet.run(question, chunks)
        fleet.close()

    uvloop.run(run())
    return STREAMS * chunks


class Watched:
    """py-spy beside a load; waits until its file is written."""

    def __init__(self, process: Process, seconds: float, stacks: Path) -> None:
        program = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
        if program is None:
            raise StartFailed("py-spy is not installed: pip install py-spy")
        options = ["--rate", str(RATE), "--duration", str(max(1, int(seconds))), "--format", "raw"]
        self._words = [program, "record", "--pid", str(process.pid), "--output", str(stacks), *options]
        self._limit = seconds * 3 + 20

    def __enter__(self) -> None:
        self._watcher = subprocess.Popen(self._words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def __exit__(self, *_: object) -> None:
        try:
            said = self._watcher.communicate(timeout=self._limit)[1]
        except subprocess.TimeoutExpired:
            self._watcher.kill()
            self._watcher.communicate()
            raise StartFailed("py-spy did not end") from None
        if self._watcher.returncode:
            raise StartFailed(f"py-spy: {said.decode('utf-8', 'replace')[-500:]}")


def _show(stacks: str, cost: float, unit: str, name: str) -> None:
    alone: Counter[str] = Counter()
    under: Counter[str] = Counter()
    samples = 0
    for line in stacks.splitlines():
        stack, _, number = line.rpartition(" ")
        path = [_frame(frame) for frame in stack.split(";")]
        if path[-1] in ASLEEP:
            continue
        samples += int(number)
        alone[path[-1]] += int(number)
        for frame in set(path):
            under[frame] += int(number)
    table = Table(title=f"{name}: {cost:.1f} µs CPU a {unit}, {samples} samples")
    for heading in ("function", "total µs", "self µs"):
        table.add_column(heading, justify="left" if heading == "function" else "right", overflow="fold")
    frames = ((frame, count) for frame, count in under.most_common() if alone[frame] or count < WRAPPER * samples)
    for frame, count in islice(frames, TOP):
        table.add_row(frame, f"{count / samples * cost:.1f}", f"{alone[frame] / samples * cost:.1f}")
    Console(width=120).print(table)


def _frame(text: str) -> str:
    """Without the line's number, the path cut to its last two parts."""
    text = re.sub(r":\d+\)", ")", text)
    return re.sub(r"\((?:[^()]*/)?([^/()]+/[^/()]+)\)", r"(\1)", text)
