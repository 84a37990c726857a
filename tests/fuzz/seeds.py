"""Where a fuzzer begins: the recorded exchanges, where they are here, and a few bodies of our own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.corpus.exchanges import TOOLS, library
from tests.fuzz.harness import seed
from trunkline.dialects.bedrock import eventstream

FAMILIES: dict[str, tuple[tuple[str, str], ...]] = {
    "openai_chat": (("openai", "chat/completions"), ("azure", "chat/completions"), ("compat", "chat/completions")),
    "openai_responses": (("openai", "/responses"), ("azure", "/responses"), ("compat", "/responses")),
    "anthropic": (("anthropic", "/v1/messages"), ("vertex", "awPredict")),
    "gemini": (
        ("gemini", "enerateContent"), ("vertex", "enerateContent"),
        ("gemini", "countTokens"), ("vertex", "countTokens"),
    ),
    "bedrock": (("bedrock", "converse"), ("bedrock", "count-tokens")),
    "bedrock_invoke": (("bedrock", "invoke"),),
}  # fmt: skip
"""Dialect to the recordings that speak it: provider, and a part of the endpoint's name."""
EACH = 60
"""Recordings of a kind that are used: the smallest."""
LARGEST = 16 * 1024
COUNTING = re.compile("count.?tokens|input_tokens", re.IGNORECASE)
OWN = (
    b"{}", b"[]", b'{"model":"m"}', b'{"model":"m","messages":[{"role":"user","content":"hi"}]}',
    b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', b'event: error\ndata: {"error":{"message":"x"}}\n\n',
    b'{"error":{"message":"no","type":"t","code":429}}', b'{"contents":[{"parts":[{"text":"hi"}]}]}',
    b'{"model":"m","input":[{"role":"user","content":"hi"}]}',
    b'{"messages":[{"role":"user","content":[{"text":"a"}]}]}',
)  # fmt: skip
COUNTS = (b'{"input_tokens":3}', b'{"inputTokens":3}', b'{"totalTokens":3}')
FRAMES = (
    b'messageStart {"role":"assistant"}\ncontentBlockDelta {"contentBlockIndex":0,"delta":{"text":"a"}}\n'
    b'contentBlockStop {"contentBlockIndex":0}\nmessageStop {"stopReason":"end_turn"}\n'
    b'metadata {"usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3}}',
    b'contentBlockStart {"start":{"toolUse":{"toolUseId":"t","name":"f"}},"contentBlockIndex":0}\n'
    b'contentBlockDelta {"contentBlockIndex":0,"delta":{"toolUse":{"input":"{}"}}}',
    b'contentBlockDelta {"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"a","signature":"b"}}}',
    b'throttlingException {"message":"slow"}', b'chunk {"bytes":"e30="}',
)  # fmt: skip


def seeds(dialect: str) -> Iterator[bytes]:
    for action in ("request", "count request", "stream", "answer", "stream tap", "answer tap", "error"):
        yield from (seed(action, body) for body in OWN)
    yield from (seed("count", body) for body in COUNTS)
    yield from (seed("frames", body) for body in FRAMES)
    if not (TOOLS / "corpus.py").exists():
        return
    for provider, endpoint in FAMILIES[dialect]:
        for found in _smallest(provider, endpoint):
            yield from _of(found)


def _smallest(provider: str, endpoint: str) -> list[Any]:
    corpus = library()
    found = [corpus.exchange(row["id"]) for row in corpus.entries(provider=provider, endpoint=endpoint)]
    small = [each for each in found if max(len(each.request), len(each.response)) <= LARGEST]
    return sorted(small, key=lambda each: len(each.request) + len(each.response))[:EACH]


def _of(found: Any) -> Iterator[bytes]:
    counting = COUNTING.search(found.meta["endpoint"])
    yield seed("count request" if counting else "request", found.request)
    if found.meta["status"] >= 400:
        yield seed("error", found.response)
    elif counting:
        yield seed("count", found.response)
    elif found.meta["stream"]:
        yield seed("stream", found.response, 7)
        yield seed("stream tap", found.response, 7)
        if "bedrock" in found.meta["provider"]:
            yield seed("frames", _unframed(found.response), 7)
    else:
        yield seed("answer", found.response)
        yield seed("answer tap", found.response)


def _unframed(data: bytes) -> bytes:
    """A recorded event stream as the lines that the action makes one of again."""
    return b"\n".join(frame.name.encode() + b" " + frame.payload for frame in eventstream.frames(data))
