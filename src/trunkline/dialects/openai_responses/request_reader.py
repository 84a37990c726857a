"""A Responses request body, read into the core `Request`.

Fields about the life of an answer (`store`, `previous_response_id`, `background` and their like) are not the dialect's
business: they stay in `extra`, or in `aside` where their value asks for nothing that another family would not do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trunkline.core.errors import BadRequest
from trunkline.core.request import (
    CustomTool,
    ForeignTool,
    Message,
    OutputFormat,
    Reasoning,
    Request,
    Text,
    Tool,
    ToolChoice,
)
from trunkline.dialects.fields import Fields, Table, decode_object, typed
from trunkline.dialects.openai_responses.item_reader import read_input
from trunkline.dialects.openai_responses.vocabulary import ENCRYPTED, LOGPROBS, NAME, NAMES


def read_request(body: bytes, model: str = "") -> Request:
    """`model`: where it is known already. Raises BadRequest."""
    top = Fields(decode_object(body))
    given = top.left
    named = given.pop("model", None) if model else top.need("model", str)
    request = Request(model or named, _messages(top), NAME, names=NAMES)
    top.fill(request, _FIELDS)
    if "tool_choice" in given:
        request.tool_choice = _tool_choice(request, top.any("tool_choice"))
    if "include" in given:
        _include(request, top)
    if "reasoning" in given:
        request.reasoning = _reasoning(top.inner("reasoning"))
    if "text" in given:
        text = top.inner("text")
        request.verbosity, request.output = text.get("verbosity", str), _output(text)
    for name, nothing in _ASKING_NOTHING.items():
        if (value := given.get(name)) is not None and value in nothing:
            request.aside[name] = given.pop(name)
    request.extra |= top.rest() or {}
    return request


_ASKING_NOTHING: Mapping[str, tuple[Any, ...]] = {
    "store": (False, True),
    "background": (False,),
    "truncation": ("disabled",),
    "context_management": ([],),
    "stream_options": ({}, {"include_obfuscation": False}),
}
"""Fields that no other family has, with the values under which none would miss them. What is to be stored, the gateway
stores."""


def _messages(top: Fields) -> list[Message]:
    """`instructions` are the first message. Without `input` the rest is stored somewhere."""
    out: list[Message] = []
    if (instructions := top.left.get("instructions")) is not None and type(instructions) is not list:
        text = top.get("instructions", str) or ""
        out.append(Message("system", [Text(text, at="instructions")], at="instructions"))
    if (value := top.any("input")) is not None:
        out += read_input(value)
    elif not top.left.keys() & _STORED:
        raise BadRequest("input is required and must be a string or an array of items.", param="input")
    return out


_STORED = frozenset({"prompt", "previous_response_id", "conversation"})
"""Fields that name what was said elsewhere."""


def _include(request: Request, top: Fields) -> None:
    """What is wanted beside the answer. Thoughts that can be sent back every answer of ours has."""
    wanted = top.strings("include") or []
    if LOGPROBS in wanted:
        request.logprobs = True
    if ENCRYPTED in wanted or not wanted:
        request.aside["include"] = [name for name in wanted if name == ENCRYPTED]
    if rest := [name for name in wanted if name not in {ENCRYPTED, LOGPROBS}]:
        request.extra["include"] = rest


def _reasoning(fields: Fields) -> Reasoning | None:
    effort, summary = fields.get("effort", str), fields.get("summary", str)
    if summary is None:
        summary = fields.get("generate_summary", str)
    return Reasoning(effort, summary=summary) if effort is not None or summary is not None else None


def _output(text: Fields) -> OutputFormat | None:
    if text.left.get("format") is None:
        return None
    fields = text.inner("format")
    match fields.need("type", str):
        case "text":
            return None
        case "json_object":
            return OutputFormat("json_object")
        case "json_schema":
            name, description = fields.need("name", str), fields.get("description", str)
            return OutputFormat(
                "json_schema", name, description, fields.get("schema", dict), fields.get("strict", bool)
            )
        case kind:
            path = fields.path("type")
            raise BadRequest(f"{path} must be text, json_object or json_schema, not {kind!r}.", param=path)


# ── Tools ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _tools(top: Fields, name: str) -> list[Tool | CustomTool | ForeignTool]:
    return [_tool(Fields(item, f"tools[{i}]")) for i, item in enumerate(top.need(name, list))]


def _tool(fields: Fields) -> Tool | CustomTool | ForeignTool:
    whole = dict(fields.left)
    match fields.need("type", str):
        case "function":
            name, description = fields.need("name", str), fields.get("description", str)
            schema, strict = fields.get("parameters", dict), fields.get("strict", bool)
            return Tool(name, description, schema, strict, extra=fields.rest(), at=fields.at)
        case "custom":
            name, description = fields.need("name", str), fields.get("description", str)
            return CustomTool(name, description, fields.get("format", dict), fields.rest(), fields.at)
        case _:
            return ForeignTool(NAME, whole, fields.at)


def _tool_choice(request: Request, value: Any) -> ToolChoice | None:
    """A choice of a built-in tool is kept as it came too: its name alone does not say it again."""
    match value:
        case None:
            return None
        case "auto" | "none" | "required":
            return ToolChoice(value)
        case {"type": "function" | "custom"}:
            return ToolChoice("tool", Fields(dict(value), "tool_choice").need("name", str))
        case {"type": "allowed_tools"}:
            return _allowed(request, value)
        case {"type": str(kind)}:
            request.aside["tool_choice"] = value
            return ToolChoice("tool", kind)
    raise BadRequest("tool_choice must be auto, none, required, or an object that names a tool.", param="tool_choice")


def _allowed(request: Request, value: dict[str, Any]) -> ToolChoice:
    fields = Fields(dict(value), "tool_choice")
    mode = fields.need("mode", str)
    if mode not in {"auto", "required"}:
        path = fields.path("mode")
        raise BadRequest(f"{path} must be auto or required, not {mode!r}.", param=path)
    items = [dict(item) if type(item) is dict else item for item in fields.need("tools", list)]
    tools = [Fields(item, fields.path(f"tools[{i}]")) for i, item in enumerate(items)]
    if any(tool.left.get("type") not in {"function", "custom"} for tool in tools):
        request.aside["tool_choice"] = value
    named = tuple(str(tool.left.get("name") or tool.need("type", str)) for tool in tools)
    return ToolChoice("required" if mode == "required" else "auto", allowed=named)


_FIELDS: Table = {
    "tools": ("tools", _tools),
    "parallel_tool_calls": ("parallel_tool_calls", typed(bool)),
    "max_output_tokens": ("max_tokens", typed(int)),
    "temperature": ("temperature", Fields.number),
    "top_p": ("top_p", Fields.number),
    "top_logprobs": ("top_logprobs", typed(int)),
    "stream": ("stream", typed(bool)),
    "user": ("user", typed(str)),
    "metadata": ("metadata", typed(dict)),
    "service_tier": ("tier", typed(str)),
}
"""The request's optional fields that say one thing each."""
