"""What the simulated Responses API refuses, and that it takes what the service was recorded taking."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trunkline.sim.memory import Memory
from trunkline.sim.persona import MODELS
from trunkline.sim.problems import Problem
from trunkline.sim.responses_check import check, check_conversation
from trunkline.sim.server import Handle
from trunkline.sim.signer import Signer

from .conftest import raw
from .test_recordings import documents, paths

TOOLS = Path(__file__).resolve().parents[3] / "shared" / "tools"
needs_recordings = pytest.mark.skipif(
    not (TOOLS / "corpus.py").exists(), reason="the recorded exchanges (../shared) are not here"
)
PATH = "/v1/responses"
NEWER = {"usage.input_tokens_details.cache_write_tokens", "response.usage.input_tokens_details.cache_write_tokens"}
"""Published, and recorded of whole answers only."""
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}

REFUSED: list[tuple[dict[str, Any], str, str | None, str | None]] = [
    ({"novelty": 1}, "Unknown parameter: 'novelty'", "novelty", "unknown_parameter"),
    ({"messages": []}, "Unknown parameter: 'messages'", "messages", "unknown_parameter"),
    ({"input": None}, "Missing required parameter: 'input'", "input", "missing_required_parameter"),
    ({"input": 7}, "Invalid type for 'input'", "input", "invalid_type"),
    ({"input": [{"role": "tool", "content": "x"}]}, "'tool'", "input[0].role", "invalid_value"),
    ({"input": [{"role": "user"}]}, "input[0].content", "input[0].content", "missing_required_parameter"),
    ({"input": [{"type": "novelty"}]}, "'novelty'", "input[0]", "invalid_value"),
    (
        {"input": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]},
        "'text'", "input[0].content[0]", "invalid_value",
    ),
    ({"input": [{**CALL, "name": None}]}, "input[0].name", "input[0].name", "missing_required_parameter"),
    ({"max_output_tokens": 5}, "Expected a value >= 16, but got 5", "max_output_tokens", "integer_below_min_value"),
    ({"temperature": 3}, "decimal above maximum value", "temperature", "decimal_above_max_value"),
    ({"tools": [{"type": "teleport"}]}, "'teleport'", "tools[0].type", "invalid_value"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools[0].name", "tools[0].name", None),
    ({"tools": [{**FUNCTION, "parameters": {"type": "string"}}]}, "Invalid schema for function 'f'", None, None),
    ({"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "g"}}, "'g' not found", "tool_choice", None),
    ({"reasoning": {"effort": "huge"}}, "'huge'", "reasoning.effort", "invalid_value"),
    ({"text": {"verbosity": "loud"}}, "'loud'", "text.verbosity", "invalid_value"),
    ({"text": {"format": {"type": "json_object"}}}, "the word 'json'", "input", None),
    ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name", "text.format.name", None),
    ({"include": ["everything"]}, "'everything'", "include[0]", "invalid_value"),
    ({"stream_options": {"include_obfuscation": False}}, "only allowed when 'stream'", "stream_options", None),
    ({"model": "sim-nothing"}, "The requested model 'sim-nothing' does not exist", None, "model_not_found"),
    ({"model": "sim-thinker", "temperature": 0.5}, "'temperature' is not supported", "temperature", None),
    ({"model": "sim-responses-only", "reasoning": {"effort": "none"}}, "'none'", "reasoning.effort", None),
    ({"model": "sim-tiny", "input": "word " * 600}, "exceeds the context window", "input", "context_length_exceeded"),
    ({"input": [CALL]}, "No tool output found for function call c.", "input", None),
    (
        {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]},
        "No tool call found for function call output with call_id c.", "input", None,
    ),
    (
        {"input": [CALL, {"type": "custom_tool_call_output", "call_id": "c", "output": "x"}]},
        "No tool call found for custom tool call output", "input", None,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("body", "message", "param", "code"), REFUSED)
async def test_refused_with_the_services_words(
    sim: Handle, body: dict[str, Any], message: str, param: str | None, code: str | None
) -> None:
    reply = await raw(sim, {"input": "hello", **body}, path=PATH)
    assert reply.status == 400
    error = msgspec.json.decode(reply.body)["error"]
    assert message in error["message"]
    assert error["type"] == "invalid_request_error"
    assert param is None or error["param"] == param
    assert code is None or error["code"] == code


async def test_a_thinking_model_told_not_to_think_takes_sampling(sim: Handle) -> None:
    asked = {"model": "sim-thinker", "input": "hello", "temperature": 0.5, "reasoning": {"effort": "none"}}
    assert (await raw(sim, asked, path=PATH)).status == 200


async def test_too_long_an_input_may_be_truncated(sim: Handle) -> None:
    asked = {"model": "sim-tiny", "input": "word " * 600, "truncation": "auto"}
    assert (await raw(sim, asked, path=PATH)).status == 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x", "auto", "function", "message", "true"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "role", "content", "name", "id", "call_id", "output", "tools", "text", "format"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
FIELD = st.sampled_from([
    "input", "prompt", "tools", "tool_choice", "text", "reasoning", "include", "stream", "stream_options",
    "previous_response_id", "max_output_tokens", "background", "dimensions", "n", "size", "voice", "store",
])  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(FIELD, JSON, max_size=3))
async def test_no_shape_of_request_breaks_it(sim: Handle, change: dict[str, Any]) -> None:
    for path, name in (
        (PATH, "input"), ("/v1/embeddings", "input"), ("/v1/moderations", "input"),
        ("/v1/completions", "prompt"), ("/v1/images/generations", "prompt"),
    ):  # fmt: skip
        reply = await raw(sim, {name: "x", **change}, path=path)
        assert reply.status in (200, 400, 404), reply.body


# ── Against the recordings ─────────────────────────────────────────────────────────────────────────────────────────


class _Trusting(Signer):
    """The recorded encrypted content is the service's own: no simulator can open it."""

    def opens(self, data: object) -> bool:
        return True


@pytest.fixture(scope="module")
def recorded() -> list[Any]:
    sys.path.insert(0, str(TOOLS))
    try:
        corpus = importlib.import_module("corpus")
    finally:
        sys.path.remove(str(TOOLS))
    rows = [row for name in ("openai", "azure") for row in corpus.entries(provider=name, endpoint="/v1/responses")]
    asked = [row for row in rows if row["status"] == 200 and row["endpoint"].endswith("/responses")]
    return [corpus.exchange(row["id"]) for row in asked if row["endpoint"].startswith("POST")]


@needs_recordings
def test_every_request_that_the_service_took_is_taken(recorded: list[Any]) -> None:
    refused = []
    for found in recorded:
        body = json.loads(found.request)
        try:
            check(body, MODELS["sim-thinker" if "reasoning" in body else "sim-small"])
            if isinstance(body.get("input"), list) and not body.get("previous_response_id"):
                check_conversation(body["input"], _Trusting(""), Memory())
        except Problem as problem:
            refused.append((found.meta["id"], problem.message))
    assert refused == []
    assert len(recorded) > 200


ASKED: dict[str, dict[str, Any]] = {
    "text": {},
    "tools": {"input": "call f", "tools": [FUNCTION]},
    "search": {"input": "search it", "tools": [{"type": "web_search"}]},
    "reasoning": {"model": "sim-thinker", "reasoning": {"summary": "auto"}, "include": ["reasoning.encrypted_content"]},
    "length": {"max_output_tokens": 16},
}


@needs_recordings
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("asked", ASKED)
async def test_every_key_has_been_seen(sim: Handle, recorded: list[Any], asked: str, streamed: bool) -> None:
    seen: set[str] = set()
    for found in recorded:
        for document in documents(found.response):
            seen.update(paths(document))
            seen.update(paths({"response": document.get("response") or document}))
            seen.update(paths(document.get("response") or {}))
    body = {"input": "hello", **ASKED[asked], **({"stream": True} if streamed else {})}
    reply = await raw(sim, body, path=PATH)
    assert reply.status == 200
    said = {key for document in documents(reply.body) for key in paths(document)}
    assert len(said) > 40
    assert said - seen - NEWER == set()
