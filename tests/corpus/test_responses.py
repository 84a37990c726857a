"""Every recorded Responses exchange (OpenAI, Azure, Bedrock, compatible hosts), through the dialect and back.

What counts as the same request is written down in `canonical`: nothing else may differ. Answers rewritten in their own
dialect are held against OpenAI's SDK: its types, and its accumulator of streams.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from tests.corpus.exchanges import DIALECTS, Tally, library, needs_recordings, read, write
from tests.laws.generators import normalize, pieces, spoken
from trunkline.core.errors import BadRequest, UpstreamError
from trunkline.core.events import Event, Failed, Finished, PartStarted
from trunkline.core.usage import Usage
from trunkline.dialects.base import Quirks
from trunkline.dialects.openai_responses import DIALECT

pytestmark = needs_recordings

NOT_A_REQUEST = {"dd-trace-py__b1155e5a0548": "the stored `prompt` names the model; the gateway needs one to route by"}

REPEATED = {"ruby_llm__519bed170fd5": "the host gives two thoughts one id, which the SDK's accumulator refuses"}

UNSPEAKABLE = {
    "openai_chat": {
        "pydantic-ai__11541620fa34": "text between two calls: chat has one place for texts, before all calls"
    },
    "anthropic": {"ellmer__f3cdaf9e4102": "arguments that are an array: wrapped in an object, and reported"},
}
"""Requests of which another family cannot say all, each with what becomes of it."""

OLDER_SEARCH = {"pydantic-ai__21c070c71ac2": "a source of type `api`, which the SDK's types do not know yet"}


@cache
def exchanges() -> tuple[Any, ...]:
    corpus = library()
    rows = [row for row in corpus.entries() if row["endpoint"].startswith("POST") and _is_create(row["endpoint"])]
    return tuple(corpus.exchange(row["id"]) for row in rows)


def _is_create(endpoint: str) -> bool:
    return bool(endpoint.rstrip("/").endswith("/responses"))


def answered(stream: bool | None = None) -> Iterator[Any]:
    for found in exchanges():
        if found.meta["status"] == 200 and stream in {None, found.meta["stream"]}:
            yield found


def readable() -> Iterator[Any]:
    return (found for found in exchanges() if found.meta["id"] not in NOT_A_REQUEST)


# ── Requests ───────────────────────────────────────────────────────────────────────────────────────────────────────


def canonical(request: dict[str, Any]) -> dict[str, Any]:
    """The documented equivalences: null, `false` for `stream` and an empty object for absent; a string for one text
    part or one user message; `message` for no type; `auto` for no `detail` of an image; `text` for no format; no
    `annotations` for none."""
    out = {name: value for name, value in request.items() if value is not None and value not in ({}, [])}
    if not out.get("stream"):
        out.pop("stream", None)
    if (out.get("text") or {}).get("format") == {"type": "text"}:
        out["text"] = {name: value for name, value in out["text"].items() if name != "format"}
        if not out["text"]:
            del out["text"]
    if "reasoning" in out:
        out["reasoning"] = {name: value for name, value in out["reasoning"].items() if value is not None}
        if "generate_summary" in out["reasoning"]:
            out["reasoning"]["summary"] = out["reasoning"].pop("generate_summary")
    if "tools" in out:
        out["tools"] = [{name: value for name, value in tool.items() if value is not None} for tool in out["tools"]]
    if isinstance(out.get("include"), list):
        out["include"] = sorted(out["include"])
    given = out.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given or []
    out["input"] = [_item(item) for item in items]
    return out


def _item(item: dict[str, Any]) -> dict[str, Any]:
    out = {name: value for name, value in item.items() if value is not None}
    if out.get("type", "message") == "message":
        out["type"] = "message"
        out["content"] = _content(out["content"], "output_text" if out["role"] == "assistant" else "input_text")
    if isinstance(out.get("output"), list | str) and out["type"].endswith("call_output"):
        out["output"] = _content(out["output"], "input_text")
    return out


def _content(content: Any, kind: str) -> Any:
    if isinstance(content, str):
        content = [{"type": kind, "text": content}]
    parts = []
    for part in content:
        one = {name: value for name, value in part.items() if value is not None}
        if one["type"] == "input_image":
            one.setdefault("detail", "auto")
        if not one.get("annotations"):
            one.pop("annotations", None)
        if not one.get("logprobs"):
            one.pop("logprobs", None)
        parts.append(one)
    return parts


def test_a_request_through_the_core_says_the_same() -> None:
    tally = Tally("requests")
    for found in readable():
        lost: list[str] = []
        request = DIALECT.read_request(found.request)
        out = json.loads(DIALECT.write_request(request, request.model, Quirks(), lost))
        before, after = canonical(json.loads(found.request)), canonical(out)
        differing = [(before.get(n), after.get(n)) for n in {*before, *after} if before.get(n) != after.get(n)]
        tally.check(found, not differing and not lost, f"lost {lost}, differs in {differing}")
    tally.assert_all(310)


def test_a_request_that_names_no_model_is_refused() -> None:
    for found in exchanges():
        if found.meta["id"] in NOT_A_REQUEST:
            with pytest.raises(BadRequest, match="model is required"):
                DIALECT.peek(found.request)


def test_the_identity_path_changes_the_model_and_nothing_else() -> None:
    for found in readable():
        patched = json.loads(DIALECT.patch(found.request, "another", DIALECT.peek(found.request), Quirks()))
        assert patched == json.loads(found.request) | {"model": "another"}


@pytest.mark.parametrize("target", sorted(DIALECTS))
def test_a_request_is_told_to_other_families_in_order(target: str) -> None:
    """Texts, calls and results arrive, in order; what is left out is named."""
    tally, emptied = Tally(f"requests to {target}", UNSPEAKABLE[target]), 0
    for found in readable():
        request, lost = DIALECT.read_request(found.request), []  # type: ignore[var-annotated]
        try:
            body = DIALECTS[target].write_request(request, "m", Quirks(), lost)
        except BadRequest as error:
            emptied += "would be empty without it" in error.message
            continue
        again = DIALECTS[target].read_request(body)
        ok = _told(again) == _told(request)
        tally.check(found, ok, f"lost {lost}; {_told(again)} but {_told(request)}")
    print(f"  refused, because a message would be empty: {emptied}")
    assert emptied <= 10
    tally.assert_all(300)


def _told(request: Any) -> list[Any]:
    said: list[Any] = []
    for message in request.messages:
        for part in message.parts:
            match type(part).__name__:
                case "Text" if part.text:
                    said.append(part.text)
                case "ToolCall":
                    said.append((part.name, json.loads(part.arguments or "{}")))
                case "ToolResult":
                    said.append("".join(getattr(inner, "text", "") for inner in part.content))
    return said


# ── Answers ────────────────────────────────────────────────────────────────────────────────────────────────────────


def plain(events: list[Event]) -> list[Any]:
    """Events that compare by value: an error is an exception, equal to nothing but itself."""
    return [(str(e.error)) if isinstance(e, Failed) and isinstance(e.error, UpstreamError) else e for e in events]


def test_every_answer_is_read_alike_however_it_is_cut() -> None:
    tally = Tally("answers by whole, 7 and 1 bytes")
    for found in answered():
        stream = found.meta["stream"]
        events = read(DIALECT, found.response, stream)
        alike = all(plain(read(DIALECT, found.response, stream, size)) == plain(events) for size in (7, 1))
        tally.check(found, alike and not isinstance(events[-1], Failed), f"alike {alike}, ends {events[-1]!r}")
    tally.assert_all(295)


def payloads(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in data.decode().splitlines() if line.startswith("data: {")]


def is_valid(response: dict[str, Any]) -> bool:
    """Whether the SDK's types accept it to the letter."""
    import pydantic
    from openai.types.responses import Response

    try:
        Response.model_validate(response)
    except pydantic.ValidationError:
        return False
    return True


def followed(data: bytes) -> dict[str, Any]:
    """The answer as the SDK's accumulator of streams ends with it; every event is checked against its type too."""
    import pydantic
    from openai import omit
    from openai._models import construct_type
    from openai.lib.streaming.responses._responses import ResponseStreamState
    from openai.types.responses import ResponseStreamEvent

    typed: Any = pydantic.TypeAdapter(ResponseStreamEvent)
    state: Any = ResponseStreamState(input_tools=omit, text_format=omit)
    events = payloads(data)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    for event in events:
        state.handle_event(construct_type(type_=ResponseStreamEvent, value=event))
        if "item" not in event and "response" not in event:
            typed.validate_python(event)
    out: dict[str, Any] = events[-1]["response"]
    return out


def shown(response: dict[str, Any]) -> dict[str, Any]:
    """What `spoken` says of events, said of the response object."""
    out: dict[str, Any] = {"text": "", "refusal": "", "reasoning": "", "calls": []}
    for item in response["output"]:
        match item["type"]:
            case "message":
                for content in item["content"]:
                    out["text"] += content.get("text") or ""
                    out["refusal"] += content.get("refusal") or ""
            case "reasoning":
                out["reasoning"] += "".join(section["text"] for section in item["summary"])
            case "function_call":
                out["calls"].append((item["call_id"], item["name"], json.loads(item["arguments"] or "{}")))
    return out


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # the SDK's own types do not know a source `api`
@pytest.mark.parametrize("stream", [True, False])
def test_a_rewritten_answer_says_the_same_to_the_sdk(stream: bool) -> None:
    """As it was asked for, and in the other form: a stream as a whole answer, a whole answer as a stream."""
    excused = REPEATED if stream else {}
    tally = Tally(f"answers rewritten as {'streams' if stream else 'whole'}", excused)
    for found in answered():
        events = normalize(read(DIALECT, found.response, found.meta["stream"]))
        out = write(DIALECT, events, stream)
        if found.meta["id"] in excused:
            with pytest.raises(RuntimeError, match="conflicting output identities"):
                followed(out)
            tally.check(found, False, "")
            continue
        response = followed(out) if stream else json.loads(out)
        meant = spoken(events)
        again = spoken(normalize(read(DIALECT, out, stream)))
        opaque = [e.data["type"] for e in events if isinstance(e, PartStarted) and e.kind == "opaque" and e.data]
        items = [item["type"] for item in response["output"] if item["type"] in opaque]
        same = again == meant and shown(response) == {
            name: meant[name] for name in ("text", "refusal", "reasoning", "calls")
        }
        tally.check(found, same and items == opaque, f"{shown(response)} but {meant}; {items} but {opaque}")
    tally.assert_all(294)


def test_a_rewritten_answer_is_valid_to_the_letter() -> None:
    """Where the recorded one is: older recordings lack fields that the SDK's types now require."""
    tally, before = Tally("rewritten answers by the SDK's types", OLDER_SEARCH), 0
    for found in answered():
        out = json.loads(write(DIALECT, read(DIALECT, found.response, found.meta["stream"]), False))
        given = payloads(found.response)[-1]["response"] if found.meta["stream"] else json.loads(found.response)
        was = is_valid(given)
        before += was
        tally.check(found, is_valid(out) or (not was and found.meta["id"] not in OLDER_SEARCH and not _ours(out)), "")
    print(f"  {before} were valid as recorded")
    tally.assert_all(290)


def _ours(response: dict[str, Any]) -> bool:
    """Whether what the types refuse is of our writing: the usage and the items that are not opaque."""
    kinds = {"message", "reasoning", "function_call", "custom_tool_call"}
    bare = response | {"output": [item for item in response["output"] if item["type"] in kinds], "tools": []}
    return not is_valid(bare)


def test_encrypted_thoughts_survive_the_rewriting() -> None:
    seen = 0
    for found in answered():
        events = normalize(read(DIALECT, found.response, found.meta["stream"]))
        for stream in (True, False):
            again = normalize(read(DIALECT, write(DIALECT, events, stream), stream))
            assert spoken(again)["signatures"] == spoken(events)["signatures"]
        seen += bool(spoken(events)["signatures"])
    assert seen >= 60


@pytest.mark.parametrize("target", sorted(DIALECTS))
@pytest.mark.parametrize("stream", [True, False])
def test_a_translated_answer_read_again_is_the_answer(target: str, stream: bool) -> None:
    """To a client of another family: text, calls, reasoning and its signatures, reason and usage."""
    client = DIALECTS[target]
    tally = Tally(f"answers to {target}, {'streams' if stream else 'whole'}")
    for found in answered():
        events = normalize(read(DIALECT, found.response, found.meta["stream"]))
        again = normalize(read(client, write(client, events, stream), stream))
        said, meant = spoken(again), spoken(events)
        names = ("text", "reasoning", "calls", "signatures", "reasons")
        differing = [(said[name], meant[name]) for name in names if said[name] != meant[name]]
        counts = [next((e for e in some if isinstance(e, Usage)), None) for some in (again, events)]
        tally.check(found, not differing and counts[0] == counts[1], f"{differing} {counts}")
    tally.assert_all(290)


# ── Usage, the identity path, errors ───────────────────────────────────────────────────────────────────────────────


def final(found: Any) -> dict[str, Any]:
    out: dict[str, Any] = json.loads(found.response)
    return out


def test_usage_agrees_with_an_independent_reading() -> None:
    from genai_prices import extract_usage

    tally = Tally("usage")
    for found in answered():
        stream = found.meta["stream"]
        ours = next((e for e in read(DIALECT, found.response, stream) if isinstance(e, Usage)), None)
        body = payloads(found.response)[-1]["response"] if stream else json.loads(found.response)
        if ours is None or not body.get("usage"):
            tally.check(found, ours is None and not body.get("usage"), "read by one of the two alone")
            continue
        theirs = extract_usage({**body, "model": "gpt-5"}, provider_id="openai", api_flavor="responses").usage
        counts = tuple(c or 0 for c in (theirs.input_tokens, theirs.output_tokens, theirs.cache_read_tokens))
        tally.check(found, counts == (ours.input, ours.output, ours.cache_read), f"{counts} but {ours}")
    tally.assert_all(295)


@pytest.mark.parametrize("size", [0, 1, 7, 1000])
def test_the_tap_passes_every_byte_and_reads_the_usage(size: int) -> None:
    for found in answered():
        stream = found.meta["stream"]
        tap = DIALECT.tap(DIALECT.peek(found.request if found.meta["id"] not in NOT_A_REQUEST else b'{"model":"m"}'))
        parts = pieces(found.response, size if stream else 0)
        assert b"".join([*map(tap.feed, parts), tap.eof()]) == found.response
        assert tap.complete
        assert tap.error is None
        assert tap.usage == next((e for e in read(DIALECT, found.response, stream) if isinstance(e, Usage)), None)
        assert tap.produced > 0


def test_the_tap_ends_a_cut_stream_with_an_error() -> None:
    for found in answered(stream=True):
        end = max(found.response.rfind(b'"type":"response.%b"' % word) for word in (b"completed", b"incomplete"))
        cut = found.response[: found.response.rindex(b"\n\n", 0, end) + 2]
        tap = DIALECT.tap(DIALECT.peek(found.request))
        for piece in pieces(cut, 97):
            out = tap.feed(piece)
            assert not out or out.endswith(b"\n\n")
        last = tap.eof()
        assert not tap.complete
        assert tap.error is not None
        assert b'"upstream_broken"' in last
        events = read(DIALECT, cut, True)
        assert isinstance(events[-1], Failed)
        assert not any(isinstance(event, Finished) for event in events)


def test_every_recorded_error_is_classified() -> None:
    kinds = {400: {"invalid_request", "context_length", "not_found"}, 401: {"authentication"}}
    tally = Tally("errors")
    for found in exchanges():
        if (status := found.meta["status"]) != 200:
            error = DIALECT.read_error(status, [], found.response)
            tally.check(
                found, error.kind in kinds[status] and error.message and error.body == found.response, repr(error)
            )
    tally.assert_all(12)


def test_counting() -> None:
    corpus = library()
    seen = 0
    for row in corpus.entries(provider="openai"):
        if row["endpoint"].endswith("/responses/input_tokens") and row["status"] == 200:
            found = corpus.exchange(row["id"])
            count = DIALECT.read_count(found.response)
            assert json.loads(DIALECT.write_count(count)) == json.loads(found.response)
            request = DIALECT.read_count_request(found.request)
            out = json.loads(DIALECT.write_count_request(request, request.model, Quirks(), []))
            assert canonical(out) == canonical(json.loads(found.request))
            seen += 1
    assert seen >= 2
