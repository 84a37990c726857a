"""Every recorded generateContent exchange of AI Studio and Vertex AI, through the dialect and back, and through the two
oldest dialects. The recordings stand beside the repository, in `../shared`; without them these tests skip.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
import pytest

from tests.corpus.exchanges import Tally, answered, library, needs_recordings, read
from tests.laws.generators import pieces, spoken
from trunkline.core.call import Peek
from trunkline.core.errors import BadRequest
from trunkline.core.events import Event, Failed
from trunkline.core.request import Request
from trunkline.core.usage import Usage
from trunkline.dialects import anthropic, openai_chat
from trunkline.dialects.base import Dialect, Envelope, Quirks
from trunkline.dialects.gemini import ARRAY, DIALECT

pytestmark = needs_recordings

GEMINI_3 = Quirks(signed_calls=True, media_results=True)
OLDER = Quirks(media_results=True)
THEIRS_ALONE = {
    "pydantic-ai__56c65ff388c9": "a file of Google's own store, alone in its message",
    "pydantic-ai__21d3b68fcc16": "a file of Google's own store, alone in its message",
    "pydantic-ai__6bc153f614b7": "a file of Google's own store, alone in its message",
    "pydantic-ai__c97034d74095": "a file of Google's own store, alone in its message",
    "pydantic-ai__807cc0a4e3bd": "a file of Google's own store, alone in its message",
}
"""Requests that no other family can be asked: refused by the path of the part."""
MOVED = {"pydantic-ai__b381ab89cb0c": "instructions, and a user who says nothing: the user says them then"}
NOT_SAID: dict[str, dict[str, str]] = {
    "openai_chat": THEIRS_ALONE | {"pydantic-ai__e9cbd5c9971d": "a video, alone in its message"},
    "anthropic": {},  # there its neighbours are one turn with it: the part is lost, and reported
}


@cache
def exchanges() -> tuple[Any, ...]:
    corpus = library()
    rows = [row for name in ("gemini", "vertex") for row in corpus.entries(provider=name, endpoint="enerateContent")]
    return tuple(corpus.exchange(row["id"]) for row in rows)


def requests() -> Iterator[Any]:
    """Two recordings have no request."""
    return (found for found in exchanges() if found.request)


def rewritten(events: list[Event], dialect: Dialect, stream: bool, framing: str = "") -> bytes:
    writer = dialect.writer(Envelope(stream, model="m", framing=framing))
    return b"".join(writer.feed(event) for event in events) + writer.eof()


def told(events: list[Event]) -> dict[str, Any]:
    """What every dialect can say of an answer."""
    words = spoken(events)
    usage = next((event for event in events if isinstance(event, Usage)), Usage())
    counts = (usage.input, usage.cache_read, usage.output, usage.reasoning)
    return {name: words[name] for name in ("text", "reasoning", "calls")} | {"usage": counts}


# ── Requests ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_request_is_read_and_written_so_that_googles_types_take_it() -> None:
    from google.genai import types

    tally = Tally("gemini requests")
    for found in requests():
        peek = Peek("m", found.meta["stream"])
        lost: list[str] = []
        body = DIALECT.write_request(DIALECT.read_request(found.request, peek), "m", GEMINI_3, lost)
        wire = json.loads(body)
        for content in wire["contents"]:
            types.Content.model_validate(content)
        types.GenerationConfig.model_validate(wire.get("generationConfig", {}))
        again = DIALECT.write_request(DIALECT.read_request(body, peek), "m", GEMINI_3, [])
        # Only instructions that stand alone are said in another place.
        tally.check(found, again == body and lost in ([], ["systemInstruction.role"]), f"{lost}")
    tally.assert_all(at_least=310)


def test_every_request_says_the_same_after_a_round_trip() -> None:
    tally = Tally("gemini round trips", MOVED)
    for found in requests():
        request = DIALECT.read_request(found.request, Peek("m"))
        again = DIALECT.read_request(DIALECT.write_request(request, "m", OLDER, []), Peek("m"))
        tally.check(found, _said(request) == _said(again), f"{_said(request)} is not {_said(again)}")
    tally.assert_all(at_least=310)


def _said(request: Request) -> list[Any]:
    """The messages as plain data, without their paths and without texts that are empty."""
    plain = [(message.role, _placeless(msgspec.to_builtins(message.parts))) for message in request.messages]
    said = [(role, [part for part in parts if part.get("text") != "" or part["signature"]]) for role, parts in plain]
    return [(role, parts) for role, parts in said if parts]


def _placeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _placeless(inner) for name, inner in value.items() if name != "at"}
    return [_placeless(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("dialect", [openai_chat.DIALECT, anthropic.DIALECT], ids=lambda dialect: dialect.name)
def test_every_request_can_be_asked_of_another_family(dialect: Dialect) -> None:
    tally = Tally(f"gemini requests as {dialect.name}", NOT_SAID[dialect.name])
    for found in requests():
        try:
            body = dialect.write_request(DIALECT.read_request(found.request, Peek("m")), "m", Quirks(), [])
        except BadRequest as error:
            tally.check(found, False, error.message)
            continue
        again = dialect.write_request(DIALECT.read_request(found.request, Peek("m")), "m", Quirks(), [])
        tally.check(found, body == again, "unstable")
    tally.assert_all(at_least=300)


# ── Answers ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_answer_is_read_alike_at_any_chunk_borders() -> None:
    tally = Tally("gemini answers")
    for found in answered(exchanges()):
        stream = found.meta["stream"]
        events = read(DIALECT, found.response, stream)
        same = all(read(DIALECT, found.response, stream, size) == events for size in (1, 7))
        tally.check(found, same and not isinstance(events[-1], Failed), f"{events[-1]}")
    tally.assert_all(at_least=300)


@pytest.mark.parametrize(("stream", "framing"), [(True, ""), (True, ARRAY), (False, "")])
def test_every_answer_written_again_says_the_same_to_googles_types(stream: bool, framing: str) -> None:
    from google.genai import types

    tally = Tally(f"gemini answers written {'as a stream' if stream else 'whole'} {framing}")
    for found in answered(exchanges()):
        events = read(DIALECT, found.response, found.meta["stream"])
        data = rewritten(events, DIALECT, stream, framing)
        back = read(DIALECT, data, stream)
        for chunk in _chunks(data):
            types.GenerateContentResponse.model_validate(chunk)
        same = told(back) == told(events) and spoken(back)["signatures"] == spoken(events)["signatures"]
        tally.check(found, same and spoken(back)["reasons"] == spoken(events)["reasons"], f"{told(back)}")
    tally.assert_all(at_least=300)


def _chunks(data: bytes) -> list[Any]:
    if data.startswith(b"data:"):
        return [json.loads(line[5:]) for line in data.splitlines() if line.startswith(b"data:")]
    wire = json.loads(data)
    return wire if isinstance(wire, list) else [wire]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("dialect", [openai_chat.DIALECT, anthropic.DIALECT], ids=lambda dialect: dialect.name)
def test_every_answer_reaches_another_familys_client(dialect: Dialect, stream: bool) -> None:
    tally = Tally(f"gemini answers as {dialect.name}, {'streamed' if stream else 'whole'}")
    for found in answered(exchanges()):
        events = read(DIALECT, found.response, found.meta["stream"])
        back = read(dialect, rewritten(events, dialect, stream), stream)
        tally.check(found, told(back) == told(events), f"{told(back)} is not {told(events)}")
    tally.assert_all(at_least=300)


def test_usage_is_what_the_price_list_reads() -> None:
    from genai_prices import extract_usage

    tally = Tally("gemini usage")
    for found in answered(exchanges(), stream=False):
        wire = json.loads(found.response)
        if _numbered(wire):
            continue  # six recordings have enumerations as numbers, which the price list cannot read
        events = read(DIALECT, found.response, False)
        ours = next((event for event in events if isinstance(event, Usage)), None)
        if ours is None:
            tally.check(found, not wire.get("usageMetadata", {}).get("totalTokenCount"), "no usage")
            continue
        theirs = extract_usage({**wire, "modelVersion": "gemini-2.5-flash"}, provider_id="google", api_flavor="default")
        counts = theirs.usage
        tools = wire["usageMetadata"].get("toolUsePromptTokenCount", 0)
        same = (counts.input_tokens or 0) in {ours.input, ours.input - tools}
        same = same and (counts.output_tokens or 0) == ours.output
        tally.check(found, same and (counts.cache_read_tokens or 0) == ours.cache_read, f"{ours} is not {counts}")
    tally.assert_all(at_least=230)


def _numbered(wire: Any) -> bool:
    return any(type(row["modality"]) is int for row in wire["usageMetadata"].get("promptTokensDetails") or ())


def test_the_tap_passes_every_byte_and_counts_as_the_reader_does() -> None:
    tally = Tally("gemini taps")
    for found in answered(exchanges()):
        stream = found.meta["stream"]
        framing = ARRAY if found.response.lstrip().startswith(b"[") else ""
        for size in (7, 0):
            tap = DIALECT.tap(Peek("m", stream, True, 1, framing))
            out = b"".join(tap.feed(piece) for piece in pieces(found.response, size if stream else 0)) + tap.eof()
            usage = next((e for e in read(DIALECT, found.response, stream) if isinstance(e, Usage)), None)
            same = out.strip() == found.response.strip() and tap.usage == usage
            tally.check(found, same and tap.complete and tap.error is None, f"{tap.usage} is not {usage}")
    tally.assert_all(at_least=600)


# ── Errors and counts ──────────────────────────────────────────────────────────────────────────────────────────────


def test_every_error_is_classified() -> None:
    kinds = {}
    for found in exchanges():
        if (status := found.meta["status"]) >= 400:
            error = DIALECT.read_error(status, [], found.response)
            kinds[found.meta["id"]] = (error.kind, error.retry_after is not None)
    print(f"gemini errors: {sorted(kinds.values())}")
    assert sorted(kinds.values()) == [
        ("authentication", False), ("context_length", False), ("invalid_request", False), ("invalid_request", False),
        *[("not_found", False)] * 6, ("rate_limit", True),
    ]  # fmt: skip


def test_every_count_is_read_and_asked_again() -> None:
    corpus = library()
    tally = Tally("gemini counts")
    for name in ("gemini", "vertex"):
        for row in corpus.entries(provider=name, endpoint="countTokens"):
            found = corpus.exchange(row["id"])
            request = DIALECT.read_count_request(found.request, Peek("m"))
            quirks = Quirks(counts_whole=name == "gemini")
            body = DIALECT.write_count_request(request, "m", quirks, [])
            again = DIALECT.read_count_request(body, Peek("m"))
            ok = _said(request) == _said(again)
            if row["status"] == 200:
                ok = ok and DIALECT.read_count(found.response) == json.loads(found.response)["totalTokens"]
            tally.check(found, ok, f"{body!r}")
    tally.assert_all(at_least=8)
