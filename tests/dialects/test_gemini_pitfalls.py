"""The translation bugs around Gemini that other gateways shipped, each by its tag (G1 to G9)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trunkline.core.call import Peek
from trunkline.core.events import ArgumentsDelta, Event, Finished, PartFinished, PartStarted, SignatureDelta, Started
from trunkline.core.request import Image, Message, Part, Request, Text, Tool, ToolCall, ToolResult, Url
from trunkline.dialects import anthropic, openai_chat
from trunkline.dialects.base import Envelope, Quirks
from trunkline.dialects.gemini import DIALECT
from trunkline.dialects.gemini.signatures import PLACEHOLDER

CHAT, MESSAGES = openai_chat.DIALECT, anthropic.DIALECT
GEMINI_3 = Quirks(signed_calls=True, media_results=True)
SIGNATURE = "c2lnbmVkIGJ5IEdvb2dsZQ=="


def asked(messages: list[Message], quirks: Quirks = GEMINI_3, lost: list[str] | None = None, **more: Any) -> Any:
    """What Gemini gets of a chat client's messages."""
    request = Request("m", messages, "openai_chat", **more)
    return json.loads(DIALECT.write_request(request, "m", quirks, [] if lost is None else lost))


def answered(*parts: dict[str, Any], reason: str = "STOP") -> list[Event]:
    body = {"candidates": [{"content": {"parts": list(parts), "role": "model"}, "finishReason": reason}]}
    reader = DIALECT.reader(False)
    return [*reader.feed(json.dumps(body | {"responseId": "r1", "modelVersion": "m"}).encode()), *reader.eof()]


def called(name: str, call_id: str = "", **args: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": args} | ({"id": call_id} if call_id else {})}


def written(dialect: Any, events: list[Event]) -> Any:
    writer = dialect.writer(Envelope(False, model="m"))
    for event in events:
        writer.feed(event)
    return json.loads(writer.eof())


TWO: list[Part] = [ToolCall("call_a", "look", '{"at":1}', at="a"), ToolCall("call_b", "look", '{"at":2}', at="b")]
RESULTS = [
    Message("tool", [ToolResult("call_b", [Text("second")])]),
    Message("tool", [ToolResult("call_a", [Text("first")])]),
]


def test_g1_signatures_come_back_through_a_chat_client() -> None:
    first = answered(called("look", at=1) | {"thoughtSignature": SIGNATURE}, called("look", at=2))
    message = written(CHAT, first)["choices"][0]["message"]
    tools = [{"role": "tool", "tool_call_id": call["id"], "content": "seen"} for call in message["tool_calls"]]
    body = {"model": "m", "messages": [{"role": "user", "content": "look"}, message, *tools]}
    again = json.loads(DIALECT.write_request(CHAT.read_request(json.dumps(body).encode()), "m", GEMINI_3, []))
    parts = again["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [SIGNATURE, None]


def test_g1_signatures_come_back_through_a_messages_client() -> None:
    first = answered({"text": "hm", "thought": True}, called("look", at=1) | {"thoughtSignature": SIGNATURE})
    content = written(MESSAGES, first)["content"]
    (call,) = [block for block in content if block["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call["id"], "content": "seen"}]
    messages = [
        {"role": "user", "content": "look"},
        {"role": "assistant", "content": content},
        {"role": "user", "content": results},
    ]
    body = {"model": "m", "max_tokens": 9, "messages": messages}
    again = json.loads(DIALECT.write_request(MESSAGES.read_request(json.dumps(body).encode()), "m", GEMINI_3, []))
    (part,) = [part for part in again["contents"][1]["parts"] if "functionCall" in part]
    assert part["thoughtSignature"] == SIGNATURE


@pytest.mark.parametrize("keeps_thoughts", [True, False])
def test_g1_thoughts_of_another_family_come_back_through_a_gemini_client(keeps_thoughts: bool) -> None:
    """Some clients drop thoughts from their history: then the call's signature has brought them."""
    blocks: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": "hmm", "signature": "claude=="},
        {"type": "redacted_thinking", "data": "secret"},
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": 1}},
    ]
    whole = {"type": "message", "id": "m", "model": "c", "content": blocks, "stop_reason": "tool_use", "usage": {}}
    reader = MESSAGES.reader(False)
    events = [*reader.feed(json.dumps(whole).encode()), *reader.eof()]
    content = written(DIALECT, events)["candidates"][0]["content"]
    if not keeps_thoughts:
        content["parts"] = [part for part in content["parts"] if not part.get("thought")]
    result = {"functionResponse": {"id": "toolu_1", "name": "look", "response": {"output": "seen"}}}
    contents = [{"parts": [{"text": "look"}]}, content, {"role": "user", "parts": [result]}]
    request = DIALECT.read_request(json.dumps({"contents": contents}).encode(), Peek("m"))
    request.max_tokens = 9
    again = json.loads(MESSAGES.write_request(request, "claude", Quirks(), []))
    assert again["messages"][1]["content"] == blocks


def test_g1_a_history_that_gemini_did_not_write_gets_the_documented_placeholder() -> None:
    contents = asked([Message("user", [Text("hi")]), Message("assistant", [*TWO]), *RESULTS])["contents"]
    assert [part.get("thoughtSignature") for part in contents[1]["parts"]] == [PLACEHOLDER, None]
    older = asked([Message("user", [Text("hi")]), Message("assistant", [*TWO]), *RESULTS], Quirks())["contents"]
    assert not any("thoughtSignature" in part for part in older[1]["parts"])


@pytest.mark.parametrize("stream", [True, False])
def test_g2_stop_with_calls_means_calls(stream: bool) -> None:
    events = answered(called("look"))
    assert next(event for event in events if isinstance(event, Finished)).reason == "tool_calls"
    assert written(CHAT, events)["choices"][0]["finish_reason"] == "tool_calls"
    assert written(MESSAGES, events)["stop_reason"] == "tool_use"
    assert written(DIALECT, events)["candidates"][0]["finishReason"] == "STOP"


NESTED = {
    "type": "object",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"next": {"$ref": "#/$defs/node"}, "kind": {"const": "leaf"}},
            "additionalProperties": False,
        }
    },
    "properties": {
        "root": {"$ref": "#/$defs/node", "description": "where it begins"},
        "maybe": {"type": ["string", "null"]},
        "either": {"oneOf": [{"type": "integer"}, {"type": "null"}]},
        "when": {"type": "string", "format": "date-time"},
        "mail": {"type": "string", "format": "email"},
    },
    "required": ["root", "gone"],
    "additionalProperties": False,
}


def test_g3_schemas_are_mapped_onto_the_subset_where_the_model_wants_it() -> None:
    tools: list[Any] = [Tool("grow", schema=NESTED)]
    (declared,) = asked([Message("user", [Text("hi")])], Quirks(json_schema=False), tools=tools)["tools"]
    parameters = declared["functionDeclarations"][0]["parameters"]
    text = json.dumps(parameters)
    assert not any(word in text for word in ("$ref", "$defs", "additionalProperties", "const", "email"))
    assert parameters["required"] == ["root"]
    fields = parameters["properties"]
    assert fields["root"]["properties"]["kind"] == {"type": "STRING", "enum": ["leaf"]}
    assert fields["root"]["description"] == "where it begins"
    assert fields["maybe"] == {"nullable": True, "type": "STRING"}
    assert fields["either"] == {"nullable": True, "type": "INTEGER"}
    assert fields["when"] == {"type": "STRING", "format": "date-time"}


def test_g3_schemas_pass_untouched_where_the_model_takes_them() -> None:
    tools: list[Any] = [Tool("grow", schema=NESTED)]
    (declared,) = asked([Message("user", [Text("hi")])], tools=tools)["tools"]
    assert declared["functionDeclarations"] == [{"name": "grow", "parametersJsonSchema": NESTED}]


def test_g4_references_inside_results_are_text() -> None:
    result = ToolResult("call_a", [Text('{"$ref": "#/x"}')])
    messages = [Message("user", [Text("hi")]), Message("assistant", TWO[:1]), Message("tool", [result])]
    (part,) = asked(messages)["contents"][2]["parts"]
    assert part["functionResponse"]["response"] == {"output": '{"$ref": "#/x"}'}


def test_g5_parallel_calls_of_one_name_stay_apart_without_ids() -> None:
    events = answered(called("look", at=1), called("look", at=2))
    ids = [event.id for event in events if isinstance(event, PartStarted)]
    assert len(set(ids)) == 2
    calls = [{"role": "model", "parts": [called("look", at=1), called("look", at=2)]}]
    results = [{"functionResponse": {"name": "look", "response": {"output": text}}} for text in ("one", "two")]
    contents = [{"parts": [{"text": "hi"}]}, *calls, {"role": "user", "parts": results}]
    body = json.dumps({"contents": contents}).encode()
    request = DIALECT.read_request(body, Peek("m"))
    made = [part for message in request.messages for part in message.parts if isinstance(part, ToolCall)]
    told = [part for message in request.messages for part in message.parts if isinstance(part, ToolResult)]
    assert [call.id for call in made] == [result.call_id for result in told]
    assert len({call.id for call in made}) == 2
    assert DIALECT.read_request(body, Peek("m")).messages == request.messages  # the same ids every time
    again = json.loads(DIALECT.write_request(request, "m", Quirks(), []))
    assert again["contents"][1:] == contents[1:]  # ids of our making never reach the service


def test_g6_results_are_one_content_in_the_order_of_their_calls() -> None:
    contents = asked([Message("user", [Text("hi")]), Message("assistant", [*TWO]), *RESULTS])["contents"]
    assert [content["role"] for content in contents] == ["user", "model", "user"]
    responses = [part["functionResponse"] for part in contents[2]["parts"]]
    assert [(each["id"], each["name"], each["response"]) for each in responses] == [
        ("call_a", "look", {"output": "first"}),
        ("call_b", "look", {"output": "second"}),
    ]


def test_g7_files_in_googles_store_are_named() -> None:
    image = Image(Url("gs://bucket/picture.png"))
    (content,) = asked([Message("user", [image, Text("what is it?")])])["contents"]
    assert content["parts"][0] == {"fileData": {"mimeType": "image/png", "fileUri": "gs://bucket/picture.png"}}


def test_g8_arguments_reach_a_messages_client() -> None:
    events = answered(called("look", at={"x": 1}))
    (block,) = written(MESSAGES, events)["content"]
    assert block["input"] == {"at": {"x": 1}}
    writer = MESSAGES.writer(Envelope(True, model="m"))
    assert b'{\\"at\\":{\\"x\\":1}}' in b"".join(writer.feed(event) for event in events)


def test_g9_calls_that_nobody_answered_are_left_out_and_named() -> None:
    lost: list[str] = []
    messages = [
        Message("user", [Text("hi")]),
        Message("assistant", [Text("well"), *TWO]),
        RESULTS[0],
        Message("user", [Text("go on")]),
    ]
    contents = asked(messages, lost=lost)["contents"]
    assert [part["functionCall"]["id"] for part in contents[1]["parts"] if "functionCall" in part] == ["call_b"]
    assert len(contents[2]["parts"]) == 1
    assert lost == ["a"]


def test_g9_results_of_no_call_are_left_out_and_named() -> None:
    lost: list[str] = []
    stray = Message("tool", [ToolResult("call_x", [Text("?")], at="messages[2]")])
    contents = asked([Message("user", [Text("hi")]), Message("assistant", TWO[:1]), RESULTS[1], stray], lost=lost)
    assert len(contents["contents"][2]["parts"]) == 1
    assert lost == ["messages[2]"]


def test_a_call_whose_signature_comes_later_carries_it() -> None:
    writer = DIALECT.writer(Envelope(False, model="m"))
    started = Started("r", "m", dialect="gemini")
    events: list[Event] = [started, PartStarted(0, "tool_call", 0, "x", "look"), ArgumentsDelta(0, "{}")]
    for event in [*events, SignatureDelta(0, SIGNATURE), PartFinished(0), Finished("tool_calls")]:
        writer.feed(event)
    (part,) = json.loads(writer.eof())["candidates"][0]["content"]["parts"]
    assert part == {"functionCall": {"id": "x", "name": "look", "args": {}}, "thoughtSignature": SIGNATURE}
