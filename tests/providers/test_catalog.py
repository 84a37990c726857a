"""The table of models: its names, its rows, and that no recorded exchange shows a model do what it is said to lack."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus.exchanges import library, needs_recordings
from trunkline.dialects.base import Quirks
from trunkline.dialects.mapping import LEVELS
from trunkline.providers.catalog import canonical, facts_of, shipped
from trunkline.providers.catalog_facts import NOTHING, Facts
from trunkline.providers.models import quirks_of
from trunkline.sim.persona import MODELS as SIMULATED


@pytest.mark.parametrize(
    "name",
    [
        "claude-sonnet-4-5", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5@20250929", "claude-sonnet-4-5-latest",
        "anthropic/claude-sonnet-4.5", "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "global.anthropic.claude-sonnet-4-5-20250929-v1:0", "Claude-Sonnet-4-5",
        "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    ],
)  # fmt: skip
def test_the_many_names_of_one_model_lead_to_its_row(name: str) -> None:
    assert canonical(name) == "claude-sonnet-4-5"
    assert facts_of(name).context == 200_000


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("openai/gpt-oss-120b:free", "gpt-oss-120b"),
        ("openai.gpt-oss-20b-1:0", "gpt-oss-20b"),
        ("amazon.nova-lite-v1:0", "nova-lite"),
        ("models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("moonshotai/kimi-k2-thinking-maas", "kimi-k2-thinking"),
        ("gpt-4.1", "gpt-4.1"),
        ("v1", "v1"),
        ("", ""),
    ],
)
def test_what_hosts_add_to_a_name_is_taken_off(name: str, known: str) -> None:
    assert canonical(name) == known


@given(st.text(max_size=40))
def test_a_name_may_be_anything(name: str) -> None:
    assert canonical(canonical(name)) == canonical(name)
    assert isinstance(facts_of(name), Facts)


def test_two_dates_of_a_name_may_be_two_models() -> None:
    assert facts_of("gpt-4o-2024-05-13").output == 4096
    assert facts_of("gpt-4o-2024-08-06").output == 16_384


def test_nothing_is_known_of_a_stranger() -> None:
    assert facts_of("mystery-9") == NOTHING
    assert quirks_of("mystery-9", Quirks()) == Quirks()


def test_a_model_of_tomorrow_is_asked_as_its_sisters_are() -> None:
    quirks = quirks_of("claude-opus-9-9", Quirks())
    assert quirks.adaptive_thinking
    assert "temperature" in quirks.drop
    assert facts_of("gpt-8-sol").tools_with_reasoning == "responses"


def test_the_configuration_has_the_last_word_and_the_exact_name_before_the_general() -> None:
    said = {"gpt-4o": Facts(context=1, tools=False), "mine/gpt-4o": Facts(context=2)}
    assert facts_of("gpt-4o", "mine", said).context == 2
    assert facts_of("gpt-4o", "mine", said).tools is False
    assert facts_of("gpt-4o-2024-08-06", "other", said).context == 1
    assert facts_of("gpt-4o").context == 128_000


def test_every_row_makes_sense() -> None:
    table = shipped()
    assert len(table.models) > 200
    assert table.dated >= "2026-11"
    for name, row in table.models.items():
        assert canonical(name, dated=True) == name
        assert row.context is None or row.context > 0, name
        assert row.input is None or row.input <= (row.context or 0), name
        assert set(row.efforts or ()) <= set(LEVELS), name
        assert list(row.efforts or ()) == sorted(row.efforts or (), key=LEVELS.index), name


@pytest.mark.parametrize(
    "name",
    [
        "gpt-6.2-sol",
        "gpt-5",
        "claude-fable-5-2",
        "claude-haiku-5-5",
        "gemini-4-argon",
        "gemini-3.8-flash",
        "nova-2-lite",
    ],
)
def test_the_newest_models_have_rows(name: str) -> None:
    assert name in shipped().models


def test_the_simulators_models_are_what_the_simulator_says() -> None:
    for name, model in SIMULATED.items():
        facts = facts_of(name)
        assert (facts.context, facts.output) == (model.context, model.max_output)
        assert (facts.tools_with_reasoning == "responses") is model.responses_only
        assert bool(facts.efforts) is model.thinks


FEATURES = {"tool_call": "tools", "vision": "image", "document": "document", "structured": "json_schema"}


@needs_recordings
def test_no_recording_shows_a_model_do_what_it_is_said_to_lack() -> None:
    wrong = set()
    for row in library().entries():
        if row["status"] != 200 or not row.get("model"):
            continue
        lacking = _lacking(facts_of(row["model"]))
        wrong |= {(row["model"], FEATURES[each]) for each in row["features"] if FEATURES.get(each) in lacking}
    assert not wrong


def _lacking(facts: Facts) -> set[Any]:
    inputs = {"image", "document"} - set(facts.inputs) if facts.inputs is not None else set()
    return {name for name in ("tools", "json_schema") if getattr(facts, name) is False} | inputs
