"""A Converse request body, read into the core `Request`.

The model is in the path, as is whether to stream. Tool results live in user turns, beside anything else the user says:
such a turn becomes a run of messages, `tool` and `user`, in order. `system` is a field of its own: it becomes the first
message. What Converse has no field for goes into `additionalModelRequestFields` by each model's own names; those that
ask for reasoning or `top_k` are understood, the others are kept.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

import msgspec

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
from trunkline.dialects.bedrock.content_reader import mark, read_content, read_system
from trunkline.dialects.bedrock.vocabulary import NAME, NAMES
from trunkline.dialects.fields import Fields, Table, decode_object, typed, wrong

_decode = msgspec.json.Decoder().decode

_SPEAKERS = ("user", "assistant", "system")
_THINKING = ("enabled", "adaptive", "disabled")


def read_request(body: bytes, model: str, stream: bool = False) -> Request:
    """Raises BadRequest naming the field."""
    return read_fields(Fields(decode_object(body)), model, stream)


def read_fields(top: Fields, model: str, stream: bool = False) -> Request:
    """The same of a body that is decoded already, or is a part of another."""
    request = Request(model, _messages(top.need("messages", list), top.path("messages")), NAME, names=NAMES)
    request.stream = stream
    if (system := top.get("system", list)) and (parts := read_system(system, top.path("system"))):
        request.messages[:0] = [Message("system", parts, at=top.path("system"))]
    if "inferenceConfig" in top.left:
        top.inner("inferenceConfig").fill(request, _INFERENCE)
    if not top.left.keys().isdisjoint(_MORE):
        _more(top, request)
    if rest := top.rest():
        request.extra |= rest
    return request


_MORE = frozenset({"toolConfig", "outputConfig", "additionalModelRequestFields", "requestMetadata", "serviceTier"})
"""What few requests say."""


def _more(top: Fields, request: Request) -> None:
    _tool_config(top.inner("toolConfig"), request)
    effort = _output_config(top.inner("outputConfig"), request)
    _additional(top.inner("additionalModelRequestFields"), request, effort)
    request.metadata = top.get("requestMetadata", dict) or None
    match top.left.get("serviceTier"):
        case {"type": str(tier), **more} if not more:
            request.tier = tier
            top.any("serviceTier")


# ── Messages ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _messages(items: list[Any], at: str) -> list[Message]:
    if not items:
        raise BadRequest(f"{at} must hold at least one message.", param=at)
    out: list[Message] = []
    for i, item in enumerate(items):
        out += _message(item, f"{at}[{i}]")
    return out


def _plain(item: Any, at: str) -> Message | None:
    """What most messages are, one text and who said it: for a fifth of the time."""
    if type(item) is not dict or len(item) != 2 or ((role := item.get("role")) != "user" and role != "assistant"):
        return None
    blocks = item.get("content")
    if type(blocks) is not list or len(blocks) != 1 or type(block := blocks[0]) is not dict or len(block) != 1:
        return None
    text = block.get("text")
    return Message(role, [Text(text, at=f"{at}.content[0]")], at=at) if type(text) is str else None


def _message(item: Any, at: str) -> list[Message]:
    if (plain := _plain(item, at)) is not None:
        return [plain]
    fields = Fields(dict(item) if type(item) is dict else item, at)
    role = fields.need("role", str)
    if role not in _SPEAKERS:
        path = fields.path("role")
        raise BadRequest(f"{path} must be user, assistant or system, not {role!r}.", param=path)
    parts = read_content(fields.need("content", list), fields.path("content"))
    extra = fields.rest()
    if role == "user" and any(isinstance(part, ToolResult) for part in parts):
        return _split(parts, extra, at)
    return [Message(role, parts, extra=extra, at=at)]  # type: ignore[arg-type]  # checked above


def _split(parts: list[Part], extra: Extra | None, at: str) -> list[Message]:
    """A user turn with tool results in it: one message for each run of results and of anything else."""
    out: list[Message] = []
    for results, run in groupby(parts, lambda part: isinstance(part, ToolResult)):
        role: Role = "tool" if results else "user"
        out.append(Message(role, list(run), extra=None if out else extra, at=at))
    return out


# ── Tools ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _tool_config(config: Fields, request: Request) -> None:
    at = config.path("tools")
    tools: list[Any] = []
    for i, item in enumerate(config.get("tools", list) or ()):
        if type(item) is dict and "cachePoint" in item and mark(tools, item["cachePoint"]):
            continue
        tools.append(_tool(item, f"{at}[{i}]"))
    request.tools = tools
    request.tool_choice = _tool_choice(config.get("toolChoice", dict), config.path("toolChoice"))


def _tool(item: Any, at: str) -> Tool | ForeignTool:
    """A tool of the client's is ours to translate; any other kind runs at Amazon and is kept as it came."""
    if type(item) is not dict:
        raise wrong(at, "an object", item)
    if "toolSpec" not in item:
        return ForeignTool(NAME, item, at)
    fields = Fields(dict(item["toolSpec"]) if type(item["toolSpec"]) is dict else item["toolSpec"], f"{at}.toolSpec")
    schema = fields.inner("inputSchema").need("json", dict)
    return Tool(
        name=fields.need("name", str),
        description=fields.get("description", str),
        schema=schema,
        strict=fields.get("strict", bool),
        extra=fields.rest(),
        at=fields.at,
    )


def _tool_choice(value: dict[str, Any] | None, at: str) -> ToolChoice | None:
    match value:
        case None:
            return None
        case {"auto": _}:
            return ToolChoice("auto")
        case {"any": _}:
            return ToolChoice("required")
        case {"tool": {"name": str(name)}}:
            return ToolChoice("tool", name)
    raise BadRequest(f"{at} must have the field auto, any or tool.", param=at)


# ── How to answer ──────────────────────────────────────────────────────────────────────────────────────────────────


def _stops(config: Fields, name: str) -> list[str] | None:
    return config.strings(name) or None


_INFERENCE: Table = {
    "maxTokens": ("max_tokens", typed(int)),
    "temperature": ("temperature", Fields.number),
    "topP": ("top_p", Fields.number),
    "stopSequences": ("stop", _stops),
}


def _output_config(config: Fields, request: Request) -> str | None:
    """Fills in the format, and returns the effort."""
    match config.left.get("textFormat"):
        case {"type": "json_schema", "structure": {"jsonSchema": dict(asked)}}:
            wanted = Fields(dict(asked), config.path("textFormat.structure.jsonSchema"))
            schema = _schema(wanted.need("schema", str), wanted.path("schema"))
            name, description = wanted.get("name", str), wanted.get("description", str)
            request.output = OutputFormat("json_schema", name, description, schema)
            config.any("textFormat")
    return config.get("effort", str)


def _schema(text: str, at: str) -> dict[str, Any]:
    try:
        schema = _decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(f"{at} must be a JSON schema, as text: {error}.", param=at) from error
    if type(schema) is not dict:
        raise wrong(at, "a JSON schema, as text,", schema)
    return schema


def _additional(fields: Fields, request: Request, effort: str | None) -> None:
    """What models call reasoning: Claude `thinking` with `output_config.effort` (or, older, `reasoning_config`), Nova
    `reasoningConfig`, others a level in `reasoning_config`. Nova keeps `topK` in an `inferenceConfig` of its own."""
    left = fields.left
    request.top_k = _taken(left, "top_k", int)
    match left.get("inferenceConfig"):
        case {"topK": int(top_k), **rest} if not rest:
            request.top_k = top_k
            del left["inferenceConfig"]
    match left.get("tool_choice"):
        case {"type": "auto" | "any" | "tool", "disable_parallel_tool_use": bool(single)}:
            request.parallel_tool_calls = not single
            del left["tool_choice"]
    match left.get("output_config"):
        case {"effort": str(level), **rest} if not rest:
            effort = level
            del left["output_config"]
    reasoning = Reasoning(effort) if effort is not None else None
    for name in ("thinking", "reasoning_config", "reasoningConfig"):
        if name in left and (asked := _asked(left[name], effort)) is not None:
            reasoning = asked
            del left[name]
            break
    request.reasoning = reasoning


def _asked(value: Any, effort: str | None) -> Reasoning | None:
    """None where it says more than the core can hold."""
    match value:
        case str(level):
            return Reasoning(level)
        case {"type": "enabled", "maxReasoningEffort": str(level), **rest} if not rest:
            return Reasoning(level)
        case {"type": str(mode), **rest} if mode in _THINKING and rest.keys() <= {"budget_tokens", "display"}:
            budget, display = rest.get("budget_tokens"), rest.get("display")
            if isinstance(budget, int | None) and isinstance(display, str | None):
                return Reasoning(effort, budget, mode, display)  # type: ignore[arg-type]  # checked above
    return None


def _taken(left: dict[str, Any], name: str, kind: type) -> Any:
    return left.pop(name) if type(left.get(name)) is kind else None
