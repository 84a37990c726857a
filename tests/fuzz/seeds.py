"""Where a fuzzer begins: the recorded exchanges, where they are here, and a few bodies of our own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.corpus.exchanges import TOOLS, library
from tests.fuzz.harness import seed

FAMILIES: dict[str, tuple[tuple[str, str], ...]] = {
    "openai_chat": (("openai", "chat/completions"), ("azure", "chat/completions"), ("compat", "chat/completions")),
    "openai_responses": (("openai", "responses"),),
    "anthropic": (("anthropic", "messages"),),
    "gemini": (("gemini", "enerateContent"), ("vertex", "enerateContent")),
    "bedrock": (("bedrock", "converse"),),
    "bedrock_invoke": (("bedrock", "invoke"),),
}
"""Dialect to the recordings that speak it: provider, and a part of the endpoint's name."""
EACH = 60
"""Recordings of a kind that are used: the smallest."""
LARGEST = 16 * 1024
OWN = (
    b"{}", b"[]", b'{"model":"m"}', b'{"model":"m","messages":[{"role":"user","content":"hi"}]}',
    b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', b'event: error\ndata: {"error":{"message":"x"}}\n\n',
    b'{"error":{"message":"no","type":"t","code":429}}', b'{"contents":[{"parts":[{"text":"hi"}]}]}',
)  # fmt: skip


def seeds(dialect: str) -> Iterator[bytes]:
    for body in OWN:
        for action in ("request", "stream", "answer", "error"):
            yield seed(action, body)
    if not (TOOLS / "corpus.py").exists():
        return
    for provider, endpoint in FAMILIES.get(dialect, ()):
        for found in _smallest(provider, endpoint):
            yield from _of(found)


def _smallest(provider: str, endpoint: str) -> list[Any]:
    corpus = library()
    found = [corpus.exchange(row["id"]) for row in corpus.entries(provider=provider, endpoint=endpoint)]
    small = [each for each in found if max(len(each.request), len(each.response)) <= LARGEST]
    return sorted(small, key=lambda each: len(each.request) + len(each.response))[:EACH]


def _of(found: Any) -> Iterator[bytes]:
    yield seed("request", found.request)
    if found.meta["status"] >= 400:
        yield seed("error", found.response)
    elif found.meta["stream"]:
        yield seed("stream", found.response, 7)
        yield seed("stream tap", found.response, 7)
    else:
        yield seed("answer", found.response)
        yield seed("answer tap", found.response)
