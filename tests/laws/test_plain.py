"""The short way of a whole answer: nobody can tell that it was taken, and it is taken only where nothing is lost."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.laws.generators import answers, law
from trunkline.core.events import Event, Reason
from trunkline.dialects import anthropic, composed, gemini, openai_chat, openai_responses
from trunkline.dialects.base import Dialect, Envelope

FAMILIES: dict[str, Dialect] = {
    each.name: each
    for each in (openai_chat.DIALECT, openai_responses.DIALECT, anthropic.DIALECT, gemini.DIALECT, composed.CONVERSE)
}
PAIRS = st.sampled_from(list(permutations(FAMILIES.values(), 2)))
REASONS: tuple[Reason, ...] = ("stop", "length", "content_filter", "refusal", "pause", "error")
ENVELOPE = Envelope(False, True, "the-model", 1_750_000_000, "req_1", "", {"temperature": 0.5})


def by_events(upstream: Dialect, client: Dialect, body: bytes) -> tuple[bytes, list[str]]:
    reader, writer = upstream.reader(False), client.writer(ENVELOPE)
    events = [*reader.feed(body), *reader.eof()]
    return b"".join(writer.feed(event) for event in events) + writer.eof(), writer.lost


def whole(dialect: Dialect, events: list[Event]) -> bytes:
    writer = dialect.writer(ENVELOPE)
    return b"".join(writer.feed(event) for event in events) + writer.eof()


def problem(upstream: Dialect, client: Dialect, body: bytes) -> str:
    """What a client could tell the short way by; "" where it is not taken."""
    plain = upstream.read_plain(body)
    if plain is None:
        return ""
    out, expected = client.write_plain(plain, ENVELOPE), by_events(upstream, client, body)
    return "" if (out, []) == expected else f"{out!r} but {expected}"


@law(200)
@given(answers(kinds=("text", "reasoning", "tool_call"), reasons=REASONS), PAIRS)
def test_both_ways_of_an_answer_are_one(events: list[Event], pair: tuple[Dialect, Dialect]) -> None:
    upstream, client = pair
    assert not problem(upstream, client, whole(upstream, events))


def _answer(dialect: Dialect) -> dict[str, Any]:
    """A whole answer of one text in this dialect."""
    message = {"role": "assistant", "content": "Half past nine."}
    completion = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_750_000_000,
        "model": "m",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 2}},
    }
    reader = openai_chat.DIALECT.reader(False)
    out: dict[str, Any] = json.loads(whole(dialect, [*reader.feed(json.dumps(completion).encode()), *reader.eof()]))
    return out


PLACES: dict[str, tuple[str | int, ...]] = {
    "openai_chat": ("choices", 0, "message"),
    "openai_responses": ("output", 0, "content", 0),
    "anthropic": ("content", 0),
    "gemini": ("candidates", 0, "content", "parts", 0),
    "bedrock": ("output", "message", "content", 0),
}
"""Where the text of an answer stands."""

MORE: dict[str, list[dict[str, Any]]] = {
    "openai_chat": [
        {"content": ""}, {"content": None}, {"refusal": "No."}, {"reasoning_content": "Hm."}, {"reasoning": "Hm."},
        {"annotations": [{"type": "url_citation"}]}, {"audio": {"id": "a"}}, {"reasoning_details": [{}]},
        {"tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
    ],
    "openai_responses": [
        {"text": ""}, {"type": "refusal", "refusal": "No."}, {"annotations": [{"type": "file_citation"}]},
        {"logprobs": [{"token": "a", "logprob": 0.0}]},
    ],
    "anthropic": [
        {"text": ""}, {"type": "thinking", "thinking": "Hm."}, {"citations": [{"type": "char_location"}]},
    ],
    "gemini": [
        {"text": ""}, {"thought": True}, {"thoughtSignature": "c2ln"}, {"functionCall": {"name": "f"}},
    ],
    "bedrock": [
        {"text": ""}, {"toolUse": {"toolUseId": "t", "name": "f", "input": {}}}, {"citationsContent": {}},
    ],
}  # fmt: skip
"""What makes such an answer more than one text, or less."""


@pytest.mark.parametrize("name", FAMILIES)
def test_one_text_goes_the_short_way(name: str) -> None:
    dialect = FAMILIES[name]
    body = json.dumps(_answer(dialect)).encode()
    assert dialect.read_plain(body) is not None
    for client in FAMILIES.values():
        if client is not dialect:
            assert not problem(dialect, client, body)


@pytest.mark.parametrize("name", FAMILIES)
def test_more_than_one_text_does_not(name: str) -> None:
    dialect = FAMILIES[name]
    for more in MORE[name]:
        answer = _answer(dialect)
        place: Any = answer
        for step in PLACES[name]:
            place = place[step]
        place |= more
        assert dialect.read_plain(json.dumps(answer).encode()) is None, more


@pytest.mark.parametrize("name", FAMILIES)
def test_several_texts_do_not(name: str) -> None:
    dialect = FAMILIES[name]
    for depth, step in enumerate(PLACES[name]):
        if step != 0:
            continue
        answer = _answer(dialect)
        several: Any = answer
        for before in PLACES[name][:depth]:
            several = several[before]
        several.append(several[0])
        assert dialect.read_plain(json.dumps(answer).encode()) is None
        several.clear()
        assert dialect.read_plain(json.dumps(answer).encode()) is None


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"{}", b'{"error":{"message":"no"}}', b"\xff", b"[" * 2000]
)
def test_what_is_no_answer_is_left_to_the_reader(name: str, body: bytes) -> None:
    assert FAMILIES[name].read_plain(body) is None
