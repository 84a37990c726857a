"""Every recorded whole answer that can be told the short way is told alike by way of events."""

from __future__ import annotations

import pytest

from tests.corpus.exchanges import needs_recordings
from tests.corpus.families import FAMILIES
from tests.laws.test_plain import problem

pytestmark = needs_recordings

AT_LEAST = {"openai_chat": 115, "openai_responses": 69, "anthropic": 92, "gemini": 75, "bedrock": 53}
"""How many recordings of a family are that plain: the others think, call tools, or say it in pieces."""


@pytest.mark.parametrize("name", FAMILIES)
def test_a_recorded_answer_is_told_alike_both_ways(name: str) -> None:
    plain, problems = 0, []
    for found, dialect, peek in FAMILIES[name].exchanges():
        if found.meta["status"] != 200 or peek.stream or dialect.read_plain(found.response) is None:
            continue
        plain += 1
        for other in FAMILIES.values():
            if other.dialect.name != dialect.name and (why := problem(dialect, other.dialect, found.response)):
                problems.append(f"{found.meta['id']} to {other.dialect.name}: {why}")
    print(f"{name}: {plain} plain answers")
    assert not problems
    assert plain >= AT_LEAST[name]
