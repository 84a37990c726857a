"""A message of which translation would leave nothing is refused by name, not sent empty."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trunkline.core.errors import BadRequest
from trunkline.dialects import anthropic, openai_chat
from trunkline.dialects.base import Dialect, Quirks

CHAT, MESSAGES = openai_chat.DIALECT, anthropic.DIALECT
TEXT = {"type": "text", "text": "hi"}
UNKNOWN = {"type": "hologram", "hologram": {"id": 1}}


def translate(client: Dialect, upstream: Dialect, *contents: Any) -> tuple[dict[str, Any], list[str]]:
    """User messages, an answer between each two."""
    messages: list[dict[str, Any]] = []
    for content in contents:
        messages += [{"role": "user", "content": content}, {"role": "assistant", "content": "ok"}]
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": messages[:-1]}).encode()
    lost: list[str] = []
    out: dict[str, Any] = json.loads(upstream.write_request(client.read_request(body), "m", Quirks(), lost))
    return out, lost


BOTH = pytest.mark.parametrize(("client", "upstream"), [(CHAT, MESSAGES), (MESSAGES, CHAT)], ids=["chat", "messages"])


@BOTH
@pytest.mark.parametrize("content", [[UNKNOWN], [UNKNOWN, UNKNOWN]])
def test_a_message_that_loses_all_is_refused_by_the_path_of_its_part(
    client: Dialect, upstream: Dialect, content: list[Any]
) -> None:
    with pytest.raises(BadRequest, match=r"messages\[2\]\.content\[0\] cannot be translated") as refused:
        translate(client, upstream, "hi", content)
    assert refused.value.param == "messages[2].content[0]"


@BOTH
def test_a_message_that_keeps_something_is_sent_and_the_loss_reported(client: Dialect, upstream: Dialect) -> None:
    out, lost = translate(client, upstream, [TEXT, UNKNOWN])
    assert (out["messages"][0]["content"], lost) == ("hi", ["messages[0].content[1]"])


@BOTH
def test_a_message_that_was_empty_is_none_of_our_business(client: Dialect, upstream: Dialect) -> None:
    assert translate(client, upstream, "hi", "")[1] == []


def test_a_thought_without_its_signature_is_left_out_quietly() -> None:
    answer = {"role": "assistant", "content": "", "reasoning_content": "hm"}
    asked = {"role": "user", "content": "hi"}
    body = json.dumps({"model": "m", "messages": [asked, answer, asked]}).encode()
    lost: list[str] = []
    assert MESSAGES.write_request(CHAT.read_request(body), "m", Quirks(), lost)
    assert lost


def test_a_message_that_keeps_its_tool_results_is_not_empty() -> None:
    call = {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "4"}, UNKNOWN]}
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}, call, result]})
    lost: list[str] = []
    assert CHAT.write_request(MESSAGES.read_request(body.encode()), "m", Quirks(), lost)
    assert lost == ["messages[2].content[1]"]


def test_instructions_that_lose_all_are_reported_and_the_question_is_sent() -> None:
    messages = [{"role": "user", "content": "hi"}, {"role": "system", "content": [UNKNOWN]}]
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": messages}).encode()
    lost: list[str] = []
    assert CHAT.write_request(MESSAGES.read_request(body), "m", Quirks(), lost)
    assert lost == ["messages[1].content[0]"]
