"""What the families call the same thing: the tables are whole, and levels keep their meaning where they can."""

from __future__ import annotations

import pytest

from trunkline.core.request import Request
from trunkline.dialects import mapping
from trunkline.dialects.effort import nearest
from trunkline.dialects.mapping import CACHE_TTLS, EFFORTS, FAMILIES, FIELDS, LEVELS, STOPS, TIERS


@pytest.mark.parametrize("table", [TIERS, EFFORTS, CACHE_TTLS, STOPS])
def test_every_family_has_its_row_and_every_row_its_source(table: dict[str, mapping.Words]) -> None:
    assert set(table) == set(FAMILIES)
    assert all(row.source for row in table.values())


def test_every_level_can_be_said_by_every_family() -> None:
    assert all(set(words.said) == set(LEVELS) for words in EFFORTS.values())


def test_what_a_family_says_it_also_understands() -> None:
    """A word that a table sends is one that the same table maps to itself: clients of that family use it too."""
    for words in (*TIERS.values(), *CACHE_TTLS.values()):
        for word in words.said.values():
            assert word == mapping.SILENCE or words.said[word] == word


def test_plain_fields_are_those_of_requests() -> None:
    known = set(Request.__struct_fields__)
    assert {row.attribute for row in FIELDS} <= known
    assert all(set(row.names) <= set(FAMILIES) for row in FIELDS)
    assert mapping.name_of("max_tokens", mapping.GEMINI) == "generationConfig.maxOutputTokens"
    assert mapping.name_of("seed", mapping.MESSAGES) is None


@pytest.mark.parametrize(
    ("level", "levels", "found", "changed"),
    [
        ("high", ("low", "medium", "high"), "high", False),
        ("max", ("low", "medium", "high"), "high", False),
        ("xhigh", ("low", "medium", "high"), "high", False),
        ("minimal", ("low", "medium", "high"), "low", False),
        ("none", ("low", "medium", "high"), "low", True),
        ("none", ("none", "low"), "none", False),
        ("medium", ("none",), "none", True),
        ("medium", ("low", "high"), "high", True),
        ("minimal", ("none", "low", "high"), "low", False),
        ("medium", (), "medium", False),
        ("extreme", ("low", "high"), "extreme", False),
    ],
)
def test_a_level_that_a_model_has_not_becomes_the_nearest(
    level: str, levels: tuple[str, ...], found: str, changed: bool
) -> None:
    assert nearest(level, levels) == (found, changed)
