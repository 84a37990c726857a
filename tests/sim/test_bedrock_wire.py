"""Bedrock's bytes: frames and their checksums, errors and their kinds, signatures, and what Converse refuses."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer, EventStreamMessage
from yarl import URL

from trunkline.sim.bedrock_sign import KEY_ID, SECRET
from trunkline.sim.server import Handle

HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": [{"text": "hello there"}]}]}
CLAUDE = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]}
KEY = {"authorization": "Bearer k"}
INVOKE = "invoke-with-response-stream"


async def post(
    sim: Handle, body: Any, operation: str = "converse", cues: str = "", headers: dict[str, str] = KEY, model: str = "m"
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body, as far as it came."""
    url, data = f"{sim.url}/model/{model}/{operation}", b""
    sent = {"x-sim-fault": cues, **headers}
    async with aiohttp.ClientSession() as session, session.post(url, json=body, headers=sent) as reply:
        with suppress(aiohttp.ClientPayloadError):
            async for piece in reply.content.iter_any():
                data += piece
        return reply.status, {name.lower(): value for name, value in reply.headers.items()}, data


async def error(sim: Handle, body: Any, **more: Any) -> tuple[int, str, str]:
    """Status, kind and message."""
    status, headers, data = await post(sim, body, **more)
    return status, headers["x-amzn-errortype"].partition(":")[0], json.loads(data)["message"]


def frames(data: bytes) -> list[EventStreamMessage]:
    """The messages, both checksums verified by botocore."""
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return list(buffer)


# ── Frames ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_frames_have_their_headers_and_padding(sim: Handle) -> None:
    _, headers, data = await post(sim, HELLO, "converse-stream")
    messages = frames(data)
    kinds = [message.headers[":event-type"] for message in messages]
    assert headers["content-type"] == "application/vnd.amazon.eventstream"
    assert (kinds[0], kinds[-3:]) == ("messageStart", ["contentBlockStop", "messageStop", "metadata"])
    assert "contentBlockStart" not in kinds, "text has none"
    for message in messages:
        assert message.headers[":message-type"] == "event"
        assert json.loads(message.payload)["p"]
    paddings = {len(json.loads(message.payload)["p"]) for message in messages}
    assert len(paddings) > 3


@pytest.mark.parametrize(("operation", "body"), [("converse-stream", HELLO), (INVOKE, CLAUDE)])
@pytest.mark.parametrize(("cue", "events"), [("error-first", 0), ("error-mid,after=2", 2)])
async def test_an_error_inside_a_stream_is_a_frame(
    sim: Handle, operation: str, body: Any, cue: str, events: int
) -> None:  # fmt: skip
    messages = frames((await post(sim, body, operation, cue))[2])
    assert len(messages) == events + 1
    assert messages[-1].headers[":message-type"] == "exception"
    assert messages[-1].headers[":exception-type"] == "internalServerException"
    assert "message" in json.loads(messages[-1].payload)


@pytest.mark.parametrize(("operation", "body"), [("converse-stream", HELLO), (INVOKE, CLAUDE)])
async def test_faults_of_a_stream(sim: Handle, operation: str, body: Any) -> None:
    with pytest.raises(ChecksumMismatch):
        frames((await post(sim, body, operation, "bad-sse"))[2])
    whole = (await post(sim, body, operation))[2]
    odd = frames((await post(sim, body, operation, "unknown-event"))[2])
    assert len(odd) == len(frames(whole)) + 1
    broken = frames((await post(sim, body, operation, "bad-json"))[2])
    assert len(broken) == len(odd)
    endless = (await post(sim, body, operation, "no-done"))[2]
    assert len(frames(endless)) < len(frames(whole))
    assert b"messageStop" not in endless
    assert (await post(sim, body, operation, "crlf"))[2].count(b"\r\n") == whole.count(b"\r\n")
    cut = (await post(sim, body, operation, "cut,after=3"))[2]
    assert len(frames(cut)) == 3


async def test_without_usage_there_is_no_metadata(sim: Handle) -> None:
    kinds = [one.headers[":event-type"] for one in frames((await post(sim, HELLO, "converse-stream", "no-usage"))[2])]
    assert kinds[-1] == "messageStop"
    assert "usage" not in json.loads((await post(sim, HELLO, cues="no-usage"))[2])


# ── Errors ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("cue", "status", "kind"),
    [
        ("400", 400, "ValidationException"), ("401", 403, "UnrecognizedClientException"),
        ("403", 403, "AccessDeniedException"), ("404", 404, "ResourceNotFoundException"),
        ("408", 408, "ModelTimeoutException"), ("429", 429, "ThrottlingException"),
        ("quota", 429, "ThrottlingException"), ("too-large", 400, "ServiceQuotaExceededException"),
        ("500", 500, "InternalServerException"), ("503", 503, "ServiceUnavailableException"),
        ("context", 400, "ValidationException"), ("billing", 403, "AccessDeniedException"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("operation", ["converse", "converse-stream", "invoke", INVOKE, "count-tokens"])
async def test_errors_have_their_kind(sim: Handle, operation: str, cue: str, status: int, kind: str) -> None:
    assert (await error(sim, HELLO, operation=operation, cues=cue))[:2] == (status, kind)


async def test_a_model_that_is_not_there_is_a_validation_error(sim: Handle) -> None:
    said = await error(sim, HELLO, model="sim-none")
    assert said == (400, "ValidationException", "The provided model identifier is invalid.")


# ── Credentials ────────────────────────────────────────────────────────────────────────────────────────────────────


def signed(
    sim: Handle, body: bytes, key: str = KEY_ID, secret: str = SECRET, service: str = "bedrock"
) -> dict[str, str]:
    """The headers of a request to `converse`, signed by botocore."""
    request = AWSRequest(
        "POST", f"{sim.url}/model/m%3A0/converse", data=body, headers={"host": f"{sim.host}:{sim.port}"}
    )
    SigV4Auth(Credentials(key, secret, "session"), service, "us-east-1").add_auth(request)
    return dict(request.headers.items())


async def send(sim: Handle, headers: dict[str, str], body: bytes) -> tuple[int, str]:
    url = URL(f"{sim.url}/model/m%3A0/converse", encoded=True)
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as reply:
        return reply.status, reply.headers.get("x-amzn-errortype", "").partition(":")[0]


async def test_a_signature_is_verified(sim: Handle) -> None:
    body = json.dumps(HELLO).encode()
    good = signed(sim, body)
    assert await send(sim, good, body) == (200, "")
    bad = (403, "InvalidSignatureException")
    assert await send(sim, good, body + b" ") == bad, "another body"
    assert await send(sim, {**good, "x-amz-security-token": "other"}, body) == bad, "another header"
    assert await send(sim, signed(sim, body, secret="x"), body) == bad, "another secret"
    assert await send(sim, signed(sim, body, service="s3"), body) == bad, "another service"
    assert await send(sim, signed(sim, body, key="AKIA", secret="unknown"), body) == (200, ""), "an unknown secret"


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"Authorization": ""}, "MissingAuthenticationTokenException"),
        ({"Authorization": "AWS4-HMAC-SHA256 Credential=x"}, "IncompleteSignatureException"),
        ({"X-Amz-Date": "yesterday"}, "IncompleteSignatureException"),
        ({"X-Amz-Date": "20200101T000000Z"}, "InvalidSignatureException"),
    ],
)
async def test_a_signature_must_be_well_formed(sim: Handle, changed: dict[str, str], kind: str) -> None:
    body = json.dumps(HELLO).encode()
    assert await send(sim, signed(sim, body, "AKIA", "unknown") | changed, body) == (403, kind)


# ── Refusals ───────────────────────────────────────────────────────────────────────────────────────────────────────

SPEC = {"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}
TOOLS = {"toolConfig": {"tools": [SPEC]}}
IMAGE = {"image": {"format": "png", "source": {"bytes": "AAAA"}}}


def turns(*contents: list[Any]) -> dict[str, Any]:
    """User and assistant by turns; texts may be plain."""
    blocks = [[{"text": one} if isinstance(one, str) else one for one in content] for content in contents]
    return {"messages": [{"role": ("user", "assistant")[i % 2], "content": one} for i, one in enumerate(blocks)]}


def use(*ids: str) -> list[Any]:
    return [{"toolUse": {"toolUseId": one, "name": "f", "input": {}}} for one in ids]


def result(*ids: str) -> list[Any]:
    return [{"toolResult": {"toolUseId": one, "content": [{"text": "1"}]}} for one in ids]


def document(name: str) -> dict[str, Any]:
    return {"document": {"format": "txt", "name": name, "source": {"bytes": "AAAA"}}}


def tool(**spec: Any) -> dict[str, Any]:
    return {"toolConfig": {"tools": [{"toolSpec": {**SPEC["toolSpec"], **spec}}]}}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"messages": []}, "must start with a user message"),
    ({"messages": [{"role": "assistant", "content": [{"text": "x"}]}]}, "must start with a user message"),
    ({"messages": [{"role": "tool", "content": [{"text": "x"}]}]}, "Member must satisfy enum value set"),
    ({"messages": HELLO["messages"] * 2}, "must alternate between user and assistant roles"),
    (turns([]), "is empty"),
    (turns(["  "]), "is blank"),
    (turns([{"text": "x", "image": {}}]), "exactly one field"),
    ({"temperature": 1}, "#: extraneous key [temperature]"),
    (turns([{"text": "x", "type": "text"}]), "#/messages/0/content/0: extraneous key [type]"),
    ({"inferenceConfig": {"max_tokens": 1}}, "#/inferenceConfig: extraneous key [max_tokens]"),
    ({"inferenceConfig": {"maxTokens": 0}}, "at least 1"),
    ({"inferenceConfig": {"temperature": 1.5}}, "from 0 to 1"),
    ({"additionalModelRequestFields": {"novelty": 1}}, "extraneous key [novelty]"),
    ({"toolConfig": {"tools": []}}, "at least 1 tool"),
    (tool(name="a b"), "[a-zA-Z0-9_-]+"),
    (tool(description=""), "must not be empty"),
    (tool(inputSchema={"json": {"type": "string"}}), "must be one of the following: object"),
    ({"toolConfig": {"tools": [SPEC], "toolChoice": {"none": {}}}}, "one of auto, any, tool"),
    ({"toolConfig": {"tools": [SPEC], "toolChoice": {"tool": {"name": "g"}}}}, "not among the tools"),
    (turns(["x"], use("a"), result("a")), "toolConfig field must be defined"),
    ({**turns(["x"], use("a", "b"), result("a")), **TOOLS}, "Expected toolResult blocks at messages.2.content"),
    ({**turns(["x"], use("a"), ["no"]), **TOOLS}, "for the following Ids: a"),
    ({**turns(["x"], use("a")), **TOOLS}, "Expected toolResult blocks at messages.2.content"),
    ({**turns(["x"], use("a"), result("a", "b")), **TOOLS}, "exceeds the number of toolUse blocks"),
    ({**turns(["x"], ["y"], result("a")), **TOOLS}, "exceeds the number of toolUse blocks"),
    (turns(["x", document("report.pdf")]), "alphanumeric characters"),
    (turns(["x", document("one"), document("one")]), "must be unique"),
    (turns([document("one")]), "text block is required"),
    (turns(["x"], ["y", IMAGE], ["z"]), "not allowed in messages of the role assistant"),
    (turns(["x", {"image": {"format": "bmp", "source": {"bytes": "AAAA"}}}]), "must be one of png"),
    (turns(["x", {"image": {"format": "png", "source": {"bytes": "?"}}}]), "not base64"),
    ({"outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": {}}}}}}, "string"),
    ({"outputConfig": {"effort": "huge"}}, "one of low"),
]


@pytest.mark.parametrize(("changed", "words"), REFUSED, ids=[words for _, words in REFUSED])
async def test_what_converse_refuses(sim: Handle, changed: dict[str, Any], words: str) -> None:
    status, kind, message = await error(sim, {**HELLO, **changed})
    assert (status, kind) == (400, "ValidationException")
    assert words in message


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"model": "x"}, "the path names the model"), ({"stream": True}, "extraneous key [stream]"),
        ({"anthropic_version": "2020-01-01"}, "is not one of"), ({"temperature": 3}, "range: 0..1"),
    ],
)  # fmt: skip
async def test_what_invoke_refuses_of_claude(sim: Handle, changed: dict[str, Any], words: str) -> None:
    status, kind, message = await error(sim, {**CLAUDE, **changed}, operation="invoke")
    assert (status, kind) == (400, "ValidationException")
    assert words in message


async def test_a_tool_turn_of_a_thinking_model_begins_with_its_reasoning(sim: Handle) -> None:
    thinking = {"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}}}
    body = {**turns(["x"], use("a"), result("a")), **TOOLS}
    assert (await post(sim, body))[0] == 200
    assert "Expected `thinking`" in (await error(sim, {**body, **thinking}))[2]
