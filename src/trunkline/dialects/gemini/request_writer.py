"""The core `Request`, written as a generateContent request body.

The same request gives the same bytes: key order is fixed, nothing is generated. The service's implicit cache matches
prefixes, so a growing conversation only grows at its end: instructions in its middle stay there, in a user's content.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import msgspec

from trunkline.core.request import CustomTool, ForeignTool, Message, Request, Text, Tool, ToolChoice, ToolResult
from trunkline.dialects.base import Quirks
from trunkline.dialects.custom import as_function
from trunkline.dialects.emptied import refuse_emptied
from trunkline.dialects.gemini.content_writer import ContentWriter, Wire
from trunkline.dialects.gemini.conversation import Content, contents
from trunkline.dialects.gemini.generation import Generation
from trunkline.dialects.gemini.schema import simplified
from trunkline.dialects.gemini.vocabulary import NAME
from trunkline.dialects.mapping import GEMINI, SILENCE, TIERS
from trunkline.dialects.turns import spoken

_encode = msgspec.json.Encoder().encode

_INSTRUCTIONS = frozenset({"system", "developer"})
_MODES = {"auto": "AUTO", "required": "ANY", "tool": "ANY", "none": "NONE"}

_UNKNOWN_HERE: dict[str, tuple[Any, ...]] = {
    "logit_bias": ({},),
    "verbosity": ("medium",),
    "user": (),
    "parallel_tool_calls": (True,),
    "cache": (),
}
"""Fields that there is no word for here, with the values that ask for nothing."""

_unknown_here = attrgetter(*_UNKNOWN_HERE)
_ALL_UNSET = (None,) * len(_UNKNOWN_HERE)


def write_request(request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
    """The model's name is not in it: it stands in the path. Raises BadRequest where a message would be empty."""
    return _encode(_RequestWriter(request, quirks, lost).body())


def write_count_request(request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
    """The same for countTokens. Whole requests are counted (`generateContentRequest`, which names its model once more)
    by AI Studio alone; Vertex takes the fields beside each other, and both take these."""
    body = _RequestWriter(request, quirks, lost).body()
    if body.keys() == {"contents"}:
        return _encode(body)
    if quirks.counts_whole:
        return _encode({"generateContentRequest": {"model": f"models/{model}", **body}})
    return _encode({name: value for name, value in body.items() if name in _COUNTED})


_COUNTED = frozenset({"contents", "systemInstruction", "tools", "generationConfig"})
"""Fields of Vertex's CountTokensRequest (discovery document v1beta1, November 2026)."""


class _RequestWriter:
    def __init__(self, request: Request, quirks: Quirks, lost: list[str]) -> None:
        self.request = request
        self.quirks = quirks
        self.lost = lost
        self.own = request.dialect == NAME
        self.content = ContentWriter(request.dialect, quirks, lost)

    def body(self) -> dict[str, Any]:
        request = self.request
        system, rest = self._leading_system()
        said = spoken(rest)
        written = self._contents(rest) if said is None else [_said(role, text) for role, text in said]
        if system and not written:
            # Instructions alone are a request elsewhere; here somebody must have said something.
            self.lost.append(f"{request.messages[0].at}.role")
            written, system = [{"role": "user", "parts": system}], []
        out: dict[str, Any] = {}
        if system:
            out["systemInstruction"] = {"parts": system}
        out["contents"] = written
        declared = bool(request.tools) and self._declare(out)
        if request.tool_choice is not None:
            self._tool_choice(request.tool_choice, declared, out)
        if config := Generation(request, self.quirks, self.lost).config(declared):
            out["generationConfig"] = config
        self._envelope(out)
        self._rest(out)
        return out

    # ── Contents ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _leading_system(self) -> tuple[list[Wire], list[Message]]:
        """The instructions before the first turn, and what follows them. They are texts and nothing else."""
        parts: list[Wire] = []
        messages = self.request.messages
        for position, message in enumerate(messages):
            if message.role not in _INSTRUCTIONS or not all(isinstance(part, Text) for part in message.parts):
                return parts, messages[position:]
            parts += self.content.parts(message.parts)
            self._message_fields({}, message)
        return parts, []

    def _contents(self, messages: Sequence[Message]) -> list[Wire]:
        out: list[Wire] = []
        said: str | None = None  # the client's message that was written last: here it may be several contents
        for content in contents(messages, self.lost):
            before = len(self.lost)
            if parts := self._parts(content):
                written: Wire = {"role": "model" if content.role == "model" else "user", "parts": parts}
                for message in content.messages:
                    self._message_fields(written, message)
                out.append(written)
                said = content.messages[-1].at
            else:
                refuse_emptied([each for each in content.messages if each.at != said], self.lost[before:])
        return out

    def _parts(self, content: Content) -> list[Wire]:
        match content.role:
            case "model":
                return self.content.calls_signed(self.content.parts(content.parts))
            case "results":
                results = [part for part in content.parts if isinstance(part, ToolResult)]
                return self.content.results(results, content.calls)
        self.lost += [f"{message.at}.role" for message in content.messages if message.role in _INSTRUCTIONS]
        return self.content.parts(content.parts)

    def _message_fields(self, written: Wire, message: Message) -> None:
        if message.name is not None:
            self.lost.append(f"{message.at}.name")
        if message.extra:
            self.content.unknown(written, message.extra, message.at)

    # ── Tools ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _declare(self, out: dict[str, Any]) -> bool:
        """Whether there is a function among the tools."""
        if tools := self._tools():
            out["tools"] = tools
        return any("functionDeclarations" in tool for tool in tools)

    def _tools(self) -> list[Wire]:
        choice = self.request.tool_choice
        allowed = choice.allowed if choice is not None and choice.mode == "auto" and not self.own else None
        declared: list[Wire] = []
        built_in: list[Wire] = []
        for tool in self.request.tools:
            match tool:
                case Tool() | CustomTool():
                    written = self._declaration(as_function(tool, self.lost) if isinstance(tool, CustomTool) else tool)
                    if allowed is None or tool.name in allowed:
                        declared.append(written)
                case ForeignTool(dialect=dialect, data=data) if dialect == NAME:
                    built_in.append(data)
                case ForeignTool():
                    self.lost.append(tool.at)
        return ([{"functionDeclarations": declared}] if declared else []) + built_in

    def _declaration(self, tool: Tool) -> Wire:
        out: Wire = {"name": tool.name}
        if tool.description is not None:
            out["description"] = tool.description
        if tool.schema is not None and (self.quirks.json_schema or tool.schema.get("properties")):
            if self.quirks.json_schema:
                out["parametersJsonSchema"] = tool.schema
            else:
                out["parameters"] = simplified(tool.schema)
        if tool.strict:
            self.lost.append(f"{tool.at}.strict")
        if tool.cache is not None:
            self.lost.append(f"{tool.at}.cache_control")
        return self.content.unknown(out, tool.extra, tool.at)

    def _tool_choice(self, choice: ToolChoice, declared: bool, out: dict[str, Any]) -> None:
        """Without a function to choose the service refuses a choice."""
        if not declared:
            if choice.mode in {"required", "tool"}:
                self.lost.append(self.request.name_of("tool_choice"))
            return
        config: Wire = {"mode": _MODES[choice.mode]}
        if choice.mode == "tool":
            config["allowedFunctionNames"] = [choice.name]
        elif choice.allowed and (choice.mode == "required" or self.own):
            config["allowedFunctionNames"] = list(choice.allowed)
        out["toolConfig"] = {"functionCallingConfig": config}

    # ── The rest ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _envelope(self, out: dict[str, Any]) -> None:
        request = self.request
        if request.metadata is not None:
            if self.own:
                out["labels"] = request.metadata
            else:
                self.lost.append(request.name_of("metadata"))
        if request.tier is not None:
            tier = request.tier if self.own else TIERS[GEMINI].said.get(request.tier)
            if tier is None:
                self.lost.append(request.name_of("tier"))
            elif tier != SILENCE:
                out["serviceTier"] = tier

    def _rest(self, out: dict[str, Any]) -> None:
        request = self.request
        if (values := _unknown_here(request)) != _ALL_UNSET:
            for (name, nothing), value in zip(_UNKNOWN_HERE.items(), values, strict=True):
                if value is not None and value not in nothing:
                    self.lost.append(request.name_of(name))
        for path, value in request.extra.items():
            if self.own:
                _put(out, path.split("."), value)
            else:
                self.lost.append(path)


def _said(role: str, text: str) -> Wire:
    return {"role": "user" if role == "user" else "model", "parts": [{"text": text}]}


def _put(out: dict[str, Any], path: list[str], value: Any) -> None:
    """Back where it came from: the reader names what is inside an object by its path."""
    for name in path[:-1]:
        out = out.setdefault(name, {})
    out[path[-1]] = value
