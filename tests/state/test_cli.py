"""The commands, as people and scripts run them."""

from __future__ import annotations

import csv
import io
import json
import time
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from tests.state.conftest import entry
from trunkline.cli.database import dollars, moment, seconds
from trunkline.cli.keys import keys
from trunkline.cli.usage import usage
from trunkline.state.auth_secret import server_secret
from trunkline.state.database import Database
from trunkline.state.keyring import MemoryKeyRing
from trunkline.state.keys import KeyStore
from trunkline.state.ledger import Ledger


class Cli:
    def __init__(self, url: str) -> None:
        self.url = url

    def try_(self, command: click.Command, *arguments: str, answer: str = "") -> Result:
        return CliRunner().invoke(command, [*arguments, "--database", self.url], input=answer)

    def __call__(self, command: click.Command, *arguments: str, answer: str = "") -> Result:
        result = self.try_(command, *arguments, answer=answer)
        assert result.exit_code == 0, result.output
        return result


@pytest.fixture
def cli(url: str, database: Database) -> Cli:
    return Cli(url)


def test_a_key_from_making_to_removing(cli: Cli, database: Database) -> None:
    def found(secret: str) -> Any:
        ring = MemoryKeyRing()
        hashed_with = server_secret(database, None)
        ring.replace(hashed_with, KeyStore(database, hashed_with).load())
        return ring.find(secret.encode())

    made = cli(keys, "create", "ci", "--models", "gpt-*", "--models", "smart", "--expires", "90d", "--tags", "a")
    secret = made.stdout.removesuffix("\n")
    assert secret.startswith("tl-")
    assert "\n" not in secret
    assert "not shown again" in made.stderr
    assert found(secret).models == ("gpt-*", "smart")
    assert found(secret).expires_at == pytest.approx(time.time() + 90 * 86_400, abs=60)

    cli(keys, "disable", "ci")
    assert found(secret).disabled
    cli(keys, "enable", "ci")
    assert not found(secret).disabled

    rotated = cli(keys, "rotate", "ci", "--grace", "1h").stdout.strip()
    assert found(rotated) == found(secret) is not None
    again = cli(keys, "rotate", found(rotated).id).stdout.strip()
    assert [found(each) is not None for each in (secret, rotated, again)] == [False, False, True]

    refused = cli.try_(keys, "delete", "ci", answer="n\n")
    assert refused.exit_code == 1
    assert found(again) is not None
    cli(keys, "delete", "ci", answer="y\n")
    assert found(again) is None


def test_keys_are_shown_without_their_hashes(cli: Cli, database: Database) -> None:
    cli(keys, "create", "alice", "--owner", "a@example.com", "--metadata", '{"team": [1]}', "--capture", "none")
    cli(keys, "create", "bob [x]")
    cli(keys, "disable", "bob [x]")
    table = cli(keys, "list").stdout
    assert "alice" in table
    assert "bob [x]" in table
    assert "disabled" in table
    shown = json.loads(cli(keys, "show", "alice").stdout)
    assert shown == json.loads(cli(keys, "list", "--format", "json").stdout)[0]
    assert shown["metadata"] == {"team": [1]}
    assert (shown["owner"], shown["capture"], shown["expires_at"]) == ("a@example.com", "none", None)
    assert "hash" not in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["create", "k", "--metadata", "[]"], "--metadata: expected a JSON object"),
        (["create", "k", "--expires", "soon"], "'soon': expected"),
        (["create", "k", "--expires", "2001-01-01"], "expires_at: this moment has passed"),
        (["create", "key_k"], "name: 1 to 100 printable characters"),
        (["show", "nobody"], "key: there is none with the id or name 'nobody'"),
        (["rotate", "nobody", "--grace", "99d"], "grace: from 0 to"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_mistakes_get_one_clear_line(cli: Cli, arguments: list[str], message: str) -> None:
    result = cli.try_(keys, *arguments)
    assert result.exit_code in (1, 2)
    assert message in result.stderr
    assert result.stdout == ""


def test_usage_in_every_format_says_the_same(cli: Cli, database: Database) -> None:
    now = time.time()
    rows = [
        entry("1", model="dear", at=now - 60, cost=1_234_567_890_123_456_789),
        entry("2", model="cheap", at=now - 60, cost=1),
        entry("3", model="cheap", at=now - 60, cost=None),
        entry("4", model="old", at=now - 8 * 86_400, cost=5),
    ]
    Ledger(database).append(rows)
    asked = ("--by", "model", "--by", "key", "--since", "7d")
    told = json.loads(cli(usage, *asked, "--format", "json").stdout)
    assert [(row["model"], row["key"], row["calls"], row["unpriced"], row["cost_usd"]) for row in told] == [
        ("dear", "key_1", 1, 0, "1234567890.123456789"),
        ("cheap", "key_1", 2, 1, "0.000000001"),
    ]
    lines = list(csv.DictReader(io.StringIO(cli(usage, *asked, "--format", "csv").stdout)))
    assert lines == [{name: str(value) for name, value in row.items()} for row in told]
    table = cli(usage, *asked).stdout
    assert "1234567890.123456789" in table
    assert "old" not in table
    assert "old" in cli(usage, "--since", "2w", "--until", "7d").stdout


def test_a_table_of_usage_names_the_keys_and_programs_get_their_ids(cli: Cli, database: Database) -> None:
    cli(keys, "create", "alice")
    (made,) = json.loads(cli(keys, "list", "--format", "json").stdout)
    Ledger(database).append(
        [entry("1", at=time.time() - 60, key=made["id"]), entry("2", at=time.time() - 60, key="gone")]
    )
    table = cli(usage, "--by", "key").stdout
    assert "alice" in table
    assert "gone" in table
    assert made["id"] not in table
    assert made["id"] in [row["key"] for row in json.loads(cli(usage, "--by", "key", "--format", "json").stdout)]


def test_the_configuration_names_the_database_and_the_secret(tmp_path: Path) -> None:
    file = tmp_path / "trunkline.yaml"
    file.write_text(f"auth_secret: {'s' * 40}\nstate: {{durable: 'sqlite:///{tmp_path}/a.db'}}\n")
    result = CliRunner().invoke(keys, ["create", "k", "--config", str(file)])
    assert result.exit_code == 0, result.output
    assert not (tmp_path / "a.db.secret").exists()
    file.write_text("state: {durable: null}\nauth: open\n")
    result = CliRunner().invoke(keys, ["list", "--config", str(file)])
    assert "state.durable: the configuration names no database" in result.stderr
    file.write_text("auht: open\n")
    result = CliRunner().invoke(keys, ["list", "--config", str(file)])
    assert "auht" in result.stderr
    assert result.exit_code == 1


def test_a_password_is_never_printed() -> None:
    result = CliRunner().invoke(usage, ["--database", "postgresql://me:hunter22@127.0.0.1:1/d"])
    assert result.exit_code == 1
    assert "postgresql://me:***@127.0.0.1:1/d cannot be used" in result.stderr
    assert "hunter22" not in result.output


@pytest.mark.parametrize("command", [usage, keys, *keys.commands.values()], ids=lambda command: command.name)
def test_help_teaches(command: click.Command) -> None:
    text = CliRunner().invoke(command, ["--help"]).stdout
    assert command.name in ("show", "enable", "disable", "delete") or "Examples:" in text


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "0.00"),
        (1, "0.000000001"),
        (500_000_000, "0.50"),
        (1_000_000_000, "1.00"),
        (-1_230_000_000, "-1.23"),
        (2**63 - 1, "9223372036.854775807"),
    ],
)
def test_dollars_are_exact(nano: int, text: str) -> None:
    assert dollars(nano) == text


def test_moments_and_spans() -> None:
    assert moment("2h", 10_000.0) == 2800.0
    assert moment("1970-01-02", 0.0) == 86_400.0
    assert moment("1970-01-02T00:00+01:00", 0.0) == 82_800.0
    assert seconds("2w") == 1_209_600.0
    for wrong in ("7", "7y", "-7d", "", "2026-13-01"):
        with pytest.raises(click.BadParameter):
            moment(wrong, 0.0)
        with pytest.raises(click.BadParameter):
            seconds(wrong)


def test_a_database_that_is_not_there_is_an_error_and_is_not_made(tmp_path: Path) -> None:
    """An empty table would look like no spend."""
    missing = tmp_path / "nope.db"
    result = CliRunner().invoke(usage, ["--database", f"sqlite:///{missing}"])
    assert result.exit_code == 1
    assert "there is no database at" in result.output
    assert not missing.exists()
