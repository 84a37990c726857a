"""A stream that breaks off after it has begun: what the client sees of it, and the ledger."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.edges.families import ANTHROPIC, OPENAI, Family
from tests.edges.upstreams import Upstream, silence, stream
from tests.running import running
from tests.talking import ask, connected, request
from trunkline.core.events import Event, PartFinished, PartStarted, ReasoningDelta, TextDelta
from trunkline.core.usage import Usage
from trunkline.dialects import anthropic, bedrock, composed, gemini, openai_chat, openai_responses
from trunkline.dialects.base import Dialect

GEMINI = [{"role": "user", "parts": [{"text": "hello there"}]}]
INVOKED = {"anthropic_version": "bedrock-2023-05-31", **ANTHROPIC.body}
CONVERSE = [{"role": "user", "content": [{"text": "hello there"}]}]


def chat(*texts: str, whole: bool = True, **more: Any) -> list[bytes]:
    """The events of a chat stream that says these texts, and something more; without its end where not `whole`."""
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "real"}

    def chunk(**fields: Any) -> bytes:
        return b"data: " + json.dumps(head | fields).encode() + b"\n\n"

    def delta(**fields: Any) -> bytes:
        return chunk(choices=[{"index": 0, "delta": fields, "finish_reason": None}])

    events = [delta(role="assistant", content=""), *(delta(content=text) for text in texts)]
    if not whole or more:
        return [*events, *([delta(**more)] if more else [])]
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    events.append(chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]))
    return [*events, chunk(choices=[], usage=usage), b"data: [DONE]\n\n"]


def claude(*texts: str) -> list[bytes]:
    """The events of a message stream that says these texts."""
    start, opened, _, *rest = ANTHROPIC.events
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}} for text in texts
    ]
    return [start, opened, *(b"event: x\ndata: " + json.dumps(each).encode() + b"\n\n" for each in deltas), *rest]


def sections(one: str, two: str, first: Family = OPENAI, **recover: Any) -> dict[str, Any]:
    kind = {"kind": "openai-compatible"} if first is OPENAI else {}  # which has no Responses API
    return {
        "providers": {"one": first.provider(one, **kind), "two": ANTHROPIC.provider(two)},
        "models": {
            "smart": {
                "targets": [{"target": "one/a"}, {"target": "two/b"}],
                "recover": {"mode": "continue"} | recover,
            }
        },
    }


class Breaking:
    """A stream that says its events, and breaks once the client has seen them."""

    def __init__(self, events: list[bytes], *rest: bytes | None, end: bool) -> None:
        self.seen = asyncio.Event()
        self.answer = stream(*events, self.seen, *rest, end=end)


async def read(port: int, client: Client, breaking: Breaking, *, seen: bytes) -> bytes:
    """All that the client gets; `seen`: what it must have got of the first answer before that breaks off."""
    async with connected(port) as line:
        await line.send(request(client.path, client.body))
        head = await line.read_head()
        assert head.status == 200, head
        body = b""
        while chunk := await line.read_chunk():
            body += chunk
            if seen in body:
                breaking.seen.set()
    return body


@dataclass(frozen=True)
class Client:
    """A client family, by its dialect; it asks for a stream from the model `smart`."""

    path: str
    body: dict[str, Any]
    dialect: Dialect

    def __str__(self) -> str:
        return self.path


CLIENTS = (
    Client(OPENAI.path, OPENAI.ask("smart", stream=True), openai_chat.DIALECT),
    Client("/v1/responses", {"model": "smart", "input": "hello there", "stream": True}, openai_responses.DIALECT),
    Client(ANTHROPIC.path, ANTHROPIC.ask("smart", stream=True), anthropic.DIALECT),
    Client("/v1beta/models/smart:streamGenerateContent?alt=sse", {"contents": GEMINI}, gemini.DIALECT),
    Client("/v1beta/models/smart:streamGenerateContent", {"contents": GEMINI}, gemini.DIALECT),
    Client("/model/smart/converse-stream", {"messages": CONVERSE}, bedrock.DIALECT),
    Client("/model/smart/invoke-with-response-stream", INVOKED, composed.INVOKE),
)
CHAT = CLIENTS[0]


def told(client: Client, body: bytes) -> list[Event]:
    """What the client is told, by its own dialect's reader."""
    reader = client.dialect.reader(True)
    return [*reader.feed(body), *reader.eof()]


def text(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def in_order(events: list[Event]) -> bool:
    """One beginning, one end, parts that count on and do not overlap."""
    kinds = [type(event).__name__ for event in events]
    starts = [event.index for event in events if isinstance(event, PartStarted)]
    ends = [event.index for event in events if isinstance(event, PartFinished)]
    return (
        kinds.count("Started") == 1
        and kinds.count("Finished") == 1
        and kinds.count("Failed") == 0
        and starts == ends == list(range(len(starts)))
    )


BREAKS: dict[str, tuple[tuple[bytes | None, ...], bool, str]] = {
    "cut": ((), False, "upstream_broken"),
    "ended": ((), True, "upstream_broken"),
    "error event": ((OPENAI.error_event,), True, "upstream_server"),
    "silence": ((None,), True, "upstream_timeout"),
}
BEGINNING = chat("Once upon ", "a time ", whole=False)


@pytest.mark.parametrize("case", BREAKS)
async def test_a_model_that_takes_up_its_own_words_goes_on(case: str, tmp_path: Path) -> None:
    rest, end, reason = BREAKS[case]
    breaking = Breaking(BEGINNING, *rest, end=end)
    async with (
        Upstream(breaking.answer) as one,
        Upstream(stream(*claude("there ", "was a fox."))) as two,
        running(tmp_path, sections(one.url, two.url, silence=0.3)) as run,
    ):
        body = await read(run.port, CHAT, breaking, seen=b"a time ")
        entry = await run.entry()
    events = told(CHAT, body)
    assert text(events) == "Once upon a time there was a fox."
    assert in_order(events)
    assert body.count(b"[DONE]") == 1
    assert two.asked[0].json["messages"][-1]["content"] == "Once upon a time"
    first, second = entry.attempts
    assert (first.target, first.kind, first.reason, first.status) == ("one/a", "", reason, 200)
    assert (second.target, second.kind, second.reason, second.status) == ("two/b", "continuation", None, 200)
    assert (entry.status, entry.error, entry.target) == (200, None, "two/b")
    assert first.usage is not None
    assert first.usage.estimated
    assert entry.usage == first.usage + Usage(input=7, output=2)


@pytest.mark.parametrize("client", CLIENTS, ids=str)
@pytest.mark.parametrize("first", [OPENAI, ANTHROPIC], ids=str)
async def test_every_family_of_clients_sees_one_answer(client: Client, first: Family, tmp_path: Path) -> None:
    beginning = BEGINNING if first is OPENAI else claude("Once upon ", "a time ")[:4]
    breaking = Breaking(beginning, end=False)
    async with (
        Upstream(breaking.answer) as one,
        Upstream(stream(*claude("there ", "was a fox."))) as two,
        running(tmp_path, sections(one.url, two.url, first)) as run,
    ):
        body = await read(run.port, client, breaking, seen=b"" if client.dialect is composed.INVOKE else b"a time ")
        entry = await run.entry()
    events = told(client, body)
    assert text(events) == "Once upon a time there was a fox."
    assert in_order(events)
    assert [each.kind for each in entry.attempts] == ["", "continuation"]
    usage = [event for event in events if isinstance(event, Usage)]
    if usage:  # chat clients are told only where they ask
        assert (usage[-1].input, usage[-1].output) == (entry.usage.input, entry.usage.output)  # type: ignore[union-attr]


GEMINI_EVENTS = [
    b'data: {"candidates":[{"content":{"role":"model","parts":[{"text":"there was a fox."}]},"finishReason":"STOP",'
    b'"index":0}],"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":2,"totalTokenCount":9},'
    b'"modelVersion":"real","responseId":"r1"}\r\n\r\n'
]
HOW: dict[str, tuple[dict[str, Any], str, list[bytes], Any]] = {
    "mistral": ({"kind": "mistral"}, "m", chat("there was a fox."), {"prefix": True}),
    "vllm": ({"kind": "vllm"}, "m", chat("there was a fox."), {}),
    "deepseek": ({"kind": "deepseek"}, "m", chat("there was a fox."), {"prefix": True}),
    "gemini": ({"kind": "gemini"}, "gemini-2.5-flash", GEMINI_EVENTS, {"role": "model"}),
}


@pytest.mark.parametrize("kind", HOW)
async def test_each_provider_is_told_in_its_own_way(kind: str, tmp_path: Path) -> None:
    row, model, events, marks = HOW[kind]
    breaking = Breaking(BEGINNING, end=False)
    async with Upstream(breaking.answer) as one, Upstream(stream(*events)) as two:
        base = {"gemini": "", "deepseek": "/beta"}.get(kind, "/v1")
        settings = sections(one.url, two.url)
        settings["providers"]["two"] = row | {"base_url": two.url + base, "api_key": "sk-provider-secret-42"}
        settings["models"]["smart"]["targets"][1]["target"] = f"two/{model}"
        async with running(tmp_path, settings) as run:
            body = await read(run.port, CHAT, breaking, seen=b"a time ")
    assert text(told(CHAT, body)) == "Once upon a time there was a fox."
    asked = two.asked[0].json
    last = asked["contents" if kind == "gemini" else "messages"][-1]
    assert marks.items() <= last.items()
    if kind == "vllm":
        assert asked["continue_final_message"] is True
        assert asked["add_generation_prompt"] is False


async def test_what_is_repeated_is_left_out(tmp_path: Path) -> None:
    breaking = Breaking(BEGINNING, end=False)
    async with (
        Upstream(breaking.answer) as one,
        Upstream(stream(*claude("Once upon", " a time", " there was a fox."))) as two,
        running(tmp_path, sections(one.url, two.url)) as run,
    ):
        body = await read(run.port, CHAT, breaking, seen=b"a time ")
    assert text(told(CHAT, body)) == "Once upon a time there was a fox."


async def test_the_same_target_goes_on_where_there_is_no_other(tmp_path: Path) -> None:
    breaking = Breaking(claude("Once upon ", "a time ")[:4], end=False)
    async with Upstream(breaking.answer, stream(*claude("there ", "was a fox."))) as one:
        settings = sections(one.url, one.url, ANTHROPIC)
        del settings["models"]["smart"]["targets"][1]
        async with running(tmp_path, settings) as run:
            body = await read(run.port, CHAT, breaking, seen=b"a time ")
            entry = await run.entry()
    assert text(told(CHAT, body)) == "Once upon a time there was a fox."
    assert [each.target for each in entry.attempts] == ["one/a", "one/a"]


async def test_where_nothing_was_said_another_answer_takes_its_place(tmp_path: Path) -> None:
    """By a model that does not take up its own words, which need not."""
    breaking = Breaking(chat(whole=False), end=False)
    async with Upstream(breaking.answer) as one, Upstream(stream(*OPENAI.events)) as two:
        settings = sections(one.url, two.url) | {"server": {"ping_interval": 0.05}}
        settings["providers"]["two"] = OPENAI.provider(two.url)
        async with running(tmp_path, settings) as run:
            body = await read(run.port, CHAT, breaking, seen=b"assistant")
            entry = await run.entry()
    assert text(told(CHAT, body)) == "hi"
    assert in_order(told(CHAT, body))
    assert [(each.target, each.kind) for each in entry.attempts] == [("one/a", ""), ("two/b", "continuation")]


def thinking(thought: str, signature: str | None, *rest: bytes) -> list[bytes]:
    """A message stream that begins with a thought, whole if it is signed."""
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}
    events = [
        block,
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": thought}},
    ]
    if signature is not None:
        signed = {"type": "signature_delta", "signature": signature}
        events += [
            {"type": "content_block_delta", "index": 0, "delta": signed},
            {"type": "content_block_stop", "index": 0},
        ]
    return [ANTHROPIC.events[0], *(b"event: x\ndata: " + json.dumps(each).encode() + b"\n\n" for each in events), *rest]


async def test_thoughts_are_shown_once_and_a_broken_one_does_not_come_back(tmp_path: Path) -> None:
    client = CLIENTS[2]
    breaking = Breaking(thinking("Let me see.", None), end=False)
    answer = [event.replace(b'"index":0', b'"index":1') for event in ANTHROPIC.events[1:]]
    async with (
        Upstream(breaking.answer, stream(*ANTHROPIC.events)) as one,
        Upstream(stream(*thinking("Anew.", "sig", *answer))) as two,
        running(tmp_path, sections(one.url, two.url, ANTHROPIC)) as run,
    ):
        events = told(client, await read(run.port, client, breaking, seen=b"Let me see."))
        said = [
            {"type": "thinking", "thinking": "Let me see.", "signature": ""},
            {"type": "text", "text": text(events)},
        ]
        turns = [*ANTHROPIC.body["messages"], {"role": "assistant", "content": said}, *ANTHROPIC.body["messages"]]
        await ask(run.port, client.path, client.body | {"messages": turns})
    assert in_order(events)
    assert [event.kind for event in events if isinstance(event, PartStarted)] == ["reasoning", "text"]
    assert "".join(event.text for event in events if isinstance(event, ReasoningDelta)) == "Let me see."
    assert text(events) == "hi"
    assert b"thinking" not in one.asked[1].body


CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at":'}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
STOPS: dict[str, tuple[dict[str, Any], list[bytes], str]] = {
    "a half-sent tool call": ({}, chat(tool_calls=[CALL]), "ANTHROPIC"),
    "an answer held to a schema": ({"response_format": SCHEMA}, BEGINNING, "ANTHROPIC"),
    "several alternatives": ({"n": 2}, BEGINNING, "ANTHROPIC"),
    "a model that thinks": ({"reasoning_effort": "high"}, BEGINNING, "ANTHROPIC"),
    "a model that does not take up its words": ({}, BEGINNING, "OPENAI"),
}


@pytest.mark.parametrize("case", STOPS)
async def test_what_cannot_be_gone_on_with_ends_in_the_familys_error(case: str, tmp_path: Path) -> None:
    fields, beginning, second = STOPS[case]
    breaking = Breaking(beginning, end=False)
    async with Upstream(breaking.answer) as one, Upstream(stream(*claude("never"))) as two:
        settings = sections(one.url, two.url)
        if second == "OPENAI":
            settings["providers"]["two"] = OPENAI.provider(two.url)
        client = Client(CHAT.path, CHAT.body | fields, CHAT.dialect)
        async with running(tmp_path, settings) as run:
            body = await read(run.port, client, breaking, seen=b"look" if "tool" in case else b"a time ")
            entry = await run.entry()
    assert two.asked == []
    assert body.rstrip().endswith(b"}")
    assert b'"code":"upstream_broken"' in body
    assert b"[DONE]" not in body
    assert (entry.status, entry.error, len(entry.attempts)) == (200, "upstream_broken", 1)
    assert entry.usage is not None
    assert entry.usage == entry.attempts[0].usage


async def test_it_is_gone_on_with_as_often_as_the_settings_say(tmp_path: Path) -> None:
    breaking = Breaking(BEGINNING, end=False)
    again = stream(*claude("and on ")[:3], end=False)
    async with (
        Upstream(breaking.answer) as one,
        Upstream(again, again, again) as two,
        running(tmp_path, sections(one.url, two.url, attempts=2)) as run,
    ):
        body = await read(run.port, CHAT, breaking, seen=b"a time ")
        entry = await run.entry()
    assert len(two.asked) == 2
    assert text(told(CHAT, body)).startswith("Once upon a time and on ")
    assert b'"code":"upstream_broken"' in body
    assert [each.reason for each in entry.attempts] == ["upstream_broken"] * 3
    assert entry.usage is not None
    assert entry.usage.output == sum(each.usage.output for each in entry.attempts if each.usage is not None)
    assert all(each.usage is not None for each in entry.attempts)
    assert entry.error == "upstream_broken"


async def test_without_the_setting_the_bytes_pass_and_the_error_is_told(tmp_path: Path) -> None:
    breaking = Breaking(BEGINNING, end=False)
    async with (
        Upstream(breaking.answer) as one,
        Upstream(stream(*claude("never"))) as two,
        running(tmp_path, sections(one.url, two.url, mode="off")) as run,
    ):
        body = await read(run.port, CHAT, breaking, seen=b"a time ")
    assert body.startswith(b"".join(BEGINNING))
    assert b'"code":"upstream_broken"' in body
    assert two.asked == []


async def test_a_client_that_leaves_while_somebody_is_asked_pays_once(tmp_path: Path) -> None:
    breaking = Breaking(BEGINNING, end=False)
    async with (
        Upstream(breaking.answer) as one,
        Upstream(silence) as two,
        running(tmp_path, sections(one.url, two.url)) as run,
    ):
        async with connected(run.port) as line:
            await line.send(request(CHAT.path, CHAT.body))
            await line.read_head()
            body = b""
            while b"a time " not in body:
                body += await line.read_chunk()
            breaking.seen.set()
            await two.arrived.wait()
        async with asyncio.timeout(5):
            await two.gone.wait()
        entry = await run.entry()
    assert [each.reason for each in entry.attempts] == ["upstream_broken", "client_closed_request"]
    (first, second), usage = entry.attempts, entry.usage
    assert first.usage is not None
    assert usage is not None
    assert usage.output == first.usage.output
    assert usage.input > first.usage.input  # the second had the prompt, too
    assert second.usage is None


async def test_both_halves_are_priced_by_whoever_spoke_them(tmp_path: Path) -> None:
    breaking = Breaking(BEGINNING, end=False)
    async with Upstream(breaking.answer) as one, Upstream(stream(*claude("there ", "was a fox."))) as two:
        settings = sections(one.url, two.url)
        settings["providers"]["one"] = OPENAI.provider(one.url)
        settings["models"]["smart"]["targets"] = [{"target": "one/gpt-4o"}, {"target": "two/claude-sonnet-4-5"}]
        async with running(tmp_path, settings) as run:
            run.gateway.stores.prices.load()
            await read(run.port, CHAT, breaking, seen=b"a time ")
            entry = await run.entry()
    first = entry.attempts[0]
    assert first.usage is not None
    assert first.cost == first.usage.input * 2_500 + first.usage.output * 10_000
    assert entry.cost == first.cost + 7 * 3_000 + 2 * 15_000


async def test_an_answer_in_the_background_goes_on_too(tmp_path: Path) -> None:
    """Whether from its text or anew depends on whether this was read before the break."""
    async with (
        Upstream(stream(*BEGINNING, end=False)) as one,
        Upstream(stream(*claude("there ", "was a fox."))) as two,
        running(tmp_path, sections(one.url, two.url)) as run,
    ):
        asked = await ask(run.port, "/v1/responses", {"model": "smart", "input": "hello there", "background": True})
        place = f"/v1/responses/{asked.json['id']}"
        answer = await ask(run.port, place)
        while answer.json["status"] in ("queued", "in_progress"):
            await asyncio.sleep(0.01)
            answer = await ask(run.port, place)
    assert answer.json["status"] == "completed", answer.json
    said = "".join(part["text"] for item in answer.json["output"] for part in item.get("content", []))
    assert said in ("Once upon a time there was a fox.", "there was a fox.")
    assert len(two.asked) == 1
