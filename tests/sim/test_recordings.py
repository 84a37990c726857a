"""The simulator says nothing that the real services have not been recorded saying: the same keys, in the same places.

The recordings are not part of the project; without them these tests are skipped.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from trunkline.sim.server import Handle

from .conftest import raw

TOOLS = Path(__file__).resolve().parents[3] / "shared" / "tools"
pytestmark = pytest.mark.skipif(
    not (TOOLS / "corpus.py").exists(), reason="the recorded exchanges (../shared) are not here"
)

CHAT, MESSAGES, DEPLOYMENT = "/v1/chat/completions", "/v1/messages", "/openai/deployments/sim-small/chat/completions"

NEWER = {"usage.prompt_tokens_details.cache_write_tokens"}
"""Published, but newer than the recordings."""

ENTRIES = {CHAT: ("openai", CHAT), MESSAGES: ("anthropic", MESSAGES), DEPLOYMENT: ("azure", "chat/completions")}
TOOL = {"type": "object", "properties": {"city": {"type": "string"}}}
ASKED: dict[str, dict[str, Any]] = {
    CHAT: {
        "messages": [{"role": "user", "content": "call f"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": TOOL}}],
    },
    MESSAGES: {
        "messages": [{"role": "user", "content": "call f"}],
        "tools": [{"name": "f", "input_schema": TOOL}],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "max_tokens": 2000,
    },
}
ASKED[DEPLOYMENT] = ASKED[CHAT]
PLAIN: dict[str, dict[str, Any]] = {
    CHAT: {},
    MESSAGES: {"max_tokens": 99},
    DEPLOYMENT: {},
}


def paths(value: Any, prefix: str = "") -> Iterator[str]:
    """The paths of all keys; list items share theirs, and free-form objects end one."""
    if isinstance(value, list):
        for item in value:
            yield from paths(item, prefix)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield f"{prefix}{key}"
            if key != "input":
                yield from paths(inner, f"{prefix}{key}.")


def documents(body: bytes) -> Iterator[Any]:
    """The JSON documents of a body, streamed or whole."""
    if body.lstrip().startswith(b"{"):
        yield msgspec.json.decode(body)
        return
    for line in body.replace(b"\r\n", b"\n").split(b"\n"):
        if line.startswith(b"data:") and line[5:].strip() not in (b"[DONE]", b""):
            yield msgspec.json.decode(line[5:])


@pytest.fixture(scope="module")
def recorded() -> dict[tuple[str, bool], set[str]]:
    """Every key path that a family's recordings hold, whole and streamed."""
    sys.path.insert(0, str(TOOLS))
    try:
        corpus = importlib.import_module("corpus")
    finally:
        sys.path.remove(str(TOOLS))
    seen: dict[tuple[str, bool], set[str]] = {}
    for path, (provider, ending) in ENTRIES.items():
        for streamed in (False, True):
            found = seen.setdefault((path, streamed), set())
            for row in corpus.entries(provider=provider, stream=streamed):
                if row["endpoint"].endswith(ending) and row["status"] == 200:
                    for document in documents(corpus.exchange(row["id"]).response):
                        found.update(paths(document))
    return seen


@pytest.mark.parametrize("path", ENTRIES)
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("asked", [ASKED, PLAIN], ids=["tools", "text"])
async def test_every_key_has_been_seen(
    sim: Handle, recorded: dict[tuple[str, bool], set[str]], path: str, streamed: bool, asked: dict[str, dict[str, Any]]
) -> None:
    body = {**asked[path], **({"stream": True} if streamed else {})}
    if streamed and path != MESSAGES:
        body["stream_options"] = {"include_usage": True}
    reply = await raw(sim, body, path=path)
    assert reply.status == 200
    said = {key for document in documents(reply.body) for key in paths(document)}
    assert len(said) > 10
    assert said - recorded[path, streamed] - NEWER == set()
