"""By what a conversation is recognised, and what a condition sees: for every family, and whatever a body holds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.stages.scripted import a_call
from trunkline.core.call import Call, Key, Peek
from trunkline.policy.conditions import SAMPLE
from trunkline.stages.routing.facts import Facts, conversation

JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
NAMES = ["system", "instructions", "systemInstruction", "messages", "contents", "input", "prompt", "prompt_cache_key"]


def sent(body: bytes | dict[str, Any], key: str = "k", headers: list[tuple[bytes, bytes]] | None = None) -> Call:
    call = a_call(headers=headers)
    call.body = body if isinstance(body, bytes) else json.dumps(body).encode()
    call.peek, call.key = Peek("smart"), Key(key, key)
    return call


def user(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text, **more}]}


TURNS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "chat": (
        {"messages": [{"role": "system", "content": "be brief"}, user("hello")]},
        {
            "messages": [
                {"role": "system", "content": "be brief"},
                user("hello"),
                {"role": "assistant", "content": "hi"},
                user("more"),
            ]
        },
    ),
    "marks of caches": (
        {"system": "be brief", "messages": [user("hello", cache_control={"type": "ephemeral"})]},
        {"messages": [user("hello"), user("more", cache_control={"type": "ephemeral"})], "system": "be brief"},
    ),
    "gemini": (
        {"systemInstruction": {"parts": [{"text": "x"}]}, "contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
        {
            "contents": [{"role": "user", "parts": [{"text": "hi"}]}, {"role": "model", "parts": [{"text": "oh"}]}],
            "systemInstruction": {"parts": [{"text": "x"}]},
        },
    ),
    "without roles": (
        {"contents": [{"parts": [{"text": "hi"}]}]},
        {"contents": [{"parts": [{"text": "hi"}]}, {"role": "model", "parts": [{"text": "oh"}]}]},
    ),
    "several before": (
        {"messages": [{"role": "system", "content": "a"}, {"role": "developer", "content": "b"}, user("hi")]},
        {
            "messages": [
                {"role": "system", "content": "a"},
                {"role": "developer", "content": "b"},
                user("hi"),
                user("and"),
            ]
        },
    ),
    "responses": (
        {"instructions": "x", "input": [user("hi")]},
        {"instructions": "x", "input": [user("hi"), {"type": "function_call"}, user("more")]},
    ),
}


@pytest.mark.parametrize("turns", TURNS.values(), ids=TURNS)
def test_a_later_turn_is_of_the_same_conversation(turns: tuple[dict[str, Any], dict[str, Any]]) -> None:
    one, two = (conversation(sent(turn), "session") for turn in turns)
    assert one == two


def test_conversations_differ_by_their_beginning_their_key_and_their_model() -> None:
    other_model = sent({"messages": [user("hello")]})
    other_model.peek = Peek("other")
    calls = [
        sent({"messages": [user("hello")]}),
        sent({"messages": [user("hallo")]}),
        sent({"messages": [user("hello")], "system": "be brief"}),
        sent({"messages": [user("hello")]}, key="other"),
        other_model,
    ]
    assert len({conversation(call, "prefix") for call in calls}) == 5
    assert len({conversation(call, "key") for call in calls}) == 3


def test_all_up_to_the_users_first_turn_counts() -> None:
    calls = [
        sent({"messages": [{"role": "system", "content": "a"}, {"role": "developer", "content": text}, user("hi")]})
        for text in ("b", "c")
    ]
    assert len({conversation(call, "prefix") for call in calls}) == 2


def test_a_header_names_it_and_the_beginning_stands_in() -> None:
    named = [sent({"prompt": text}, headers=[(b"x-chat", b"7")]) for text in ("a", "b")]
    assert len({conversation(call, "header:X-Chat") for call in named}) == 1
    assert len({conversation(sent({"prompt": text}), "header:X-Chat") for text in ("a", "b")}) == 2


@given(st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), JSON, max_size=6) | JSON, st.booleans())
def test_whatever_a_body_holds_it_has_a_name_and_facts(body: Any, cut: bool) -> None:
    text = json.dumps(body).encode()
    call = sent(text[:-1] if cut else text)
    for by in ("session", "prefix", "key", "header:x"):
        assert len(conversation(call, by)) == 16
    facts = Facts(call)
    assert all(facts.look(name) is not None for name in SAMPLE)
    assert facts.usage.input == len(call.body) // 4
    assert 0.0 <= facts.lot <= 1.0


def test_what_a_condition_sees() -> None:
    body = {"model": "smart", "max_tokens": 9, "messages": [user("hello")], "stop": None}
    headers = [(b"x-team", b"a"), (b"authorization", b"Bearer secret"), (b"x-api-key", b"secret")]
    call = sent(body, headers=headers)
    call.tags = ("one",)
    facts = Facts(call)
    assert facts.look("params") == {"model": "smart", "max_tokens": 9, "messages": True, "stop": None}
    assert facts.look("headers") == {"x-team": "a"}
    assert facts.look("tags") == ["one"]
    assert facts.look("key")["name"] == "k"


def test_an_estimate_is_bound_by_the_limit_that_is_asked_for() -> None:
    assert Facts(sent({"max_completion_tokens": 5})).usage.output == 5
    assert Facts(sent({"generationConfig": {"maxOutputTokens": 100_000}})).usage.output == 256
    assert Facts(sent({})).usage.output == 256
