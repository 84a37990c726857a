"""A credential is not shown, whatever is done to it."""

from __future__ import annotations

import copy
import pickle

import msgspec
import pytest

from trunkline.core.secret import MASK, Dsn, Secret, without


def test_a_secret_is_shown_as_a_mask_only() -> None:
    secret = Secret("sesame")
    for shown in (str(secret), repr(secret), f"{secret}", f"{secret!r}", "%s" % secret, repr([secret])):  # noqa: UP031
        assert "sesame" not in shown
    assert secret.reveal() == "sesame"
    with pytest.raises(TypeError):
        msgspec.json.encode(secret)
    with pytest.raises(TypeError):
        "".join([secret])  # type: ignore[list-item]


def test_secrets_compare_by_their_text() -> None:
    assert Secret("é") == Secret("é")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert Secret("a")
    assert not Secret("")
    assert copy.deepcopy(Secret("a")) == pickle.loads(pickle.dumps(Secret("a"))) == Secret("a")


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("sqlite:///a.db", "sqlite:///a.db"),
        ("postgresql://h/d", "postgresql://h/d"),
        ("postgresql://me@h/d", "postgresql://me@h/d"),
        ("postgresql://me:sesame@h/d", "postgresql://me:********@h/d"),
        ("postgresql://me:se@sa:me@h:5432/d?sslmode=require", "postgresql://me:********@h:5432/d?********"),
    ],
)
def test_a_database_url_hides_its_password(url: str, masked: str) -> None:
    assert Dsn(url).masked() == masked
    assert repr(Dsn(url)) == repr(masked)
    assert Dsn(url) == url


def test_the_scheme_of_a_database_url() -> None:
    assert Dsn("postgresql+psycopg://h/d").scheme == "postgresql"
    assert Dsn("sqlite:///a").scheme == "sqlite"
    assert Dsn("").scheme == ""


@pytest.mark.parametrize(
    "said",
    [
        "key abc/de+fgh== is wrong",
        "https://host/?key=abc%2Fde%2Bfgh%3D%3D",
        r'{"key": "abc\/de+fgh=="}',
        r'{"key": "abc\u002fde\u002bfgh\u003d\u003d"}',
        r'{"key": "abc\u002Fde\u002Bfgh\u003D\u003D"}',
    ],
)
def test_a_secret_is_masked_however_it_is_escaped(said: str) -> None:
    masked = without(said.encode(), [b"abc/de+fgh=="]).decode()
    assert MASK in masked
    assert "fgh" not in masked


def test_a_word_that_is_no_secret_is_left() -> None:
    assert without(b"the key was short", [b"key", b""]) == b"the key was short"
