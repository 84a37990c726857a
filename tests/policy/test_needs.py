"""What a request needs, what a model lacks, and which targets are left."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest

from trunkline.core.request import Request
from trunkline.dialects import anthropic, openai_chat
from trunkline.policy.needs import ANY, NAMES, SOFT, Ability, Needs, choose, needs_of, shortfall, watch

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
PDF = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}


class Target(NamedTuple):
    ability: Ability


def chat(content: Any = "Hello", **fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": content}], **fields}).encode()


def read(body: bytes) -> Request:
    return openai_chat.DIALECT.read_request(body)


CASES: list[tuple[bytes, str, str]] = [
    (chat([IMAGE]), "image", "messages[0].content[0]"),
    (chat([PDF]), "document", "messages[0].content[0]"),
    (chat([SOUND]), "audio", "messages[0].content[0]"),
    (chat(tools=[TOOL]), "tools", "tools"),
    (chat(tools=[TOOL], parallel_tool_calls=True), "parallel_tools", "parallel_tool_calls"),
    (chat(response_format=SCHEMA), "json_schema", "response_format"),
    (chat(reasoning_effort="low"), "reasoning", "reasoning_effort"),
    (chat(stream=True), "streaming", "stream"),
]


@pytest.mark.parametrize(("body", "need", "path"), CASES, ids=[case[1] for case in CASES])
def test_a_need_is_found_by_its_signs_and_named_by_its_path(body: bytes, need: str, path: str) -> None:
    assert needs_of(read(body)).asked[need] == path
    lacking = Ability(frozenset({need}))
    assert watch([Target(lacking)]).suspects(body)
    assert not watch([Target(lacking)]).suspects(chat())
    assert not watch([Target(ANY)]).suspects(body)
    assert shortfall(needs_of(read(body)), lacking) == [need]


@pytest.mark.parametrize(
    "body",
    [
        chat(),
        chat(reasoning_effort="none"),
        chat(tools=[TOOL], tool_choice="none"),
        chat(response_format={"type": "json_object"}),
        chat([{"type": "text", "text": "an image of a document with audio and tools"}]),
    ],
)
def test_what_is_not_asked_for_is_no_need(body: bytes) -> None:
    assert set(needs_of(read(body)).asked) == {"text"}


def test_media_in_a_tools_result_are_media() -> None:
    block = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    messages = [
        {"role": "user", "content": "look"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [block]}]},
    ]
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": messages}).encode()
    assert "image" in needs_of(anthropic.DIALECT.read_request(body)).asked
    assert watch([Target(Ability(frozenset({"image"})))]).suspects(body)


def test_a_document_that_is_text_asks_for_nothing() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "words"}
    message = {"role": "user", "content": [{"type": "document", "source": source}]}
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": [message]}).encode()
    assert "document" not in needs_of(anthropic.DIALECT.read_request(body)).asked


BLIND, TINY, WHOLE = Target(Ability(frozenset({"image"}))), Target(Ability(input=100, output=50)), Target(ANY)


@pytest.mark.parametrize(
    ("needs", "left", "missing"),
    [
        (Needs({}), [BLIND, TINY, WHOLE], []),
        (Needs({"image": "at"}), [TINY, WHOLE], []),
        (Needs({}, input=101), [BLIND, WHOLE], []),
        (Needs({}, output=51), [BLIND, WHOLE], []),
        (Needs({"image": "at"}, input=1000), [WHOLE], []),
    ],
)
def test_a_target_that_lacks_a_need_is_passed_over(needs: Needs, left: list[Target], missing: list[str]) -> None:
    assert choose([BLIND, TINY, WHOLE], needs) == (left, missing)


def test_where_all_lack_a_need_the_fewest_missing_are_named() -> None:
    deaf = Target(Ability(frozenset({"image", "audio"})))
    assert choose([deaf, BLIND], Needs({"image": "at", "audio": "at"})) == ((), ["image"])


def test_an_estimate_refuses_only_beyond_doubt() -> None:
    assert choose([TINY], Needs({}, input=199)) == ([TINY], [])
    assert choose([TINY], Needs({}, input=201)) == ((), ["input"])


def test_what_may_be_missing_refuses_no_call() -> None:
    slow = Target(Ability(frozenset(SOFT), output=1))
    needs = Needs(dict.fromkeys(SOFT - {"output"}, "at"), output=5)
    assert choose([slow], needs) == ([slow], [])


def test_reasoning_may_be_waived() -> None:
    dull = Target(Ability(frozenset({"reasoning"})))
    needs = Needs({"reasoning": "reasoning_effort"})
    assert choose([dull], needs) == ((), ["reasoning"])
    assert choose([dull], needs, waived=True) == ([dull], [])
    assert choose([dull, WHOLE], needs, waived=True) == ([WHOLE], [])


def test_every_need_has_a_name() -> None:
    assert {need for _, need, _ in CASES} | SOFT | {"video", "text", "input"} == set(NAMES)


def test_a_long_body_is_suspected_by_its_length() -> None:
    assert watch([TINY, WHOLE]).size == 400
    assert watch([WHOLE]).size is None
    assert watch([TINY]).suspects(b"x" * 401)
    assert not watch([TINY]).suspects(b"x" * 400)


@pytest.mark.parametrize(
    ("body", "suspect"),
    [
        (b'{"max_tokens": 51}', True),
        (b'{"max_completion_tokens":51}', True),
        (b'{"max_output_tokens":51}', True),
        (b'{"generationConfig":{"maxOutputTokens":51}}', True),
        (b'{"inferenceConfig":{"maxTokens":51}}', True),
        (b'{"max_tokens": 50}', False),
        (b"{}", False),
    ],
)
def test_a_limit_is_suspected_only_where_it_is_too_much_for_some_target(body: bytes, suspect: bool) -> None:
    brief = Target(Ability(output=50))
    assert watch([brief, WHOLE]).suspects(body) is suspect
    assert not watch([brief]).suspects(body)
    assert not watch([brief, Target(Ability(output=50))]).suspects(body)  # it is the same for both
