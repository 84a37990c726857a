"""How long an answer may be where the caller says nothing of it, thinking included."""

from __future__ import annotations

import json

import pytest

from trunkline.core.request import Message, Reasoning, Request, Text
from trunkline.dialects.anthropic import DIALECT
from trunkline.dialects.base import Quirks
from trunkline.providers.models import quirks_of


@pytest.mark.parametrize(
    ("model", "effort", "limit", "budget"),
    [
        ("claude-opus-4-5", "high", 64_000, 24_576),  # the limit is the most that the model takes
        ("claude-opus-4-1", "xhigh", 32_000, 16_000),  # and a budget must leave room in it
        ("unheard-of", "high", 8192 + 24_576, 24_576),  # a guess: thinking comes on top
    ],
)
def test_a_budget_keeps_to_what_the_model_may_say(model: str, effort: str, limit: int, budget: int) -> None:
    request = Request(model, [Message("user", [Text("hello")])], "openai_responses")
    request.reasoning = Reasoning(effort=effort)
    body = json.loads(DIALECT.write_request(request, model, quirks_of(model, Quirks()), []))
    assert body["max_tokens"] == limit
    assert body["thinking"] == {"type": "enabled", "budget_tokens": budget}
