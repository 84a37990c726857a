"""`check_depth` says what a plain recursive reader says, of any JSON and of what is none."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.core.errors import BadRequest
from trunkline.edge import limits
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


@given(JSON, st.integers(1, 6), st.integers(1, 9))
def test_the_border_between_two_pieces_is_invisible(value: Any, limit: int, piece: int) -> None:
    body = json.dumps(value, ensure_ascii=False).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "_PIECE", piece)
        assert refused(body, limit) == (depth(value) > limit)


MEGABYTE = 1_000_000
HOSTILE = {
    "127 levels, again and again": (b"[" * 127 + b"]" * 127) * (MEGABYTE // 254),
    "flat": b"[" + b'{"a":[]},' * (MEGABYTE // 9) + b"1]",
    "never closed": b"[" * MEGABYTE,
    "objects never closed": b'{"a":' * (MEGABYTE // 5),
    "a string never closed": b'"' + b"[" * MEGABYTE,
    "empty strings": b"[" * 129 + b'""' * (MEGABYTE // 2),
    "backslashes": b"[" * 129 + b'"' + b"\\" * MEGABYTE + b'"',
}


@pytest.mark.parametrize("case", HOSTILE)
def test_the_work_grows_with_the_body_alone(case: str) -> None:
    """Four times the body, about four times the time: compared with itself, so that a slow machine judges alike."""

    def seconds(body: bytes) -> float:
        start = time.thread_time()
        refused(body, 100_000_000 if case == "never closed" else 128)
        return time.thread_time() - start

    quarter = min(seconds(HOSTILE[case][: MEGABYTE // 4]) for _ in range(3))
    assert min(seconds(HOSTILE[case]) for _ in range(3)) < 10 * quarter + 0.005


def test_a_megabyte_of_levels_is_settled_in_a_moment() -> None:
    """The rounds of old took 127 passes over it, a quarter of a second."""
    start = time.thread_time()
    assert not refused(HOSTILE["127 levels, again and again"], 128)
    assert time.thread_time() - start < 0.15
