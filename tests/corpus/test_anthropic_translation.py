"""Every recorded chat completion, asked of and answered by the Messages dialect.

The requests are checked against the parameter types of Anthropic's SDK, the answers against its message types: what
goes out must be valid to the letter, whatever came in.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.laws.generators import spoken
from trunkline.core.errors import BadRequest
from trunkline.core.events import Event, Failed
from trunkline.dialects.anthropic import DIALECT
from trunkline.dialects.base import Envelope, Quirks
from trunkline.dialects.openai_chat import DIALECT as CHAT

TOOLS = Path(__file__).resolve().parents[3] / "shared" / "tools"
pytestmark = pytest.mark.skipif(
    not (TOOLS / "corpus.py").exists(), reason="the recorded exchanges (../shared) are not here"
)


@cache
def exchanges() -> tuple[Any, ...]:
    sys.path.append(str(TOOLS))
    import corpus

    return tuple(corpus.exchange(row["id"]) for row in corpus.entries(endpoint="chat/completions"))


@pytest.mark.parametrize("quirks", [Quirks(), Quirks(adaptive_thinking=True, system_turns=True)], ids=["old", "new"])
def test_every_chat_request_becomes_a_valid_messages_request(quirks: Quirks) -> None:
    import pydantic
    from anthropic.types.message_create_params import MessageCreateParams

    adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(MessageCreateParams)
    passed, refused, emptied = 0, 0, 0
    for found in exchanges():
        try:
            request = CHAT.read_request(found.request)
        except BadRequest:
            refused += 1
            continue
        try:
            body = DIALECT.write_request(request, "claude", quirks, [])
        except BadRequest as error:
            emptied += "cannot be translated" in error.message
            continue
        adapter.validate_python(json.loads(body))
        again = DIALECT.write_request(CHAT.read_request(found.request), "claude", quirks, [])
        assert again == body
        passed += 1
    print(f"chat requests: {passed} written and valid, {refused} refused by their own dialect")
    assert passed > 350
    assert emptied == 1  # Mistral's `document_url`, alone in its message


def test_every_chat_answer_becomes_a_valid_message_that_says_the_same() -> None:
    import pydantic
    from anthropic.types import Message, RawMessageStreamEvent

    adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(RawMessageStreamEvent)
    passed = 0
    for found in exchanges():
        reader = CHAT.reader(bool(found.meta["stream"]))
        events = [*reader.feed(found.response), *reader.eof()]
        if found.meta["status"] != 200 or isinstance(events[-1], Failed):
            continue
        for stream in (True, False):
            writer = DIALECT.writer(Envelope(stream))
            data = b"".join(writer.feed(event) for event in events) + writer.eof()
            if stream:
                for line in data.splitlines():
                    if line.startswith(b"data:"):
                        adapter.validate_json(line[5:])
            else:
                Message.model_validate_json(data)
            back = DIALECT.reader(stream)
            assert _said([*back.feed(data), *back.eof()]) == _said(events)
        passed += 1
    print(f"chat answers: {passed} written and valid, streamed and whole")
    assert passed > 340


def _said(events: list[Event]) -> dict[str, Any]:
    """What choice 0 says. A refusal is text here, and what stopped it is named differently."""
    theirs = {getattr(e, "index", -1) for e in events if getattr(e, "choice", 0) != 0}
    told = spoken([e for e in events if getattr(e, "index", -2) not in theirs])
    return {"text": told["text"] + told["refusal"], "reasoning": told["reasoning"], "calls": told["calls"]}
