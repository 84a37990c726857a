"""`check_depth` says what a plain recursive reader says, of any JSON and of what is none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.core.errors import BadRequest
from trunkline.edge.limits import check_depth

TEXT = st.text(st.sampled_from('[]{}"\\,: aé\n'), max_size=8)
JSON = st.recursive(
    st.none() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=30,
)


def depth(value: Any) -> int:
    match value:
        case list():
            return 1 + max(map(depth, value), default=0)
        case dict():
            return 1 + max(map(depth, value.values()), default=0)
        case _:
            return 0


def refused(body: bytes, limit: int) -> bool:
    try:
        check_depth(body, limit)
    except BadRequest as error:
        return error.code == "json_too_deep"
    return False


@given(JSON, st.integers(1, 6), st.booleans(), st.sampled_from([None, 2]))
def test_it_agrees_with_recursion(value: Any, limit: int, ascii_only: bool, indent: int | None) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    assert refused(body, limit) == (depth(value) > limit)


@given(st.integers(0, 40), st.lists(st.sampled_from(["[", '{"a":']), max_size=40))
def test_objects_and_lists_count_alike(limit: int, opening: list[str]) -> None:
    closing = ["]" if each == "[" else "}" for each in reversed(opening)]
    body = ("".join(opening) + ("1" if opening else "[]") + "".join(closing)).encode()
    assert refused(body, limit + 1) == (max(1, len(opening)) > limit + 1)


@given(st.binary(max_size=60))
def test_what_is_no_json_is_left_to_the_parser_or_refused(body: bytes) -> None:
    assert refused(body, 1000) is False


@pytest.mark.parametrize("body", [b"[" * 1_000_000, b'{"a":' * 200_000, b"[]" * 500_000, b'"' + b"[" * 1_000_000])
def test_a_megabyte_of_brackets_is_settled_quickly(body: bytes) -> None:
    """No recursion and no quadratic work: a thousand levels are a thousand passes at most."""
    assert refused(body, 128) in (True, False)
