"""Conditions: what CEL says, what is refused when they are loaded, and what a missing field means."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from trunkline.policy import conditions
from trunkline.policy.conditions import MAX_LENGTH, SAMPLE, Condition

FACTS: dict[str, Any] = dict(SAMPLE) | {
    "tags": ["batch", "team-a"],
    "headers": {"x-team": "a"},
    "params": {"max_tokens": 5000, "temperature": 0.5},
    "tokens": 12_000,
}


@pytest.mark.parametrize(
    "text",
    [
        '"batch" in tags',
        "params.max_tokens > 4000 && params.temperature < 1.0",
        'headers["x-team"] == "a"',
        'key.name.startsWith("sam")',
        "tags.exists(tag, tag.matches('^team-'))",
        "tokens > 10000 && !stream",
        'priority == "default"',
        'has(params.max_tokens) || model == "other"',
        '"nope" in tags || size(tags) == 2',
        "type(params.max_tokens) == int",
    ],
)
def test_what_is_true(text: str) -> None:
    assert Condition(text).judge(FACTS.__getitem__) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('"other" in tags', '`"other" in tags` is false'),
        ("params.seed == 4", "`params.seed == 4` is false: there is no seed"),
        ('params.max_tokens > "a"', '`params.max_tokens > "a"` is false: No such overload'),
        ('tags[7] == "a"', '`tags[7] == "a"` is false: index out of bounds'),
        ("1 / (size(tags) - 2) > 0", "`1 / (size(tags) - 2) > 0` is false: division by zero"),
    ],
)
def test_what_is_not_true_is_false_and_says_why(text: str, why: str) -> None:
    found = Condition(text).judge(FACTS.__getitem__)
    assert found is not None
    assert found.startswith(why)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("tags &&", "is no CEL expression: at character 8: Syntax error"),
        ("tag == 'a'", "there is no 'tag' to look at; there are model, path"),
        ("lower(model) == 'a'", "there is no function 'lower'; there are bytes, contains"),
        ("key.nmae == 'a'", "a key has no 'nmae'; it has id, name"),
        ("size(tags)", "is neither true nor false"),
        ("params.max_tokens", "is neither true nor false"),
        ("tags.all(a, tags.all(b, tags.all(c, a == b)))", "has more than 2 loops"),
        ("true || " * 200 + "true", f"is longer than {MAX_LENGTH} characters"),
        ("(" * 900, "is no CEL expression"),
    ],
)
def test_what_is_wrong_is_refused_when_it_is_loaded(text: str, why: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(why)):
        Condition(text)


def test_without_the_package_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="needs CEL, which is not installed"):
        conditions._cel.__wrapped__()  # a compiled module is loaded once in a process


def test_the_longest_loops_over_the_most_that_callers_can_send_end_soon() -> None:
    condition = Condition("headers.all(a, headers.all(b, a != b || a == b))")
    headers = {f"x-{number}": "v" * 1024 for number in range(64)}
    start = time.perf_counter()
    condition.judge({"headers": headers}.__getitem__)
    assert time.perf_counter() - start < 1.0


def test_a_regular_expression_cannot_run_away() -> None:
    condition = Condition('model.matches("(a+)+$")')
    start = time.perf_counter()
    condition.judge({"model": "a" * 1000 + "b"}.__getitem__)
    assert time.perf_counter() - start < 1.0
