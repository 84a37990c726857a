"""Tools in namespaces, which OpenAI's Responses alone have, for everyone else.

Codex offers its sub-agents so. Elsewhere such a tool carries the namespace in its name, and a call of it gets the
namespace back on the way to the client. What cannot be named so stays behind, and writers report it as lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from trunkline.core.events import Event, PartStarted
from trunkline.core.request import CustomTool, ForeignTool, Message, Part, Request, Tool, ToolCall
from trunkline.dialects.base import Reader

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
"""What every family takes as a tool's name."""

Scopes = Mapping[str, tuple[str, str]]
"""Full name to namespace and name."""


def scopes_of(request: Request | None) -> Scopes:
    """The tools in namespaces by the names that they have elsewhere."""
    if request is None:
        return {}
    taken = {tool.name for tool in request.tools if isinstance(tool, Tool | CustomTool)}
    found: dict[str, tuple[str, str]] = {}
    for tool in request.tools:
        for inner in _inner(tool):
            full = f"{tool.data.get('name')}__{inner['name']}"  # type: ignore[union-attr]  # only a ForeignTool has any
            if _NAME.fullmatch(full) and full not in taken:
                found.setdefault(full, (str(tool.data["name"]), inner["name"]))  # type: ignore[union-attr]
    return found


def without_namespaces(request: Request) -> Request:
    """The request with such tools, and the calls of them, under their full names; itself where there are none."""
    scopes = {scope: full for full, scope in scopes_of(request).items()}
    if not scopes:
        return request
    tools: list[Tool | CustomTool | ForeignTool] = []
    for tool in request.tools:
        named, left = _taken_out(tool, scopes)
        tools += named
        if left is not None:
            tools.append(left)
    messages = [_renamed(message, scopes) for message in request.messages]
    return msgspec.structs.replace(request, tools=tools, messages=messages)


def _inner(tool: Tool | CustomTool | ForeignTool) -> list[dict[str, Any]]:
    """The functions of a namespace."""
    if not isinstance(tool, ForeignTool) or tool.data.get("type") != "namespace":
        return []
    inner = tool.data.get("tools")
    return [each for each in inner if _is_function(each)] if isinstance(inner, list) else []


def _is_function(tool: Any) -> bool:
    return isinstance(tool, dict) and tool.get("type") == "function" and isinstance(tool.get("name"), str)


def _taken_out(
    tool: Tool | CustomTool | ForeignTool, scopes: Mapping[tuple[str, str], str]
) -> tuple[list[Tool], Tool | CustomTool | ForeignTool | None]:
    """The tools that a namespace's functions become, and what is left of it."""
    functions = _inner(tool)
    if not isinstance(tool, ForeignTool) or not functions:
        return [], tool
    out, space = [], str(tool.data.get("name"))
    for function in functions:
        if (full := scopes.get((space, function["name"]))) is not None:
            schema, about, strict = (function.get(name) for name in ("parameters", "description", "strict"))
            out.append(
                Tool(
                    full,
                    about if isinstance(about, str) else None,
                    schema if isinstance(schema, dict) else None,
                    strict if isinstance(strict, bool) else None,
                    at=tool.at,
                )
            )
    return out, tool if len(out) < len(tool.data["tools"]) else None


def _renamed(message: Message, scopes: Mapping[tuple[str, str], str]) -> Message:
    parts = [_called(part, scopes) for part in message.parts]
    changed = any(new is not old for new, old in zip(parts, message.parts, strict=True))
    return msgspec.structs.replace(message, parts=parts) if changed else message


def _called(part: Part, scopes: Mapping[tuple[str, str], str]) -> Part:
    if not isinstance(part, ToolCall) or not part.extra or not isinstance(space := part.extra.get("namespace"), str):
        return part
    if (full := scopes.get((space, part.name))) is None:
        return part
    rest = {name: value for name, value in part.extra.items() if name != "namespace"}
    return msgspec.structs.replace(part, name=full, extra=rest or None)


class ScopedReader:
    """A reader whose calls of these tools say the namespace again, in the part's data."""

    def __init__(self, inner: Reader, scopes: Scopes) -> None:
        self._inner = inner
        self._scopes = scopes

    def feed(self, data: bytes) -> Iterable[Event]:
        return [self._told(event) for event in self._inner.feed(data)]

    def eof(self) -> Iterable[Event]:
        return [self._told(event) for event in self._inner.eof()]

    def _told(self, event: Event) -> Event:
        if not isinstance(event, PartStarted) or (scope := self._scopes.get(event.name)) is None:
            return event
        space, name = scope
        return msgspec.structs.replace(event, name=name, data={**(event.data or {}), "namespace": space})
