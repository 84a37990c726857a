"""Every fault of the simulator, over real sockets: streamed and not, before the first byte and behind it, with one
target, two, and none that works. The client gets an answer, or its family's error, in time; and the ledger says the
same. The whole matrix runs at once in one event loop; it is printed at the end of the run.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from tests.edges.fault_table import Cell, cells, cues, early, expected
from tests.edges.matrix_clients import CHAT, OTHERS, Client, Heard
from tests.edges.matrix_printed import MATRIX
from tests.running import Running, running, until
from trunkline.core.call import Entry
from trunkline.sim.faults import ERRORS, FAULTS
from trunkline.sim.server import start
from trunkline.sim.settings import Settings

DEADLINE = 12.0
"""Seconds that the client gives a call."""
AT_ONCE = 40


def sections(matrix: list[Cell], port: int, kind: str = "openai") -> dict[str, Any]:
    """`kind`: whose dialect the targets speak. What goes on with a broken answer always speaks Anthropic's."""
    address = f"http://127.0.0.1:{port}"

    def provider(kind: str) -> dict[str, Any]:
        more = {"region": "us-east-1"} if kind == "bedrock" else {}
        base = address + ("/v1" if kind == "openai" else "")
        return {"kind": kind, "base_url": base, "api_key": "any-key-will-do"} | more

    return {
        "providers": {"bad": provider(kind), "good": provider(kind), "taking": provider("anthropic")},
        "transport": {"first_byte_timeout": 2.5, "idle_timeout": 1.5},
        "routing": {"floor": 10_000},
        "models": {cell.model: route(cell) for cell in matrix},
    }


def route(cell: Cell) -> dict[str, Any]:
    bad = f"bad/sim-small+{cues(cell)}"
    targets = {
        "one": [bad],
        "two": [bad, "good/sim-large"],
        "bad": [bad, f"good/sim-tiny+{cues(cell)}"],
        "again": [f"taking/sim-small+{cues(cell)}"],
    }[cell.targets]
    row: dict[str, Any] = {"targets": [{"target": target} for target in targets]}
    if cell.targets == "again":  # the retry is for a busy machine, where the error can come with the first events
        row |= {"recover": {"mode": "continue", "silence": 1.0}, "retry": {"again": 1, "base": 0.01}}
    return row


async def ask_all(run: Running, client: Client, matrix: list[Cell]) -> dict[Cell, Heard]:
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(cell: Cell) -> Heard:
        async with limit:
            began = time.monotonic()
            heard = await client.ask(run.port, cell.model, cell.mode == "stream", DEADLINE)
            heard.seconds = time.monotonic() - began
            return heard

    answers = await asyncio.gather(*(one(cell) for cell in matrix))
    return dict(zip(matrix, answers, strict=True))


def same(noted: int, heard: int) -> bool:
    """Whether a status of the ledger and a client's are one: each family has its own number for some (a time-out is 408
    to Amazon's clients, an overload 529 to Anthropic's)."""
    return noted // 100 == heard // 100 or (noted, heard) == (504, 408)


def judge(cell: Cell, heard: Heard, entry: Entry) -> str:
    """What came of it; an exclamation mark and why, where that must not be."""
    wrong = []
    if heard.seconds > DEADLINE:
        wrong.append("late")
    if heard.outcome == "answer":
        if not heard.whole(cell.fault):
            wrong.append(f"truncated or doubled: {heard.text!r}")
        if (entry.status, entry.error) != (200, None):
            wrong.append(f"the ledger says {entry.status} {entry.error}")
    else:
        if entry.error is None or (heard.outcome == "refusal" and not same(entry.status, heard.status)):
            wrong.append(f"{heard.status}, but the ledger says {entry.status} {entry.error}")
        if heard.ended:
            wrong.append("an error, and an end")
    if heard.outcome not in (expected(cell), early(cell)):
        wrong.append(f"not {expected(cell)}: {heard.body[-300:]!r}")
    return heard.outcome if not wrong else "!" + "; ".join(wrong)


async def entries(run: Running, count: int) -> dict[str, Entry]:
    await until(lambda: len(run.entries()) >= count, f"{count} ledger entries")
    found = {entry.id: entry for entry in run.entries()}
    assert len(found) == count, "one entry a call"
    return found


async def assert_matrix(client: Client, matrix: list[Cell], kind: str, directory: Path) -> None:
    simulator = await start(settings=Settings())
    try:
        async with running(directory, sections(matrix, simulator.port, kind)) as run:
            answers = await ask_all(run, client, matrix)
            ledger = await entries(run, len(matrix))
    finally:
        await simulator.aclose()
    judged = {cell: judge(cell, heard, ledger[heard.request_id]) for cell, heard in answers.items()}
    for cell, said in judged.items():
        MATRIX.note(cell, said, "" if (client, kind) == (CHAT, "openai") else f"{client}-{kind}")
    wrong = {cell.model: said for cell, said in judged.items() if said.startswith("!")}
    assert not wrong, "\n".join(f"{model}: {said}" for model, said in wrong.items())
    breaking = [said for cell, said in judged.items() if expected(cell) == "broken"]
    assert breaking.count("broken") * 2 >= len(breaking)


def test_the_table_has_every_fault() -> None:
    assert {cell.fault for cell in cells()} == set(FAULTS)


async def test_chat_at_an_openai_target(tmp_path: Path) -> None:
    await assert_matrix(CHAT, cells(), "openai", tmp_path)


SLICE = frozenset(
    {
        "429", "503", "529", "400", "reset", "hang", "cut", "short", "stall", "end", "empty", "error-first",
        "error-mid", "bad-sse", "bad-json", "crlf", "split",
    }
)  # fmt: skip
"""One of each sort, for the other families."""
FRAMES = frozenset({"bad-sse", "bad-json"})
"""Within Amazon's binary frames these pass between client and provider as they came: its SDK reads each frame."""


@pytest.mark.parametrize("client", OTHERS, ids=str)
async def test_the_other_families_at_every_family(client: Client, tmp_path: Path) -> None:
    matrix = [cell for cell in cells() if cell.fault in SLICE and cell.targets != "bad"]

    async def at(kind: str) -> None:
        own = [cell for cell in matrix if (str(client), kind) != ("bedrock", "bedrock") or cell.fault not in FRAMES]
        directory = tmp_path / kind
        directory.mkdir()
        await assert_matrix(client, own, kind, directory)

    await asyncio.gather(*(at(kind) for kind in ("openai", "anthropic", "gemini", "bedrock")))


@pytest.mark.parametrize("kind", ["anthropic", "gemini", "bedrock"])
async def test_every_error_of_every_family_is_understood(kind: str, tmp_path: Path) -> None:
    matrix = [cell for cell in cells() if cell.fault in ERRORS and cell.mode == "whole" and cell.targets != "bad"]
    await assert_matrix(CHAT, matrix, kind, tmp_path)
