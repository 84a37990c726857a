"""The simulated Gemini, Vertex and Bedrock against the recordings: they say nothing that the services do not say, and
take what the services took.

The recordings are not part of the project; without them these tests are skipped.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from botocore.eventstream import EventStreamBuffer

from trunkline.sim.app import MISSHAPEN
from trunkline.sim.cache import PrefixCache
from trunkline.sim.persona import MODELS
from trunkline.sim.problems import Problem
from trunkline.sim.route import Route
from trunkline.sim.routes import find
from trunkline.sim.server import Handle
from trunkline.sim.settings import Settings
from trunkline.sim.turn import Turn

from .test_bedrock_wire import post as post_bedrock
from .test_gemini_wire import KEY, STUDIO, TOKEN, VERTEX
from .test_gemini_wire import post as post_gemini

SHARED_TOOLS = Path(__file__).resolve().parents[3] / "shared" / "tools"
pytestmark = pytest.mark.skipif(
    not (SHARED_TOOLS / "corpus.py").exists(), reason="the recorded exchanges (../shared) are not here"
)

OURS = {
    "CachedContent not found": "cached contents are files that it does not have",
    "s3Uri": "it has no S3",
    "must alternate": "one model of the recordings took turns of one role in a row; most do not",
    "is blank": "one model of the recordings took blank text; most do not",
    "extraneous key [prompt]": "Llama and Titan texts by InvokeModel",
    "unsupported for streaming": "Llama and Titan texts by InvokeModel",
    "Invalid `": "signatures of the real service",
    "encrypted content": "signatures of the real service",
}
"""Refusals of recorded requests, and why they are as they should be."""

NEWER = {
    # Published, but newer than the recordings, or of cases that none of them holds.
    "usageMetadata.serviceTier", "usage.cacheDetails", "usage.cacheDetails.ttl", "usage.cacheDetails.inputTokens",
    "candidates.content.parts.functionCall.id",
}  # fmt: skip
FREE = ("args", "input")
"""Objects whose keys are the caller's."""


@pytest.fixture(scope="module")
def corpus() -> Any:
    sys.path.insert(0, str(SHARED_TOOLS))
    try:
        return importlib.import_module("corpus")
    finally:
        sys.path.remove(str(SHARED_TOOLS))


def paths(value: Any, prefix: str = "") -> Iterator[str]:
    """The paths of all keys; list items share theirs."""
    for item in value if isinstance(value, list) else ():
        yield from paths(item, prefix)
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield f"{prefix}{key}"
        if key not in FREE:
            yield from paths(inner, f"{prefix}{key}.")


def documents(body: bytes) -> Iterator[Any]:
    """The JSON documents of a body: whole, events, an array, or frames under their event's name."""
    if body.lstrip().startswith((b"{", b"[")):
        yield json.loads(body)
    elif body.startswith(b"data:"):
        for line in body.split(b"\n"):
            if line.strip():
                yield json.loads(line[5:])
    else:
        buffer = EventStreamBuffer()
        buffer.add_data(body)
        for message in buffer:
            yield {message.headers[":event-type"]: json.loads(message.payload)}


def said_by(corpus: Any, provider: str, ending: str) -> set[str]:
    rows = [
        row for row in corpus.entries(provider=provider) if row["endpoint"].endswith(ending) and row["status"] == 200
    ]
    bodies = [corpus.exchange(row["id"]).response for row in rows]
    return {path for body in bodies for document in documents(body) for path in paths(document)}


GO: dict[str, Any] = {
    "contents": [{"role": "user", "parts": [{"text": "call f"}]}],
    "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
    "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}],
}
PLAIN: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}


@pytest.mark.parametrize("body", [GO, PLAIN], ids=["tools", "text"])
@pytest.mark.parametrize("operation", ["generateContent", "streamGenerateContent"])
@pytest.mark.parametrize(("provider", "path", "headers"), [("gemini", STUDIO, KEY), ("vertex", VERTEX, TOKEN)])
async def test_google_has_said_every_key(
    sim: Handle, corpus: Any, provider: str, path: str, headers: dict[str, str], operation: str, body: Any
) -> None:  # fmt: skip
    query = "?alt=sse" if operation.startswith("stream") else ""
    status, _, data = await post_gemini(sim, body, path, headers, model="sim-thinker", operation=operation + query)
    said = {path for document in documents(data) for path in paths(document)}
    assert status == 200
    assert len(said) > 10
    seen = said_by(corpus, "gemini", operation) | said_by(corpus, provider, operation)
    assert said - seen - NEWER == set()


CONVERSE: dict[str, Any] = {
    "messages": [{"role": "user", "content": [{"text": "call f"}]}],
    "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}]},
}


@pytest.mark.parametrize("operation", ["converse", "converse-stream"])
@pytest.mark.parametrize("body", [CONVERSE, {"messages": [{"role": "user", "content": [{"text": "x"}]}]}])
async def test_bedrock_has_said_every_key(sim: Handle, corpus: Any, operation: str, body: Any) -> None:
    status, _, data = await post_bedrock(sim, body, operation, model="sim-thinker")
    said = {path for document in documents(data) for path in paths(document)}
    assert status == 200
    assert len(said) > 10
    assert said - said_by(corpus, "bedrock", operation) - NEWER == set()


def planned(route: Route, body: Any, query: str) -> None:
    turn = Turn(
        name=route.model or str(body.get("model")), model=MODELS["sim-large"], cues={}, number=1, now=0.0,
        headers={}, settings=Settings(), cache=PrefixCache(1024, 100), family=route.family.name,
        query=dict(parse_qsl(query)),
    )  # fmt: skip
    route.plan(body, turn)


def parsed(request: bytes) -> Any:
    """A recorded body; None where the recorder spoiled it, or where there is none."""
    try:
        return json.loads(request)
    except ValueError:
        return None


@pytest.mark.parametrize(("provider", "least"), [("gemini", 220), ("vertex", 88), ("bedrock", 160)])
def test_what_the_services_took_is_taken(corpus: Any, provider: str, least: int) -> None:
    taken, refused = 0, []
    for row in corpus.entries(provider=provider):
        exchange = corpus.exchange(row["id"])
        url = urlsplit(exchange.record["request"]["url"])
        signed = {b"authorization": b"AWS4-HMAC-SHA256"} if provider == "bedrock" else {}
        route = find(unquote(url.path), signed, exchange.record["request"]["method"], url.query)
        body = parsed(exchange.request)
        if route is None or row["status"] != 200 or body is None:
            continue
        try:
            planned(route, body, url.query)
            taken += 1
        except Problem as problem:
            if not any(words in problem.message for words in OURS):
                refused.append((row["id"], problem.message))
        except MISSHAPEN as error:
            refused.append((row["id"], repr(error)))
    assert refused == []
    assert taken >= least
