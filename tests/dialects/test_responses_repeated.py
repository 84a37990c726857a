"""The settings of a request that its response repeats."""

from __future__ import annotations

import json

import pytest

from trunkline.core.events import Event, Finished, PartFinished, PartStarted, Started, TextDelta
from trunkline.dialects.base import Envelope
from trunkline.dialects.openai_responses import DIALECT

FORMAT = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}


@pytest.mark.parametrize("stream", [False, True])
def test_settings_are_repeated_and_long_ones_are_not(stream: bool) -> None:
    body = {
        "model": "m", "input": "hello", "instructions": "long", "tools": [{"type": "function", "name": "f"}],
        "text": {"format": FORMAT}, "metadata": {"a": "b"}, "temperature": None, "tool_choice": "none",
    }  # fmt: skip
    writer = DIALECT.writer(Envelope(stream, repeated=DIALECT.repeats(json.dumps(body).encode())))
    events: list[Event] = [
        Started("1", "m", dialect="anthropic"), PartStarted(0, "text"), TextDelta(0, "{}"), PartFinished(0),
        Finished("stop"),
    ]  # fmt: skip
    said = b"".join(writer.feed(event) for event in events) + writer.eof()
    response = json.loads(said.split(b"data: ")[-1])["response"] if stream else json.loads(said)
    assert response["text"] == {"format": FORMAT}
    assert (response["metadata"], response["tool_choice"]) == ({"a": "b"}, "none")
    assert (response["temperature"], response["parallel_tool_calls"]) == (None, True)
    assert (response["tools"], response["instructions"]) == ([], None)


def test_what_cannot_be_read_is_not_repeated() -> None:
    assert DIALECT.repeats(b'{"text": ') == {}
