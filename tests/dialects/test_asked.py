"""How long an answer may become: only what the family itself heeds counts, for money depends on it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trunkline.dialects.asked import asked


@pytest.mark.parametrize(
    ("dialect", "maker", "body", "output", "answers"),
    [
        ("openai_chat", "", {"max_tokens": 5}, 5, 1),
        ("openai_chat", "", {"max_tokens": 5, "max_completion_tokens": 9, "n": 3}, 9, 3),
        ("openai_chat", "", {"max_output_tokens": 5}, None, 1),
        ("openai_chat", "", {"max_tokens_to_sample": 5}, None, 1),
        ("openai_chat", "", {"generationConfig": {"maxOutputTokens": 5}}, None, 1),
        ("openai_completions", "", {"max_tokens": 7, "prompt": ["a", "b"], "best_of": 2}, 7, 4),
        ("openai_completions", "", {"max_tokens": 7, "prompt": [1, 2, 3]}, 7, 1),
        ("openai_completions", "", {"max_tokens": 7, "prompt": [[1, 2], [3]]}, 7, 2),
        ("openai_responses", "", {"max_output_tokens": 8}, 8, 1),
        ("openai_responses", "", {"max_tokens": 8}, None, 1),
        ("anthropic", "", {"max_tokens": 8}, 8, 1),
        ("gemini", "", {"generationConfig": {"maxOutputTokens": 6, "candidateCount": 2}}, 6, 2),
        ("gemini", "", {"generation_config": {"max_output_tokens": 6}}, 6, 1),
        ("gemini", "", {"max_tokens": 1}, None, 1),
        ("bedrock", "", {"inferenceConfig": {"maxTokens": 4}}, 4, 1),
        ("bedrock_invoke", "claude", {"max_tokens": 4}, 4, 1),
        ("bedrock_invoke", "nova", {"inferenceConfig": {"max_new_tokens": 4}}, 4, 1),
        ("bedrock_invoke", "nova", {"max_tokens": 4}, None, 1),
        ("bedrock_invoke", "", {"max_tokens": 4, "max_gen_len": 4}, None, 1),
        ("anthropic", "", {"max_tokens": "many"}, None, 1),
        ("anthropic", "", {"max_tokens": -5}, None, 1),
        ("anthropic", "", {"max_tokens": 1e300}, None, 1),
    ],
)
def test_what_is_heeded_counts(
    dialect: str, maker: str, body: dict[str, Any], output: int | None, answers: int
) -> None:
    found = asked(json.dumps(body).encode(), dialect, maker)
    assert (found.output, found.answers) == (output, answers)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a": "\xff"}', b"null"])
def test_what_cannot_be_read_says_nothing(body: bytes) -> None:
    found = asked(body, "openai_chat")
    assert (found.output, found.answers) == (None, 1)


def test_the_newer_name_of_chat_is_told_apart() -> None:
    assert asked(b'{"max_completion_tokens": 5}', "openai_chat").newer
    assert not asked(b'{"max_completion_tokens": 5, "max_tokens": 5}', "openai_chat").newer
