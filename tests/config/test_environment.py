"""Without a file: the usual variables make the providers."""

from __future__ import annotations

import pytest

from trunkline.config import Config, ConfigError, load
from trunkline.core.secret import Secret
from trunkline.providers.hosts import HOSTS
from trunkline.providers.kinds import KINDS


def test_nothing_set_is_the_simulator_on_loopback_without_keys() -> None:
    assert load(None, {}) == Config(auth="open")
    assert load(None, {}).simulates


def test_each_sdk_s_variables_make_its_provider() -> None:
    config = load(
        None,
        {
            "OPENAI_API_KEY": "a",
            "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
            "OPENAI_ORG_ID": "org",
            "ANTHROPIC_API_KEY": "b",
            "ANTHROPIC_BASE_URL": "",
            "AZURE_OPENAI_API_KEY": "c",
            "AZURE_OPENAI_ENDPOINT": "https://x.example",
            "OPENAI_API_VERSION": "2024-10-21",
        },
    )
    assert not config.simulates
    openai, anthropic, azure = (config.providers[name] for name in ("openai", "anthropic", "azure"))
    assert (openai.kind, openai.api_key) == ("openai", Secret("a"))
    assert (openai.base_url, openai.organization) == ("http://127.0.0.1:9/v1", "org")
    assert (anthropic.kind, anthropic.base_url) == ("anthropic", None)
    assert (azure.kind, azure.endpoint, azure.api_version) == ("azure", "https://x.example", "2024-10-21")


def test_azure_needs_both_of_its_variables() -> None:
    assert load(None, {"AZURE_OPENAI_API_KEY": "c"}).providers == {}


def test_a_bad_variable_is_named_and_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {"OPENAI_API_KEY": "a", "OPENAI_BASE_URL": "sesame"})
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.key) == ("environment", 0, "providers.openai.base_url")
    assert "sesame" not in str(problem)


def test_googles_variables_make_either_of_its_providers() -> None:
    providers = load(None, {"GEMINI_API_KEY": "a", "GOOGLE_API_KEY": "b"}).providers
    assert set(providers) == {"gemini"}
    assert providers["gemini"].api_key == Secret("b"), "as Google's SDK has it"
    environ = {"GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_CLOUD_LOCATION": "europe-west4"}
    assert load(None, environ).providers == {}, "a project alone is no sign of a wish to use it here"
    vertex = load(None, environ | {"GOOGLE_APPLICATION_CREDENTIALS": "/key.json"}).providers["vertex"]
    assert (vertex.project, vertex.location) == ("p", "europe-west4")


@pytest.mark.parametrize("region", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_awss_variables_make_bedrock(region: str) -> None:
    assert load(None, {region: "eu-central-1"}).providers == {}
    by_key = load(None, {region: "eu-central-1", "AWS_BEARER_TOKEN_BEDROCK": "k"}).providers["bedrock"]
    assert (by_key.region, by_key.api_key) == ("eu-central-1", Secret("k"))
    by_chain = load(None, {region: "eu-central-1", "AWS_PROFILE": "work"}).providers["bedrock"]
    assert by_chain.api_key is None


def test_an_application_of_entra_is_a_credential_for_azure() -> None:
    application = {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s"}
    endpoint = {"AZURE_OPENAI_ENDPOINT": "https://r.openai.azure.com"}
    azure = load(None, endpoint | application).providers["azure"]
    assert (azure.tenant_id, azure.client_id, azure.client_secret) == ("t", "c", Secret("s"))
    azure = load(None, endpoint | application | {"AZURE_OPENAI_API_KEY": "k"}).providers["azure"]
    assert (azure.api_key, azure.client_secret) == (Secret("k"), None)


@pytest.mark.parametrize(
    ("name", "variable"), [(name, each) for name, host in HOSTS.items() for each in host.variables]
)
def test_a_known_host_is_there_when_its_key_is(name: str, variable: str) -> None:
    (provider,) = load(None, {variable: "k"}).providers.values()
    assert (provider.kind, provider.api_key) == (name, Secret("k"))
    assert KINDS[name].base_url
