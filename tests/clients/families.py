"""The makers' clients behind one small interface, so that a scenario is written once and asked by each of them.

A *speaker* is a client with the API that it calls: it puts a neutral `Ask` into its SDK's own words and the answer
back into a neutral `Said`. What it sends back on a second turn is the SDK's own object, unchanged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

AZURE_S_OWN = ("prompt_filter_results", "content_filters", *(f"choices[{i}].content_filter_results" for i in range(2)))
"""In every whole answer of Azure's, and in nobody else's format: told once, by the tests of the headers."""
PNG = "iVBORw0KGgo="
PDF = "JVBERi0xLjQ="

Stop = Literal["stop", "length", "calls", "refused"]


@dataclass(frozen=True)
class Tool:
    name: str
    properties: dict[str, Any]

    @property
    def schema(self) -> dict[str, Any]:
        names = list(self.properties)
        return {"type": "object", "properties": self.properties, "required": names, "additionalProperties": False}


@dataclass(frozen=True)
class Call:
    id: str | None
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Said:
    """An answer; of a stream, what its pieces come to."""

    text: str
    stop: Stop
    input: int
    """Tokens of the prompt, cached ones included."""
    output: int
    """Tokens of the answer, thoughts included."""
    reasoned: int | None
    """Tokens of thoughts among them; None where the format has no field for it."""
    headers: Mapping[str, str]
    turn: Any
    """What the SDK wants back as the assistant's turn."""
    calls: tuple[Call, ...] = ()
    thoughts: str = ""
    """What the model shows of its thoughts."""
    pieces: int = 1
    """In how many events the text came."""

    @property
    def lost(self) -> tuple[str, ...]:
        """What the gateway said it lost, of the request and (after `answer:`) of the answer."""
        found = []
        for name, prefix in (("x-trunkline-lost", ""), ("x-trunkline-lost-answer", "answer:")):
            paths = [path for path in self.headers.get(name, "").split(", ") if path]
            found += [prefix + path for path in paths if path not in AZURE_S_OWN]
        return tuple(found)


@dataclass(frozen=True)
class User:
    text: str
    image: bool = False
    document: bool = False


@dataclass(frozen=True)
class Results:
    """What the tools of an answer's calls returned, in their order."""

    calls: tuple[Call, ...]
    texts: tuple[str, ...]

    def __iter__(self) -> Iterator[tuple[Call, str]]:
        return zip(self.calls, self.texts, strict=True)


@dataclass(frozen=True)
class Ask:
    """A request in nobody's words."""

    model: str
    turns: tuple[User | Said | Results, ...] = (User("hello there"),)
    stream: bool = False
    system: str | None = None
    tools: tuple[Tool, ...] = ()
    schema: dict[str, Any] | None = None
    stop: tuple[str, ...] = ()
    limit: int | None = None
    think: bool = False
    """A little, and show it where the format can."""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """How a client raised an error."""

    name: str
    """Of the class, and behind a slash of what the SDK puts beside it to tell errors apart."""
    status: int | None
    body: str
    headers: Mapping[str, str]


class Speaker(Protocol):
    """`family` is the one whose own targets it reaches without translation."""

    name: str
    family: str
    errors: type[Exception]
    """The class of all errors that the SDK raises for an answer that is one."""

    def ask(self, asked: Ask) -> Said: ...

    def count(self, asked: Ask) -> int: ...

    def failure(self, error: Any) -> Failure:
        """`error`: one of `errors`."""

    def close(self) -> None: ...


def turns(asked: Ask, user: Callable[[User], Any], results: Callable[[Results], list[Any]]) -> list[Any]:
    """The conversation in an SDK's words: of answers a list of turns is taken apart."""
    out: list[Any] = []
    for turn in asked.turns:
        match turn:
            case User():
                out.append(user(turn))
            case Said():
                out += turn.turn if isinstance(turn.turn, list) else [turn.turn]
            case Results():
                out += results(turn)
    return out


def present(**fields: Any) -> dict[str, Any]:
    """Those that are set."""
    return {name: value for name, value in fields.items() if value not in (None, (), [], {}, "", False)}


def arguments(text: str) -> dict[str, Any]:
    """Of a call, as the model wrote them."""
    found: dict[str, Any] = json.loads(text)
    return found
