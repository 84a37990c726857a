"""Which models take up their own words, and how they are told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trunkline.core.secret import Secret
from trunkline.dialects import openai_chat
from trunkline.providers.catalog_facts import Facts
from trunkline.providers.prefill import HOSTS, ON_BEDROCK, PLAIN, Prefill, told
from trunkline.providers.settings import ProviderSettings
from trunkline.providers.target import bind, target

BEDROCK = {"region": "us-east-1"}
CASES: list[tuple[dict[str, Any], str, Prefill | None]] = [
    ({"kind": "anthropic"}, "claude-sonnet-4-5-20250929", PLAIN),
    ({"kind": "anthropic"}, "claude-3-5-haiku-latest", PLAIN),
    ({"kind": "anthropic"}, "claude-sonnet-4-6", None),
    ({"kind": "anthropic"}, "claude-opus-5-5", None),
    ({"kind": "vertex", "project": "p"}, "claude-sonnet-4-5@20250929", PLAIN),
    ({"kind": "bedrock", **BEDROCK}, "us.anthropic.claude-3-5-sonnet-20241022-v2:0", ON_BEDROCK),
    ({"kind": "bedrock", **BEDROCK}, "us.anthropic.claude-sonnet-4-5-20250929-v1:0", PLAIN),
    ({"kind": "bedrock", **BEDROCK}, "amazon.nova-lite-v1:0", ON_BEDROCK),
    ({"kind": "bedrock", **BEDROCK}, "meta.llama3-70b-instruct-v1:0", None),
    ({"kind": "gemini"}, "gemini-2.5-flash", PLAIN),
    ({"kind": "gemini"}, "gemini-3.1-pro-preview", PLAIN),
    ({"kind": "gemini"}, "gemini-3.5-flash-lite", None),
    ({"kind": "gemini"}, "gemini-4-argon", None),
    ({"kind": "mistral"}, "mistral-large-latest", HOSTS["mistral"]),
    ({"kind": "deepseek"}, "deepseek-chat", None),
    ({"kind": "deepseek", "base_url": "https://api.deepseek.com/beta"}, "deepseek-chat", HOSTS["deepseek"]),
    ({"kind": "vllm"}, "qwen", HOSTS["vllm"]),
    ({"kind": "openai"}, "gpt-4o", None),
    ({"kind": "openrouter"}, "google/gemini-2.5-flash", None),
]


@pytest.mark.parametrize(("row", "model", "expected"), CASES, ids=lambda value: value if type(value) is str else "")
def test_who_does(row: dict[str, Any], model: str, expected: Prefill | None) -> None:
    provider = bind("p", ProviderSettings(**row, api_key=Secret("sk-something-long")))
    assert target(provider, model).prefill(openai_chat.DIALECT) == expected


@pytest.mark.parametrize(
    ("kind", "said", "expected"),
    [("openai", True, PLAIN), ("openai", False, None), ("mistral", True, HOSTS["mistral"]), ("mistral", False, None)],
)
def test_the_configuration_knows_better(kind: str, said: bool, expected: Prefill | None) -> None:
    from msgspec import structs

    provider = bind("p", ProviderSettings(kind=kind, api_key=Secret("sk-something-long")))
    provider = structs.replace(provider, catalog={"own": Facts(prefill=said)})
    assert target(provider, "own").prefill(openai_chat.DIALECT) == expected


def test_how_they_are_told() -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user"}, {"role": "assistant", "content": "a"}]}).encode()
    assert told(body, PLAIN) is body
    marked = json.loads(told(body, HOSTS["mistral"]))
    assert marked["messages"] == [{"role": "user"}, {"role": "assistant", "content": "a", "prefix": True}]
    flagged = json.loads(told(body, HOSTS["vllm"]))
    assert (flagged["continue_final_message"], flagged["add_generation_prompt"]) == (True, False)
    assert flagged["messages"] == json.loads(body)["messages"]
