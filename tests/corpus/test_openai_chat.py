"""Every recorded Chat Completions exchange (OpenAI, Azure, compatible hosts), through the dialect and back.

What counts as the same request is written down in `canonical`: nothing else may differ. Answers rewritten in their own
dialect are held against OpenAI's SDK: its types, and its accumulator of streams.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.corpus.exchanges import Tally, answered, chats, needs_recordings, read, write
from tests.laws.generators import normalize, pieces, spoken
from trunkline.core.errors import BadRequest, UpstreamError
from trunkline.core.events import Event, Failed, PartStarted
from trunkline.core.usage import Usage
from trunkline.dialects.base import Quirks
from trunkline.dialects.carried import unpack
from trunkline.dialects.openai_chat import DIALECT
from trunkline.dialects.openai_chat.vocabulary import REASONS

pytestmark = needs_recordings

BROKEN = {
    "pydantic-ai__89756c474a9d": "an error event ends the stream: the model called a tool that does not exist",
    "pydantic-ai__565c9a805a30": "an error event ends the stream: the token limit was reached while thinking",
}
"""Answers with status 200 that the upstream itself broke off: read as `Failed`, and as nothing else."""


NOT_A_REQUEST = {"crewAI__87190866c807"}
"""A part without type: the service answers 400, and so do we."""


def whole(stream: bool | None = None) -> Iterator[Any]:
    """The answers that did not break off."""
    return (found for found in answered(chats(), stream) if found.meta["id"] not in BROKEN)


def plain(events: list[Event]) -> list[Any]:
    """Events that compare by value: an error is an exception, equal to nothing but itself."""
    return [_shown(e.error) if isinstance(e, Failed) and isinstance(e.error, UpstreamError) else e for e in events]


def _shown(error: UpstreamError) -> tuple[Any, ...]:
    return type(error), error.status, error.kind, error.message


# ── Requests ───────────────────────────────────────────────────────────────────────────────────────────────────────


def canonical(request: dict[str, Any]) -> dict[str, Any]:
    """The documented equivalences: null, `false` for `stream` and no tools for absent; a string for one text part;
    Mistral's `any` for `required`; a tool or call without `type` for a function; `reasoning` for `reasoning_content`;
    reasoning that is switched on and has a level for reasoning of that level; a message's cache mark for that of its
    last part."""
    out = {name: value for name, value in request.items() if value is not None}
    out.pop("stream_options", None)
    if not out.get("stream"):
        out.pop("stream", None)
    if not out.get("tools"):
        for name in ("tools", "tool_choice", "parallel_tool_calls"):
            out.pop(name, None)
    if out.get("tool_choice") == "any":
        out["tool_choice"] = "required"
    if isinstance(out.get("stop"), str):
        out["stop"] = [out["stop"]]
    if (out.get("response_format") or {}).get("type") == "text":
        del out["response_format"]
    if out.get("reasoning", {}).keys() > {"enabled"}:
        out["reasoning"] = {name: value for name, value in out["reasoning"].items() if name != "enabled"}
    out["tools"] = [{"type": "function", **tool} for tool in out.get("tools", ())]
    out["messages"] = [_message(message) for message in out["messages"]]
    return out


def _message(message: dict[str, Any]) -> dict[str, Any]:
    out = {name: value for name, value in message.items() if value is not None}
    if "reasoning" in out:
        out["reasoning_content"] = out.pop("reasoning")
    if not out.get("reasoning_content") and (details := out.get("reasoning_details")):
        words = [detail.get("text") or detail.get("summary") or "" for detail in details]
        out["reasoning_content"] = "".join(words)
    if not out.get("tool_calls"):
        out.pop("tool_calls", None)
    if not out.get("reasoning_content"):
        out.pop("reasoning_content", None)
    if (mark := out.get("cache_control")) and out.get("content") and message["role"] != "tool":
        del out["cache_control"]
        content = out["content"] if isinstance(out["content"], list) else [{"type": "text", "text": out["content"]}]
        out["content"] = [*content[:-1], content[-1] | {"cache_control": mark}]
    if isinstance(content := out.get("content"), list):
        parts = [{name: value for name, value in part.items() if value is not None} for part in content]
        parts = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
        out["content"] = parts
        if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
            out["content"] = parts[0]["text"]
    if not out.get("content"):
        out.pop("content", None)
    for call in out.get("tool_calls", ()):
        call.pop("index", None)
        call.setdefault("type", "function")
    return out


def test_a_request_through_the_core_says_the_same() -> None:
    tally = Tally("requests")
    for found in chats():
        if found.meta["id"] in NOT_A_REQUEST:
            with pytest.raises(BadRequest, match=r"messages\[1\].content\[0\].type is required"):
                DIALECT.read_request(found.request)
            continue
        lost: list[str] = []
        request = DIALECT.read_request(found.request)
        quirks = Quirks(max_tokens_field=request.name_of("max_tokens"))
        out = json.loads(DIALECT.write_request(request, request.model, quirks, lost))
        before, after = canonical(json.loads(found.request)), canonical(out)
        differing = [(before.get(n), after.get(n)) for n in {*before, *after} if before.get(n) != after.get(n)]
        tally.check(found, not differing and not lost, f"lost {lost}, differs in {differing}")
    tally.assert_all(400)


def test_the_identity_path_changes_the_model_and_asks_for_usage_and_nothing_else() -> None:
    for found in chats():
        peek = DIALECT.peek(found.request)
        patched = json.loads(DIALECT.patch(found.request, "another", peek, Quirks()))
        before = json.loads(found.request)
        options = patched.pop("stream_options", None)
        given = before.pop("stream_options", None)
        assert patched == before | {"model": "another"}
        assert options == ({**(given or {}), "include_usage": True} if before.get("stream") else given)


# ── Answers ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_answer_is_read_alike_however_it_is_cut() -> None:
    tally = Tally("answers by whole, 7 and 1 bytes")
    for found in answered(chats()):
        stream = found.meta["stream"]
        events = read(DIALECT, found.response, stream)
        alike = all(plain(read(DIALECT, found.response, stream, size)) == plain(events) for size in (7, 1))
        failed = any(isinstance(event, Failed) for event in events)
        tally.check(found, alike and failed == (found.meta["id"] in BROKEN), f"alike {alike}, ends {events[-1]!r}")
    tally.assert_all(365)


def chunks(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in data.decode().splitlines() if line.startswith("data: {")]


def is_valid(data: bytes, stream: bool) -> bool:
    """Whether the SDK's types accept it to the letter."""
    import pydantic
    from openai.types.chat import ChatCompletion, ChatCompletionChunk

    try:
        if not stream:
            ChatCompletion.model_validate_json(data)
        for chunk in chunks(data) if stream else ():
            ChatCompletionChunk.model_validate(chunk)
    except pydantic.ValidationError:
        return False
    return True


def sdk_view(data: bytes, stream: bool) -> dict[str, Any]:
    """A rewritten answer as OpenAI's SDK gives it to the caller; streams by way of its accumulator."""
    from openai._models import construct_type
    from openai.lib.streaming.chat import ChatCompletionStreamState
    from openai.types.chat import ChatCompletion, ChatCompletionChunk

    if not stream:
        built: Any = construct_type(type_=ChatCompletion, value=json.loads(data))
        return dict(built.to_dict(warnings=False))
    assert data.endswith(b"data: [DONE]\n\n")
    state: Any = ChatCompletionStreamState()
    for chunk in chunks(data):
        state.handle_chunk(construct_type(type_=ChatCompletionChunk, value=chunk))
    out: dict[str, Any] = state.current_completion_snapshot.to_dict(warnings=False)
    return out


def told(completion: dict[str, Any]) -> dict[str, Any]:
    """What `spoken` says of events, said of the SDK's object."""
    out: dict[str, Any] = {"text": "", "refusal": "", "reasoning": "", "calls": [], "reasons": {}}
    for choice in completion["choices"]:
        message = choice["message"]
        out["text"] += message.get("content") or ""
        out["refusal"] += message.get("refusal") or ""
        out["reasoning"] += message.get("reasoning_content") or ""
        for call in message.get("tool_calls") or ():
            out["calls"].append(
                (unpack(call["id"])[0], call["function"]["name"], json.loads(call["function"]["arguments"] or "{}"))
            )
        out["reasons"][choice["index"]] = REASONS[choice["finish_reason"]]
    return out


def counted(completion: dict[str, Any]) -> tuple[int, ...] | None:
    if (usage := completion.get("usage")) is None:
        return None
    given, taken = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
    counts = usage["prompt_tokens"], usage["completion_tokens"], given.get("cached_tokens")
    return tuple(count or 0 for count in (*counts, taken.get("reasoning_tokens")))


@pytest.mark.parametrize("stream", [True, False])
def test_a_rewritten_answer_says_the_same_to_the_sdk(stream: bool) -> None:
    """As it was asked for, and in the other form: a stream as a whole answer, a whole answer as a stream."""
    tally = Tally(f"answers rewritten as {'streams' if stream else 'whole'}")
    for found in whole():
        events = normalize(read(DIALECT, found.response, found.meta["stream"]))
        out = write(DIALECT, events, stream)
        view, meant = sdk_view(out, stream), spoken(events)
        usage = next((e for e in events if isinstance(e, Usage)), None)
        counts = usage and (usage.input, usage.output, usage.cache_read, usage.reasoning)
        again = spoken(normalize(read(DIALECT, out, stream)))
        del meant["signatures"]
        same = again | {"signatures": []} == meant | {"signatures": []} and told(view) == meant
        valid = is_valid(out, stream) >= is_valid(found.response, found.meta["stream"])
        told_apart = f"{told(view)} but {meant}; {counted(view)} but {counts}; valid {valid}"
        tally.check(found, same and valid and counted(view) == counts, told_apart)
    tally.assert_all(360)


def test_reasoning_that_must_go_back_survives_the_rewriting() -> None:
    seen = 0
    for found in whole():
        events = normalize(read(DIALECT, found.response, found.meta["stream"]))
        for stream in (True, False):
            again = normalize(read(DIALECT, write(DIALECT, events, stream), stream))
            assert spoken(again)["signatures"] == spoken(events)["signatures"]
            assert _encrypted(again) == _encrypted(events)
        seen += bool(spoken(events)["signatures"] or _encrypted(events))
    assert seen >= 5


def _encrypted(events: list[Event]) -> list[Any]:
    return [e.data for e in events if isinstance(e, PartStarted) and e.kind == "redacted_reasoning"]


def test_usage_agrees_with_an_independent_reading() -> None:
    from genai_prices import extract_usage

    tally = Tally("usage")
    for found in whole():
        stream = found.meta["stream"]
        ours = next((e for e in read(DIALECT, found.response, stream) if isinstance(e, Usage)), None)
        body = _last_usage(found.response) if stream else json.loads(found.response)
        if ours is None or body is None:
            tally.check(found, ours is None and not (body or {}).get("usage"), "read by one of the two alone")
            continue
        theirs = extract_usage({**body, "model": "gpt-5"}, provider_id="openai", api_flavor="chat").usage
        counts = tuple(c or 0 for c in (theirs.input_tokens, theirs.output_tokens, theirs.cache_read_tokens))
        cached = ours.cache_read if _names_cache_as_openai(body) else 0
        named = (_without(ours.input, max(ours.cache_read, ours.input_audio), body["usage"]["prompt_tokens"]),
                 _without(ours.output, ours.reasoning, body["usage"]["completion_tokens"]), cached)  # fmt: skip
        counts = (min(counts[0], body["usage"]["prompt_tokens"]), *counts[1:])
        tally.check(found, counts == named, f"{counts} but {named}")
    tally.assert_all(360)


def _without(total: int, part: int, stated: int) -> int:
    """Our total as the other reading has it: without a part that the host left out of it, where it did."""
    return total - part if total > stated else total


def _names_cache_as_openai(body: dict[str, Any]) -> bool:
    return "cached_tokens" in (body["usage"].get("prompt_tokens_details") or {})


def _last_usage(data: bytes) -> dict[str, Any] | None:
    return next((chunk for chunk in reversed(chunks(data)) if chunk.get("usage")), None)


# ── The identity path ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [0, 1, 7, 1000])
def test_the_tap_passes_every_byte_and_reads_the_usage(size: int) -> None:
    for found in whole():
        stream = found.meta["stream"]
        tap = DIALECT.tap(DIALECT.peek(found.request))
        if stream:
            tap = DIALECT.tap(_asking_for_usage(found.request))
        parts = pieces(found.response, size if stream else 0)
        assert b"".join([*map(tap.feed, parts), tap.eof()]) == found.response
        assert tap.complete
        assert tap.error is None
        assert tap.usage == next((e for e in read(DIALECT, found.response, stream) if isinstance(e, Usage)), None)
        assert tap.produced > 0


def _asking_for_usage(body: bytes) -> Any:
    peek = DIALECT.peek(body)
    peek.include_usage = True
    return peek


def test_a_client_that_did_not_ask_for_usage_gets_no_chunk_that_holds_nothing_else() -> None:
    seen = 0
    for found in whole(stream=True):
        peek = DIALECT.peek(found.request)
        peek.include_usage = False
        tap = DIALECT.tap(peek)
        out = tap.feed(found.response) + tap.eof()
        before = chunks(found.response)
        assert chunks(out) == [chunk for chunk in before if chunk.get("choices") or not chunk.get("usage")]
        seen += len(before) - len(chunks(out))
    assert seen >= 20


def test_the_tap_gives_whole_events_and_ends_a_cut_stream_with_an_error() -> None:
    for found in whole(stream=True):
        tap = DIALECT.tap(DIALECT.peek(found.request))
        end = re.search(rb'"finish_reason": ?"', found.response)
        cut = found.response[: end.start() if end else found.response.index(b"[DONE]")]
        for piece in pieces(cut, 97):
            out = tap.feed(piece)
            assert not out or out.endswith(b"\n\n")
        last = tap.eof()
        assert not tap.complete
        assert tap.error is not None
        assert last.endswith(b"\n\n")
        assert b'"upstream_broken"' in last


# ── Errors ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_answer_that_broke_off_fails_on_both_paths_and_its_usage_counts() -> None:
    broken = {found.meta["id"]: found for found in chats() if found.meta["id"] in BROKEN}
    for found in broken.values():
        events = read(DIALECT, found.response, True)
        assert isinstance(events[-1], Failed)
        assert events[-1].error.status == 400
        tap = DIALECT.tap(_asking_for_usage(found.request))
        assert tap.feed(found.response) == found.response
        assert tap.error is not None
        assert tap.usage == next((e for e in events if isinstance(e, Usage)), None)
    assert len(broken) == 2


def test_every_recorded_error_is_classified() -> None:
    kinds = {
        400: {"invalid_request", "context_length"}, 401: {"authentication"}, 404: {"not_found"}, 429: {"rate_limit"},
    }  # fmt: skip
    tally = Tally("errors")
    for found in chats():
        if (status := found.meta["status"]) != 200:
            error = DIALECT.read_error(status, [], found.response)
            known = error.kind in kinds[status] and DIALECT.error_status(error) == status
            tally.check(found, known and error.message and error.body == found.response, repr(error))
    tally.assert_all(35)
