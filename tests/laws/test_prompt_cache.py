"""Prompt caches are never spoiled: what was sent before comes first, byte for byte, when a conversation has grown.

Providers cache prefixes of a prompt. A translation that writes an earlier turn differently once there is a later one
(another id, another order of keys, a schema rewritten anew) makes the caller pay for the whole prompt each time. Every
dialect that a kind of provider speaks is tried with every other, as client and as upstream: a new one joins by itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.laws.generators import law, requests
from trunkline.core.call import Addressed
from trunkline.core.errors import BadRequest
from trunkline.core.request import (
    Image,
    Inline,
    Message,
    Reasoning,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from trunkline.dialects.base import Dialect, Quirks
from trunkline.providers.kinds import KINDS
from trunkline.providers.models import quirks_of

SINGLE = {"openai_completions"}
"""Dialects without conversations."""

DIALECTS: dict[str, Dialect] = {
    api.dialect.name: api.dialect
    for kind in KINDS.values()
    for api in kind.apis
    if api.dialect.name not in SINGLE
}  # fmt: skip
PAIRS = [(client, upstream) for client in DIALECTS for upstream in DIALECTS if client != upstream]

OF_CLAUDE = {"anthropic", "bedrock", "bedrock_invoke"}
"""Dialects in which thinking may have a fixed budget."""

CONVERSATION = ("messages", "input", "contents")
"""What the families call the growing list."""

MODEL = "anthropic.claude-sonnet-4-5-20250929-v1:0"
"""A name that every dialect can address."""

_SCHEMA = {
    "type": "object",
    "properties": {
        "where": {"$ref": "#/$defs/place"},
        "unit": {"type": "string", "enum": ["C", "F"]},
        "days": {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "string"}]}},
    },
    "required": ["where"],
    "additionalProperties": False,
    "$defs": {"place": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}},
}


def _agent(turns: int) -> list[Message]:
    """What an agent's conversation holds: instructions, an image, thoughts, parallel calls and their results."""
    out = [
        Message("system", [Text("You answer briefly.")]),
        Message("user", [Text("Weather?"), Image(Inline("image/png", "iVBORw0KGgo="))]),
    ]
    for turn in range(turns):
        calls = [
            ToolCall(f"call_{turn}_{i}", "weather", f'{{"where": {{"city": "{i}"}}, "days": [1]}}') for i in (0, 1)
        ]
        out.append(Message("assistant", [Thinking(f"Think {turn}.", f"c2lnbmVk{turn}"), Text("I look."), *calls]))
        out.append(Message("tool", [ToolResult(call.id, [Text(f"{turn} degrees")]) for call in calls]))
        out.append(Message("assistant", [Text(f"It is {turn}.")]))
        out.append(Message("user", [Text(f"And on day {turn}?")]))
    return out


def _whole(turns: int = 3, effort: str | None = "low") -> Request:
    return Request(
        MODEL,
        _agent(turns),
        tools=[Tool("weather", "Looks.", _SCHEMA), Tool("other", None, _SCHEMA)],
        max_tokens=5000,
        reasoning=Reasoning(effort) if effort is not None else None,
    )


def _cuts(messages: list[Message]) -> list[int]:
    """Where the client would ask: before each answer, and at the end."""
    return [at for at, message in enumerate(messages) if message.role == "assistant" and at] + [len(messages)]


def _sent(client: Dialect, upstream: Dialect, request: Request, quirks: Quirks) -> bytes | None:
    """The upstream's body for what a client of that dialect would send; None where one of them cannot say it."""
    try:
        body = client.write_request(request, MODEL, quirks, [])
        peek = client.peek(body, Addressed(MODEL))
        return upstream.write_request(client.read_request(body, peek), MODEL, quirks, [])
    except BadRequest:
        return None


def _assert_grows(shorter: bytes, longer: bytes) -> None:
    before, after = (msgspec.json.decode(body, type=dict[str, msgspec.Raw]) for body in (shorter, longer))
    assert list(before) == list(after)
    for name, value in before.items():
        if name in CONVERSATION:
            turns, grown = (msgspec.json.decode(raw, type=list[msgspec.Raw]) for raw in (value, after[name]))
            assert [bytes(turn) for turn in grown[: len(turns)]] == [bytes(turn) for turn in turns]
        else:
            assert bytes(value) == bytes(after[name]), name


def _assert_never_spoiled(client: Dialect, upstream: Dialect, request: Request, quirks: Quirks) -> int:
    sent = []
    for cut in _cuts(request.messages):
        part = msgspec.structs.replace(request, messages=request.messages[:cut])
        body = _sent(client, upstream, part, quirks)
        if body is not None:
            sent.append(body)
            assert _sent(client, upstream, part, quirks) == body
    for shorter, longer in pairwise(sent):
        _assert_grows(shorter, longer)
    return len(sent)


@pytest.mark.parametrize("pair", PAIRS, ids=[f"{client} to {upstream}" for client, upstream in PAIRS])
@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-opus-4-8", "gpt-5.5", "gemini-3.5-flash"])
def test_an_agents_conversation_only_grows_at_its_end(pair: tuple[str, str], model: str) -> None:
    """Without thinking where it has a fixed budget: there the service demands signed thoughts with every call, and for
    a client that lost them the gateway switches thinking off for that turn (`dialects/anthropic/thinking.py`)."""
    client, upstream = (DIALECTS[name] for name in pair)
    quirks = quirks_of(model, Quirks())
    budgeted = upstream.name in OF_CLAUDE and not quirks.adaptive_thinking
    assert _assert_never_spoiled(client, upstream, _whole(effort=None if budgeted else "low"), quirks) == 7


@law(40)
@given(requests(cache=True, thinking=True, documents=True, is_error=True), st.sampled_from(PAIRS))
def test_any_conversation_only_grows_at_its_end(request: Request, pair: tuple[str, str]) -> None:
    client, upstream = (DIALECTS[name] for name in pair)
    _assert_never_spoiled(client, upstream, _declared(request), Quirks())


def _declared(request: Request) -> Request:
    """The same with every call's tool declared, as every agent has it: Converse wants each of them declared, so a call
    of an unknown tool would make its list of tools grow. And none is forbidden: for that Converse has no word, so the
    tools are left out as long as none has been called."""
    calls = [part.name for message in request.messages for part in message.parts if isinstance(part, ToolCall)]
    known = {tool.name for tool in request.tools if isinstance(tool, Tool)}
    more = [Tool(name, None, _SCHEMA) for name in dict.fromkeys(calls) if name not in known]
    choice = request.tool_choice if request.tool_choice != ToolChoice("none") else None
    return msgspec.structs.replace(request, tools=[*request.tools, *more], tool_choice=choice)


def digests() -> dict[str, str]:
    """The bytes of every pair, as hashes: what two processes compare."""
    return {
        f"{client} to {upstream}": hashlib.sha256(
            _sent(DIALECTS[client], DIALECTS[upstream], _whole(), Quirks()) or b""
        ).hexdigest()
        for client, upstream in PAIRS
    }


def test_two_processes_write_the_same_bytes() -> None:
    """Python orders sets of strings anew in each process: nothing may depend on it."""
    code = "import json; from tests.laws.test_prompt_cache import digests; print(json.dumps(digests()))"
    said: list[Any] = []
    for seed in ("1", "2"):
        ran = subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, timeout=60
        )
        assert ran.returncode == 0, ran.stderr.decode()
        said.append(json.loads(ran.stdout))
    assert said[0] == said[1]
    assert len(said[0]) == len(PAIRS) >= 2
