"""Gemini's bytes: the framing of streams, errors and their details, credentials, and what the service refuses."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from typing import Any

import aiohttp
import pytest

from trunkline.sim.server import Handle

HELLO: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "hello there"}]}]}
STUDIO = "/v1beta/models/{model}:{operation}"
VERTEX = "/v1/projects/p/locations/l/publishers/google/models/{model}:{operation}"
KEY = {"x-goog-api-key": "k"}
TOKEN = {"authorization": "Bearer t"}


async def post(
    sim: Handle, body: Any, path: str = STUDIO, headers: dict[str, str] | None = None, cues: str = "", **names: str
) -> tuple[int, str, bytes]:
    """Status, content type and body, as far as it came."""
    names = {"model": "sim-small", "operation": "generateContent"} | names
    sent = {"x-sim-fault": cues, **(KEY if headers is None else headers)}
    url, data = sim.url + path.format(**names), b""
    async with aiohttp.ClientSession() as session, session.post(url, json=body, headers=sent) as reply:
        with suppress(aiohttp.ClientPayloadError):
            async for piece in reply.content.iter_any():
                data += piece
        return reply.status, reply.content_type, data


async def error(sim: Handle, body: Any, **more: Any) -> dict[str, Any]:
    status, _, data = await post(sim, body, **more)
    said: dict[str, Any] = json.loads(data)["error"]
    assert said["code"] == status
    return said


# ── Framing ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("path", "headers"), [(STUDIO, KEY), (VERTEX, TOKEN)])
async def test_a_stream_is_events_with_crlf_or_an_array(sim: Handle, path: str, headers: dict[str, str]) -> None:
    events = await post(sim, HELLO, path, headers, operation="streamGenerateContent?alt=sse")
    array = await post(sim, HELLO, path, headers, operation="streamGenerateContent")
    assert (events[1], array[1]) == ("text/event-stream", "application/json")
    assert events[2].endswith(b"\r\n\r\n")
    assert events[2].count(b"\n") == events[2].count(b"\r\n")
    said = [json.loads(event.removeprefix(b"data: ")) for event in events[2].split(b"\r\n\r\n") if event]
    assert [one["candidates"] for one in json.loads(array[2])] == [one["candidates"] for one in said]


async def test_the_array_comes_element_by_element(sim: Handle) -> None:
    headers = {**KEY, "x-sim-fault": "tps=100"}
    url = sim.url + STUDIO.format(model="m", operation="streamGenerateContent")
    async with aiohttp.ClientSession() as session, session.post(url, json=HELLO, headers=headers) as reply:
        pieces = [piece async for piece, _ in reply.content.iter_chunks()]
    assert len(pieces) > 4
    assert pieces[0].startswith(b'[{"candidates"')
    assert all(piece.startswith(b",\r\n{") for piece in pieces[1:-1])


async def test_names_in_snake_case_and_lists_without_brackets_are_understood(sim: Handle) -> None:
    body = {
        "contents": {"parts": {"text": "call f"}},
        "system_instruction": {"parts": {"text": "be brief"}},
        "generation_config": {"max_output_tokens": 500},
        "tools": {"function_declarations": [{"name": "f", "parameters": {"type": 6, "properties": {}}}]},
    }
    _, _, data = await post(sim, body)
    [part] = json.loads(data)["candidates"][0]["content"]["parts"]
    assert part["functionCall"]["name"] == "f"


@pytest.mark.parametrize("prefix", ["", "/gemini"])
async def test_prefixes_versions_and_a_key_in_the_query(sim: Handle, prefix: str) -> None:
    for version in ("v1", "v1beta"):
        path = f"{prefix}/{version}/models/{{model}}:{{operation}}?key=k"
        assert (await post(sim, HELLO, path, {}))[0] == 200
    assert (await post(sim, HELLO, f"/vertex{VERTEX}", TOKEN))[0] == 200


# ── Faults ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("cue", "code", "status"),
    [
        ("400", 400, "INVALID_ARGUMENT"), ("401", 400, "INVALID_ARGUMENT"), ("403", 403, "PERMISSION_DENIED"),
        ("404", 404, "NOT_FOUND"), ("429", 429, "RESOURCE_EXHAUSTED"), ("quota", 429, "RESOURCE_EXHAUSTED"),
        ("500", 500, "INTERNAL"), ("503", 503, "UNAVAILABLE"), ("504", 504, "DEADLINE_EXCEEDED"),
        ("context", 400, "INVALID_ARGUMENT"), ("billing", 403, "PERMISSION_DENIED"),
    ],
)  # fmt: skip
async def test_errors_have_their_status(sim: Handle, cue: str, code: int, status: str) -> None:
    said = await error(sim, HELLO, cues=cue)
    assert (said["code"], said["status"]) == (code, status)
    said = (await post(sim, HELLO, operation="streamGenerateContent", cues=cue))[2]
    assert json.loads(said)[0]["error"]["status"] == status


async def test_a_rate_limit_says_in_its_body_how_long_to_wait(sim: Handle) -> None:
    def kinds(said: dict[str, Any]) -> dict[str, Any]:
        return {row["@type"].rpartition(".")[2]: row for row in said.get("details", ())}

    waits = kinds(await error(sim, HELLO, cues="429,retry-after=2.5"))
    assert waits["RetryInfo"]["retryDelay"] == "2.5s"
    assert "PerMinute" in waits["QuotaFailure"]["violations"][0]["quotaId"]
    assert "RetryInfo" not in kinds(await error(sim, HELLO, cues="429,no-retry-after"))
    assert "PerDay" in kinds(await error(sim, HELLO, cues="quota"))["QuotaFailure"]["violations"][0]["quotaId"]
    assert not kinds(await error(sim, HELLO, path=VERTEX, headers=TOKEN, cues="429"))


@pytest.mark.parametrize(("cue", "elements"), [("error-first", 0), ("error-mid,after=2", 2)])
async def test_an_error_inside_a_stream_keeps_the_framing(sim: Handle, cue: str, elements: int) -> None:
    array = json.loads((await post(sim, HELLO, operation="streamGenerateContent", cues=cue))[2])
    assert ["error" in one for one in array] == [False] * elements + [True]
    events = (await post(sim, HELLO, operation="streamGenerateContent?alt=sse", cues=cue))[2]
    said = [json.loads(event[6:]) for event in events.split(b"\r\n\r\n") if event]
    assert [one.get("error", {}).get("status") for one in said] == [None] * elements + ["INTERNAL"]


async def test_no_done_leaves_out_the_end(sim: Handle) -> None:
    events = (await post(sim, HELLO, operation="streamGenerateContent?alt=sse", cues="no-done"))[2]
    assert b"finishReason" not in events
    assert b"hello" in events
    array = (await post(sim, HELLO, operation="streamGenerateContent", cues="no-done"))[2]
    assert json.loads(array + b"]")[-1]["candidates"][0]["finishReason"] == "STOP"


@pytest.mark.parametrize("cue", ["bad-json", "bad-sse", "cut", "short"])
async def test_a_broken_array_cannot_be_parsed(sim: Handle, cue: str) -> None:
    _, _, data = await post(sim, HELLO, operation="streamGenerateContent", cues=cue)
    with pytest.raises(ValueError, match=r"Expecting|delimiter|property"):
        json.loads(data)


# ── Credentials ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_credentials(sim: Handle) -> None:
    nobody = await error(sim, HELLO, headers={})
    assert (nobody["code"], nobody["status"]) == (403, "PERMISSION_DENIED")
    for headers in ({}, KEY):
        refused = await error(sim, HELLO, path=VERTEX, headers=headers)
        assert (refused["code"], refused["status"]) == (401, "UNAUTHENTICATED")
        assert refused["details"][0]["reason"] == "CREDENTIALS_MISSING"
    assert (await post(sim, HELLO, headers=TOKEN))[0] == 200


async def test_claude_on_vertex_refuses_in_two_voices(sim: Handle) -> None:
    path = VERTEX.replace("/google/", "/anthropic/")
    body = {"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "anthropic_version": "vertex-2023-10-16"}
    raw: dict[str, Any] = {"path": path, "operation": "rawPredict", "headers": TOKEN}
    assert json.loads((await post(sim, body, **raw))[2])["type"] == "message"
    google = await error(sim, body, **raw | {"headers": KEY})
    assert google["status"] == "UNAUTHENTICATED"
    for changed in ({"anthropic_version": None}, {"model": "x"}, {"temperature": 3}):
        status, _, data = await post(sim, {**body, **changed}, **raw)
        assert (status, json.loads(data)["error"]["type"]) == (400, "invalid_request_error")


# ── Refusals ───────────────────────────────────────────────────────────────────────────────────────────────────────

CALL = {"functionCall": {"name": "f", "args": {"a": 1}}}
GIVEN = {"functionResponse": {"name": "f", "response": {"result": "1"}}}
ASKED = {"role": "user", "parts": [{"text": "go"}]}


def declared(schema: Any) -> dict[str, Any]:
    return {"tools": [{"functionDeclarations": [{"name": "f", "parameters": schema}]}]}


def turns(*contents: list[Any]) -> dict[str, Any]:
    """User and model by turns."""
    return {"contents": [{"role": ("user", "model")[i % 2], "parts": parts} for i, parts in enumerate(contents)]}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"contents": []}, "contents is not specified"),
    ({"contents": [{"role": "system", "parts": [{"text": "x"}]}]}, "valid role: user, model"),
    ({"contents": [{"role": "user", "parts": []}]}, "must not be empty"),
    ({"contents": [{"role": "user", "parts": [{}]}]}, "oneof field 'data'"),
    ({"contents": [{"role": "user", "parts": [{"text": "x", "inlineData": {}}]}]}, "already set"),
    ({"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "a"}}]}]}, "Base64"),
    ({"temprature": 1}, 'Unknown name "temprature": Cannot find field.'),
    ({"contents": [{"parts": [{"txt": "x"}]}]}, "Unknown name \"txt\" at 'contents[0].parts[0]'"),
    ({"generationConfig": {"maxTokens": 1}}, "Unknown name \"maxTokens\" at 'generation_config'"),
    ({"generationConfig": {"temperature": 3}}, "temperature value of 3"),
    ({"generationConfig": {"responseSchema": {"type": "OBJECT"}}}, "requires responseMimeType"),
    ({"generationConfig": {"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "LOW"}}}, "only set one of"),
    (declared({"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}}), 'Unknown name "$ref" at \'tools[0]'),
    (declared({"type": "object", "$defs": {}}), 'Unknown name "$defs"'),
    (declared({"type": "object", "additionalProperties": False}), 'Unknown name "additionalProperties"'),
    (declared({"type": "object", "properties": {"a": {"type": ["string", "null"]}}}), "cannot start list"),
    (declared({"type": "object", "properties": {"a": {"type": "array"}}}), "items: missing field"),
    (declared({"type": "object", "properties": {"a": {"type": "integer", "enum": [1]}}}), "strings only"),
    (declared({"type": "object", "required": ["b"], "properties": {}}), "property is not defined"),
    (declared({"type": "object", "properties": {"a": {"type": "string", "format": "uri"}}}), "'date-time'"),
    (turns([{"text": "go"}], [CALL, CALL], [GIVEN]), "number of function response parts"),
    (turns([{"text": "go"}], [CALL], [{"text": "1"}]), "number of function response parts"),
    (turns([{"text": "go"}], [CALL]), "followed by its function response turn"),
    (turns([GIVEN]), "immediately after a function call turn"),
    (turns([{"text": "go"}], [CALL], [{"functionResponse": {"name": "g", "response": {}}}]), "not those of the calls"),
    (turns([{"text": "go"}], [CALL], [{"functionResponse": {"name": "f", "response": "1"}}]), "must be an object"),
]


@pytest.mark.parametrize(("changed", "words"), REFUSED, ids=[words for _, words in REFUSED])
async def test_what_the_service_refuses(sim: Handle, changed: dict[str, Any], words: str) -> None:
    said = await error(sim, {**HELLO, **changed})
    assert (said["code"], said["status"]) == (400, "INVALID_ARGUMENT")
    assert words in said["message"]


async def test_an_unknown_field_is_named_in_the_details(sim: Handle) -> None:
    said = await error(sim, {**HELLO, "toolz": []})
    [violation] = said["details"][0]["fieldViolations"]
    assert violation["field"] == "toolz"


async def test_a_json_schema_proper_may_have_what_the_subset_lacks(sim: Handle) -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "additionalProperties": False,
              "$defs": {"A": {"enum": [7]}}}  # fmt: skip
    tools = [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": schema}]}]
    body = {"contents": [{"parts": [{"text": "call f"}]}], "tools": tools}
    _, _, data = await post(sim, body)
    assert json.loads(data)["candidates"][0]["content"]["parts"][0]["functionCall"]["args"] == {"a": 7}


async def test_a_thinking_model_wants_its_signatures_back(sim: Handle) -> None:
    tools = declared({"type": "OBJECT", "properties": {"a": {"type": "STRING"}}})
    first = {**tools, "contents": [{"role": "user", "parts": [{"text": "call f"}]}]}
    _, _, data = await post(sim, first, model="sim-thinker")
    content = json.loads(data)["candidates"][0]["content"]
    answers = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": "ok"}}}]}
    second = {**tools, "contents": [*first["contents"], content, answers]}
    assert (await post(sim, second, model="sim-thinker"))[0] == 200

    def changed(**part: Any) -> dict[str, Any]:
        body = copy.deepcopy(second)
        body["contents"][1]["parts"][0] |= part
        return body

    moved = changed(functionCall={**content["parts"][0]["functionCall"], "args": {"a": "other"}})
    assert (await error(sim, moved, model="sim-thinker"))["message"] == "Corrupted thought signature."
    assert (await error(sim, changed(thoughtSignature="AAAA"), model="sim-thinker"))["code"] == 400
    without = changed()
    del without["contents"][1]["parts"][0]["thoughtSignature"]
    assert "missing a `thought_signature`" in (await error(sim, without, model="sim-thinker"))["message"]
    assert (await post(sim, without, model="sim-small"))[0] == 200
    for placeholder in ("skip_thought_signature_validator", "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="):
        assert (await post(sim, changed(thoughtSignature=placeholder), model="sim-thinker"))[0] == 200
    without["contents"].append({"role": "model", "parts": [{"text": "done"}]})
    without["contents"].append(ASKED)
    assert (await post(sim, without, model="sim-thinker"))[0] == 200, "an earlier turn needs none"
