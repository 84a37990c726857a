"""Every client at every family's provider: the matrix of five by five."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from . import matrix
from .families import Speaker
from .families_expected import expected
from .processes import Servers
from .scenarios import BOTH_WAYS, ELSEWHERE, ONCE, Cell, Scenario, count_tokens, reasoning_on_another_surface
from .speakers import COUNTING, PROVIDERS, SPEAKERS

WAYS = ("whole", "streamed")


def cells() -> Iterator[tuple[Scenario, str, str, str]]:
    """(scenario, way, client, provider)"""
    for scenario in (*BOTH_WAYS, *ONCE):
        for way in WAYS if scenario in BOTH_WAYS else WAYS[:1]:
            for client in COUNTING if scenario is count_tokens else SPEAKERS:
                for target in ELSEWHERE if scenario is reasoning_on_another_surface else PROVIDERS:
                    yield scenario, way, client, target


CELLS = tuple(cells())


@pytest.mark.parametrize(
    ("scenario", "way", "speaker", "target"),
    CELLS,
    indirect=["speaker"],
    ids=["-".join([scenario.__name__, *rest]) for scenario, *rest in CELLS],
)
def test_cell(running: Servers, scenario: Scenario, way: str, speaker: Speaker, target: str) -> None:
    wanted = expected(scenario.__name__, way, speaker.name, target)
    cell = Cell(speaker, target, way == "streamed", running, wanted)
    with matrix.noted(scenario.__name__, way, speaker.name, target) as note:
        if wanted.error:
            with pytest.raises(speaker.errors) as raised:
                scenario(cell)
            failure = speaker.failure(raised.value)
            assert failure.name == wanted.error
            assert wanted.says in failure.body
        else:
            scenario(cell)
        assert tuple(cell.lost) == wanted.lost
        note(wanted.error, cell.lost)
