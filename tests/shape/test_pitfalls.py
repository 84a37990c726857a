"""Every bug of other gateways that we know of is a test of ours, found by its tag in the test's name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIST = ROOT.parent / "shared" / "reference" / "pitfalls.md"
_TAG = re.compile(r"\b([OAGKZ]\d{1,2}) (?=[A-Za-z0-9`$&])")
_IN_A_NAME = re.compile(r"(?<=_)([oagkz]\d{1,2})(?=_)", re.IGNORECASE)

UNDER_ANOTHER_NAME = {
    "O11": "tests/clients/test_responses_state.py::test_a_stream_of_the_background_is_resumed_where_it_broke",
}
"""Tags whose test is part of something larger."""


def _tests() -> dict[str, set[str]]:
    """File to the names of its tests."""
    found = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        functions = ast.walk(ast.parse(path.read_text()))
        names = {node.name for node in functions if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        found[path.relative_to(ROOT).as_posix()] = {name for name in names if name.startswith("test_")}
    return found


@pytest.mark.skipif(not LIST.exists(), reason="the list of pitfalls (../shared) is not here")
def test_every_pitfall_is_a_test() -> None:
    listed = set(_TAG.findall(LIST.read_text()))
    assert {"O1", "O11", "A12", "G9", "K13", "Z11"} <= listed
    tests = _tests()
    named = {tag.upper() for names in tests.values() for name in names for tag in _IN_A_NAME.findall(name)}
    assert listed - named == UNDER_ANOTHER_NAME.keys()


@pytest.mark.parametrize("tag", UNDER_ANOTHER_NAME)
def test_what_has_another_name_is_there(tag: str) -> None:
    path, _, name = UNDER_ANOTHER_NAME[tag].partition("::")
    assert name in _tests()[path]
