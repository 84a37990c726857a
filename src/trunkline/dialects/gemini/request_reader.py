"""A generateContent request body, read into the core `Request`.

Model and streaming stand in the path. Fields come in two spellings (`camel`). Function responses live in user contents
and name their call loosely, or not at all: they become `tool` messages that name it by an id. What a client kept of a
stream is many contents of one turn: they become one message.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any, Literal

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
    ToolCall,
    ToolChoice,
    ToolResult,
)
from trunkline.dialects.fields import Fields, Table, decode_object, typed, wrong
from trunkline.dialects.gemini.content_reader import (
    NO_CALLS,
    OpenCalls,
    answer,
    identify,
    joined,
    read_parts,
    roles_of,
    settled,
)
from trunkline.dialects.gemini.schema import json_schema
from trunkline.dialects.gemini.vocabulary import NAME, NAMES, CamelFields, camel

_MODES: dict[str, Literal["auto", "none", "required"]] = {"AUTO": "auto", "ANY": "required", "NONE": "none"}
_JSON = "application/json"


def read_request(body: bytes, model: str = "", stream: bool = False) -> Request:
    """`model`, `stream`: what the path says. Raises BadRequest."""
    return _read(CamelFields(decode_object(body)), model, stream)


def read_count_request(body: bytes, model: str = "") -> Request:
    """The body of countTokens: contents alone, or a whole request in `generateContentRequest`."""
    top = CamelFields(decode_object(body))
    whole = top.get("generateContentRequest", dict)
    return _read(CamelFields(whole, "generateContentRequest") if whole is not None else top, model, False)


def _read(top: CamelFields, model: str, stream: bool) -> Request:
    top.left.pop("model", None)  # some SDKs repeat it
    messages = _messages(top)
    request = Request(model, messages, NAME, names=NAMES, stream=stream)
    if (system := top.any("systemInstruction")) is not None:
        request.messages[:0] = [_system(system, top.path("systemInstruction"))]
    if "generationConfig" in top.left:
        _generation(top.inner("generationConfig"), request)
    if "toolConfig" in top.left:
        request.tool_choice = _tool_choice(top.inner("toolConfig").inner("functionCallingConfig"))
    top.fill(request, _FIELDS)
    if rest := top.rest():
        request.extra |= rest
    return request


# ── Contents ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _system(value: Any, at: str) -> Message:
    fields = CamelFields({"parts": [{"text": value}]} if type(value) is str else value, at)
    fields.any("role")
    return Message("system", read_parts(fields.any("parts") or [], f"{at}.parts"), extra=fields.rest(), at=at)


def _messages(top: CamelFields) -> list[Message]:
    value, at = top.any("contents"), top.path("contents")
    if type(value) is dict:
        value = [value]
    if type(value) is not list:
        raise wrong(at, "an array of contents", value)
    if not value:
        raise BadRequest(f"{at} must hold at least one content.", param=at)
    return _Conversation().read(value, at)


_Content = tuple[str, list[Part], Extra | None]
"""Who speaks, what is said, and what we do not know."""


def _content(item: Any, at: str) -> _Content:
    fields = CamelFields(item, at)
    role = roles_of(fields.get("role", str), at)
    return role, read_parts(fields.any("parts") or [], fields.path("parts")), fields.rest()


def _plain(item: Any, at: str) -> _Content | None:
    """What most contents are, one text and who said it: for a fifth of the time."""
    if type(item) is not dict or len(item) != 2 or ((role := item.get("role")) != "user" and role != "model"):
        return None
    parts = item.get("parts")
    if type(parts) is not list or len(parts) != 1 or type(part := parts[0]) is not dict or len(part) != 1:
        return None
    text = part.get("text")
    return (role, [Text(text, at=f"{at}.parts[0]")], None) if type(text) is str else None


class _Conversation:
    """`turn`: the contents of the model's turn that is being read; `open_calls`: its calls, once it is read."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.turn: list[list[Part]] = []
        self.open_calls = NO_CALLS

    def read(self, contents: list[Any], at: str) -> list[Message]:
        modelled = False
        begun = 0
        for i, item in enumerate(contents):
            place = f"{at}[{i}]"
            role, parts, extra = _plain(item, place) or _content(item, place)
            if role == "model":
                if modelled:
                    self._continue(parts, extra)
                else:
                    begun, self.turn = i, [parts]
                    self.messages.append(Message("assistant", parts, extra=extra, at=place))
            else:
                if modelled:
                    self._model_done(begun)
                self._user(parts, extra, place, i)
            modelled = role == "model"
        if modelled:
            self._model_done(begun)
        return self.messages

    def _continue(self, parts: list[Part], extra: Extra | None) -> None:
        self.turn.append(parts)
        message = self.messages[-1]
        if extra:
            message.extra = (message.extra or {}) | extra

    def _model_done(self, position: int) -> None:
        message = self.messages[-1]
        if len(self.turn) == 1 and len(message.parts) == 1 and type(message.parts[0]) is Text:
            self.open_calls = NO_CALLS  # what most turns are
            return
        message.parts = settled(joined(self.turn))
        calls = [part for part in message.parts if isinstance(part, ToolCall)]
        identify(calls, position)
        self.open_calls = OpenCalls(calls)

    def _user(self, parts: list[Part], extra: Extra | None, at: str, position: int) -> None:
        """A user's content: one message for each run of results and of anything else."""
        results = [part for part in parts if type(part) is ToolResult]
        if not results:
            self.messages.append(Message("user", parts, None, extra, at))
            return
        for number, result in enumerate(results):
            answer(result, self.open_calls, position, number)
        for is_result, run in groupby(parts, lambda part: isinstance(part, ToolResult)):
            role: Role = "tool" if is_result else "user"
            self.messages.append(Message(role, list(run), extra=extra, at=at))
            extra = None


# ── How to answer ──────────────────────────────────────────────────────────────────────────────────────────────────


def _generation(config: CamelFields, request: Request) -> None:
    if "responseMimeType" in config.left or "responseSchema" in config.left or "responseJsonSchema" in config.left:
        request.output = _output(config)
    if config.left.get("responseModalities") == ["TEXT"]:
        del config.left["responseModalities"]  # what is answered anyway
    if "thinkingConfig" in config.left:
        request.reasoning = _reasoning(config.inner("thinkingConfig"))
    config.fill(request, _GENERATION)


def _output(config: CamelFields) -> OutputFormat | None:
    """JSON, by a schema or any. Another media type stays with the unknown fields; plain text is no format."""
    own, schema = config.get("responseSchema", dict), config.get("responseJsonSchema", dict)
    if schema is None and own is not None:
        schema = json_schema(own)
    if (mime := config.left.get("responseMimeType")) in ("text/plain", _JSON):
        del config.left["responseMimeType"]
    if schema is not None:
        return OutputFormat("json_schema", schema=schema)
    return OutputFormat("json_object") if mime == _JSON else None


def _reasoning(fields: CamelFields) -> Reasoning | None:
    """A budget of 0 is off, of -1 the model's own choice. Not to show thoughts, and no more, is what happens anyway."""
    budget, level = fields.get("thinkingBudget", int), fields.get("thinkingLevel", str)
    shown = fields.get("includeThoughts", bool)
    effort = level.lower().removeprefix("thinking_level_") if level else None
    if effort == "unspecified":
        effort = None
    display = None if shown is None else "summarized" if shown else "omitted"
    if budget == 0:
        effort = "none"
    if effort is None and budget is None and not shown:
        return None
    return Reasoning(effort, budget if budget is not None and budget > 0 else None, display=display)


def _tool_choice(config: CamelFields) -> ToolChoice | None:
    """VALIDATED is the service's own (free, but by the schema): the rest of the world knows it as `auto`."""
    mode, allowed = config.get("mode", str), config.strings("allowedFunctionNames")
    wanted = (mode or "").upper()
    if wanted in {"", "MODE_UNSPECIFIED"}:
        return ToolChoice("auto", allowed=tuple(allowed)) if allowed else None
    if wanted == "VALIDATED":
        config.left["mode"] = wanted
        return ToolChoice("auto", allowed=tuple(allowed) if allowed else None)
    if wanted not in _MODES:
        path = config.path("mode")
        raise BadRequest(f"{path} must be AUTO, ANY, NONE or VALIDATED, not {mode!r}.", param=path)
    if wanted == "ANY" and allowed and len(allowed) == 1:
        return ToolChoice("tool", allowed[0])
    return ToolChoice(_MODES[wanted], allowed=tuple(allowed) if allowed else None)


# ── Tools ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _tools(top: Fields, name: str) -> list[Tool | ForeignTool]:
    out: list[Tool | ForeignTool] = []
    value = top.any(name)
    at = top.path(name)
    if type(value) is not list:
        raise wrong(at, "an array", value)
    for i, item in enumerate(value):
        if type(item) is not dict:
            raise wrong(f"{at}[{i}]", "an object", item)
        for kind, told in camel(item).items():
            if kind == "functionDeclarations":
                out += _declarations(told, f"{at}[{i}].{kind}")
            elif told is not None:
                out.append(ForeignTool(NAME, {kind: told}, f"{at}[{i}].{kind}"))
    return out


def _declarations(value: Any, at: str) -> list[Tool]:
    if type(value) is dict:
        value = [value]
    if type(value) is not list:
        raise wrong(at, "an array", value)
    return [_declaration(CamelFields(item, f"{at}[{i}]")) for i, item in enumerate(value)]


def _declaration(fields: CamelFields) -> Tool:
    own, schema = fields.get("parameters", dict), fields.get("parametersJsonSchema", dict)
    return Tool(
        name=fields.need("name", str),
        description=fields.get("description", str),
        schema=schema if schema is not None else json_schema(own),
        extra=fields.rest(),
        at=fields.at,
    )


def _whole(fields: Fields, name: str) -> int:
    """An integer that the service's description calls a number."""
    value = fields.number(name)
    assert value is not None
    if value != int(value):
        raise wrong(fields.path(name), "an integer", value)
    return int(value)


def _tier(fields: Fields, name: str) -> str:
    return fields.need(name, str).lower().removeprefix("service_tier_")


_FIELDS: Table = {
    "tools": ("tools", _tools),
    "labels": ("metadata", typed(dict)),
    "serviceTier": ("tier", _tier),
}

_GENERATION: Table = {
    "maxOutputTokens": ("max_tokens", typed(int)),
    "temperature": ("temperature", Fields.number),
    "topP": ("top_p", Fields.number),
    "topK": ("top_k", _whole),
    "seed": ("seed", typed(int)),
    "stopSequences": ("stop", Fields.strings),
    "frequencyPenalty": ("frequency_penalty", Fields.number),
    "presencePenalty": ("presence_penalty", Fields.number),
    "responseLogprobs": ("logprobs", typed(bool)),
    "logprobs": ("top_logprobs", typed(int)),
    "candidateCount": ("n", typed(int)),
}
"""The optional fields that say one thing each."""
