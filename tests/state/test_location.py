"""A wrong URL is refused by name; a right one never shows its password."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.state.database import Database
from trunkline.state.location import StateError, StateUnavailable, locate


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("mysql://u:hidden@h/d", "mysql"),
        ("", "sqlite:///"),
        ("trunkline.db", "sqlite:///"),
        ("sqlite://", "file"),
        ("sqlite:///:memory:", "file"),
        ("sqlite:///a.db?mode=ro", "options"),
        ("postgresql://u:hidden@h:port/d", "port"),
    ],
)
def test_a_wrong_url_is_an_error_that_names_the_setting(url: str, word: str) -> None:
    with pytest.raises(StateError, match=r"^state\.durable: ") as caught:
        locate(url)
    assert word in str(caught.value)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_passwords_are_hidden_wherever_they_stand(scheme: str) -> None:
    location = locate(f"{scheme}://me:p%40ss@h:5432/d?password=other&sslmode=require")
    assert location.shown == "postgresql://me:***@h:5432/d?password=***&sslmode=require"
    assert location.scrub("p@ss, p%40ss, other") == "***, ***, ***"


def test_an_unreachable_server_is_named_without_the_password() -> None:
    database = Database(locate("postgresql://me:hunter22@127.0.0.1:1/d"))
    with pytest.raises(
        StateUnavailable, match=r"^state\.durable: postgresql://me:\*\*\*@127\.0\.0\.1:1/d .*refused"
    ) as caught:
        database.read().__enter__()
    assert "hunter22" not in str(caught.value)
    database.close()


def test_a_driver_that_words_the_password_is_scrubbed() -> None:
    database = Database(locate("postgresql://me:hunter22@127.0.0.1:1/d"))
    assert database.describe(ValueError("bad password hunter22\nmore")) == "ValueError: bad password ***"
    database.close()


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"state\.durable: the file .*missing.* create its directory"):
        Database(locate(f"sqlite:///{tmp_path}/missing/a.db"))
