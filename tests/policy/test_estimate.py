"""The estimate of a request's tokens, by cases."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.policy.estimate import BYTES_PER_TOKEN, TOKENS_PER_FILE, estimate_tokens

CASES: list[tuple[Any, int]] = [
    (None, 1),
    ({}, 1),
    (12345, 1),
    (True, 1),
    ("", 1),
    ("abcd", 1),
    ("abcde", 2),
    ("é" * 4, 2),
    (["abcd", "efgh"], 2),
    ({"role": "user", "content": "x" * 400}, 101),
    ({"a": {"b": [{"c": "x" * 40}]}}, 10),
    ("word " * 2000, 2500),
    ("A" * 5000, TOKENS_PER_FILE),
    (["A" * 5000, "A" * 9_000_000, "abcd"], 2 * TOKENS_PER_FILE + 1),
    ("A" * 4096, 1024),
]


@pytest.mark.parametrize(("value", "tokens"), CASES, ids=lambda value: str(value)[:20])
def test_tokens_of(value: Any, tokens: int) -> None:
    assert estimate_tokens(value) == tokens


def test_no_depth_is_too_deep() -> None:
    value: Any = "x" * (BYTES_PER_TOKEN * 7)
    for _ in range(100_000):
        value = [value]
    assert estimate_tokens(value) == 7
