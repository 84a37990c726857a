"""Commands that are packed ahead are the commands that they stand for, byte for byte."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trunkline.state.redis.connection import pack
from trunkline.state.redis.prepared import framed

ARGUMENTS = st.lists(st.one_of(st.binary(max_size=20), st.text(max_size=20), st.integers(-(2**53), 2**53)), max_size=12)


@given(ARGUMENTS.filter(bool), ARGUMENTS, ARGUMENTS)
def test_a_frame_that_is_filled_is_the_command(before: list[Any], given: list[Any], after: list[Any]) -> None:
    assert framed(before, len(given), after).filled(*given) == pack((*before, *given, *after))
