"""Signatures come back from a client as they went."""

from __future__ import annotations

import zlib
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.laws.generators import law, texts
from trunkline.dialects.carried import MAX_UNPACKED, Carried, pack, seal, unpack, unseal

_makers = st.sampled_from(["gemini", "anthropic", "openai_responses", "bedrock"])
_carried = st.builds(Carried, _makers, st.sampled_from(["thinking", "redacted", "call"]), texts, texts)


@law(100)
@given(st.from_regex(r"call_[a-zA-Z0-9]{1,20}", fullmatch=True), st.lists(_carried, max_size=3))
def test_an_id_gives_back_what_was_packed_with_it(id: str, thoughts: list[Carried]) -> None:
    packed = pack(id, thoughts)
    assert unpack(packed) == (id, thoughts)
    assert packed.startswith(id)
    assert all(c.isalnum() or c in "_-" for c in packed)


@law(100)
@given(texts, _makers, _makers)
def test_a_sealed_signature_knows_its_maker(signature: str, maker: str, own: str) -> None:
    assert unseal(seal(signature, maker, own), own) == (signature, maker)


@pytest.mark.parametrize("text", ["x" * 100_000, "round and round " * 5000, "plain"])
def test_thoughts_that_repeat_themselves_come_back_too(text: str) -> None:
    thoughts = [Carried("anthropic", "thinking", "sig", text)]
    assert unpack(pack("call_1", thoughts)) == ("call_1", thoughts)


def test_an_id_does_not_unfold_into_many_times_its_length() -> None:
    thoughts = b'[["anthropic","thinking","","%b"]]' % (b"x" * 1_000_000)
    packed = f"call_1_tl1_{urlsafe_b64encode(zlib.compress(thoughts)).decode()}"
    assert len(packed) < 2000
    assert unpack(packed) == (packed, [])


def test_a_foreign_or_broken_id_is_left_alone() -> None:
    bomb = urlsafe_b64encode(zlib.compress(b"[" + b" " * (MAX_UNPACKED + 1) + b"]")).decode()
    for foreign in ("call_1", "call_tl1_", "call_1_tl1_!!!!", "call_1_tl1_AAAA", f"call_1_tl1_{bomb}"):
        assert unpack(foreign) == (foreign, [])
