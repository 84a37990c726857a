"""Whether an answer can go on, and one answer led into another."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.core.errors import UpstreamBroken
from trunkline.core.events import (
    ArgumentsDelta,
    CitationDelta,
    Event,
    Failed,
    Finished,
    PartFinished,
    PartStarted,
    ReasoningDelta,
    SignatureDelta,
    Started,
    TextDelta,
)
from trunkline.core.request import Message, OutputFormat, Request, Text, ToolChoice
from trunkline.core.usage import Usage
from trunkline.policy.continuation import MAX_WORDS, Said, continued, obstacle
from trunkline.policy.splice import SHORTEST, Overlap, Splice

START = Started("a", "m")
TEXT = PartStarted(0, "text")


def said(*events: Event) -> Said:
    noted = Said()
    for event in events:
        noted.note(event)
    return noted


def after(first: Said, second: list[Event], spent: Usage | None = None) -> list[Event]:
    """What the client gets of the second answer, noted as it is sent."""
    splice, out = Splice(first, first.words, spent), []
    for event in second:
        for each in splice.follow(event):
            first.note(each)
            out.append(each)
    return out


FINAL: dict[str, list[Event]] = {
    "a tool call": [PartStarted(0, "tool_call", id="c", name="f")],
    "arguments": [ArgumentsDelta(0, "{")],
    "a refusal": [PartStarted(0, "refusal")],
    "sound": [PartStarted(0, "media")],
    "a second alternative": [PartStarted(0, "text", choice=1)],
    "a citation": [TEXT, CitationDelta(0, {})],
    "an end": [TEXT, TextDelta(0, "a"), PartFinished(0), Finished("stop")],
    "more than is kept": [TEXT, TextDelta(0, "a" * (MAX_WORDS + 1))],
}


@pytest.mark.parametrize("case", FINAL)
def test_nothing_can_follow(case: str) -> None:
    assert said(START, *FINAL[case]).final is not None


def test_thoughts_and_white_space_leave_all_open() -> None:
    state = said(START, PartStarted(0, "reasoning"), ReasoningDelta(0, "hm"), PartFinished(0))
    assert (state.final, state.words, state.thought) == (None, "", True)
    assert said(START, TEXT, TextDelta(0, "\n ")).words == ""


OBSTACLES: list[dict[str, Any]] = [
    {"output": OutputFormat("json_object")},
    {"tool_choice": ToolChoice("required")},
    {"n": 2},
    {"logprobs": True},
]


@pytest.mark.parametrize("fields", OBSTACLES, ids=lambda fields: next(iter(fields)))
def test_requests_whose_answers_are_not_continued(fields: dict[str, Any]) -> None:
    request = Request("m", [Message("user", [Text("hi")])])
    assert obstacle(request) is None
    for name, value in fields.items():
        setattr(request, name, value)
    assert obstacle(request) is not None


def test_the_rest_is_asked_for_with_the_rest_of_the_tokens() -> None:
    request = continued(Request("m", [Message("user", [Text("hi")])], max_tokens=10), "Once upon ", 3)
    assert request.messages[-1].role == "assistant"
    assert request.messages[-1].parts == [Text("Once upon")]
    assert request.max_tokens == 7


def test_the_open_text_goes_on() -> None:
    first = said(START, TEXT, TextDelta(0, "Once "))
    second = [Started("b", "n"), TEXT, TextDelta(0, "upon"), PartFinished(0), Finished("stop"), Usage(3, output=2)]
    assert after(first, second, Usage(1, output=1, estimated=True)) == [
        TextDelta(0, "upon"),
        PartFinished(0),
        Finished("stop"),
        Usage(4, output=3, estimated=True),
    ]


def test_a_tool_call_follows_the_text() -> None:
    first = said(START, TEXT, TextDelta(0, "Let me look."))
    call: list[Event] = [PartStarted(0, "tool_call", id="c", name="f"), ArgumentsDelta(0, "{}"), PartFinished(0)]
    assert after(first, [START, *call, Finished("tool_calls")]) == [
        PartFinished(0),
        PartStarted(1, "tool_call", id="c", name="f"),
        ArgumentsDelta(1, "{}"),
        PartFinished(1),
        Finished("tool_calls"),
    ]


def test_thoughts_are_shown_once() -> None:
    first = said(START, PartStarted(0, "reasoning"), ReasoningDelta(0, "hm"))
    thoughts: list[Event] = [
        PartStarted(0, "reasoning"), ReasoningDelta(0, "so"), SignatureDelta(0, "s"), PartFinished(0),
    ]  # fmt: skip
    answer: list[Event] = [PartStarted(1, "text"), TextDelta(1, "Yes."), PartFinished(1), Finished("stop")]
    assert after(first, [START, *thoughts, *answer]) == [
        PartFinished(0),
        PartStarted(1, "text"),
        TextDelta(1, "Yes."),
        PartFinished(1),
        Finished("stop"),
    ]


def test_an_error_passes() -> None:
    error = Failed(UpstreamBroken("x"))
    assert after(said(START), [error]) == [error]


def test_an_empty_continuation_ends_the_text() -> None:
    first = said(START, TEXT, TextDelta(0, "All."))
    assert after(first, [START, Finished("stop")]) == [PartFinished(0), Finished("stop")]


# ── Repetitions ────────────────────────────────────────────────────────────────────────────────────────────────────


def shown(before: str, pieces: list[str]) -> str:
    overlap = Overlap(before)
    return "".join([overlap.feed(piece) for piece in pieces] + ([] if overlap.done else [overlap.end()]))


WORDS = st.text(alphabet="ab ", min_size=SHORTEST, max_size=40)


@given(WORDS, st.text(alphabet="xyz", min_size=1), st.integers(1, 7))
def test_all_of_a_repetition_is_left_out_however_it_is_cut(before: str, rest: str, size: int) -> None:
    before = "Once: " + before.strip() + "c" * SHORTEST
    again = before[-SHORTEST - 3 :] + rest
    pieces = [again[at : at + size] for at in range(0, len(again), size)]
    assert shown(before, pieces) == rest


@given(st.text(alphabet="abc", min_size=1, max_size=60), st.text(alphabet="xyz", max_size=30), st.integers(1, 7))
def test_what_is_no_repetition_comes_whole(before: str, rest: str, size: int) -> None:
    assert shown(before, [rest[at : at + size] for at in range(0, len(rest), size)]) == rest


def test_a_short_likeness_is_chance() -> None:
    assert shown("The sum is 1", ["1", "1 or so"]) == "11 or so"


def test_white_space_is_not_said_twice() -> None:
    assert shown("Once upon ", [" ", " a time"]) == "a time"
    assert shown("Once upon a time ", ["upon a time", " there"]) == "upon a time there"
    assert shown("Once upon a time, ", ["Once upon a time,", "", " there"]) == "there"


def test_nothing_is_held_that_cannot_be_a_repetition() -> None:
    overlap = Overlap("Once upon a time")
    assert overlap.feed("x") == "x"
    assert overlap.done
