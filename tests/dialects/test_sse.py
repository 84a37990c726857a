"""The splitter: borders of network chunks are invisible, and an event costs what it is long, however it is cut."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.dialects.sse import MAX_EVENT, EventTooLarge, Splitter

BORDER = re.compile(rb".*(?:\n\n|\r\n\r\n)", re.DOTALL)
pieces = st.lists(st.lists(st.sampled_from([b"\r", b"\n", b"\n\n", b"\r\n\r\n", b"a"]), max_size=5).map(b"".join))


@settings(max_examples=300, deadline=None)
@given(pieces)
def test_all_up_to_the_last_border_comes_out_at_once(fed: list[bytes]) -> None:
    splitter, left = Splitter(), b""
    for piece in fed:
        left += piece
        whole = BORDER.match(left)
        out = splitter.feed(piece)
        assert out == (whole[0] if whole is not None else b"")
        left = left[len(out) :]
    assert splitter.eof() == left


def test_a_large_event_in_small_pieces_is_put_together_once() -> None:
    """Twice the event takes about twice as long; searching all of it at each piece would take four times."""

    def seconds(size: int) -> float:
        event = b"data: " + b"x" * size + b"\n\n"
        splitter = Splitter()
        start = time.process_time()
        out = b"".join([splitter.feed(event[at : at + 512]) for at in range(0, len(event), 512)])
        assert out == event
        return time.process_time() - start

    small = min(seconds(1_000_000) for _ in range(3))
    assert min(seconds(8_000_000) for _ in range(3)) < 24 * small


def test_an_event_without_end_is_refused() -> None:
    splitter = Splitter()
    piece = b"x" * (MAX_EVENT // 4)
    for _ in range(4):
        splitter.feed(piece)
    with pytest.raises(EventTooLarge):
        splitter.feed(b"x")
