"""Whose address it is: only trusted proxies are believed, and a customer's IPv6 network is one."""

from __future__ import annotations

import pytest

from trunkline.policy.address import Origins

PROXIES = ("10.0.0.0/8", "192.0.2.7", "2001:db8:1::/48")


def origin(peer: str, *said: str, trusted: tuple[str, ...] = PROXIES) -> str:
    return Origins(trusted).of(peer, [(b"accept", b"*/*"), *((b"x-forwarded-for", each.encode()) for each in said)])


@pytest.mark.parametrize(
    ("peer", "said", "found"),
    [
        ("203.0.113.5", (), "203.0.113.5"),
        ("203.0.113.5", ("1.2.3.4",), "203.0.113.5"),
        ("10.1.1.1", ("1.2.3.4",), "1.2.3.4"),
        ("10.1.1.1", ("6.6.6.6, 1.2.3.4",), "1.2.3.4"),
        ("10.1.1.1", ("6.6.6.6, 1.2.3.4, 10.2.2.2, 192.0.2.7",), "1.2.3.4"),
        ("10.1.1.1", ("6.6.6.6", "1.2.3.4", "10.2.2.2"), "1.2.3.4"),
        ("10.1.1.1", (), "10.1.1.1"),
        ("10.1.1.1", ("10.9.9.9",), "10.9.9.9"),
        ("10.1.1.1", ("1.2.3.4, nonsense",), ""),
        ("10.1.1.1", ("1.2.3.4,",), "1.2.3.4"),
        ("2001:db8:1::1", ("2001:db8:2:3:4:5:6:7",), "2001:db8:2:3::/64"),
        ("2001:db8:2:3::9", (), "2001:db8:2:3::/64"),
        ("::ffff:203.0.113.5", (), "203.0.113.5"),
        ("", (), ""),
        ("10.1.1.1", (", ".join(["1.2.3.4", *["10.0.0.1"] * 100]),), "10.0.0.1"),
    ],
)
def test_where_a_request_comes_from(peer: str, said: tuple[str, ...], found: str) -> None:
    assert origin(peer, *said) == found


def test_without_proxies_nothing_that_is_said_is_believed() -> None:
    assert origin("10.1.1.1", "1.2.3.4", trusted=()) == "10.1.1.1"


def test_a_network_must_be_one() -> None:
    with pytest.raises(ValueError, match="does not appear"):
        Origins(["localhost"])
