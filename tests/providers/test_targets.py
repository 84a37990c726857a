"""From the configuration's rows to what is called: addresses, signatures, quirks; what a model's name stands for."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.core.errors import ModelNotFound
from trunkline.core.secret import Secret, SecretFile
from trunkline.providers.directory import Directory
from trunkline.providers.settings import CredentialEntry, ProviderSettings
from trunkline.providers.target import Provider, bind, target, unpriced

KEY = Secret("sk-secret")


def provider(name: str = "p", **settings: object) -> Provider:
    return bind(name, ProviderSettings(api_key=KEY, **settings))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "address", "path"),
    [
        ({"kind": "openai"}, ("https", "api.openai.com", 443), b"/v1/chat/completions"),
        ({"kind": "anthropic"}, ("https", "api.anthropic.com", 443), b"/v1/messages"),
        (
            {"kind": "openai-compatible", "base_url": "http://127.0.0.1:8000/v1/"},
            ("http", "127.0.0.1", 8000),
            b"/v1/chat/completions",
        ),
        (
            {"kind": "azure", "endpoint": "https://r.openai.azure.com"},
            ("https", "r.openai.azure.com", 443),
            b"/openai/v1/chat/completions",
        ),
        (
            {"kind": "azure", "endpoint": "https://r.openai.azure.com/openai/v1/"},
            ("https", "r.openai.azure.com", 443),
            b"/openai/v1/chat/completions",
        ),
        (
            {"kind": "azure", "endpoint": "https://r.openai.azure.com/", "api_version": "2024-10-21"},
            ("https", "r.openai.azure.com", 443),
            b"/openai/deployments/my%20model%2F1/chat/completions?api-version=2024-10-21",
        ),
        ({"kind": "groq"}, ("https", "api.groq.com", 443), b"/openai/v1/chat/completions"),
        ({"kind": "ollama"}, ("http", "127.0.0.1", 11434), b"/v1/chat/completions"),
        (
            {
                "kind": "azure",
                "endpoint": "https://r.services.ai.azure.com/models",
                "api_version": "2024-05-01-preview",
            },
            ("https", "r.services.ai.azure.com", 443),
            b"/models/chat/completions?api-version=2024-05-01-preview",
        ),
        (
            {"kind": "azure", "endpoint": "https://r.services.ai.azure.com"},
            ("https", "r.services.ai.azure.com", 443),
            b"/openai/v1/chat/completions",
        ),
    ],
)
def test_where_a_call_goes(settings: dict[str, str], address: tuple[str, str, int], path: bytes) -> None:
    bound = provider(**settings)
    assert (bound.scheme, bound.host, bound.port) == address
    assert target(bound, "my model/1").apis[0].paths["generate"] == path


@pytest.mark.parametrize(
    ("settings", "host"),
    [
        ({"kind": "vertex", "project": "p"}, "aiplatform.googleapis.com"),
        ({"kind": "vertex", "project": "p", "location": "global"}, "aiplatform.googleapis.com"),
        ({"kind": "vertex", "project": "p", "location": "europe-west4"}, "europe-west4-aiplatform.googleapis.com"),
        ({"kind": "bedrock", "region": "eu-central-1"}, "bedrock-runtime.eu-central-1.amazonaws.com"),
        ({"kind": "gemini"}, "generativelanguage.googleapis.com"),
    ],
)
def test_where_the_clouds_are(settings: dict[str, str], host: str) -> None:
    assert provider(**settings).host == host


def test_a_project_is_part_of_vertexs_path() -> None:
    vertex = provider(kind="vertex", project="my:project", location="us-east5")
    paths = target(vertex, "gemini-3-pro").apis[0].paths
    assert paths["generate"].startswith(b"/v1/projects/my%3Aproject/locations/us-east5/")


@pytest.mark.parametrize("version", [None, "2024-10-21"])
def test_claude_on_azure_speaks_its_makers_format(version: str | None) -> None:
    azure = provider(kind="azure", endpoint="https://r.services.ai.azure.com", api_version=version)
    for known in (target(azure, "claude-sonnet-4-5"), target(azure, "prod", "claude-sonnet-4-5")):
        assert [api.dialect.name for api in known.apis] == ["anthropic"]
        assert known.apis[0].paths["generate"] == b"/anthropic/v1/messages"
    assert "anthropic" not in {api.dialect.name for api in target(azure, "prod").apis}
    assert (b"x-api-key", b"sk-secret") in azure.headers


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"kind": "openai", "api_keys": (KEY, KEY)}, 2),
        ({"kind": "openai", "api_key": KEY, "api_keys": (KEY,)}, 2),
        ({"kind": "openai", "api_key": SecretFile(file="/a")}, 1),
        ({"kind": "bedrock", "region": "r"}, 1),
        ({"kind": "bedrock", "region": "r", "credentials": (CredentialEntry(profile="a"),)}, 1),
        ({"kind": "vertex", "project": "p"}, 1),
    ],
)
def test_what_is_more_than_a_fixed_key_is_left_to_the_edge(settings: dict[str, Any], count: int) -> None:
    bound = bind("p", ProviderSettings(**settings))
    assert len(bound.credentials) == count
    assert not {b"authorization", b"x-api-key"} & {name for name, _ in bound.headers}


@pytest.mark.parametrize("kind", ["ollama", "vllm"])
def test_ones_own_machine_costs_nothing(kind: str) -> None:
    assert target(bind("p", ProviderSettings(kind=kind)), "llama").price_model is None  # type: ignore[arg-type]


def test_a_fixed_key_costs_the_edge_nothing() -> None:
    assert provider(kind="bedrock", region="r").credentials == ()
    assert provider(kind="openai").credentials == ()


@pytest.mark.parametrize(
    ("kind", "header"),
    [
        ("openai", (b"authorization", b"Bearer sk-secret")),
        ("anthropic", (b"x-api-key", b"sk-secret")),
        ("azure", (b"api-key", b"sk-secret")),
        ("openai-compatible", (b"authorization", b"Bearer sk-secret")),
        ("gemini", (b"x-goog-api-key", b"sk-secret")),
        ("bedrock", (b"authorization", b"Bearer sk-secret")),
        ("mistral", (b"authorization", b"Bearer sk-secret")),
    ],
)
def test_how_a_call_is_signed(kind: str, header: tuple[bytes, bytes]) -> None:
    bound = provider(kind=kind, base_url="http://127.0.0.1:1", endpoint="http://127.0.0.1:1")
    assert header in bound.headers


def test_a_provider_without_a_key_is_not_signed() -> None:
    bound = bind("p", ProviderSettings(kind="openai-compatible", base_url="http://127.0.0.1:1"))
    assert not {b"authorization", b"x-api-key", b"api-key"} & {name for name, _ in bound.headers}


def test_a_provider_never_shows_its_credential() -> None:
    bound = provider(kind="openai")
    assert "secret" not in repr(bound)
    assert "secret" not in repr(target(bound, "gpt-4.1"))


def test_only_anthropic_counts_tokens_upstream() -> None:
    assert target(provider(kind="anthropic"), "m").apis[0].paths["count_tokens"] == b"/v1/messages/count_tokens"
    assert "count_tokens" not in target(provider(kind="openai"), "m").apis[0].paths


@pytest.mark.parametrize(
    ("model", "drops", "default"),
    [
        ("gpt-4.1", False, 32_768),
        ("gpt-5.5", True, 128_000),
        ("o3-mini", True, 100_000),
        ("gpt-5-chat-latest", False, 128_000),
        ("us.anthropic.claude-opus-4-7", True, 128_000),
        ("claude-sonnet-4-5", False, 64_000),
        ("claude-3-haiku-20240307", False, 4096),
        ("claude-opus-4-20250514", False, 32_000),
        ("claude-fable-5-2", True, 128_000),
    ],
)
def test_what_a_model_is_known_for(model: str, drops: bool, default: int) -> None:
    quirks = target(provider(kind="anthropic"), model).quirks
    assert ("temperature" in quirks.drop) is drops
    assert quirks.max_tokens_default == default


def test_a_deployment_is_what_its_base_model_says() -> None:
    """Z5, Z10: the name of an Azure deployment says nothing of its abilities or its price."""
    azure = provider(kind="azure", endpoint="https://r.openai.azure.com")
    opaque = target(azure, "prod-chat", "gpt-5.5")
    assert opaque.name == "p/prod-chat"
    assert opaque.price_model == "azure:gpt-5.5"
    assert "temperature" in opaque.quirks.drop


def directory(**models: list[str]) -> Directory:
    providers = {
        "openai": provider("openai", kind="openai", models=("gpt-4.1", "shared")),
        "claude": provider("claude", kind="anthropic", models=("claude-x", "shared")),
    }

    def targets(names: list[str]) -> list:
        return [target(providers[name.partition("/")[0]], name.partition("/")[2]) for name in names]

    return Directory(providers, {name: targets(names) for name, names in models.items()})


def named(found: tuple) -> list[str]:
    return [each.name for each in found]


def test_what_a_name_stands_for() -> None:
    known = directory(smart=["openai/gpt-4.1", "claude/claude-x"])
    assert named(known.resolve("smart")) == ["openai/gpt-4.1", "claude/claude-x"]
    assert named(known.resolve("claude/anything/at:all")) == ["claude/anything/at:all"]
    assert named(known.resolve("claude-x")) == ["claude/claude-x"]
    assert known.names() == ["smart", "openai/gpt-4.1", "openai/shared", "claude/claude-x", "claude/shared"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("smrat", "Did you mean 'smart'?"),
        ("shared", "openai/shared or claude/shared"),
        ("nobody/gpt-4.1", "Did you mean 'openai/gpt-4.1'?"),
        ("zzz", "GET /v1/models"),
        ("openai/", "not known here"),
        ("openai/..", "not known here"),
        ("..", "not known here"),
    ],
)
def test_a_name_that_stands_for_nothing_gets_a_hint(name: str, words: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        directory(smart=["openai/gpt-4.1"]).resolve(name)
    assert words in caught.value.message
    assert caught.value.param == "model"


@pytest.mark.parametrize(
    ("model", "name"), [("gpt-7", "openai/gpt-7"), ("o3", "openai/o3"), ("claude-zebra-9", "claude/claude-zebra-9")]
)
def test_a_bare_id_may_mean_one_family(model: str, name: str) -> None:
    assert named(directory().resolve(model)) == [name]


def test_a_compatible_hosts_price_is_unknown_unless_named() -> None:
    row = {"kind": "openai-compatible", "base_url": "http://127.0.0.1:1"}
    assert target(provider(**row), "m").price_model == "unknown:m"
    assert target(provider(**row, prices="deepseek"), "m").price_model == "deepseek:m"
    assert target(provider(**row, prices="free"), "m").price_model is None


def test_a_bare_id_means_the_only_provider() -> None:
    only = Directory({"openai": provider("openai", kind="openai")}, {})
    assert named(only.resolve("gpt-4.1")) == ["openai/gpt-4.1"]


def test_what_an_error_must_not_repeat_is_the_credentials() -> None:
    bound = provider(kind="openai", headers={"x-team": Secret("a"), "x-token": Secret("0123456789")})
    assert bound.secrets == (b"sk-secret", b"0123456789")


def test_the_simulators_calls_have_no_price() -> None:
    assert target(unpriced(provider(kind="openai")), "gpt-4.1").price_model is None
