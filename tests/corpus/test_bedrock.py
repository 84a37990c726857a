"""Every recorded Bedrock exchange, through its dialects and back, and into other families'.

What goes out is held to botocore: its validator for requests, its parsers for answers. What counts as the same request
is written down in `canonical`: nothing else may differ. Bedrock's own OpenAI endpoints speak OpenAI's formats, and the
embedding models' bodies are no chat: both are tested with those.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any
from urllib.parse import unquote

import pytest

from tests.corpus.exchanges import Tally, chats, library, messages, needs_recordings, read, write
from tests.laws.generators import pieces, spoken
from trunkline.core.call import Addressed, Peek
from trunkline.core.errors import BadRequest
from trunkline.core.events import Event, Failed, Finished
from trunkline.core.usage import Usage
from trunkline.dialects import anthropic, composed, gemini, openai_chat, openai_responses
from trunkline.dialects.base import Dialect, Quirks
from trunkline.providers.models import quirks_of

pytestmark = needs_recordings

CONVERSE, INVOKE = composed.CONVERSE, composed.INVOKE
OTHERS: dict[str, Dialect] = {
    "openai_chat": openai_chat.DIALECT,
    "openai_responses": openai_responses.DIALECT,
    "anthropic": anthropic.DIALECT,
    "gemini": gemini.DIALECT,
}

NOT_JSON = {
    "pydantic-ai__c382ede9e359": "its recorder cut the body open: there is a second object in the first's place",
}


@cache
def exchanges(endpoint: str) -> tuple[Any, ...]:
    corpus = library()
    return tuple(
        corpus.exchange(row["id"]) for row in corpus.entries(provider="bedrock") if row["endpoint"].endswith(endpoint)
    )


@cache
def converses() -> tuple[Any, ...]:
    return exchanges("/converse") + exchanges("/converse-stream")


@cache
def invocations() -> tuple[Any, ...]:
    return exchanges("/invoke") + exchanges("/invoke-with-response-stream")


def answered(found: Sequence[Any]) -> Iterator[Any]:
    return (one for one in found if one.meta["status"] == 200)


def peek(found: Any) -> Peek:
    return Peek(model(found), found.meta["stream"])


def model(found: Any) -> str:
    return unquote(found.record["request"]["url"].split("/model/")[1].split("/")[0])


def is_known(found: Any) -> bool:
    """Whether an invoked model's body is one that can be translated."""
    return bool(INVOKE.peek(found.request, Addressed("m")).framing)


# ── Requests ───────────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def _service() -> Any:
    import botocore.session

    return botocore.session.get_session().get_service_model("bedrock-runtime")


def faults(operation: str, body: dict[str, Any]) -> str:
    """What botocore's validator has against a request's body."""
    from botocore.validate import ParamValidator

    shape = _service().operation_model(operation).input_shape
    report = ParamValidator().validate({"modelId": "m"} | body, shape)
    return str(report.generate_report())


def _filled(value: dict[str, Any]) -> dict[str, Any]:
    return {name: inner for name, inner in value.items() if inner not in ({}, [], None)}


def _result(block: dict[str, Any]) -> dict[str, Any]:
    return {**block, "status": block.get("status", "success")}


def canonical(body: dict[str, Any]) -> dict[str, Any]:
    """The documented equivalences: `success` is what a result is if it says nothing; empty objects and lists say
    nothing; neighbouring turns of one role are one; results lead their turn; schemas are JSON however they are
    spaced."""
    body = {name: _filled(value) if isinstance(value, dict) else value for name, value in body.items()}
    out = _filled(body)
    turns: list[dict[str, Any]] = []
    for turn in out["messages"]:
        blocks = [{"toolResult": _result(b["toolResult"])} if "toolResult" in b else b for b in turn["content"]]
        if turns and turns[-1]["role"] == turn["role"]:
            blocks = turns.pop()["content"] + blocks
        if turn["role"] == "user":
            blocks.sort(key=lambda b: "toolResult" not in b)
        turns.append({**turn, "content": blocks})
    out["messages"] = turns
    if (text := out.get("outputConfig", {}).get("textFormat")) is not None:
        schema = text["structure"]["jsonSchema"]
        schema["schema"] = json.loads(schema["schema"])
    if "reasoning_config" in (more := out.get("additionalModelRequestFields", {})) and "type" in str(more):
        more["thinking"] = more.pop("reasoning_config")  # what Claude's field was called at first
    return out


def test_a_request_through_the_core_says_the_same() -> None:
    tally = Tally("Converse requests")
    for found in converses():
        if found.meta["id"] in NOT_JSON:
            with pytest.raises(BadRequest, match="not valid JSON"):
                CONVERSE.read_request(found.request)
            continue
        request, lost = CONVERSE.read_request(found.request, peek(found)), list[str]()
        quirks = Quirks(adaptive_thinking=quirks_of(request.model, Quirks()).adaptive_thinking)
        out = json.loads(CONVERSE.write_request(request, request.model, quirks, lost))
        before, after = canonical(json.loads(found.request)), canonical(json.loads(json.dumps(out)))
        differing = [name for name in {*before, *after} if before.get(name) != after.get(name)]
        problem = faults("Converse", out)
        told = f"differs in {[(n, before.get(n), after.get(n)) for n in differing]}, lost {lost}, {problem}"
        tally.check(found, not differing and not lost and not problem, told)
    tally.assert_all(132)


@pytest.mark.parametrize("target", OTHERS)
def test_a_request_can_be_asked_of_any_family(target: str) -> None:
    tally = Tally(f"Bedrock requests to {target}")
    for found in (*converses(), *invocations()):
        dialect = CONVERSE if "converse" in found.meta["endpoint"] else INVOKE
        if found.meta["id"] in NOT_JSON or not found.request or (dialect is INVOKE and not is_known(found)):
            continue
        lost: list[str] = []
        try:
            body = OTHERS[target].write_request(dialect.read_request(found.request, peek(found)), "m", Quirks(), lost)
        except BadRequest as error:
            tally.check(found, error.param, str(error))
            continue
        again = OTHERS[target].write_request(dialect.read_request(found.request, peek(found)), "m", Quirks(), [])
        tally.check(found, body == again and json.loads(body), "not the same twice")
    tally.assert_all(165)


def test_every_chat_and_messages_request_becomes_a_valid_converse_request() -> None:
    """Of any model there is: Claude's thoughts and cache points, and those that know neither."""
    passed, refused = 0, 0
    for dialect, recorded in ((openai_chat.DIALECT, chats()), (anthropic.DIALECT, messages())):
        for found in recorded:
            try:
                dialect.read_request(found.request)
            except BadRequest:
                continue
            for name in ("us.anthropic.claude-sonnet-4-5-v1:0", "us.amazon.nova-2-lite-v1:0", "mistral.large"):
                try:
                    body = CONVERSE.write_request(dialect.read_request(found.request), name, Quirks(), [])
                except BadRequest:
                    refused += 1
                    continue
                again = CONVERSE.write_request(dialect.read_request(found.request), name, Quirks(), [])
                assert body == again
                written = json.loads(body)
                assert faults("Converse", written) == "", found.meta["id"]
                roles = [turn["role"] for turn in written["messages"]]
                assert roles[0] == "user"
                assert all(one != two for one, two in itertools.pairwise(roles))
                passed += 1
    print(
        f"chat and Messages requests to Converse: {passed} valid, {refused} refused for nothing was left of a message"
    )
    assert passed > 1900
    assert refused <= 3


# ── Answers ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_answer_is_read_alike_however_it_is_cut() -> None:
    tally = Tally("answers by whole, 7 and 1 bytes")
    for found in (*answered(converses()), *(each for each in answered(invocations()) if is_known(each))):
        dialect = CONVERSE if "converse" in found.meta["endpoint"] else INVOKE
        stream = found.meta["stream"]
        whole = read(dialect, found.response, stream)
        alike = all(read(dialect, found.response, stream, size) == whole for size in (7, 1))
        complete = not any(isinstance(event, Failed) for event in whole) and isinstance(whole[-1], Usage)
        tally.check(found, alike and complete, f"alike {alike}, ends with {whole[-1]!r}")
    tally.assert_all(155)


class _Body:
    """A streaming body as botocore wants one."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self) -> Iterator[bytes]:
        yield self._data


def parsed(data: bytes, stream: bool) -> dict[str, Any]:
    """What boto3's user gets, a stream put together by its block numbers."""
    from botocore.eventstream import EventStream
    from botocore.parsers import EventStreamJSONParser, create_parser

    operation = _service().operation_model("ConverseStream" if stream else "Converse")
    if not stream:
        response = {"status_code": 200, "headers": {}, "body": data}
        out: dict[str, Any] = create_parser("rest-json").parse(response, operation.output_shape)
        del out["ResponseMetadata"]
        return out
    shape = operation.output_shape.members["stream"]
    blocks: dict[int, dict[str, Any]] = {}
    end: dict[str, Any] = {"blocks": blocks}
    for event in EventStream(_Body(data), shape, EventStreamJSONParser(), "ConverseStream"):
        [(name, value)] = event.items()
        match name:
            case "contentBlockStart":
                blocks[value["contentBlockIndex"]] = {"start": value["start"]}
            case "contentBlockDelta":
                block = blocks.setdefault(value["contentBlockIndex"], {})
                for kind, said in _flat(value["delta"]):
                    block[kind] = block[kind] + said if kind in block else said
            case "messageStop" | "metadata":
                end |= value
    return end


def _flat(delta: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in delta.items():
        if name == "citation":
            yield name, [value]
        elif isinstance(value, dict):
            yield from ((f"{name}.{inner}", said) for inner, said in value.items())
        else:
            yield name, value


def _told(answer: dict[str, Any]) -> dict[str, Any]:
    """Without what says nothing: counts of nought, that the cache's lifetime is the usual one, that a call is one."""
    usage = {name: value for name, value in answer["usage"].items() if value}
    usage["cacheDetails"] = [each for each in usage.get("cacheDetails", ()) if each["ttl"] != "5m"]
    for block in answer.get("output", {}).get("message", {}).get("content", ()):
        if block.get("toolUse", {}).get("type") == "tool_use":  # on the wire, not in the description
            del block["toolUse"]["type"]
    return {**answer, "usage": usage}


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_rewritten_is_the_same_to_botocore(stream: bool) -> None:
    tally = Tally(f"answers rewritten, {'streamed' if stream else 'whole'}")
    for found in answered(converses()):
        if found.meta["stream"] is not stream:
            continue
        out = write(CONVERSE, read(CONVERSE, found.response, stream), stream)
        before, after = _told(parsed(found.response, stream)), _told(parsed(out, stream))
        tally.check(found, before == after, f"{before} but {after}")
    tally.assert_all(30)


def test_a_stream_and_the_whole_say_the_same() -> None:
    """One answer, read as a stream, written whole, read again, and the other way round."""
    tally = Tally("stream to whole, whole to stream")
    for found in answered(converses()):
        stream = found.meta["stream"]
        events = read(CONVERSE, found.response, stream)
        again = read(CONVERSE, write(CONVERSE, events, not stream), not stream)
        tally.check(found, spoken(again) == spoken(events) and again[-1] == events[-1], "says something else")
    tally.assert_all(120)


def _reason(events: list[Event]) -> str:
    return next(event.reason for event in events if isinstance(event, Finished))


ALIKE = {
    "openai_chat": {"stop_sequence": "stop", "context_window": "length", "refusal": "content_filter"},
    "openai_responses": {"stop_sequence": "stop", "context_window": "length", "refusal": "content_filter"},
    "anthropic": {"content_filter": "refusal"},
    "gemini": {"stop_sequence": "stop", "context_window": "length", "refusal": "content_filter"},
}
"""Reasons that a family has one word for."""


@pytest.mark.parametrize("target", OTHERS)
def test_every_answer_says_the_same_in_any_family(target: str) -> None:
    tally = Tally(f"Bedrock answers to {target}")
    dialect = OTHERS[target]
    for found in (*answered(converses()), *(each for each in answered(invocations()) if is_known(each))):
        own = CONVERSE if "converse" in found.meta["endpoint"] else INVOKE
        events = read(own, found.response, found.meta["stream"])
        ours, problems = spoken(events), list[str]()
        for stream in (True, False):
            back = read(dialect, write(dialect, events, stream), stream)
            theirs = spoken(back)
            problems += [name for name in ("text", "calls") if ours[name] != theirs[name]]
            reason = ALIKE[target].get(_reason(events), _reason(events))
            if _reason(back) != reason:
                problems.append(f"{_reason(back)} for {reason}")
            used = next((event for event in back if isinstance(event, Usage)), None)
            if used is None or (used.input, used.output) != (events[-1].input, events[-1].output):  # type: ignore[union-attr]
                problems.append(f"{used}")
        tally.check(found, not problems, f"{problems}")
    tally.assert_all(155)


def test_usage_agrees_with_an_independent_reading() -> None:
    from genai_prices import extract_usage

    tally = Tally("usage")
    for found in answered(converses()):
        stream = found.meta["stream"]
        ours = read(CONVERSE, found.response, stream)[-1]
        assert isinstance(ours, Usage)
        answer = {"usage": parsed(found.response, stream)["usage"]} if stream else json.loads(found.response)
        theirs = extract_usage(answer, provider_id="aws", api_flavor="default").usage
        counts = (theirs.input_tokens, theirs.output_tokens, theirs.cache_read_tokens, theirs.cache_write_tokens)
        mine = (ours.input, ours.output, ours.cache_read, ours.cache_write)
        tally.check(found, tuple(count or 0 for count in counts) == mine, f"{counts} but {mine}")
    tally.assert_all(120)


# ── The identity path ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [0, 1, 7, 1000])
def test_the_tap_passes_every_byte_and_reads_the_usage(size: int) -> None:
    tally = Tally(f"taps, {size or 'all'} bytes at a time")
    for found in (*answered(converses()), *answered(invocations())):
        dialect = CONVERSE if "converse" in found.meta["endpoint"] else INVOKE
        stream = found.meta["stream"]
        if stream and b"eventstream" not in str(found.record["response"]["headers"]).encode():
            continue
        tap = dialect.tap(peek(found))
        parts = pieces(found.response, size if stream else 0)
        passed = b"".join([*map(tap.feed, parts), tap.eof()]) == found.response and tap.complete and tap.error is None
        headers = [(n.lower().encode(), v.encode()) for n, v in found.record["response"]["headers"]]
        usage = tap.usage or dialect.usage_of(headers)
        tally.check(found, passed and usage is not None, f"passed {passed}, {usage}")
        if dialect is CONVERSE:
            assert tap.usage == read(CONVERSE, found.response, stream)[-1]
    tally.assert_all(160)


def test_the_tap_gives_whole_frames_and_ends_a_cut_stream_with_an_exception() -> None:
    from botocore.eventstream import EventStreamBuffer

    for found in answered(exchanges("/converse-stream")):
        tap = CONVERSE.tap(peek(found))
        cut = found.response[: found.response.rindex(b"messageStop") - 30]
        for piece in pieces(cut, 97):
            buffer = EventStreamBuffer()
            buffer.add_data(tap.feed(piece))
            assert all(event.headers[":message-type"] == "event" for event in buffer)
        buffer = EventStreamBuffer()
        buffer.add_data(tap.eof())
        [last] = buffer
        assert last.headers[":exception-type"] == "modelStreamErrorException"
        assert tap.error is not None
        assert not tap.complete


# ── Errors and counts ──────────────────────────────────────────────────────────────────────────────────────────────


def test_every_recorded_error_is_classified() -> None:
    kinds = {400: {"invalid_request", "context_length", "not_found"}, 403: {"authentication"}}
    tally = Tally("errors")
    for found in (*converses(), *invocations(), *exchanges("/count-tokens")):
        if (status := found.meta["status"]) != 200:
            headers = [(n.lower().encode(), v.encode()) for n, v in found.record["response"]["headers"]]
            error = CONVERSE.read_error(status, headers, found.response)
            tally.check(found, error.kind in kinds[status] and error.body == found.response, repr(error))
    tally.assert_all(15)


def test_every_recorded_count_is_read_and_its_request_too() -> None:
    tally = Tally("counts")
    for found in exchanges("/count-tokens"):
        request = CONVERSE.read_count_request(found.request, peek(found))
        lost: list[str] = []
        body = json.loads(CONVERSE.write_count_request(request, request.model, Quirks(), lost))
        counted = found.meta["status"] != 200 or CONVERSE.read_count(found.response) > 0
        tally.check(found, counted and request.messages and not faults("CountTokens", body), f"{lost}")
    tally.assert_all(5)


def test_what_is_left_out_is_left_out_for_a_reason() -> None:
    others = [found for found in answered(invocations()) if not is_known(found)]
    for found in others:
        with pytest.raises(BadRequest, match="Use Converse instead"):
            INVOKE.read_request(found.request, peek(found))
    print(f"invoked with a body of their maker's own, passed only: {sorted({model(found) for found in others})}")
