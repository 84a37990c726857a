"""`toolConfig`: what may be called, and what must be declared because it has been called.

The service refuses a history of tool calls without a `toolConfig`, and a `toolConfig` without tools. So tools that the
request does not declare (any more) are declared by their names; and a choice of `none`, for which Converse has no word,
leaves the tools out wherever the history lets it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from trunkline.core.request import CustomTool, ForeignTool, Message, Request, Tool, ToolCall, ToolResult
from trunkline.dialects.bedrock.families import Family
from trunkline.dialects.bedrock.vocabulary import NAME, write_cache
from trunkline.dialects.custom import as_function

_UNKNOWN_TOOL = "tool"
"""The name of a tool of which the history has only the result."""
_NO_SCHEMA = {"type": "object", "properties": {}}


class Tooling:
    def __init__(self, request: Request, family: Family, lost: list[str]) -> None:
        self.request = request
        self.family = family
        self.lost = lost
        self.own = request.dialect == NAME

    def config(self, budgeted: bool) -> dict[str, Any] | None:
        """None where nothing needs be said. `budgeted`: thinking with a fixed budget, beside which Claude refuses to be
        forced to call."""
        request, choice = self.request, self.request.tool_choice
        used = _used(request.messages)
        silent = choice is not None and choice.mode == "none"
        tools = [] if silent and not used else self._tools()
        declared = {tool["toolSpec"]["name"] for tool in tools if "toolSpec" in tool}
        tools += [_declared(name) for name in used if name not in declared]
        if not tools:
            if choice is not None and choice.mode in {"required", "tool"}:
                self.lost.append(request.name_of("tool_choice"))
            return None
        config: dict[str, Any] = {"tools": tools}
        if (written := self._choice(budgeted)) is not None:
            config["toolChoice"] = written
        return config

    def _tools(self) -> list[dict[str, Any]]:
        choice = self.request.tool_choice
        allowed = choice.allowed if choice is not None else None
        out: list[dict[str, Any]] = []
        for tool in self.request.tools:
            if isinstance(tool, Tool | CustomTool) and allowed is not None and tool.name not in allowed:
                continue
            out += self._tool(tool)
        return out

    def _tool(self, tool: Tool | CustomTool | ForeignTool) -> Iterable[dict[str, Any]]:
        """The tool, and its cache point behind it."""
        if isinstance(tool, ForeignTool):
            if tool.dialect == NAME:
                yield tool.data
            else:
                self.lost.append(tool.at)
            return
        if isinstance(tool, CustomTool):
            tool = as_function(tool, self.lost)
        spec: dict[str, Any] = {"name": tool.name}
        if tool.description:
            spec["description"] = tool.description
        schema = tool.schema or {}
        spec["inputSchema"] = {"json": schema if "type" in schema or self.own else _NO_SCHEMA | schema}
        if tool.strict:
            spec["strict"] = True
        for name, value in (tool.extra or {}).items():
            if self.own:
                spec.setdefault(name, value)
            else:
                self.lost.append(f"{tool.at}.{name}")
        yield {"toolSpec": spec}
        if tool.cache is not None and self.family.tool_cache:
            yield write_cache(tool.cache)
        elif tool.cache is not None:
            self.lost.append(f"{tool.at}.cache_control")

    def _choice(self, budgeted: bool) -> dict[str, Any] | None:
        choice = self.request.tool_choice
        match choice.mode if choice is not None else None:
            case "auto":
                return {"auto": {}}
            case "required" | "tool" if budgeted:
                self.lost.append(self.request.name_of("tool_choice"))
                return {"auto": {}}
            case "required":
                return {"any": {}}
            case "tool":
                return {"tool": {"name": choice.name if choice is not None else None}}
            case "none":  # the history needs the tools: the model may call them after all
                self.lost.append(self.request.name_of("tool_choice"))
        return None


def _used(messages: list[Message]) -> list[str]:
    """The names of the tools that the history calls, in order, each once."""
    names: dict[str, None] = {}
    results = False
    for message in messages:
        for part in message.parts:
            if isinstance(part, ToolCall):
                names.setdefault(part.name)
            results = results or isinstance(part, ToolResult)
    return list(names) or [_UNKNOWN_TOOL] * results


def _declared(name: str) -> dict[str, Any]:
    return {"toolSpec": {"name": name, "inputSchema": {"json": _NO_SCHEMA}}}
