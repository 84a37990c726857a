"""A few seconds of what `make fuzz` does for as long as one likes: no input brings out an undeclared error."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.corpus.exchanges import needs_recordings
from tests.fuzz import operations
from tests.fuzz.dialects import DIALECTS
from tests.fuzz.harness import ACTIONS, one_input, seed
from tests.fuzz.seeds import seeds

RUNS = 2000
ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not here: nothing is fuzzed")
@pytest.mark.parametrize("dialect", [*DIALECTS, "operations"])
def test_no_input_brings_out_an_undeclared_error(dialect: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz", dialect, "--runs", str(RUNS)]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-4000:]
    executed = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    assert executed is not None, done.stderr[-4000:]
    assert int(executed[1]) >= RUNS  # more, where there are more seeds


PICTURE = (
    '{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://[a/b.png"}}]}]}'
)
FOUND = [
    ("bedrock", "count request", '{"input":{"invokeModel":{"body":"ÉeyJ9"}}}', False),
    ("gemini", "request", '{"contents":[{"parts":[{"text":"a","thoughtSignature":"dGwxÉ"}]}]}', True),
    (
        "bedrock",
        "request",
        '{"messages":[{"role":"user","content":[{"document":{"format":"pdf","source":{}}}]}]}',
        True,
    ),
    ("openai_chat", "request", '{"model":"m","\udcce":1,"messages":[]}', False),
    ("openai_chat", "request", PICTURE, True),
    ("openai_responses", "request", '{"model":"m","\udcce":1,"input":"a"}', False),
    ("anthropic", "request", '{"model":"m","\udcce":1,"max_tokens":3,"messages":[]}', False),
]
"""What the fuzzer brought out once, and whether it is taken."""


@pytest.mark.parametrize(("dialect", "action", "body", "taken"), FOUND)
def test_what_was_found_stays_mended(dialect: str, action: str, body: str, taken: bool) -> None:
    assert (
        one_input(DIALECTS[dialect], list(DIALECTS.values()), seed(action, body.encode(errors="surrogateescape")))
        is taken
    )


@needs_recordings
@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_seeds_begin_every_action(dialect: str) -> None:
    begun = {data[0] for data in seeds(dialect)}
    assert begun == set(range(len(ACTIONS)))
    assert len(list(seeds(dialect))) > 80


def test_the_seeds_of_operations_begin_every_action_and_are_taken() -> None:
    own = [operations.seed(action, body, variant) for action, body in operations.OWN for variant in range(9)]
    assert {data[0] for data in operations.seeds()} == set(range(len(operations.ACTIONS)))
    assert {data[0] for data in own if operations.one_input(data)} == set(range(len(operations.ACTIONS)))
