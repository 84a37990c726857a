"""docs/simulator.md names every fault, model, option and path, and nothing that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trunkline.cli.sim import sim as command
from trunkline.sim.faults import FAULTS, parse
from trunkline.sim.persona import MODELS
from trunkline.sim.routes import ROUTES

PAGE = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text("utf-8")


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_has_its_row(name: str) -> None:
    rows = re.findall(rf"^\| `{re.escape(name)}(?:=[^`]*)?` \| (.+?) \|$", PAGE, re.MULTILINE)
    assert rows == [FAULTS[name].text]


def test_no_row_names_a_fault_that_is_not_there() -> None:
    section = PAGE.partition("## Faults")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([a-z0-9-]+)", section, re.MULTILINE)) == set(FAULTS)


def test_every_example_of_cues_is_understood() -> None:
    examples = re.findall(r"sim-[a-z]+\+([\w+=.-]+)|x-sim-fault: ([\w=., +-]+)", PAGE)
    assert len(examples) > 5
    assert all(parse(*example) for example in examples)


def test_models_options_and_paths_are_named() -> None:
    options = [option.opts[0] for option in command.params]
    for name in (*MODELS, *ROUTES, *options):
        assert f"`{name}" in PAGE, name
