"""Claude's body in the envelope of another host: what the envelope says, and what only the gateway can read."""

from __future__ import annotations

import json
from typing import Any

from trunkline.core.call import Addressed
from trunkline.dialects import anthropic
from trunkline.dialects.base import Quirks
from trunkline.dialects.carried import seal
from trunkline.dialects.composed import VERTEX_CLAUDE, VERTEX_CLAUDE_COUNT

SEALED = seal("c2ln", "gemini", "anthropic")


def thinking(**fields: Any) -> bytes:
    said = [{"type": "thinking", "thinking": "hm", "signature": SEALED}, {"type": "text", "text": "hello"}]
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": said},
        {"role": "user", "content": "go on"},
    ]
    return json.dumps({"model": "claude-x", "messages": turns} | fields).encode()


def test_thoughts_of_other_families_stay_here() -> None:
    for dialect, body in ((VERTEX_CLAUDE, thinking(max_tokens=9)), (VERTEX_CLAUDE_COUNT, thinking())):
        peek = anthropic.DIALECT.peek(body)
        sent = dialect.patch(body, "claude-y", peek, Quirks())
        assert SEALED.encode() not in sent
        told = json.loads(sent)
        assert told["anthropic_version"] == "vertex-2023-10-16"
        assert told["messages"][2]["content"] == "go on"


def test_a_path_that_asks_for_a_stream_is_heard_by_every_target() -> None:
    body = json.dumps({"anthropic_version": "vertex-2023-10-16", "max_tokens": 9, "messages": [
        {"role": "user", "content": "hi"}]}).encode()  # fmt: skip
    peek = VERTEX_CLAUDE.peek(body, Addressed("claude-x", stream=True))
    assert peek.stream
    told = json.loads(anthropic.DIALECT.patch(body, "claude-y", peek, Quirks()))
    assert told == {"model": "claude-y", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}],
                    "stream": True}  # fmt: skip
    assert VERTEX_CLAUDE.read_request(body, peek).stream
