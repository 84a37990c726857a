"""The compatible hosts: what each is sent and what is kept from it, against what they were recorded to take."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.corpus.exchanges import library, needs_recordings
from trunkline.dialects import openai_chat, openai_responses
from trunkline.providers.hosts import HOSTS
from trunkline.providers.settings import ProviderSettings
from trunkline.providers.target import bind, target

CHAT = openai_chat.DIALECT
NAMES = {urlsplit(host.base_url).hostname: name for name, host in HOSTS.items()}


def rewritten(kind: str, body: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A chat request as a host gets it when it is translated, and what was lost."""
    data = json.dumps(body).encode()
    known = target(bind("p", ProviderSettings(kind=kind)), body["model"])  # type: ignore[arg-type]
    lost: list[str] = []
    return json.loads(
        CHAT.write_request(CHAT.read_request(data, CHAT.peek(data)), known.model, known.quirks, lost)
    ), lost


def asked(**fields: Any) -> dict[str, Any]:
    return {
        "model": "m",
        "messages": [{"role": "developer", "content": "be kind"}, {"role": "user", "content": "hi"}],
        **fields,
    }


@pytest.mark.parametrize("kind", HOSTS)
def test_no_host_is_sent_a_developer(kind: str) -> None:
    body, lost = rewritten(kind, asked())
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert lost == []


@pytest.mark.parametrize("kind", HOSTS)
def test_a_choice_among_some_tools_is_those_tools(kind: str) -> None:
    """`allowed_tools` is OpenAI's own word."""
    tools = [{"type": "function", "function": {"name": name}} for name in ("one", "two")]
    some = {"mode": "required", "tools": [{"type": "function", "function": {"name": "two"}}]}
    body, lost = rewritten(kind, asked(tools=tools, tool_choice={"type": "allowed_tools", "allowed_tools": some}))
    assert [tool["function"]["name"] for tool in body["tools"]] == ["two"]
    assert body["tool_choice"] == "required"
    assert lost == []


@pytest.mark.parametrize(
    ("kind", "field"),
    [("groq", "max_completion_tokens"), ("openrouter", "max_completion_tokens"), ("mistral", "max_tokens")],
)
def test_each_is_told_its_limit_by_its_name(kind: str, field: str) -> None:
    body, _ = rewritten(kind, asked(max_completion_tokens=5))
    assert {name: value for name, value in body.items() if name.startswith("max_")} == {field: 5}


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("groq", {"logprobs": True, "logit_bias": {"1": 2}}),
        ("mistral", {"seed": 3, "user": "u"}),
        ("cohere", {"n": 2, "metadata": {"a": "b"}}),
        ("perplexity", {"seed": 3}),
    ],
)
def test_what_a_host_refuses_is_left_out_and_said(kind: str, fields: dict[str, Any]) -> None:
    body, lost = rewritten(kind, asked(**fields))
    assert fields.keys().isdisjoint(body)
    assert sorted(lost) == sorted(fields)


def test_mistral_is_not_asked_for_usage_which_it_always_tells() -> None:
    assert "stream_options" not in rewritten("mistral", asked(stream=True))[0]
    assert rewritten("groq", asked(stream=True))[0]["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(("kind", "spoken"), [("xai", "openai_responses"), ("groq", "openai_chat")])
def test_clients_of_the_responses_api_pass_where_it_was_seen(kind: str, spoken: str) -> None:
    known = target(bind("p", ProviderSettings(kind=kind)), "m")  # type: ignore[arg-type]
    assert known.api(openai_responses.DIALECT, "generate").dialect.name == spoken
    assert known.api(CHAT, "generate").dialect.name == "openai_chat"


@needs_recordings
def test_nothing_is_kept_from_a_host_that_it_was_recorded_to_take() -> None:
    """The recorded requests that were answered, written anew for the same host: nothing is lost. Nulls
    and empty lists say nothing."""
    corpus, seen = library(), Counter[str]()
    for row in corpus.entries(provider="compat", endpoint="chat/completions"):
        found = corpus.exchange(row["id"])
        kind = NAMES.get(urlsplit(found.record["request"]["url"]).hostname)
        if row["status"] != 200 or kind is None:
            continue
        before = json.loads(found.request)
        after, lost = rewritten(kind, before)
        renamed = {"max_tokens": "max_completion_tokens"}
        gone = [name for name in before if before[name] not in (None, False, []) and name not in after]
        assert (lost, [name for name in gone if renamed.get(name) not in after]) == ([], []), row["id"]
        seen[kind] += 1
    print(dict(seen))
    assert sum(seen.values()) >= 150
