"""Without a file: the usual variables make the providers."""

from __future__ import annotations

import pytest

from trunkline.config import Config, ConfigError, load


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
    assert openai.api_key is not None
    assert (openai.kind, openai.api_key.reveal()) == ("openai", "a")
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
