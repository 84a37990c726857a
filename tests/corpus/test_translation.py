"""Every recorded answer, translated: chat upstreams to Messages clients, Messages upstreams to chat clients.

The client's SDK is the judge: what its accumulator makes of the translated stream must say what the upstream said. Its
types accept every translated answer to the letter, whatever the upstream's own looked like.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from msgspec import Struct, structs

from tests.corpus.exchanges import Tally, answered, chats, messages, needs_recordings, read, write
from tests.corpus.test_openai_chat import BROKEN, chunks, counted, is_valid, sdk_view, told
from tests.laws.generators import normalize, spoken
from trunkline.core.events import Event, PartStarted, Reason
from trunkline.core.usage import Usage
from trunkline.dialects import anthropic, openai_chat
from trunkline.dialects.anthropic.vocabulary import STOP_REASONS
from trunkline.dialects.base import Dialect
from trunkline.dialects.carried import unpack
from trunkline.dialects.openai_chat.vocabulary import FINISH_REASONS

pytestmark = needs_recordings


# ── What Anthropic's SDK makes of an answer ────────────────────────────────────────────────────────────────────────


def message_view(data: bytes, stream: bool) -> dict[str, Any]:
    from anthropic.lib.streaming._messages import accumulate_event

    if not stream:
        whole: dict[str, Any] = json.loads(data)
        return whole
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for line in data.decode().splitlines():
        if line.startswith("data:"):
            snapshot = accumulate_event(event=json.loads(line[5:]), current_snapshot=snapshot, json_bufs=buffers)
    out: dict[str, Any] = snapshot.to_dict(warnings=False)
    return out


def message_is_valid(data: bytes, stream: bool) -> bool:
    import pydantic
    from anthropic.types import Message, RawMessageStreamEvent

    adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(RawMessageStreamEvent)
    try:
        if not stream:
            Message.model_validate_json(data)
        for line in data.decode().splitlines() if stream else ():
            if line.startswith("data:"):
                adapter.validate_json(line[5:])
    except pydantic.ValidationError:
        return False
    return True


def message_told(message: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {"text": "", "reasoning": "", "calls": [], "reason": message["stop_reason"]}
    for block in message["content"]:
        match block["type"]:
            case "text":
                out["text"] += block["text"]
            case "thinking":
                out["reasoning"] += block["thinking"]
            case "tool_use":
                out["calls"].append((unpack(block["id"])[0], block["name"], block["input"]))
    return out


def message_counted(message: dict[str, Any]) -> tuple[int, ...]:
    usage = message["usage"]
    read, written = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
    thought = (usage.get("output_tokens_details") or {}).get("thinking_tokens") or 0
    return usage["input_tokens"] + read + written, usage["output_tokens"], read, thought


def chat_told(completion: dict[str, Any]) -> dict[str, Any]:
    said = told(completion)
    reason = completion["choices"][0]["finish_reason"]
    return {name: said[name] for name in ("text", "reasoning", "calls")} | {"reason": reason}


# ── The two directions ─────────────────────────────────────────────────────────────────────────────────────────────


class Direction(Struct, frozen=True):
    source: Dialect
    target: Dialect
    exchanges: Callable[[], tuple[Any, ...]]
    view: Callable[[bytes, bool], dict[str, Any]]
    valid: Callable[[bytes, bool], bool]
    told: Callable[[dict[str, Any]], dict[str, Any]]
    counted: Callable[[dict[str, Any]], tuple[int, ...] | None]
    reasons: Mapping[Reason, str]
    at_least: int


DIRECTIONS = {
    "chat to messages": Direction(
        openai_chat.DIALECT, anthropic.DIALECT, chats,
        message_view, message_is_valid, message_told, message_counted, STOP_REASONS, 360,
    ),
    "messages to chat": Direction(
        anthropic.DIALECT, openai_chat.DIALECT, messages,
        sdk_view, is_valid, chat_told, counted, FINISH_REASONS, 235,
    ),
}  # fmt: skip
both = pytest.mark.parametrize("way", DIRECTIONS)


def complete(direction: Direction) -> Iterator[Any]:
    return (found for found in answered(direction.exchanges()) if found.meta["id"] not in BROKEN)


def first_choice(events: list[Event]) -> list[Event]:
    """Messages has one answer: of several it tells the first."""
    others = {e.index for e in events if isinstance(e, PartStarted) and e.choice}
    return [e for e in events if getattr(e, "index", -1) not in others and not getattr(e, "choice", 0)]


def meant(events: list[Event], reasons: Mapping[Reason, str]) -> dict[str, Any]:
    """What the upstream said, in the client's words; a refusal is text to a Messages client, and a reason."""
    said = spoken(events)
    reason = reasons[said["reasons"][0]]
    if said["refusal"] and reasons is STOP_REASONS and reason == "end_turn":
        reason = "refusal"
    text = said["text"] + (said["refusal"] if reasons is STOP_REASONS else "")
    return {"text": text, "reasoning": said["reasoning"], "calls": said["calls"], "reason": reason}


@both
@pytest.mark.parametrize("stream", [True, False])
def test_a_translated_answer_says_the_same_to_the_clients_sdk(way: str, stream: bool) -> None:
    direction = DIRECTIONS[way]
    tally = Tally(f"answers, {way}, as {'streams' if stream else 'whole'}")
    for found in complete(direction):
        events = normalize(read(direction.source, found.response, found.meta["stream"]))
        out = write(direction.target, events, stream)
        view = direction.view(out, stream)
        usage = next((e for e in events if isinstance(e, Usage)), None)
        counts = (usage.input, usage.output, usage.cache_read, usage.reasoning) if usage else None
        kept = first_choice(events) if direction.reasons is STOP_REASONS else events
        said, wanted = direction.told(view), meant(kept, direction.reasons)
        same = said == wanted and (counts is None or direction.counted(view) == counts)
        reason = f"{said} but {wanted}; {direction.counted(view)} but {counts}; {direction.valid(out, stream)}"
        tally.check(found, same and direction.valid(out, stream), reason)
    tally.assert_all(direction.at_least)


@both
def test_a_translated_answer_read_again_is_the_answer(way: str) -> None:
    """To the other dialect and back: text, calls, reasoning and its signatures, usage."""
    direction = DIRECTIONS[way]
    tally = Tally(f"answers, {way} and back")
    for found in complete(direction):
        stream = found.meta["stream"]
        events = first_choice(normalize(read(direction.source, found.response, stream)))
        for form in (True, False):
            there = read(direction.target, write(direction.target, events, form), form)
            again = normalize(read(direction.source, write(direction.source, there, form), form))
            said, wanted = spoken(again), spoken(events)
            names = ("text", "reasoning", "calls", "signatures")
            differing = [(said[name], wanted[name]) for name in names if said[name] != wanted[name]]
            counts = _carried(again), _carried(events)
            tally.check(found, (not differing or wanted["refusal"]) and counts[0] == counts[1], f"{differing} {counts}")
    tally.assert_all(2 * direction.at_least)


def _carried(events: list[Event]) -> Usage:
    """The counts that both dialects have words for. Messages cannot leave usage out: none there reads as nought."""
    usage = next((event for event in events if isinstance(event, Usage)), Usage())
    return structs.replace(usage, input_audio=0, output_audio=0, cache_write_1h=0)


@both
def test_a_dialects_own_fields_stay_at_home(way: str) -> None:
    """Envelope fields, filter results, server tools: nothing of them reaches a client of another dialect."""
    direction = DIRECTIONS[way]
    foreign = {
        "chat to messages": {"service_tier", "system_fingerprint", "provider", "content_filter_results", "choices"},
        "messages to chat": {"stop_details", "container", "server_tool_use", "cache_creation", "context_management"},
    }[way]
    for found in complete(direction):
        events = read(direction.source, found.response, found.meta["stream"])
        for form in (True, False):
            out = write(direction.target, events, form)
            parsed = _payloads(out) if form else [json.loads(out)]
            assert not (foreign & {name for value in parsed for name in _frame(value)}), found.meta["id"]


def _payloads(data: bytes) -> list[Any]:
    return [json.loads(line[5:]) for line in data.decode().splitlines() if line.startswith("data:") and "{" in line]


def _frame(value: Any) -> Iterator[str]:
    """Names of fields, but not inside a tool call's input, which is the model's own."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            if name not in {"input", "arguments"}:
                yield from _frame(inner)
    for item in value if isinstance(value, list) else ():
        yield from _frame(item)


def test_chunks_of_a_translated_stream_count_from_nought() -> None:
    """Tool calls are numbered within their choice, details and citations too: clients join by these numbers."""
    for found in answered(messages()):
        out = write(openai_chat.DIALECT, read(anthropic.DIALECT, found.response, found.meta["stream"]), True)
        numbers: dict[str, list[int]] = {}
        for chunk in chunks(out):
            for choice in chunk["choices"]:
                for name in ("tool_calls", "reasoning_details", "annotations"):
                    numbers.setdefault(name, []).extend(item["index"] for item in choice["delta"].get(name, ()))
        for seen in numbers.values():
            assert list(dict.fromkeys(seen)) == list(range(len(set(seen))))
