"""Custom tools, whose input is free text, for families that have none.

They become a function with one string, and what the model calls it with becomes free text again on the way back. The
grammar that an input may have to follow binds nobody there: the description tells it, and a writer reports it as lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from trunkline.core.events import ArgumentsDelta, Event, PartFinished, PartStarted
from trunkline.core.request import CustomTool, Request, Tool
from trunkline.dialects.base import Reader

_SCHEMA = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}


class _Input(msgspec.Struct):
    input: str


_decode = msgspec.json.Decoder(_Input).decode


def as_function(tool: CustomTool, lost: list[str]) -> Tool:
    """The tool as a function of one string."""
    description = tool.description
    if tool.format is not None and tool.format.get("type") != "text":
        lost.append(f"{tool.at}.format")
        description = "\n\n".join(filter(None, (description, _grammar(tool.format))))
    return Tool(tool.name, description, _SCHEMA, extra=tool.extra, at=tool.at)


def _grammar(format_: dict[str, Any]) -> str | None:
    """What the description says of a grammar. Chat has it in an object of its own."""
    grammar = format_.get("grammar")
    told = grammar if isinstance(grammar, dict) else format_
    definition = told.get("definition")
    if not isinstance(definition, str):
        return None
    return f"`input` must follow this grammar ({told.get('syntax')}), without any wrapping:\n\n{definition}"


def custom_names(request: Request | None) -> frozenset[str]:
    return frozenset(tool.name for tool in request.tools if isinstance(tool, CustomTool)) if request else frozenset()


class CustomReader:
    """A reader whose calls of these tools are calls with free text. Their text comes at once, when it is complete."""

    def __init__(self, inner: Reader, names: frozenset[str]) -> None:
        self._inner = inner
        self._names = names
        self._held: dict[int, list[str]] = {}
        """Part index to the pieces of its arguments."""

    def feed(self, data: bytes) -> Iterable[Event]:
        return [told for event in self._inner.feed(data) for told in self._told(event)]

    def eof(self) -> Iterable[Event]:
        return [told for event in self._inner.eof() for told in self._told(event)]

    def _told(self, event: Event) -> list[Event]:
        match event:
            case PartStarted(index=index, kind="tool_call", name=name) if name in self._names:
                self._held[index] = []
                return [msgspec.structs.replace(event, kind="custom_tool_call")]
            case ArgumentsDelta(index, text) if index in self._held:
                self._held[index].append(text)
                return []
            case PartFinished(index) if index in self._held:
                return [ArgumentsDelta(index, _freed("".join(self._held.pop(index)))), event]
            case _:
                return [event]


def _freed(arguments: str) -> str:
    """The one string; arguments of another shape (the model erred, or was cut short) as they are."""
    try:
        return _decode(arguments.encode()).input
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return arguments
