"""The five families, each as client of each: what was asked and answered says the same on the other side, what cannot
be said there is reported by its path in the client's own body, and signed thoughts find their way home.
"""

from __future__ import annotations

import json
import re
from itertools import permutations, product
from typing import Any

import msgspec
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from tests.laws.generators import COMMON_REASONS, answers, law, normalize, pieces, requests, said, spoken
from trunkline.core.call import Addressed
from trunkline.core.errors import BadRequest
from trunkline.core.events import (
    ArgumentsDelta,
    Event,
    Finished,
    PartFinished,
    PartStarted,
    ReasoningDelta,
    SignatureDelta,
    Started,
)
from trunkline.core.request import Message, RedactedThinking, Request, Text, Thinking, Tool, ToolCall, ToolResult
from trunkline.core.usage import Usage
from trunkline.dialects import anthropic, composed, gemini, openai_chat, openai_responses
from trunkline.dialects.base import Dialect, Envelope, Quirks

FAMILIES: dict[str, Dialect] = {
    each.name: each
    for each in (openai_chat.DIALECT, openai_responses.DIALECT, anthropic.DIALECT, gemini.DIALECT, composed.CONVERSE)
}
MODEL = "anthropic.claude-sonnet-4-5-20250929-v1:0"
"""A name that every dialect can address."""
PAIRS = list(permutations(FAMILIES, 2))
UNCOUNTED = {"bedrock": ("reasoning",), "gemini": ("cache_write",)}
"""Shares of a total that a family has no word for: the totals hold them all the same."""
WORDS = {"cache_control", "is_error", "title", "context", "strict"}
"""Fields of parts and tools that are reported by one name to whoever asked."""
pairs = st.sampled_from(PAIRS)
sizes = st.sampled_from([0, 1, 3, 17, 256])


def read(dialect: Dialect, data: bytes, stream: bool, size: int = 0) -> list[Event]:
    reader = dialect.reader(stream)
    return [event for piece in pieces(data, size) for event in reader.feed(piece)] + list(reader.eof())


def write(dialect: Dialect, events: list[Event], stream: bool) -> bytes:
    writer = dialect.writer(Envelope(stream, model=MODEL, request_id="req_1"))
    return b"".join(writer.feed(event) for event in events) + writer.eof()


def asked(dialect: Dialect, body: bytes) -> Request:
    return dialect.read_request(body, dialect.peek(body, Addressed(MODEL)))


# ── Answers ────────────────────────────────────────────────────────────────────────────────────────────────────────


@law(120)
@given(
    answers(kinds=("text", "reasoning", "tool_call"), reasons=COMMON_REASONS),
    pairs, st.booleans(), st.booleans(), sizes, sizes,
)  # fmt: skip
def test_an_answer_says_the_same_to_a_client_of_any_family(
    events: list[Event], pair: tuple[str, str], upstream_streams: bool, client_streams: bool, there: int, back: int
) -> None:
    upstream, client = (FAMILIES[name] for name in pair)
    heard = normalize(read(upstream, write(upstream, events, upstream_streams), upstream_streams, there))
    told = normalize(read(client, write(client, heard, client_streams), client_streams, back))
    assert _meant(told, client) == _meant(heard, client)
    words = ("text", "reasoning", "reasons")
    assert {name: spoken(told)[name] for name in words} == {name: spoken(normalize(events))[name] for name in words}
    assert [call[1:] for call in spoken(told)["calls"]] == [call[1:] for call in spoken(events)["calls"]]


def _meant(events: list[Event], client: Dialect) -> Any:
    """Signatures are sealed on the way, which the laws below look into; usage is what the client's family counts."""
    told = {name: value for name, value in spoken(events).items() if name != "signatures"}
    unknown = dict.fromkeys(UNCOUNTED.get(client.name, ()), 0)
    return told, [msgspec.structs.replace(each, **unknown) for each in events if isinstance(each, Usage)]


# ── Requests ───────────────────────────────────────────────────────────────────────────────────────────────────────

ELSEWHERE = {"stream", "model", "user", "aside", "include_usage"}
"""In the path for some families, or what nobody misses."""


@law(120)
@given(requests(cache=True, documents=True, is_error=True, top_k=True), pairs)
def test_a_request_says_the_same_or_what_it_lost(request: Request, pair: tuple[str, str]) -> None:
    client, upstream = (FAMILIES[name] for name in pair)
    try:
        body = client.write_request(request, MODEL, Quirks(), [])
        wanted = asked(client, body)
        lost: list[str] = []
        out = upstream.write_request(wanted, MODEL, Quirks(), lost)
    except BadRequest:  # a message may hold nothing that this family can say
        reject()
    sent = asked(upstream, out)
    _assert_paths_are_the_clients(lost, json.loads(body))
    _assert_fields_kept(wanted, sent, lost)
    _assert_parts_kept(wanted, sent, lost)


def _assert_paths_are_the_clients(lost: list[str], body: Any) -> None:
    for path in lost:
        found = body
        for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", path):
            if not (name in WORDS and path.endswith(name) and name not in found):
                found = found[int(index)] if index else found[name]


def _assert_fields_kept(wanted: Request, sent: Request, lost: list[str]) -> None:
    before, after = said(wanted), said(sent)
    if before["tool_choice"] == {"mode": "none", "name": None, "allowed": None} and not after["tools"]:
        before["tool_choice"] = after["tool_choice"]  # without tools nothing can be called either
    for name in set(before) - {"messages", "tools", *ELSEWHERE}:
        if before[name] != after[name] and before[name] not in (None, {}):
            assert wanted.name_of(name) in lost, (name, before[name], after[name], lost)


def _assert_parts_kept(wanted: Request, sent: Request, lost: list[str]) -> None:
    arrived = [told for _, told in _parts(sent)]
    for at, told in _parts(wanted):
        if told in arrived:
            arrived.remove(told)
        else:
            assert any(path.startswith(at) for path in lost), (told, at, lost, arrived)


def _parts(request: Request) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for message in request.messages:
        for part in message.parts:
            match part:
                case Text(text) if text.strip():
                    found.append((part.at, text))
                case ToolCall():
                    found.append((part.at, (part.name, json.loads(part.arguments))))
                case ToolResult():
                    text = "".join(each.text for each in part.content if isinstance(each, Text))
                    found.append((part.at, ("result", text.strip())))
    return found


# ── Signatures ─────────────────────────────────────────────────────────────────────────────────────────────────────

SIGNATURE = "c2lnbmVkLWJ5LWl0cy1tYWtlcg=="
CALL_SIGNATURE = "c2lnbmVkLWNhbGw="
TOOL = Tool("look", "Looks.", {"type": "object", "properties": {"at": {"type": "string"}}})
SIGNS_CALLS = {"gemini"}
SIGNS_NOTHING = {"openai_chat"}


def signed(maker: str) -> list[Event]:
    """An answer of a model of this family: a signed thought, and a call."""
    data = {"signature": CALL_SIGNATURE} if maker in SIGNS_CALLS else None
    return [
        Started("id_1", "m", dialect=maker),
        PartStarted(0, "reasoning"),
        ReasoningDelta(0, "I should look."),
        SignatureDelta(0, SIGNATURE),
        PartFinished(0),
        PartStarted(1, "tool_call", id="call_1", name="look", data=data),
        ArgumentsDelta(1, '{"at":"sky"}'),
        PartFinished(1),
        Finished("tool_calls"),
        Usage(input=3, output=5),
    ]


def second_turn(client: Dialect, answer: bytes) -> bytes:
    """What the client's user sends next: all that was said, and what the tool found."""
    first = Request(MODEL, [Message("user", [Text("Look!")])], tools=[TOOL], max_tokens=9000)
    body = json.loads(client.write_request(first, MODEL, Quirks(), []))
    ECHOES[client.name](body, json.loads(answer))
    return json.dumps(body).encode()


def _chat(body: dict[str, Any], answer: dict[str, Any]) -> None:
    said = answer["choices"][0]["message"]
    body["messages"] += [said, {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": "blue"}]


def _responses(body: dict[str, Any], answer: dict[str, Any]) -> None:
    call = answer["output"][-1]["call_id"]
    body["input"] += [*answer["output"], {"type": "function_call_output", "call_id": call, "output": "blue"}]


def _messages(body: dict[str, Any], answer: dict[str, Any]) -> None:
    result = {"type": "tool_result", "tool_use_id": answer["content"][-1]["id"], "content": "blue"}
    body["messages"] += [
        {"role": "assistant", "content": answer["content"]},
        {"role": "user", "content": [result]},
    ]


def _gemini(body: dict[str, Any], answer: dict[str, Any]) -> None:
    content = answer["candidates"][0]["content"]
    call = content["parts"][-1]["functionCall"]
    result = {**{name: call[name] for name in ("id", "name") if name in call}, "response": {"result": "blue"}}
    body["contents"] += [content, {"role": "user", "parts": [{"functionResponse": result}]}]


def _bedrock(body: dict[str, Any], answer: dict[str, Any]) -> None:
    said = answer["output"]["message"]
    result = {"toolUseId": said["content"][-1]["toolUse"]["toolUseId"], "content": [{"text": "blue"}]}
    body["messages"] += [said, {"role": "user", "content": [{"toolResult": result}]}]


ECHOES = {
    "openai_chat": _chat,
    "openai_responses": _responses,
    "anthropic": _messages,
    "gemini": _gemini,
    "bedrock": _bedrock,
}


def through(maker: str, client: str, streamed: bool) -> Request:
    """The second turn, as it comes in from a client of that family."""
    spoken_by, heard_by = FAMILIES[maker], FAMILIES[client]
    heard = read(spoken_by, write(spoken_by, signed(maker), streamed), streamed, 7)
    answer = write(heard_by, heard, streamed)
    if streamed:
        answer = write(heard_by, read(heard_by, answer, True, 7), False)
    return asked(heard_by, second_turn(heard_by, answer))


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("maker", "client"), list(product(FAMILIES, FAMILIES)))
def test_signed_thoughts_come_back_to_who_made_them(maker: str, client: str, streamed: bool) -> None:
    home = FAMILIES[maker]
    proof = spoken(read(home, write(home, signed(maker), streamed), streamed))["signatures"]
    body = home.write_request(through(maker, client, streamed), MODEL, Quirks(), [])
    parts = [part for message in asked(home, body).messages for part in message.parts]
    proofs = [part.signature for part in parts if isinstance(part, Thinking)]
    proofs += [part.data for part in parts if isinstance(part, RedactedThinking)]
    if maker not in SIGNS_NOTHING:
        assert proofs == proof
        assert SIGNATURE in proof[0]
    calls = [part for part in parts if isinstance(part, ToolCall)]
    assert [(call.name, call.id) for call in calls] == [("look", "call_1")]
    assert calls[0].signature == (CALL_SIGNATURE if maker in SIGNS_CALLS else None)
    assert body.count(b"tl1:") == body.count(b"_tl1_") == 0


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("maker", "client"), list(product(FAMILIES, FAMILIES)))
def test_signatures_go_to_nobody_else(maker: str, client: str, streamed: bool) -> None:
    request = through(maker, client, streamed)
    for other in FAMILIES.values():
        if other.name != maker:
            body = other.write_request(request, "m", Quirks(), [])
            assert SIGNATURE.encode() not in body, other.name
            assert CALL_SIGNATURE.encode() not in body
            assert body.count(b"tl1:") == body.count(b"_tl1_") == 0
            assert b"blue" in body
            assert b"look" in body


def test_every_family_can_be_a_client_over_two_turns() -> None:
    assert ECHOES.keys() == FAMILIES.keys()


def test_the_families_are_those_of_the_kinds() -> None:
    """A sixth must join here: all that providers speak for generating is a family, or a family in an envelope."""
    from trunkline.providers.kinds import KINDS

    spoken_there = {
        api.dialect.name for kind in KINDS.values() for api in kind.apis if {"generate", "stream"} & api.paths.keys()
    }
    assert spoken_there == FAMILIES.keys() | {"bedrock_invoke"}
