"""What every client asks of every provider: each scenario is said once, in nobody's words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .families import Ask, Call, Results, Said, Speaker, Tool, User
from .families_expected import Expected
from .processes import Servers

WEATHER = Tool("get_weather", {"city": {"type": "string"}})
TIME = Tool("get_time", {"zone": {"enum": ["UTC", "CET"], "type": "string"}})
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
PLACEHOLDER = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="
"""Google's word for a signature that was lost."""
THINKERS = {"sim-bedrock": "us.anthropic.claude-3-7-sonnet-20250219-v1:0"}
"""What reasons at a provider, where it is not `sim-thinker`: on Bedrock the model's name tells how to ask for it."""
ELSEWHERE = {
    "sim": "sim-responses-only",
    "sim-azure": "sim-responses-only",
    "sim-vertex": "claude-sonnet-4-5",
    "sim-bedrock": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
}
"""Models that a provider hosts in another format: Responses, Claude's Messages."""


@dataclass
class Cell:
    """One client at one provider, asking whole or streamed, and what it was told was lost."""

    speaker: Speaker
    target: str
    stream: bool
    servers: Servers
    wanted: Expected
    lost: list[str] = field(default_factory=list)

    def ask(self, model: str = "sim-small", *turns: User | Said | Results, **more: Any) -> Said:
        asked = Ask(f"{self.target}/{model}", turns or (User("hello there"),), self.stream, **more)
        said = self.speaker.ask(asked)
        self.lost += [path for path in said.lost if path not in self.lost]
        return said

    def arrived(self, marker: str) -> list[dict[str, Any]]:
        """The bodies that the provider was asked with, of the requests that hold a text."""
        return [call["body"] for call in self.servers.calls() if marker in json.dumps(call["body"])]


def plain(cell: Cell) -> None:
    said = cell.ask()
    assert "hello there" in said.text
    assert said.stop == "stop"
    assert said.input > 0
    assert said.output > 10
    assert not said.calls
    assert said.pieces > 3 or not cell.stream
    assert said.headers["x-trunkline-target"] == f"{cell.target}/sim-small"


def stream_and_whole_agree(cell: Cell) -> None:
    """What a stream's pieces come to is the whole answer."""
    question, tools = User("call get_weather and get_time, naïve 日本語 🙂"), (WEATHER, TIME)
    for more in ({}, {"tools": tools}, {"limit": 16}):
        cell.stream = False
        whole = cell.ask("sim-small", question, **more)
        cell.stream = True
        streamed = cell.ask("sim-small", question, **more)
        for name in ("text", "stop", "input", "output", "reasoned"):
            assert getattr(streamed, name) == getattr(whole, name), name
        assert _bare(streamed.calls) == _bare(whole.calls)


def instructions(cell: Cell) -> None:
    short = cell.ask()
    said = cell.ask(system="be brief and kind")
    assert said.input > short.input
    assert said.text == short.text


def conversation(cell: Cell) -> None:
    first = cell.ask("sim-small", User("one first thing"))
    second = cell.ask("sim-small", User("one first thing"), first, User("and another thing"))
    assert "and another thing" in second.text
    assert second.input > first.input


def tool_over_two_turns(cell: Cell) -> None:
    question = User("please call get_weather")
    first = cell.ask("sim-small", question, tools=(WEATHER,))
    assert first.stop == "calls"
    assert _bare(first.calls) == [("get_weather", {"city": "simulated city"})]
    second = cell.ask("sim-small", question, first, Results(first.calls, ("17 degrees",)), tools=(WEATHER,))
    assert "17 degrees" in second.text
    assert (second.stop, second.calls) == ("stop", ())


def parallel_tools(cell: Cell) -> None:
    question, tools = User("call get_weather and get_time"), (WEATHER, TIME)
    first = cell.ask("sim-small", question, tools=tools)
    assert _bare(first.calls) == [("get_weather", {"city": "simulated city"}), ("get_time", {"zone": "UTC"})]
    assert first.stop == "calls"
    ids = {call.id for call in first.calls}
    assert len(ids) == 2 or ids == {None}
    second = cell.ask("sim-small", question, first, Results(first.calls, ("sunny", "noon")), tools=tools)
    assert second.text.index("sunny") < second.text.index("noon")
    third = cell.ask(
        "sim-small", question, first, Results(first.calls, ("sunny", "noon")), second, User("thanks"), tools=tools
    )
    assert "thanks" in third.text


def structured_output(cell: Cell) -> None:
    said = cell.ask(schema=PERSON)
    assert json.loads(said.text).keys() == {"name", "age"}
    assert json.loads(said.text)["name"] == "simulated name"
    assert said.stop == "stop"


def vision(cell: Cell) -> None:
    said = cell.ask("sim-small", User("look", image=True))
    assert "1 file (image/png)" in said.text


def document(cell: Cell) -> None:
    said = cell.ask("sim-small", User("read", document=True))
    assert re.search(r"1 file \((application|document)/pdf\)", said.text)  # Bedrock names formats, not media types


def reasoning_over_two_turns(cell: Cell) -> None:
    _reason(cell, THINKERS.get(cell.target, "sim-thinker"))


def reasoning_on_another_surface(cell: Cell) -> None:
    """The same where the provider speaks another format for the model."""
    _reason(cell, ELSEWHERE[cell.target])


def _reason(cell: Cell, model: str) -> None:
    """A tool is called after some thought; what the provider signed comes back to it as it was. (The simulator checks
    every signature against what was signed.)"""
    marker = f"call get_weather for {cell.speaker.name} {cell.target} {cell.stream} {model}"
    question = User(marker)
    first = cell.ask(model, question, tools=(WEATHER,), think=True)
    assert first.stop == "calls"
    assert bool(first.thoughts) is cell.wanted.thoughts
    assert first.reasoned is None or first.reasoned > 10 or cell.target == "sim-bedrock"  # Converse does not say
    results = Results(first.calls, ("sunny",))
    second = cell.ask(model, question, first, results, tools=(WEATHER,), think=True)
    assert "sunny" in second.text
    third = cell.ask(model, question, first, results, second, User("thanks"), tools=(WEATHER,), think=True)
    assert "thanks" in third.text
    _, again, last = cell.arrived(marker)
    for body in (again, last):
        assert bool(list(_proofs(body))) is cell.wanted.proofs
        assert PLACEHOLDER not in json.dumps(body)


def length_stop(cell: Cell) -> None:
    said = cell.ask(limit=16)
    assert (said.stop, said.output) == ("length", 16)


def stop_sequence(cell: Cell) -> None:
    said = cell.ask(stop=("never said", "simulator"))
    assert said.text == "I am sim-small, a " or "stop" in cell.wanted.lost
    assert said.stop == "stop"


def refusal(cell: Cell) -> None:
    assert cell.ask("sim-small+refuse").stop == "refused"


def filtered(cell: Cell) -> None:
    assert cell.ask("sim-small+filtered").stop == "refused"


def count_tokens(cell: Cell) -> None:
    asked = Ask(f"{cell.target}/sim-small", (User("hello there, how are you"),))
    longer = Ask(f"{cell.target}/sim-small", (User("hello there, how are you today, my friend"),))
    assert 3 < cell.speaker.count(asked) < cell.speaker.count(longer) < 60


Scenario = Callable[[Cell], None]

BOTH_WAYS: tuple[Scenario, ...] = (
    plain, instructions, conversation, tool_over_two_turns, parallel_tools, structured_output, vision, document,
    reasoning_over_two_turns, reasoning_on_another_surface, length_stop, stop_sequence, refusal, filtered,
)  # fmt: skip
"""Asked whole and streamed."""
ONCE: tuple[Scenario, ...] = (stream_and_whole_agree, count_tokens)


def _bare(calls: tuple[Call, ...]) -> list[tuple[str, Any]]:
    """Without their ids."""
    return [(call.name, call.arguments) for call in calls]


_PROVING = {"signature", "thoughtSignature", "encrypted_content", "redactedContent"}


def _proofs(body: Any) -> Iterator[str]:
    """All signatures in a provider's request, of whichever format."""
    match body:
        case dict():
            for name, value in body.items():
                if name in _PROVING and isinstance(value, str) and value:
                    yield value
                yield from _proofs(value)
        case list():
            for each in body:
                yield from _proofs(each)
