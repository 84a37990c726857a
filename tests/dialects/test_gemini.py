"""The Gemini dialect piece by piece: spellings, what says how to answer, histories, framings, errors, the tap."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trunkline.core.call import Addressed, Peek
from trunkline.core.errors import BadRequest, UpstreamError, UpstreamUnreachable
from trunkline.core.events import Event, Failed, Finished, Logprobs, Opaque, Started, TextDelta
from trunkline.core.request import (
    Audio,
    Document,
    FileId,
    Foreign,
    ForeignTool,
    Image,
    Inline,
    OutputFormat,
    Reasoning,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    Url,
    Video,
)
from trunkline.core.usage import Usage
from trunkline.dialects.base import Envelope, Quirks
from trunkline.dialects.gemini import ARRAY, DIALECT
from trunkline.dialects.gemini.signatures import PLACEHOLDER, packed, sealed, unsealed

PEEK = Peek("m")
LEVELS = Quirks(efforts=("low", "medium", "high"))
BUDGETS = Quirks(thinking_budget=True, json_with_tools=False)


def read(contents: Any = "hello", **more: Any) -> Request:
    if isinstance(contents, str):
        contents = [{"parts": [{"text": contents}]}]
    return DIALECT.read_request(json.dumps({"contents": contents, **more}).encode(), PEEK)


def config(request: Request, quirks: Quirks = LEVELS, lost: list[str] | None = None) -> Any:
    body = json.loads(DIALECT.write_request(request, "m", quirks, [] if lost is None else lost))
    return body.get("generationConfig", {})


def chat(**fields: Any) -> Request:
    request = read()
    request.dialect = "openai_chat"
    request.names = {}
    for name, value in fields.items():
        setattr(request, name, value)
    return request


def events(data: bytes, stream: bool = True) -> list[Event]:
    reader = DIALECT.reader(stream)
    return [*reader.feed(data), *reader.eof()]


def sse(*chunks: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in chunks)


def candidate(text: str = "", reason: str | None = None, **more: Any) -> dict[str, Any]:
    wire: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}, **more}
    return {"candidates": [wire | ({"finishReason": reason} if reason else {})], "responseId": "r", "modelVersion": "g"}


# ── Requests ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_both_spellings_say_the_same() -> None:
    camel = read(
        systemInstruction={"parts": {"text": "be brief"}},
        generationConfig={"maxOutputTokens": 9, "stopSequences": ["x"], "thinkingConfig": {"thinkingBudget": 100}},
        tools=[{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object", "my_key": 1}}]}],
    )
    snake = read(
        system_instruction={"parts": {"text": "be brief"}},
        generation_config={
            "max_output_tokens": 9,
            "stop_sequences": ["x"],
            "thinking_config": {"thinking_budget": 100},
        },
        tools=[{"function_declarations": [{"name": "f", "parameters_json_schema": {"type": "object", "my_key": 1}}]}],
    )
    assert snake == camel
    assert isinstance(camel.tools[0], Tool)
    assert camel.tools[0].schema == {"type": "object", "my_key": 1}  # the caller's own names stay


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ({"inlineData": {"mimeType": "image/png", "data": "AA=="}}, Image(Inline("image/png", "AA=="))),
        (
            {"inline_data": {"mime_type": "application/pdf", "data": "AA=="}},
            Document(Inline("application/pdf", "AA==")),
        ),
        ({"inlineData": {"mimeType": "audio/mpeg", "data": "AA=="}}, Audio("AA==", "mp3")),
        ({"fileData": {"mimeType": "video/mp4", "fileUri": "gs://a/b"}}, Video(Url("gs://a/b", "video/mp4"))),
        ({"fileData": {"fileUri": "https://youtu.be/x"}}, Video(Url("https://youtu.be/x"))),
        (
            {"fileData": {"mimeType": "image/png", "fileUri": "https://generativelanguage.googleapis.com/v1/files/x"}},
            Image(FileId("https://generativelanguage.googleapis.com/v1/files/x", "image/png")),
        ),
    ],
)
def test_media_are_what_their_type_says(part: Any, kind: Any) -> None:
    kind.at = "contents[0].parts[0]"
    assert read([{"parts": [part]}]).messages[0].parts == [kind]


def test_parts_of_the_services_own_tools_stay_as_they_are() -> None:
    part = {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "c2ln"}
    request = read([{"parts": [{"text": "hi"}]}, {"role": "model", "parts": [part]}], tools=[{"googleSearch": {}}])
    assert request.messages[1].parts == [Foreign("gemini", part, "contents[1].parts[0]")]
    assert request.tools == [ForeignTool("gemini", {"googleSearch": {}}, "tools[0].googleSearch")]
    again = json.loads(DIALECT.write_request(request, "m", LEVELS, []))
    assert (again["contents"][1]["parts"], again["tools"]) == ([part], [{"googleSearch": {}}])


def test_a_stream_kept_chunk_by_chunk_is_one_message() -> None:
    """As google-genai's chats send it back."""
    call = {"functionCall": {"name": "f", "args": {}}}
    chunks = [
        {"text": "hm", "thought": True}, {"text": "m", "thought": True}, {"text": "He"}, {"text": "llo"},
        call | {"thoughtSignature": "c2ln"}, call, {"text": ""},
    ]  # fmt: skip
    request = read([{"parts": [{"text": "hi"}]}, *({"role": "model", "parts": [chunk]} for chunk in chunks)])
    assert len(request.messages) == 2
    thought, text, *calls = request.messages[1].parts
    assert isinstance(thought, Thinking)
    assert isinstance(text, Text)
    assert (thought.text, text.text) == ("hmm", "Hello")
    assert [call.signature for call in calls if isinstance(call, ToolCall)] == ["c2ln", None]


@pytest.mark.parametrize(
    ("said", "choice"),
    [
        ({"mode": "AUTO"}, ToolChoice("auto")),
        ({"mode": "none"}, ToolChoice("none")),
        ({"mode": "ANY"}, ToolChoice("required")),
        ({"mode": "ANY", "allowedFunctionNames": ["f"]}, ToolChoice("tool", "f")),
        ({"mode": "ANY", "allowedFunctionNames": ["f", "g"]}, ToolChoice("required", allowed=("f", "g"))),
        ({"mode": "VALIDATED"}, ToolChoice("auto")),
    ],
)
def test_modes_of_calling_both_ways(said: Any, choice: ToolChoice) -> None:
    tools = [{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}]
    request = read(tools=tools, toolConfig={"functionCallingConfig": said})
    assert request.tool_choice == choice
    wire = json.loads(DIALECT.write_request(request, "m", LEVELS, []))
    assert wire["toolConfig"]["functionCallingConfig"] == said | {"mode": said["mode"].upper()}


@pytest.mark.parametrize(
    ("wire", "reasoning"),
    [
        ({"thinkingBudget": 0}, Reasoning("none")),
        ({"thinkingBudget": 512, "includeThoughts": True}, Reasoning(budget=512, display="summarized")),
        ({"thinkingLevel": "THINKING_LEVEL_LOW"}, Reasoning("low")),
        ({"includeThoughts": True}, Reasoning(display="summarized")),
        ({"thinkingBudget": -1}, Reasoning()),
        ({"includeThoughts": False}, None),
    ],
)
def test_thinking_is_read(wire: Any, reasoning: Reasoning | None) -> None:
    assert read(generationConfig={"thinkingConfig": wire}).reasoning == reasoning


@pytest.mark.parametrize(
    ("quirks", "reasoning", "wire", "lost"),
    [
        (LEVELS, Reasoning("high"), {"thinkingLevel": "HIGH", "includeThoughts": True}, []),
        (LEVELS, Reasoning("max"), {"thinkingLevel": "HIGH", "includeThoughts": True}, []),
        (LEVELS, Reasoning(budget=1024), {"thinkingLevel": "LOW", "includeThoughts": True}, ["reasoning"]),
        (BUDGETS, Reasoning("low"), {"thinkingBudget": 1024, "includeThoughts": True}, []),
        (BUDGETS, Reasoning("none"), {"thinkingBudget": 0}, []),
        (BUDGETS, Reasoning("eager"), {"includeThoughts": True}, ["reasoning"]),
        (Quirks(drop=frozenset({"reasoning"})), Reasoning("low"), None, ["reasoning"]),
    ],
)
def test_thinking_is_asked_for_as_the_model_wants_it(
    quirks: Quirks, reasoning: Reasoning, wire: Any, lost: list[str]
) -> None:
    said: list[str] = []
    assert config(chat(reasoning=reasoning), quirks, said).get("thinkingConfig") == wire
    assert said == lost


def test_json_is_asked_for_by_schema_or_without() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
    shaped = chat(output=OutputFormat("json_schema", name="x", schema=schema))
    assert config(shaped) == {"responseMimeType": "application/json", "responseJsonSchema": schema}
    assert config(shaped, Quirks(json_schema=False))["responseSchema"] == {
        "type": "OBJECT", "properties": {"a": {"type": "STRING"}},
    }  # fmt: skip
    assert config(chat(output=OutputFormat("json_object"))) == {"responseMimeType": "application/json"}
    lost: list[str] = []
    shaped.tools = [Tool("f")]
    assert config(shaped, BUDGETS, lost) == {}
    assert lost == ["output"]


def test_a_schema_of_the_services_own_is_read_as_json_schema() -> None:
    own = {"type": "OBJECT", "properties": {"a": {"type": "STRING", "nullable": True}}, "propertyOrdering": ["a"]}
    request = read(generationConfig={"responseMimeType": "application/json", "responseSchema": own})
    schema = {"type": "object", "properties": {"a": {"type": ["string", "null"]}}}
    assert request.output == OutputFormat("json_schema", schema=schema)


def test_what_there_is_no_word_for_is_named() -> None:
    lost: list[str] = []
    config(chat(user="u", parallel_tool_calls=False, logit_bias={"1": 2}, stop=list("abcdef"), tier="scale"), lost=lost)
    assert sorted(lost) == ["logit_bias", "parallel_tool_calls", "stop", "tier", "user"]


def test_unknown_fields_go_back_to_their_own_dialect() -> None:
    more: dict[str, Any] = {
        "safetySettings": [{"category": "x"}], "cachedContent": "c", "labels": {"a": "b"}, "serviceTier": "flex",
        "generationConfig": {"mediaResolution": "LOW", "temperature": 0.5},
        "toolConfig": {"includeServerSideToolInvocations": True},
    }  # fmt: skip
    request = read(**more)
    wire = json.loads(DIALECT.write_request(request, "m", LEVELS, []))
    del wire["contents"]
    assert wire == more
    request.dialect = "other"
    lost: list[str] = []
    DIALECT.write_request(request, "m", LEVELS, lost)
    assert {"safetySettings", "cachedContent", "generationConfig.mediaResolution"} <= set(lost)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"contents": []}, "contents"),
        ({"contents": [{"role": "system", "parts": []}]}, "contents[0].role"),
        ({"contents": [{"parts": [{"functionCall": {"args": {}}}]}]}, "contents[0].parts[0].functionCall.name"),
        ({"contents": "x", "generationConfig": {"topK": 1.5}}, "contents"),
        ({"contents": [{"parts": "x"}]}, "contents[0].parts"),
        ({"contents": [{"parts": []}], "generationConfig": {"topK": 1.5}}, "generationConfig.topK"),
        (
            {"contents": [{"parts": []}], "tools": [{"functionDeclarations": [{}]}]},
            "tools[0].functionDeclarations[0].name",
        ),
    ],
)
def test_bad_requests_name_their_field(body: Any, param: str) -> None:
    with pytest.raises(BadRequest) as raised:
        DIALECT.read_request(json.dumps(body).encode(), PEEK)
    assert raised.value.param == param


def test_the_path_says_what_the_body_does_not() -> None:
    peek = DIALECT.peek(b'{"generation_config": {"candidate_count": 3}}', Addressed("g", True, ARRAY))
    assert peek == Peek("g", True, True, 3, ARRAY)


def test_signatures_of_other_families_are_base64_and_never_reach_the_service() -> None:
    for maker, redacted in (("anthropic", False), ("openai_responses", True)):
        wire = sealed("opaque==", maker, redacted)
        assert unsealed(wire.replace("+", "-").replace("/", "_")) == ("opaque==", maker, redacted)
        body = json.dumps({"parts": [{"thoughtSignature": wire}, {"thoughtSignature": packed([])}]}).encode()
        patched = json.loads(DIALECT.patch(body, "m", PEEK, LEVELS))
        assert [part["thoughtSignature"] for part in patched["parts"]] == [PLACEHOLDER, PLACEHOLDER]
    own = b'{"parts": [{"thoughtSignature": "c2ln"}]}'
    assert DIALECT.patch(own, "m", PEEK, LEVELS) is own


def test_only_signatures_are_taken_for_signatures() -> None:
    words = b'{"parts": [{"text": "dGwx"}, {"inlineData": {"mimeType": "image/png", "data": "dGwxAAAA"}}]}'
    assert DIALECT.patch(words, "m", PEEK, LEVELS) == words
    older = b'{"parts": [{"thought_signature" : "dGwx"}]}'
    assert b"dGwx" not in DIALECT.patch(older, "m", PEEK, LEVELS)


# ── Answers ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_blocked_prompt_is_a_filtered_answer_both_ways() -> None:
    feedback = {"blockReason": "SAFETY"}
    out = events(sse({"promptFeedback": feedback, "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4}}))
    assert out[1:] == [Finished("content_filter", extra={"promptFeedback": feedback}), Usage(input=4)]
    writer = DIALECT.writer(Envelope(False, model="m"))
    for event in out:
        writer.feed(event)
    wire = json.loads(writer.eof())
    assert wire["promptFeedback"] == feedback
    assert "candidates" not in wire


@pytest.mark.parametrize(
    ("wire", "reason"),
    [("MAX_TOKENS", "length"), ("RECITATION", "content_filter"), ("MALFORMED_FUNCTION_CALL", "error"), (1, "stop")],
)
def test_finish_reasons(wire: Any, reason: str) -> None:
    (finished,) = [each for each in events(sse(candidate("x", wire))) if isinstance(each, Finished)]
    assert finished.reason == reason


def test_what_only_google_says_stays_for_its_own_clients() -> None:
    data = sse(candidate("x", None, groundingMetadata={"webSearchQueries": ["q"]}), candidate("", "STOP"))
    out = events(data)
    writer = DIALECT.writer(Envelope(True, model="m"))
    wire = b"".join(map(writer.feed, out)) + writer.eof()
    assert json.loads(wire.split(b"\r\n\r\n")[-2][6:])["candidates"][0]["groundingMetadata"]["webSearchQueries"] == [
        "q"
    ]


def test_logprobs_both_ways() -> None:
    said = {
        "chosenCandidates": [{"token": "a", "logProbability": -0.5}],
        "topCandidates": [{"candidates": [{"token": "b", "logProbability": -1.5}]}],
    }
    out = events(sse(candidate("a", "STOP", logprobsResult=said)))
    (found,) = [each for each in out if isinstance(each, Logprobs)]
    top = [{"token": "b", "logprob": -1.5, "bytes": [98]}]
    assert found.data["content"] == [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": top}]
    writer = DIALECT.writer(Envelope(False, model="m"))
    for event in out:
        writer.feed(event)
    assert json.loads(writer.eof())["candidates"][0]["logprobsResult"] == said


def test_a_stream_of_texts_is_one_text_and_the_last_counts_are_the_bill() -> None:
    usage = {"promptTokenCount": 5, "candidatesTokenCount": 2, "thoughtsTokenCount": 3, "toolUsePromptTokenCount": 1}
    chunks = [candidate("He") | {"usageMetadata": {"promptTokenCount": 5}}, candidate("llo", "STOP")]
    out = events(sse(chunks[0], chunks[1] | {"usageMetadata": usage}))
    assert [each.text for each in out if isinstance(each, TextDelta)] == ["He", "llo"]
    assert out[-1] == Usage(input=6, output=5, reasoning=3)


def test_an_array_is_read_where_a_whole_answer_was_asked_for() -> None:
    assert events(json.dumps([candidate("a"), candidate("b", "STOP")]).encode(), stream=False)[-1] == Finished("stop")


# ── Errors ─────────────────────────────────────────────────────────────────────────────────────────────────────────

EXHAUSTED = {
    "error": {
        "code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.4s"}],
    }
}  # fmt: skip


@pytest.mark.parametrize("body", [EXHAUSTED, [EXHAUSTED]], ids=["object", "array"])
def test_when_to_come_back_stands_in_the_details(body: Any) -> None:
    error = DIALECT.read_error(429, [], json.dumps(body).encode())
    assert (error.kind, error.retry_after, error.retryable) == ("rate_limit", 34.4, True)
    again = json.loads(DIALECT.write_error(error, "req_1"))["error"]
    assert (again["code"], again["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert again["details"][1]["retryDelay"] == "34.4s"


def test_an_error_inside_a_stream_is_one() -> None:
    for data in (sse(candidate("a"), EXHAUSTED), json.dumps([candidate("a"), EXHAUSTED]).encode()):
        last = events(data)[-1]
        assert isinstance(last, Failed)
        assert (last.error.status, last.error.retry_after) == (429, 34.4)


@pytest.mark.parametrize(
    ("framing", "stream"), [("", sse(candidate("a"))), (ARRAY, b"[" + json.dumps(candidate("a")).encode())]
)
def test_a_broken_stream_is_whole_json_with_its_error(framing: str, stream: bytes) -> None:
    tap = DIALECT.tap(Peek("m", True, True, 1, framing), "req_1")
    out = tap.feed(stream) + tap.fail(UpstreamUnreachable("gone"))
    chunks = json.loads(out) if framing else [json.loads(line[6:]) for line in out.split(b"\r\n\r\n") if line]
    assert chunks[-1]["error"]["details"][0]["metadata"]["request_id"] == "req_1"
    writer = DIALECT.writer(Envelope(True, model="m", framing=framing))
    first = writer.feed(Failed(UpstreamUnreachable("gone")))
    assert "error" in (json.loads(first)[0] if framing else json.loads(first[6:]))


# ── The identity path ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_tap_looks_up_the_counts_of_an_answer_that_breaks_off() -> None:
    tap = DIALECT.tap(Peek("m", True))
    tap.feed(sse(candidate("word " * 200) | {"usageMetadata": {"promptTokenCount": 7, "totalTokenCount": 7}}))
    usage = tap.usage
    assert usage is not None
    assert (usage.input, usage.estimated) == (7, True)
    assert usage.output == tap.produced > 100


def test_the_words_of_an_answer_do_not_end_it() -> None:
    tap = DIALECT.tap(Peek("m", True))
    tap.feed(sse(candidate('"finishReason": "STOP", "error": {}')))
    assert not tap.complete
    assert b"UPSTREAM_BROKEN" in tap.eof()


def test_a_whole_answer_that_is_an_error_is_raised() -> None:
    with pytest.raises(UpstreamError):
        DIALECT.tap(Peek("m")).feed(json.dumps(EXHAUSTED).encode())


def test_feedback_without_a_block_passes_to_its_own_clients() -> None:
    out = events(sse(candidate("a", "STOP") | {"promptFeedback": {"safetyRatings": []}}))
    assert isinstance(out[0], Started)
    assert out[1] == Opaque({"promptFeedback": {"safetyRatings": []}})
