"""A Chat Completions request body, read into the core `Request`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trunkline.core.errors import BadRequest
from trunkline.core.request import (
    Audio,
    CacheMark,
    CustomTool,
    Document,
    FileId,
    Foreign,
    ForeignTool,
    Image,
    Inline,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    RedactedThinking,
    Refusal,
    Request,
    Source,
    Text,
    Thinking,
    ThinkingMode,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Url,
)
from trunkline.dialects.carried import Carried, placed, unpack, unseal
from trunkline.dialects.fields import Fields, Table, decode_object, typed, wrong
from trunkline.dialects.links import read_link
from trunkline.dialects.openai_chat.vocabulary import NAME, NAMES


def read_request(body: bytes, model: str = "") -> Request:
    """`model`: where it is known already, from the path perhaps. Raises BadRequest."""
    top = Fields(decode_object(body))
    given = top.left
    names = NAMES
    if given.get("max_completion_tokens") is None:
        names = _OLDER_NAMES
    elif given.get("max_tokens") is not None:
        raise BadRequest("Set max_completion_tokens or max_tokens, not both.", param="max_tokens")
    named = top.left.pop("model", None) if model else top.need("model", str)
    request = Request(model or named, _messages(top.need("messages", list)), NAME, names=names)
    if not given.keys().isdisjoint(_REASONING):
        name, request.reasoning = _reasoning(top)
        request.names = {**names, "reasoning": name}
    top.fill(request, _FIELDS)
    request.extra = top.rest() or {}
    return request


_OLDER_NAMES = {**NAMES, "max_tokens": "max_tokens"}

_REASONING = frozenset({"reasoning_effort", "thinking", "reasoning"})


_MODES: dict[str, ThinkingMode] = {
    "enabled": "enabled",
    "adaptive": "adaptive",
    "disabled": "disabled",
    "between_tools": "between_tools",
}


def _reasoning(top: Fields) -> tuple[str, Reasoning | None]:
    """OpenAI's `reasoning_effort`; beside it the two shapes with which chat clients reach other families' models:
    OpenRouter's `reasoning` object and Anthropic's `thinking` object. Which of them it was, and what it says."""
    effort = top.get("reasoning_effort", str)
    if type(top.left.get("thinking")) is dict:
        block = top.inner("thinking")
        mode = _MODES.get(block.get("type", str) or "")
        if mode is None:
            raise BadRequest(f"thinking.type must be one of {', '.join(_MODES)}.", param="thinking.type")
        return "thinking", Reasoning(effort, block.get("budget_tokens", int), mode, block.get("display", str))
    if type(top.left.get("reasoning")) is dict:
        block = top.inner("reasoning")
        enabled = block.get("enabled", bool)
        read = Reasoning(block.get("effort", str) or effort, block.get("max_tokens", int))
        if enabled is False:
            return "reasoning", Reasoning(read.effort, read.budget, "disabled")
        if enabled or read.effort or read.budget:
            return "reasoning", read
    return "reasoning_effort", Reasoning(effort) if effort else None


# ── Messages ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _messages(items: list[Any]) -> list[Message]:
    return [_message(item, f"messages[{i}]") for i, item in enumerate(items)]


def _message(item: Any, at: str) -> Message:
    if type(item) is dict and len(item) == 2 and type(text := item.get("content")) is str:
        role = item.get("role")
        if role in _SPEAKERS:  # what most messages are, for a fifth of the 2 µs that the rest takes
            return Message(role, [Text(text, None, None, f"{at}.content")], None, None, at)
    fields = Fields(item, at)
    role = fields.need("role", str)
    parts: list[Part]
    match role:
        case "system" | "developer" | "user":
            parts = _content(fields)
        case "assistant":
            parts = _assistant(fields)
        case "tool":
            (call_id, _), content = unpack(fields.need("tool_call_id", str)), _content(fields)
            parts = [ToolResult(call_id, content, cache=_cache(fields), at=fields.at)]
        case _:
            path = fields.path("role")
            raise BadRequest(f"{path} must be system, developer, user, assistant or tool, not {role!r}.", param=path)
    if parts and isinstance(last := parts[-1], Text | Image | Document | ToolCall) and last.cache is None:
        last.cache = _cache(fields)
    return Message(role, parts, fields.get("name", str), fields.rest(), fields.at)


_SPEAKERS = ("system", "developer", "user", "assistant")
"""Whose messages are plain where they hold nothing but a text."""


def _assistant(fields: Fields) -> list[Part]:
    """Reasoning first: a replayed turn must begin with it where its maker checks (Anthropic)."""
    parts: list[Part] = _thinking(fields)
    if fields.left.get("content") is not None:
        parts += _content(fields)
    if refusal := fields.get("refusal", str):
        parts.append(Refusal(refusal, fields.path("refusal")))
    if items := fields.get("tool_calls", list):
        at = fields.path("tool_calls")
        parts = placed(parts, [_tool_call(Fields(item, f"{at}[{i}]")) for i, item in enumerate(items)])
    if not parts and "content" not in fields.left and not fields.left.keys() & {"function_call", "audio"}:
        raise BadRequest(f"{fields.at} needs content or tool_calls.", param=fields.path("content"))
    return parts


def _thinking(fields: Fields) -> list[Part]:
    """What `answer_writer` (and OpenRouter) gives: the text, and `reasoning_details` with signatures beside it. Details
    of a kind that we do not know stay where they are."""
    plain = fields.get("reasoning_content", str) or fields.get("reasoning", str)
    fields.any("reasoning")
    parts: list[Part] = []
    items = fields.left.get("reasoning_details")
    if type(items) is list and all(type(item) is dict and item.get("type") in _DETAILS for item in items):
        del fields.left["reasoning_details"]
        parts += [_detail(Fields(item, f"{fields.at}.reasoning_details[{i}]"), plain) for i, item in enumerate(items)]
    if plain and not any(isinstance(part, Thinking) for part in parts):
        parts.insert(0, Thinking(plain, at=fields.path("reasoning_content"), maker=NAME))
    return parts


_DETAILS = {"reasoning.text", "reasoning.summary", "reasoning.encrypted"}


def _detail(fields: Fields, plain: str | None) -> Part:
    kind = fields.any("type")
    if kind == "reasoning.encrypted":
        data, maker = unseal(fields.need("data", str), NAME)
        if maker != NAME:
            fields.any("index")
        return RedactedThinking(data, fields.at, fields.rest(), maker)
    text = fields.get("text" if kind == "reasoning.text" else "summary", str)
    if kind == "reasoning.summary":
        fields.left["type"] = kind
    signature, maker = unseal(fields.get("signature", str) or "", NAME)
    if maker != NAME:
        fields.any("index")  # our own number, from the stream
    return Thinking(plain or "" if text is None else text, signature or None, fields.rest(), fields.at, maker)


def _tool_call(fields: Fields) -> tuple[ToolCall, list[Carried]]:
    """The call, and what was packed into its id."""
    kind = fields.get("type", str) or "function"
    if kind not in {"function", "custom"}:
        raise BadRequest(f"{fields.path('type')} must be function or custom, not {kind!r}.", param=fields.path("type"))
    custom = kind == "custom"
    body = fields.inner(kind)
    call_id, carried = unpack(fields.need("id", str))
    fields.any("index")  # a number from the answer that was sent back with it
    name, text = body.need("name", str), body.get("input" if custom else "arguments", str) or ""
    return ToolCall(call_id, name, text, custom, _cache(fields), fields.rest(), fields.at), carried


def _cache(fields: Fields) -> CacheMark | None:
    """Anthropic's marker as chat clients send it to hosts that pass it on; one that says more stays with the unknown
    fields."""
    match fields.left.get("cache_control"):
        case {"type": "ephemeral", "ttl": str(ttl), **rest} if not rest:
            mark = CacheMark(ttl)
        case {"type": "ephemeral", **rest} if not rest:
            mark = CacheMark()
        case _:
            return None
    del fields.left["cache_control"]
    return mark


def _content(fields: Fields) -> list[Part]:
    content = fields.any("content")
    path = fields.path("content")
    if type(content) is str:
        return [Text(content, at=path)]
    if type(content) is not list:
        raise wrong(path, "a string or an array of parts", content)
    return [_part(Fields(item, f"{path}[{i}]")) for i, item in enumerate(content)]


def _part(fields: Fields) -> Part:
    whole = dict(fields.left)
    kind = fields.need("type", str)
    read = _PARTS.get(kind)
    return Foreign(NAME, whole, fields.at) if read is None else read(fields)


def _text(fields: Fields) -> Part:
    return Text(fields.need("text", str), _cache(fields), at=fields.at, extra=fields.rest())


def _refusal(fields: Fields) -> Part:
    return Refusal(fields.need("refusal", str), fields.at)


def _image(fields: Fields) -> Part:
    if type(url := fields.left.get("image_url")) is str:
        fields.left["image_url"] = {"url": url}
    inner = fields.inner("image_url")
    source = read_link(inner.need("url", str), inner.path("url"))
    detail = inner.get("detail", str)
    return Image(source, detail, _cache(fields), fields.rest(), fields.at, inner.path("detail"))


def _audio(fields: Fields) -> Part:
    inner = fields.inner("input_audio")
    return Audio(inner.need("data", str), inner.need("format", str), fields.rest(), fields.at)


def _file(fields: Fields) -> Part:
    inner = fields.inner("file")
    file_id, data = inner.get("file_id", str), inner.get("file_data", str)
    if file_id is None and data is None:
        raise BadRequest(f"{inner.at} needs file_id or file_data.", param=inner.at)
    source: Source = FileId(file_id) if file_id else read_link(data or "", inner.path("file_data"))
    if isinstance(source, Url) and not source.url.startswith(("http:", "https:")):
        source = Inline("application/pdf", source.url)
    title = inner.get("filename", str)
    return Document(source, title, cache=_cache(fields), extra=fields.rest(), at=fields.at)


_PARTS: dict[str, Callable[[Fields], Part]] = {
    "text": _text,
    "refusal": _refusal,
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
}


# ── Tools and output ───────────────────────────────────────────────────────────────────────────────────────────────


def _tools(top: Fields, name: str) -> list[Tool | CustomTool | ForeignTool]:
    return [_tool(Fields(item, f"tools[{i}]")) for i, item in enumerate(top.need(name, list))]


def _tool(fields: Fields) -> Tool | CustomTool | ForeignTool:
    whole = dict(fields.left)
    kind = fields.get("type", str) or "function"
    if kind == "custom":
        return _custom_tool(fields)
    if kind != "function":
        return ForeignTool(NAME, whole, fields.at)
    function = fields.inner("function")
    name, description = function.need("name", str), function.get("description", str)
    schema, strict = function.get("parameters", dict), function.get("strict", bool)
    return Tool(name, description, schema, strict, _cache(fields), fields.rest(), fields.at)


def _custom_tool(fields: Fields) -> CustomTool:
    custom = fields.inner("custom")
    name, description = custom.need("name", str), custom.get("description", str)
    return CustomTool(name, description, custom.get("format", dict), fields.rest(), fields.at)


_MODE_OF: dict[str, ToolChoice] = {
    "auto": ToolChoice("auto"),
    "none": ToolChoice("none"),
    "required": ToolChoice("required"),
    "any": ToolChoice("required"),  # as Mistral has it
}


def _tool_choice(top: Fields, path: str) -> ToolChoice:
    match value := top.any(path):
        case str() if value in _MODE_OF:
            return _MODE_OF[value]
        case {"type": "function" | "custom" as kind}:
            return ToolChoice("tool", Fields(value.get(kind), f"{path}.{kind}").need("name", str))
        case {"type": "allowed_tools"}:
            return _allowed(Fields(value.get("allowed_tools"), f"{path}.allowed_tools"))
    raise BadRequest(f"{path} must be auto, none, required, or an object that names a function.", param=path)


def _allowed(fields: Fields) -> ToolChoice:
    mode = fields.need("mode", str)
    if mode not in {"auto", "required"}:
        path = fields.path("mode")
        raise BadRequest(f"{path} must be auto or required, not {mode!r}.", param=path)
    items = fields.need("tools", list)
    tools = [Fields(item, fields.path(f"tools[{i}]")) for i, item in enumerate(items)]
    allowed = tuple(tool.inner(tool.get("type", str) or "function").need("name", str) for tool in tools)
    return ToolChoice("required" if mode == "required" else "auto", allowed=allowed)


def _output(top: Fields, name: str) -> OutputFormat | None:
    fields = top.inner(name)
    match fields.need("type", str):
        case "text":
            return None
        case "json_object":
            return OutputFormat("json_object")
        case "json_schema":
            inner = fields.inner("json_schema")
            name, description = inner.need("name", str), inner.get("description", str)
            return OutputFormat("json_schema", name, description, inner.get("schema", dict), inner.get("strict", bool))
        case kind:
            path = fields.path("type")
            raise BadRequest(f"{path} must be text, json_object or json_schema, not {kind!r}.", param=path)


def _include_usage(top: Fields, name: str) -> bool:
    return top.inner(name).get("include_usage", bool) or False


_FIELDS: Table = {
    "tools": ("tools", _tools),
    "tool_choice": ("tool_choice", _tool_choice),
    "parallel_tool_calls": ("parallel_tool_calls", typed(bool)),
    "response_format": ("output", _output),
    "max_tokens": ("max_tokens", typed(int)),
    "max_completion_tokens": ("max_tokens", typed(int)),
    "temperature": ("temperature", Fields.number),
    "top_p": ("top_p", Fields.number),
    "top_k": ("top_k", typed(int)),
    "seed": ("seed", typed(int)),
    "stop": ("stop", Fields.strings),
    "frequency_penalty": ("frequency_penalty", Fields.number),
    "presence_penalty": ("presence_penalty", Fields.number),
    "logit_bias": ("logit_bias", typed(dict)),
    "logprobs": ("logprobs", typed(bool)),
    "top_logprobs": ("top_logprobs", typed(int)),
    "n": ("n", typed(int)),
    "verbosity": ("verbosity", typed(str)),
    "stream": ("stream", typed(bool)),
    "stream_options": ("include_usage", _include_usage),
    "user": ("user", typed(str)),
    "metadata": ("metadata", typed(dict)),
    "service_tier": ("tier", typed(str)),
}
"""The request's optional fields; those of reasoning, of which one decides, are read apart."""
