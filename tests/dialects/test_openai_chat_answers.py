"""Chat answers in their rarer shapes: several choices, log-probabilities, sound, signed thoughts, hosts with habits."""

from __future__ import annotations

import json
from typing import Any

from tests.laws.generators import normalize, spoken
from trunkline.core.events import (
    Event,
    Failed,
    Finished,
    Logprobs,
    PartFinished,
    PartStarted,
    ReasoningDelta,
    SignatureDelta,
    Started,
    TextDelta,
)
from trunkline.core.usage import Usage
from trunkline.dialects.base import Envelope
from trunkline.dialects.openai_chat import DIALECT
from trunkline.dialects.openai_chat.usage import read_usage


def chunk(delta: dict[str, Any], index: int = 0, **choice: Any) -> bytes:
    body = {"id": "c", "model": "m", "choices": [{"index": index, "delta": delta, "finish_reason": None} | choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def read(data: bytes, stream: bool = True) -> list[Event]:
    reader = DIALECT.reader(stream)
    return [*reader.feed(data), *reader.eof()]


def write(events: list[Event], stream: bool) -> bytes:
    writer = DIALECT.writer(Envelope(stream))
    return b"".join(writer.feed(event) for event in events) + writer.eof()


def whole(data: bytes) -> dict[str, Any]:
    """A stream as a whole answer."""
    out: dict[str, Any] = json.loads(write(read(data), False))
    return out


def test_choices_that_come_in_turns_stay_apart() -> None:
    data = b"".join(
        [chunk({"content": "a"}, 0), chunk({"content": "x"}, 1), chunk({"content": "b"}, 0), chunk({"content": "y"}, 1)]
        + [chunk({}, index, finish_reason=reason) for index, reason in ((1, "length"), (0, "stop"))]
    )
    found = whole(data)["choices"]
    assert [(c["index"], c["message"]["content"], c["finish_reason"]) for c in found] == [
        (0, "ab", "stop"), (1, "xy", "length"),
    ]  # fmt: skip


def test_log_probabilities_of_a_stream_are_joined() -> None:
    tokens = [{"token": word, "logprob": -1.0, "bytes": None, "top_logprobs": []} for word in "ab"]
    parts = [chunk({"content": token["token"]}, logprobs={"content": [token], "refusal": None}) for token in tokens]
    data = b"".join([*parts, chunk({}, finish_reason="stop")])
    assert sum(isinstance(event, Logprobs) for event in read(data)) == 2
    assert whole(data)["choices"][0]["logprobs"] == {"content": tokens, "refusal": None}


def test_a_spoken_answer_comes_in_pieces_and_stays_whole() -> None:
    pieces = [{"id": "audio_1", "data": "QUJD"}, {"data": "REVG", "transcript": "Hel"}, {"transcript": "lo"}]
    data = b"".join([*(chunk({"audio": piece}) for piece in pieces), chunk({}, finish_reason="stop")])
    assert whole(data)["choices"][0]["message"]["audio"] == {"id": "audio_1", "data": "QUJDREVG", "transcript": "Hello"}
    assert whole(write(read(data), True)) == whole(data)


def test_each_thought_keeps_its_own_signature() -> None:
    """A signature is of one thought's text: with another's it is refused when it is sent back."""
    thoughts = [("first", "sig-1"), ("second", "sig-2")]
    events: list[Event] = [Started("i", "m")]
    for index, (text, signature) in enumerate(thoughts):
        events += [PartStarted(index, "reasoning"), ReasoningDelta(index, text), SignatureDelta(index, signature)]
        events.append(PartFinished(index))
    events += [PartStarted(2, "text"), TextDelta(2, "so"), PartFinished(2), Finished("stop"), Usage(input=1)]
    for stream in (True, False):
        assert spoken(normalize(read(write(events, stream), stream))) == spoken(events)
    details = json.loads(write(events, False))["choices"][0]["message"]["reasoning_details"]
    assert [(detail["text"], detail["signature"]) for detail in details] == thoughts
    message = {"role": "assistant", "content": "so", "reasoning_content": "firstsecond", "reasoning_details": details}
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}, message]}
    replayed = DIALECT.read_request(json.dumps(body).encode()).messages[1].parts[:2]
    assert [(part.text, part.signature) for part in replayed] == thoughts  # type: ignore[union-attr]


def test_reasoning_that_comes_twice_counts_once() -> None:
    """OpenRouter says it as plain text and as details, chunk by chunk."""
    deltas = [
        {"reasoning": word, "reasoning_details": [{"type": "reasoning.text", "text": word, "index": 0}]}
        for word in "ab"
    ]
    signed = {"reasoning_details": [{"type": "reasoning.text", "signature": "s", "index": 0}]}
    data = b"".join([*map(chunk, deltas), chunk(signed), chunk({}, finish_reason="stop")])
    said = spoken(normalize(read(data)))
    assert (said["reasoning"], said["signatures"]) == ("ab", ["s"])


def test_calls_without_numbers_are_told_apart_by_their_ids() -> None:
    calls: list[dict[str, Any]] = [
        {"id": "1", "function": {"name": "f", "arguments": "{"}}, {"function": {"arguments": "}"}},
        {"id": "2", "function": {"name": "g", "arguments": {"a": 1}}},
    ]  # fmt: skip
    data = b"".join([*(chunk({"tool_calls": [call]}) for call in calls), chunk({}, finish_reason="stop")])
    said = spoken(read(data))
    assert said["calls"] == [("1", "f", {}), ("2", "g", {"a": 1})]
    assert said["reasons"] == {0: "tool_calls"}  # whatever the host says


def test_two_calls_of_one_id_in_a_whole_answer_are_two() -> None:
    call = {"id": "same", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call, call]}
    body = json.dumps({"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]})
    assert len(spoken(read(body.encode(), False))["calls"]) == 2


def test_nothing_follows_a_choices_end() -> None:
    """Azure's late filter results come after it; so may a host's stray words, which no client expects."""
    data = chunk({"content": "a"}) + chunk({}, finish_reason="stop") + chunk({"content": "late"}) + b"data: [DONE]\n\n"
    events = read(data)
    assert isinstance(events[-1], Finished)
    assert spoken(events)["text"] == "a"


def test_usage_of_any_shape_costs_no_answer() -> None:
    for usage in (7, [], {"prompt_tokens": "many"}, {"prompt_tokens_details": 3}):
        assert read_usage(usage) is None
        body = (
            chunk({"content": "a"}, finish_reason="stop")[:-3] + b', "usage": ' + json.dumps(usage).encode() + b"}\n\n"
        )
        assert not any(isinstance(event, Failed) for event in read(body))


def test_a_part_that_is_larger_than_its_whole_is_added_to_it() -> None:
    said = {
        "prompt_tokens": 7,
        "completion_tokens": 3,
        "total_tokens": 10,
        "prompt_tokens_details": {"cached_tokens": 161},
    }
    assert read_usage(said) == Usage(input=168, cache_read=161, output=3)
    thought = {"completion_tokens": 300, "total_tokens": 510, "completion_tokens_details": {"reasoning_tokens": 200}}
    assert read_usage({"prompt_tokens": 10} | thought) == Usage(input=10, output=500, reasoning=200)
    assert read_usage({"prompt_tokens": 210} | thought) == Usage(input=210, output=300, reasoning=200)
