"""Credentials in the file: their three forms, what each kind knows, and that none is shown."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from trunkline.config import Config, ConfigError, effective, load
from trunkline.core.secret import Secret, SecretCommand, SecretFile
from trunkline.providers.hosts import HOSTS

ROOT = Path(__file__).parents[2]
Read = Callable[[str], Config]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    numbers = itertools.count()

    def read(providers: str) -> Config:
        path = tmp_path / f"{next(numbers)}.yaml"
        path.write_text(f"providers: {{p: {{{providers}}}}}", "utf-8")
        return load(path, {"KEY": "sesame-from-the-environment"})

    return read


def test_a_credential_is_a_text_a_file_or_a_command(read: Read) -> None:
    assert read('kind: openai, api_key: "${KEY}"').providers["p"].api_key == Secret("sesame-from-the-environment")
    assert read("kind: openai, api_key: {file: /a}").providers["p"].api_key == SecretFile(file="/a")
    command = read("kind: openai, api_key: {command: [a, b c], ttl: 5}").providers["p"].api_key
    assert command == SecretCommand(command=("a", "b c"), ttl=5.0)


def test_several_of_them_may_be_given(read: Read) -> None:
    row = read("kind: groq, api_keys: [a, {file: /b}], credentials: [{api_key: c, weight: 2.5}]").providers["p"]
    assert row.api_keys == (Secret("a"), SecretFile(file="/b"))
    assert (row.credentials[0].api_key, row.credentials[0].weight) == (Secret("c"), 2.5)


@pytest.mark.parametrize(
    "row",
    [
        "kind: gemini, api_key: a",
        "kind: vertex, project: a",
        "kind: vertex, project: a, location: global, service_account: {file: /a}",
        "kind: bedrock, region: eu-central-1",
        "kind: bedrock, region: eu-central-1, api_key: a",
        "kind: bedrock, region: eu-central-1, access_key_id: a, secret_access_key: b, session_token: c, role_arn: d",
        "kind: bedrock, region: eu-central-1, profile: a, role_arn: b, external_id: c",
        "kind: azure, endpoint: 'https://x', tenant_id: a, client_id: b, client_secret: c",
        "kind: azure, endpoint: 'https://x', managed_identity: true, client_id: b",
        "kind: azure, endpoint: 'https://x', api_keys: [a]",
        "kind: ollama",
        "kind: vllm, base_url: 'http://gpu:8000/v1'",
    ],
)
def test_each_kind_takes_its_own(read: Read, row: str) -> None:
    assert "p" in read(row).providers


@pytest.mark.parametrize(
    ("row", "key", "message"),
    [
        ("kind: gemini", "api_key", "is required for kind gemini"),
        ("kind: groq", "api_key", "is required for kind groq"),
        ("kind: azure, endpoint: 'https://x'", "api_key", "is required for kind azure"),
        ("kind: azure, endpoint: 'https://x', tenant_id: a, client_id: b", "client_secret", "is required beside"),
        ("kind: azure, endpoint: 'https://x', client_secret: a, tenant_id: b", "client_id", "is required beside"),
        ("kind: vertex", "project", "is required for kind vertex"),
        ("kind: vertex, project: a, location: Europe", "location", "expected lower-case letters"),
        ("kind: vertex, project: a, location: 'x/../y'", "location", "expected lower-case letters"),
        ("kind: bedrock", "region", "is required for kind bedrock"),
        ("kind: bedrock, region: a, access_key_id: b", "secret_access_key", "is required beside access_key_id"),
        ("kind: bedrock, region: a, api_key: b, access_key_id: c, secret_access_key: d", "access_key_id", "a second"),
        ("kind: bedrock, region: a, credentials: [{external_id: a}]", "credentials[0].role_arn", "is required beside"),
        ("kind: openai, api_key: a, region: b", "region", "means nothing to kind openai"),
        ("kind: openai, api_key: a, role_arn: b", "role_arn", "means nothing to kind openai"),
        ("kind: openai, api_key: a, managed_identity: true", "managed_identity", "means nothing to kind openai"),
        ("kind: openai, credentials: [{}]", "credentials[0]", "holds no credential"),
        ("kind: openai, api_keys: [a, é]", "api_keys[1]", "must be ASCII"),
        ("kind: openai, api_key: a, headers: {X-Goog-Api-Key: b}", "headers.X-Goog-Api-Key", "would be there twice"),
        ("kind: openai, api_key: {file: /a, ttl: 3}", "api_key.ttl", "unknown setting"),
        ("kind: openai, api_key: {command: []}", "api_key.command", "expected 1 to 64 entries"),
        ("kind: openai, api_key: {command: a b}", "api_key.command", "expected a list"),
        ("kind: openai, api_key: {command: [a], ttl: 0}", "api_key.ttl", "expected a number from 1"),
        ("kind: openai, credentials: [{api_key: a, weight: 0}]", "credentials[0].weight", "expected a number"),
    ],
)
def test_what_makes_no_sense_is_refused(read: Read, row: str, key: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(row)
    found = [(problem.key, problem.message) for problem in caught.value.problems]
    assert any(one == f"providers.p.{key}" and message in said for one, said in found), found


def test_the_effective_configuration_shows_none(read: Read) -> None:
    shown = effective(
        read(
            'kind: openai, api_keys: ["${KEY}", sesame, {file: /a}, {command: [curl, -H, "x: sesame"]}], '
            "headers: {x-a: sesame}, credentials: [{api_key: sesame}]"
        )
    )
    assert "sesame" not in shown
    assert "file: /a" in shown
    assert "- curl" in shown


def test_the_page_lists_every_host() -> None:
    page = (ROOT / "docs" / "providers.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| `(\S+)` \| (\S+) \|$", page, re.M)
    prices = {"unknown": "none", "free": "free"}
    assert rows == [(name, host.base_url, prices.get(host.prices, f"`{host.prices}`")) for name, host in HOSTS.items()]
