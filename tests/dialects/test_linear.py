"""Reading takes time in proportion to the request: a turn of a thousand calls does not hold up everybody else's."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from trunkline.core.call import Peek
from trunkline.dialects import gemini, openai_chat
from trunkline.dialects.base import Dialect

MANY = 2000


def chat(count: int) -> dict[str, Any]:
    calls = [{"id": f"c{i}", "type": "function", "function": {"name": "f", "arguments": "{}"}} for i in range(count)]
    results = [{"role": "tool", "tool_call_id": f"c{i}", "content": "r"} for i in reversed(range(count))]
    return {"messages": [{"role": "assistant", "content": None, "tool_calls": calls}, *results]}


def google(calls: list[dict[str, Any]], results: list[dict[str, Any]]) -> dict[str, Any]:
    called = [{"functionCall": {"name": "f", "args": {}} | call} for call in calls]
    answered = [{"functionResponse": {"name": "f", "response": {}} | result} for result in results]
    return {"contents": [{"role": "model", "parts": called}, {"role": "user", "parts": answered}]}


def by_id(count: int) -> dict[str, Any]:
    ids = [{"id": f"c{i}"} for i in range(count)]
    return google(ids, ids[::-1])


def of_no_call(count: int) -> dict[str, Any]:
    return google([{}] * count, [{"name": "g"}] * count)


def in_pieces(count: int) -> dict[str, Any]:
    signed = {"role": "model", "parts": [{"text": "a", "thoughtSignature": "eA=="}]}
    return {"contents": [signed] * count + [{"role": "user", "parts": [{"text": "b"}]}]}


def work(dialect: Dialect, body: bytes) -> int:
    """Lines of ours that are executed: a measure of time that no other load on the machine disturbs."""
    lines = 0

    def count(frame: Any, event: str, arg: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        dialect.read_request(body, Peek("m"))
    finally:
        sys.settrace(before)
    return lines


@pytest.mark.parametrize(
    ("dialect", "made"),
    [
        (openai_chat.DIALECT, chat),
        (gemini.DIALECT, by_id),
        (gemini.DIALECT, of_no_call),
        (gemini.DIALECT, in_pieces),
    ],
)
def test_twice_as_much_takes_twice_as_long(dialect: Dialect, made: Any) -> None:
    once, twice = (work(dialect, json.dumps(made(count)).encode()) for count in (MANY // 2, MANY))
    assert twice < 2.2 * once
