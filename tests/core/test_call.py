"""What a call tells of itself: how often its client has sent it before."""

from __future__ import annotations

import pytest

from tests.stages.scripted import a_call


@pytest.mark.parametrize(
    ("name", "value", "retries"),
    [
        (b"x-stainless-retry-count", b"0", 0),
        (b"x-stainless-retry-count", b"2", 2),
        (b"x-stainless-retry-count", b"-1", 0),
        (b"x-stainless-retry-count", b"many", 0),
        (b"x-stainless-retry-count", b"99999", 0),
        (b"amz-sdk-request", b"attempt=1", 0),
        (b"amz-sdk-request", b"attempt=3; max=4", 2),
        (b"amz-sdk-request", b"ttl=20261122T100000Z; attempt=2; max=4", 1),
        (b"amz-sdk-request", b"attempt=0", 0),
        (b"amz-sdk-request", b"max=4", 0),
        (b"retry-count", b"7", 0),
    ],
)
def test_sdks_say_how_often_they_have_tried(name: bytes, value: bytes, retries: int) -> None:
    assert a_call(headers=[(b"accept", b"*/*"), (name, value)]).retries == retries
