"""Every recorded chat completion and Messages exchange, asked of Gemini and answered to its clients: what goes out must
be valid to Google's types and to the rules that the service has for conversations, whatever came in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.corpus.exchanges import Tally, answered, chats, messages, needs_recordings, read
from tests.laws.generators import spoken
from trunkline.core.call import Peek
from trunkline.core.errors import BadRequest
from trunkline.core.events import Event, Failed
from trunkline.core.usage import Usage
from trunkline.dialects import anthropic, openai_chat
from trunkline.dialects.base import Envelope, Quirks
from trunkline.dialects.gemini import ARRAY, DIALECT

pytestmark = needs_recordings

CLIENTS = {"chat": (openai_chat.DIALECT, chats), "messages": (anthropic.DIALECT, messages)}
NEW = Quirks(signed_calls=True, media_results=True, efforts=("low", "medium", "high"))
OLD = Quirks(json_schema=False, thinking_budget=True, json_with_tools=False)


@pytest.mark.parametrize("quirks", [NEW, OLD], ids=["new", "old"])
@pytest.mark.parametrize("client", CLIENTS)
def test_every_request_becomes_one_that_gemini_takes(client: str, quirks: Quirks) -> None:
    from google.genai import types

    dialect, exchanges = CLIENTS[client]
    tally = Tally(f"{client} requests as gemini")
    refused: list[str] = []
    for found in exchanges():
        try:
            request = dialect.read_request(found.request)
            wire = json.loads(DIALECT.write_request(request, "m", quirks, []))
        except BadRequest as error:
            refused.append(f"{found.meta['id']}: {error.message}")
            continue
        for content in wire["contents"]:
            types.Content.model_validate(content)
        types.GenerationConfig.model_validate(wire.get("generationConfig", {}))
        for tool in wire.get("tools", ()):
            types.Tool.model_validate(tool)
        tally.check(found, _paired(wire["contents"]), "calls and results do not match")
    print(f"{client} requests refused: {len(refused)}")
    for line in refused:
        print(f"  {line[:200]}")
    assert len(refused) < 4
    tally.assert_all(at_least=235)


def _paired(contents: list[Any]) -> bool:
    """As many results right behind a content as it has calls, and none elsewhere."""
    counts = [
        [sum(kind in part for part in content["parts"]) for kind in ("functionCall", "functionResponse")]
        for content in contents
    ]
    following = [*counts[1:], [0, 0]]
    return counts[0][1] == 0 and all(one[0] == after[1] for one, after in zip(counts, following, strict=True))


@pytest.mark.parametrize(("stream", "framing"), [(True, ""), (True, ARRAY), (False, "")])
@pytest.mark.parametrize("client", CLIENTS)
def test_every_answer_reaches_a_gemini_client(client: str, stream: bool, framing: str) -> None:
    from google.genai import types

    dialect, exchanges = CLIENTS[client]
    tally = Tally(f"{client} answers as gemini, {framing or ('sse' if stream else 'whole')}")
    for found in answered(exchanges()):
        events = read(dialect, found.response, found.meta["stream"])
        if isinstance(events[-1], Failed):
            continue
        writer = DIALECT.writer(Envelope(stream, model="m", framing=framing))
        data = b"".join(writer.feed(event) for event in events) + writer.eof()
        for chunk in _chunks(data):
            types.GenerateContentResponse.model_validate(chunk)
        back = read(DIALECT, data, stream)
        tally.check(found, _told(back) == _told(events), f"{_told(back)} is not {_told(events)}")
    tally.assert_all(at_least=235)


def _chunks(data: bytes) -> list[Any]:
    if data.startswith(b"data:"):
        return [json.loads(line[5:]) for line in data.splitlines() if line.startswith(b"data:")]
    wire = json.loads(data)
    return wire if isinstance(wire, list) else [wire]


def _told(events: list[Event]) -> dict[str, Any]:
    """What Gemini can say too: a refusal is text there, and calls whose arguments are no object become one."""
    words = spoken([event for event in events if not isinstance(event, Usage)])
    usage = next((event for event in events if isinstance(event, Usage)), Usage())
    calls = [
        (key, name, args if isinstance(args, dict) else {"arguments": json.dumps(args)})
        for key, name, args in words["calls"]
    ]
    counts = (usage.input, usage.cache_read, usage.output, usage.reasoning)
    return {"text": words["text"] + words["refusal"], "reasoning": words["reasoning"], "calls": calls, "usage": counts}


def test_a_conversation_of_another_family_is_counted() -> None:
    request = openai_chat.DIALECT.read_request(
        b'{"model":"m","messages":[{"role":"system","content":"a"},{"role":"user","content":"b"}]}'
    )
    whole = json.loads(DIALECT.write_count_request(request, "g", Quirks(), []))
    assert whole["generateContentRequest"]["model"] == "models/g"
    vertex = json.loads(DIALECT.write_count_request(request, "g", Quirks(counts_whole=False), []))
    assert vertex.keys() == {"systemInstruction", "contents"}
    assert DIALECT.read_count_request(json.dumps(whole).encode(), Peek("g")).messages[0].role == "system"
