"""Bonds: bounded, forgotten in time, and kept only as long as staying is not dearer than moving."""

from __future__ import annotations

from trunkline.policy.affinity import Bond, MemoryAffinities, stays


def test_a_bond_is_found_until_it_expires() -> None:
    table = MemoryAffinities()
    table.keep(b"one", "a/x", 500, 10.0, now=0.0)
    assert table.find(b"one", 9.0) == Bond("a/x", 500, 10.0)
    assert table.find(b"two", 9.0) is None
    assert table.find(b"one", 10.0) is None
    assert len(table) == 0


def test_the_table_is_bounded_and_the_one_not_used_for_longest_goes() -> None:
    table = MemoryAffinities(most=3)
    for number in range(3):
        table.keep(b"%d" % number, "a/x", 0, 100.0, now=number)
    table.keep(b"0", "b/x", 0, 100.0, now=4.0)
    table.keep(b"3", "a/x", 0, 100.0, now=5.0)
    assert [table.find(b"%d" % number, 6.0) is not None for number in range(4)] == [True, False, True, True]
    assert len(table) == 3


def test_staying_must_not_be_dearer() -> None:
    assert stays(5, 6)
    assert stays(5, 5)
    assert not stays(6, 5)
    assert stays(None, 5)
    assert stays(5, None)
