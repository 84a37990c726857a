"""Thinking with a fixed budget, where the turn in progress was thought by somebody else."""

from __future__ import annotations

import json

import pytest

from trunkline.core.request import Message, Part, Reasoning, Request, Text, Thinking, ToolCall, ToolResult
from trunkline.dialects import anthropic, composed
from trunkline.dialects.base import Dialect, Quirks

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"


def asked(maker: str) -> Request:
    turn: list[Part] = [Thinking("hm", "c2ln", at="thought", maker=maker), ToolCall("call_1", "look", "{}", at="call")]
    results: list[Part] = [ToolResult("call_1", [Text("found", at="text")], at="result")]
    messages = [Message("user", [Text("go", at="go")]), Message("assistant", turn), Message("tool", results)]
    return Request("m", messages, max_tokens=8000, reasoning=Reasoning("low"))


@pytest.mark.parametrize(
    ("dialect", "maker", "thinks"),
    [
        (anthropic.DIALECT, "anthropic", True),
        (anthropic.DIALECT, "gemini", False),
        (composed.CONVERSE, "bedrock", True),
        (composed.CONVERSE, "anthropic", True),
        (composed.CONVERSE, "gemini", False),
    ],
)
def test_thoughts_that_are_not_sent_do_not_count(dialect: Dialect, maker: str, thinks: bool) -> None:
    lost: list[str] = []
    body = json.loads(dialect.write_request(asked(maker), CLAUDE, Quirks(), lost))
    assert ("thinking" in body.get("additionalModelRequestFields", body)) is thinks
    assert ("reasoning" in lost) is not thinks
