"""A Messages request body, read into the core `Request`.

Two shapes differ from the core's. Tool results live in user turns here, beside anything else the user says: such a
turn becomes a run of messages, `tool` and `user`, in order. And `system` is a field of its own: it becomes the first
message. Each keeps the path that the client knows it by.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

from trunkline.core.errors import BadRequest
from trunkline.core.request import (
    Extra,
    ForeignTool,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    Request,
    Role,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
)
from trunkline.dialects.anthropic.content_reader import read_content, take_cache
from trunkline.dialects.anthropic.vocabulary import NAME, NAMES
from trunkline.dialects.fields import Fields, Table, decode_object, typed, wrong

_THINKING = ("enabled", "adaptive", "disabled", "between_tools")
_CHOICES = {"auto": "auto", "any": "required", "none": "none", "tool": "tool"}


def read_request(body: bytes, model: str = "", counting: bool = False) -> Request:
    """`model`: where it is known already, from the path perhaps. `counting`: a request to count tokens, which has no
    limit. Raises BadRequest."""
    top = Fields(decode_object(body))
    given = top.left
    named = given.pop("model", None) if model else top.need("model", str)
    max_tokens = None if counting else top.need("max_tokens", int)
    request = Request(model or named, _messages(top.need("messages", list)), NAME, names=NAMES, max_tokens=max_tokens)
    if "system" in given:
        request.messages[:0] = _system(top.any("system"))
    if not given.keys().isdisjoint(_SHARED):
        _shared(top, request)
    top.fill(request, _FIELDS)
    if rest := top.rest():
        request.extra |= rest
    return request


_SHARED = frozenset({"tool_choice", "output_config", "output_format", "thinking", "metadata", "cache_control"})
"""Fields that say two things, or one thing together."""


def _shared(top: Fields, request: Request) -> None:
    extra = request.extra
    request.tool_choice, request.parallel_tool_calls = _tool_choice(top.get("tool_choice", dict), extra)
    request.output, effort = _output_config(top, extra)
    request.reasoning = _reasoning(top.get("thinking", dict), effort, extra)
    request.user, request.metadata = _metadata(top.get("metadata", dict))
    request.cache = take_cache(top)


# ── Messages ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _system(value: Any) -> list[Message]:
    if value is None:
        return []
    return [Message("system", read_content(value, "system"), at="system")]


def _messages(items: list[Any]) -> list[Message]:
    if not items:
        raise BadRequest("messages must hold at least one message.", param="messages")
    out: list[Message] = []
    for i, item in enumerate(items):
        out += _message(item, f"messages[{i}]")
    return out


def _message(item: Any, at: str) -> list[Message]:
    if type(item) is dict and len(item) == 2 and type(text := item.get("content")) is str:
        role = item.get("role")
        if role in _SPEAKERS:  # what most messages are, for a quarter of the 1.6 µs that the rest takes
            return [Message(role, [Text(text, None, None, f"{at}.content")], None, None, at)]
    fields = Fields(item, at)
    role = fields.need("role", str)
    if role not in _SPEAKERS:
        path = fields.path("role")
        raise BadRequest(f"{path} must be user, assistant or system, not {role!r}.", param=path)
    if fields.left.get("content") is None:
        path = fields.path("content")
        raise BadRequest(f"{path} is required and must be a string or an array of blocks.", param=path)
    parts = read_content(fields.any("content"), fields.path("content"))
    extra = fields.rest()
    if role == "user" and any(isinstance(part, ToolResult) for part in parts):
        return _split(parts, extra, fields.at)
    return [Message(role, parts, extra=extra, at=fields.at)]  # type: ignore[arg-type]  # checked above


_SPEAKERS = ("user", "assistant", "system")


def _split(parts: list[Part], extra: Extra | None, at: str) -> list[Message]:
    """A user turn with tool results in it: one message for each run of results and of anything else."""
    out: list[Message] = []
    for results, run in groupby(parts, lambda part: isinstance(part, ToolResult)):
        role: Role = "tool" if results else "user"
        out.append(Message(role, list(run), extra=None if out else extra, at=at))
    return out


# ── Tools ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _tools(top: Fields, name: str) -> list[Tool | ForeignTool]:
    return [_tool(item, f"tools[{i}]") for i, item in enumerate(top.need(name, list))]


def _tool(item: Any, at: str) -> Tool | ForeignTool:
    """A custom tool is ours to translate; one with another `type` runs at Anthropic and is kept as it came."""
    if type(item) is dict and item.get("type") not in {None, "custom"}:
        return ForeignTool(NAME, item, at)
    fields = Fields(item, at)
    fields.any("type")
    return Tool(
        name=fields.need("name", str),
        description=fields.get("description", str),
        schema=fields.need("input_schema", dict),
        strict=fields.get("strict", bool),
        cache=take_cache(fields),
        extra=fields.rest(),
        at=at,
    )


def _tool_choice(value: dict[str, Any] | None, extra: Extra) -> tuple[ToolChoice | None, bool | None]:
    """The choice, and whether calls may be parallel."""
    if value is None:
        return None, None
    fields = Fields(value, "tool_choice")
    kind = fields.need("type", str)
    if kind not in _CHOICES:
        path = fields.path("type")
        raise BadRequest(f"{path} must be auto, any, tool or none, not {kind!r}.", param=path)
    disabled = fields.get("disable_parallel_tool_use", bool)
    name = fields.need("name", str) if kind == "tool" else None
    if rest := fields.rest():
        extra["tool_choice"] = rest
    choice = ToolChoice(_CHOICES[kind], name)  # type: ignore[arg-type]  # the table's values
    return choice, None if disabled is None else not disabled


# ── How to answer ──────────────────────────────────────────────────────────────────────────────────────────────────


def _output_config(top: Fields, extra: Extra) -> tuple[OutputFormat | None, str | None]:
    """The format and the effort. `output_format` is what the field was called while it was in beta."""
    config = Fields(top.get("output_config", dict) or {}, "output_config")
    effort = config.get("effort", str)
    older = top.get("output_format", dict)
    wanted = config.get("format", dict)
    output = _format(wanted if wanted is not None else older, config, "output_config.format")
    if rest := config.rest():
        extra["output_config"] = rest
    return output, effort


def _format(value: dict[str, Any] | None, config: Fields, at: str) -> OutputFormat | None:
    match value:
        case None:
            return None
        case {"type": "json_schema", "schema": dict()} if len(value) == 2:
            return OutputFormat("json_schema", schema=value["schema"])
        case {"type": "json_schema"} if type(value.get("schema")) is not dict:
            raise wrong(f"{at}.schema", "an object", value.get("schema"))
    config.left["format"] = value  # a kind of format that we do not know: its own dialect writes it back
    return None


def _reasoning(thinking: dict[str, Any] | None, effort: str | None, extra: Extra) -> Reasoning | None:
    if thinking is None:
        return Reasoning(effort) if effort is not None else None
    fields = Fields(thinking, "thinking")
    mode = fields.need("type", str)
    if mode not in _THINKING:
        path = fields.path("type")
        raise BadRequest(f"{path} must be {', '.join(_THINKING[:-1])} or {_THINKING[-1]}, not {mode!r}.", param=path)
    budget = fields.need("budget_tokens", int) if mode == "enabled" else fields.get("budget_tokens", int)
    display = fields.get("display", str)
    if rest := fields.rest():
        extra["thinking"] = rest
    return Reasoning(effort, budget, mode, display)  # type: ignore[arg-type]  # checked above


def _metadata(value: dict[str, Any] | None) -> tuple[str | None, dict[str, Any] | None]:
    if value is None:
        return None, None
    fields = Fields(value, "metadata")
    return fields.get("user_id", str), fields.rest()


_FIELDS: Table = {
    "tools": ("tools", _tools),
    "temperature": ("temperature", Fields.number),
    "top_p": ("top_p", Fields.number),
    "top_k": ("top_k", typed(int)),
    "stop_sequences": ("stop", Fields.strings),
    "stream": ("stream", typed(bool)),
    "service_tier": ("tier", typed(str)),
}
"""The request's optional fields that say one thing each."""
