"""Every recorded Messages exchange, through the dialect and back.

The recordings stand beside the repository, in `../shared`; without them these tests skip. What counts as the same
request is written down in `canonical`: nothing else may differ.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.laws.generators import normalize, pieces, spoken
from trunkline.core.errors import BadRequest
from trunkline.core.events import Event, Failed
from trunkline.core.usage import Usage
from trunkline.dialects.anthropic import DIALECT
from trunkline.dialects.base import Envelope, Quirks

TOOLS = Path(__file__).resolve().parents[3] / "shared" / "tools"
pytestmark = pytest.mark.skipif(
    not (TOOLS / "corpus.py").exists(), reason="the recorded exchanges (../shared) are not here"
)

NOT_A_REQUEST = {"dd-trace-py__8995c65eaab6"}
"""Recorded to see it refused: the service answers 400, and so do we."""


@cache
def exchanges() -> tuple[Any, ...]:
    sys.path.append(str(TOOLS))
    import corpus

    rows = corpus.entries(provider="anthropic", endpoint="messages")
    return tuple(corpus.exchange(row["id"]) for row in rows if row["endpoint"] == "POST /v1/messages")


def answered(stream: bool | None = None) -> Iterator[Any]:
    for found in exchanges():
        if found.meta["status"] == 200 and stream in {None, found.meta["stream"]}:
            yield found


def read(data: bytes, stream: bool, size: int = 0) -> list[Event]:
    reader = DIALECT.reader(stream)
    return [event for piece in pieces(data, size) for event in reader.feed(piece)] + list(reader.eof())


def rewritten(events: list[Event], stream: bool) -> bytes:
    writer = DIALECT.writer(Envelope(stream))
    return b"".join(writer.feed(event) for event in events) + writer.eof()


class Tally:
    """Checks every exchange before it fails, and prints what came of them."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.passed = 0
        self.failed: dict[str, str] = {}

    def check(self, found: Any, ok: object, reason: str) -> None:
        if ok:
            self.passed += 1
        else:
            self.failed[found.meta["id"]] = reason

    def close(self, at_least: int) -> None:
        print(f"{self.what}: {self.passed + len(self.failed)} checked, {self.passed} passed, {len(self.failed)} failed")
        for key, reason in self.failed.items():
            print(f"  {key}: {reason[:300]}")
        assert not self.failed
        assert self.passed >= at_least


# ── Requests ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else [dict(b) for b in content or ()]


def _canonical_block(block: dict[str, Any]) -> dict[str, Any]:
    if block["type"] == "tool_result":
        block["content"] = [b for b in _blocks(block.get("content")) if b != {"type": "text", "text": ""}]
        if block.get("is_error") is False:
            del block["is_error"]
    return block


def canonical(request: dict[str, Any]) -> dict[str, Any]:
    """The documented equivalences: a string for one text block; neighbouring turns of one role for one turn; `false`,
    null and empty lists for absent; `custom` for a tool without type."""
    out = {name: value for name, value in request.items() if value not in (None, [], False)}
    if "system" in out:
        out["system"] = _blocks(out["system"])
    turns: list[dict[str, Any]] = []
    for message in out["messages"]:
        blocks = [
            _canonical_block(b) for b in _blocks(message["content"]) if (b["type"], b.get("text")) != ("text", "")
        ]
        if turns and turns[-1]["role"] == message["role"]:
            turns[-1]["content"] += blocks
        else:
            turns.append({**message, "content": blocks})
    out["messages"] = turns
    for tool in out.get("tools", ()):
        if tool.get("type") == "custom":
            del tool["type"]
        if tool.get("strict") is False:
            del tool["strict"]
    if out.get("tool_choice", {}).get("disable_parallel_tool_use") is False:
        del out["tool_choice"]["disable_parallel_tool_use"]
    return out


def test_a_request_through_the_core_says_the_same() -> None:
    tally = Tally("requests")
    for found in exchanges():
        if found.meta["id"] in NOT_A_REQUEST:
            with pytest.raises(BadRequest, match=r"messages\[0\]"):
                DIALECT.read_request(found.request)
            continue
        request, lost = DIALECT.read_request(found.request), list[str]()
        out = json.loads(DIALECT.write_request(request, request.model, Quirks(), lost))
        before, after = canonical(json.loads(found.request)), canonical(out)
        differing = [name for name in {*before, *after} if before.get(name) != after.get(name)]
        tally.check(found, not differing and not lost, f"differs in {differing}, lost {lost}")
    tally.close(240)


def test_the_identity_path_changes_the_model_and_nothing_else() -> None:
    for found in exchanges():
        peek = DIALECT.peek(found.request)
        assert DIALECT.patch(found.request, peek.model, peek, Quirks()) is found.request
        patched = json.loads(DIALECT.patch(found.request, "another", peek, Quirks()))
        assert patched == json.loads(found.request) | {"model": "another"}


# ── Answers ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_answer_is_read_alike_however_it_is_cut() -> None:
    tally = Tally("answers by whole, 7 and 1 bytes")
    for found in answered():
        stream = found.meta["stream"]
        whole = read(found.response, stream)
        alike = all(read(found.response, stream, size) == whole for size in (7, 1))
        complete = not any(isinstance(event, Failed) for event in whole) and isinstance(whole[-1], Usage)
        tally.check(found, alike and complete, f"alike {alike}, ends with {whole[-1]!r}")
    tally.close(235)


def _accumulated(data: bytes) -> dict[str, Any]:
    """What Anthropic's SDK makes of a stream."""
    from anthropic.lib.streaming._messages import accumulate_event

    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for line in data.decode().splitlines():
        if line.startswith("data:") and (event := json.loads(line[5:]))["type"] != "ping":
            snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=buffers)
    out: dict[str, Any] = snapshot.to_dict(warnings=False)
    return out


def _is_valid(data: bytes) -> bool:
    """Whether the SDK's types accept it to the letter."""
    import pydantic
    from anthropic.types import Message, RawMessageStreamEvent

    adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(RawMessageStreamEvent)
    try:
        if data.startswith(b"{"):
            Message.model_validate_json(data)
            return True
        for line in data.decode().splitlines():
            if line.startswith("data:") and b'"ping"' not in line.encode():
                adapter.validate_json(line[5:])
    except pydantic.ValidationError:
        return False
    return True


def _told(message: dict[str, Any]) -> dict[str, Any]:
    """A message without what says nothing: nulls, empty citations, the split of the cache by age."""
    out = {name: value for name, value in message.items() if value is not None and name != "parsed_output"}
    out["content"] = [
        {name: value for name, value in block.items() if value is not None and (name, value) != ("citations", [])}
        for block in message["content"]
    ]
    out["usage"] = {name: value for name, value in (message.get("usage") or {}).items() if value not in (None, 0)}
    if not (out["usage"].get("cache_creation") or {}).get("ephemeral_1h_input_tokens"):
        out["usage"].pop("cache_creation", None)
    return out


def test_a_stream_rewritten_is_the_same_message_to_the_sdk() -> None:
    tally, strict = Tally("streams rewritten"), Counter[bool]()
    for found in answered(stream=True):
        out = rewritten(read(found.response, True), True)
        same = _told(_accumulated(out)) == _told(_accumulated(found.response))
        valid = _is_valid(found.response)
        strict[valid] += 1
        tally.check(found, same and _is_valid(out) >= valid, f"{_told(_accumulated(out))}")
    print(f"of them valid to the letter: {strict[True]}, with beta blocks: {strict[False]}")
    tally.close(50)


def test_a_whole_answer_rewritten_is_the_same_message() -> None:
    tally, strict = Tally("whole answers rewritten"), Counter[bool]()
    for found in answered(stream=False):
        out = rewritten(read(found.response, False), False)
        valid = _is_valid(found.response)
        strict[valid] += 1
        same = _told(json.loads(out)) == _told(json.loads(found.response))
        tally.check(found, same and _is_valid(out) >= valid, out.decode())
    print(f"of them valid to the letter: {strict[True]}, with beta blocks: {strict[False]}")
    tally.close(180)


def test_a_stream_and_the_whole_say_the_same() -> None:
    """One answer, read as a stream, written whole, read again, and the other way round."""
    tally = Tally("stream to whole, whole to stream")
    for found in answered():
        stream = found.meta["stream"]
        events = read(found.response, stream)
        again = read(rewritten(events, not stream), not stream)
        tally.check(found, spoken(normalize(again)) == spoken(normalize(events)), "says something else")
        assert again[-1] == events[-1]
    tally.close(235)


def test_usage_agrees_with_an_independent_reading() -> None:
    from genai_prices import extract_usage

    tally = Tally("usage")
    for found in answered():
        stream = found.meta["stream"]
        ours = read(found.response, stream)[-1]
        assert isinstance(ours, Usage)
        message = _accumulated(found.response) if stream else json.loads(found.response)
        theirs = extract_usage(message, provider_id="anthropic").usage
        counts = (theirs.input_tokens, theirs.output_tokens, theirs.cache_read_tokens, theirs.cache_write_tokens)
        mine = (ours.input, ours.output, ours.cache_read, ours.cache_write)
        tally.check(found, tuple(count or 0 for count in counts) == mine, f"{counts} but {mine}")
    tally.close(235)


# ── The identity path ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [0, 1, 7, 1000])
def test_the_tap_passes_every_byte_and_reads_the_usage(size: int) -> None:
    for found in answered():
        stream = found.meta["stream"]
        tap = DIALECT.tap(DIALECT.peek(found.request))
        parts = pieces(found.response, size if stream else 0)
        assert b"".join([*map(tap.feed, parts), tap.eof()]) == found.response
        assert tap.complete
        assert tap.error is None
        assert tap.usage == read(found.response, stream)[-1]
        assert tap.produced > 0 or size != 1


def test_the_tap_gives_whole_events_and_ends_a_cut_stream_with_an_error() -> None:
    for found in answered(stream=True):
        tap = DIALECT.tap(DIALECT.peek(found.request))
        cut = found.response[: len(found.response) * 2 // 3]
        for piece in pieces(cut, 97):
            out = tap.feed(piece)
            assert not out or out.endswith(b"\n\n")
        last = tap.eof()
        assert not tap.complete
        assert tap.error is not None
        assert last.startswith(b"event: error\ndata: ")


# ── Errors ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_recorded_error_is_classified() -> None:
    kinds = {400: {"invalid_request", "context_length"}, 401: {"authentication"}, 404: {"not_found"}}
    tally = Tally("errors")
    for found in exchanges():
        if (status := found.meta["status"]) != 200:
            error = DIALECT.read_error(status, [], found.response)
            known = error.kind in kinds[status] and DIALECT.error_status(error) == status
            tally.check(found, known and error.body == found.response, repr(error))
    tally.close(8)
