"""The core `Request`, written as a Chat Completions request body.

The same request gives the same bytes, whatever happened before: key order is fixed, nothing is generated. A provider's
prompt cache matches prefixes of bytes, so a growing conversation must only ever grow at its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from trunkline.core.request import (
    Audio,
    Document,
    FileId,
    Foreign,
    Image,
    Inline,
    Message,
    Part,
    PlainText,
    RedactedThinking,
    Refusal,
    Request,
    Source,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Url,
)
from trunkline.dialects.base import Quirks
from trunkline.dialects.effort import effort_of
from trunkline.dialects.openai_chat.vocabulary import NAME

_encode = msgspec.json.Encoder().encode

_PLAIN = (
    "temperature", "top_p", "seed", "stop", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs",
    "top_logprobs", "n", "verbosity", "user", "metadata", "parallel_tool_calls",
)  # fmt: skip
"""Fields that are called the same here as in `Request`."""

_TIERS = {"standard_only": "default"}
"""Anthropic's service tiers by OpenAI's names; the others are called the same."""


def write_request(request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
    writer = _RequestWriter(request, quirks, lost)
    return _encode(writer.body(model))


class _RequestWriter:
    def __init__(self, request: Request, quirks: Quirks, lost: list[str]) -> None:
        self.request = request
        self.quirks = quirks
        self.lost = lost
        self.own = request.dialect == NAME

    def body(self, model: str) -> dict[str, Any]:
        request, quirks = self.request, self.quirks
        out: dict[str, Any] = {"model": model}
        out["messages"] = [written for message in request.messages for written in self._message(message)]
        if tools := [written for tool in request.tools if (written := self._tool(tool)) is not None]:
            out["tools"] = tools
            if request.tool_choice is not None:
                out["tool_choice"] = _tool_choice(request.tool_choice)
        if request.output is not None:
            out["response_format"] = _output(request)
        if self._carried("max_tokens"):
            out[quirks.max_tokens_field] = request.max_tokens
        for name in _PLAIN:
            if self._carried(name):
                out[name] = getattr(request, name)
        if not tools:
            out.pop("parallel_tool_calls", None)
        if self._carried("reasoning") and (effort := effort_of(request.reasoning)) is not None:
            out["reasoning_effort"] = effort
        if self._carried("tier"):
            out["service_tier"] = _TIERS.get(request.tier or "", request.tier)
        if request.stream:
            out["stream"] = True
            if quirks.stream_usage:
                out["stream_options"] = {"include_usage": True, **request.extra.get("stream_options", {})}
        self._rest(out)
        return out

    def _carried(self, name: str) -> bool:
        """Whether the field is set and this model takes it; a refused one is reported."""
        if getattr(self.request, name) is None:
            return False
        if name in self.quirks.drop:
            self.lost.append(self.request.name_of(name))
            return False
        return True

    def _rest(self, out: dict[str, Any]) -> None:
        if self.request.top_k is not None:
            if self.own:
                out["top_k"] = self.request.top_k
            else:
                self.lost.append(self.request.name_of("top_k"))
        if self.request.cache is not None:
            self.lost.append(self.request.name_of("cache"))
        for name, value in self.request.extra.items():
            if self.own:
                out.setdefault(name, value)
            else:
                self.lost.append(name)

    def _extra(self, out: dict[str, Any], extra: dict[str, Any] | None, at: str) -> dict[str, Any]:
        """Unknown fields of a message, part or tool: back where they came from, or reported."""
        for name, value in (extra or {}).items():
            if self.own:
                out.setdefault(name, value)
            else:
                self.lost.append(f"{at}.{name}")
        return out

    def _lose_cache(self, part: Text | Image | Document | ToolCall | ToolResult | Tool, out: dict[str, Any]) -> None:
        if part.cache is None:
            return
        if self.own and not isinstance(part, ToolCall | ToolResult):
            out["cache_control"] = {"type": "ephemeral"} | ({"ttl": part.cache.ttl} if part.cache.ttl else {})
        else:
            self.lost.append(f"{part.at}.cache_control")

    # ── Messages ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _message(self, message: Message) -> list[dict[str, Any]]:
        match message.role:
            case "tool":
                return self._tool_messages(message)
            case "assistant":
                out = self._assistant(message)
            case role:
                role = "system" if role == "developer" and not self.quirks.developer_role else role
                out = {"role": role, "content": self._content(message.parts)}
        if message.name is not None:
            out["name"] = message.name
        return [self._extra(out, message.extra, message.at)]

    def _assistant(self, message: Message) -> dict[str, Any]:
        out: dict[str, Any] = {"role": "assistant", "content": None}
        calls = [self._tool_call(part) for part in message.parts if isinstance(part, ToolCall)]
        said = [
            part for part in message.parts if not isinstance(part, ToolCall | Thinking | RedactedThinking | Refusal)
        ]
        refusals = [part.text for part in message.parts if isinstance(part, Refusal)]
        if said or not (calls or refusals):
            out["content"] = self._content(said)
        if refusals:
            out["refusal"] = "".join(refusals)
        self._thinking(message.parts, out)
        if calls:
            out["tool_calls"] = calls
        return out

    def _thinking(self, parts: list[Part], out: dict[str, Any]) -> None:
        """Chat has no field for it; what came in by this dialect goes back as it came."""
        thoughts = [part for part in parts if isinstance(part, Thinking | RedactedThinking)]
        if not self.own:
            self.lost.extend(part.at for part in thoughts)
            return
        details = [_detail(part) for part in thoughts if isinstance(part, RedactedThinking) or part.signature]
        if text := "".join(part.text for part in thoughts if isinstance(part, Thinking)):
            out["reasoning_content"] = text
        if details:
            out["reasoning_details"] = details

    def _tool_messages(self, message: Message) -> list[dict[str, Any]]:
        """One message a result. Images do not fit in a tool message here: they follow in a user message."""
        out: list[dict[str, Any]] = []
        seen: list[Part] = []
        for result in message.parts:
            assert isinstance(result, ToolResult)
            texts = [part for part in result.content if isinstance(part, Text)]
            seen += [part for part in result.content if not isinstance(part, Text)]
            if result.is_error:
                self.lost.append(f"{result.at}.is_error")
            written: dict[str, Any] = {"role": "tool", "tool_call_id": result.call_id, "content": self._content(texts)}
            self._lose_cache(result, written)
            out.append(self._extra(written, result.extra, result.at))
        if seen and isinstance(content := self._content(seen), list) and content:
            out.append({"role": "user", "content": content})
        if message.name is not None:
            out[0]["name"] = message.name
        self._extra(out[0], message.extra, message.at) if out else None
        return out

    def _content(self, parts: Sequence[Part]) -> str | list[dict[str, Any]]:
        """A single plain text is a string, as most hosts expect; anything else an array."""
        written = [out for part in parts if (out := self._part(part)) is not None]
        if not written:
            return ""
        if len(written) == 1 and written[0].keys() == {"type", "text"}:
            text: str = written[0]["text"]
            return text
        return written

    def _part(self, part: Part) -> dict[str, Any] | None:
        out: dict[str, Any]
        match part:
            case Text():
                out = {"type": "text", "text": part.text}
            case Image():
                if (url := _url(part.source)) is None:
                    self.lost.append(part.at)
                    return None
                out = {
                    "type": "image_url",
                    "image_url": {"url": url} | ({"detail": part.detail} if part.detail else {}),
                }
            case Document():
                return self._document(part)
            case Audio():
                return self._extra(
                    {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}},
                    part.extra,
                    part.at,
                )
            case Refusal():
                return {"type": "refusal", "refusal": part.text}
            case Foreign(dialect=dialect, data=data) if dialect == NAME:
                return data
            case _:
                self.lost.append(part.at)
                return None
        self._lose_cache(part, out)
        return self._extra(out, part.extra, part.at)

    def _document(self, part: Document) -> dict[str, Any] | None:
        out: dict[str, Any]
        if part.context:
            self.lost.append(f"{part.at}.context")
        if part.citations:
            self.lost.append(f"{part.at}.citations")
        match part.source:
            case PlainText(text):
                title = f"{part.title}\n\n" if part.title else ""
                out = {"type": "text", "text": title + text}
            case FileId(file_id):
                out = {"type": "file", "file": {"file_id": file_id}}
            case Inline(media_type, data):
                name = part.title or "document"
                out = {"type": "file", "file": {"filename": name, "file_data": f"data:{media_type};base64,{data}"}}
            case Url():
                self.lost.append(part.at)
                return None
        self._lose_cache(part, out)
        return self._extra(out, part.extra, part.at)

    def _tool_call(self, call: ToolCall) -> dict[str, Any]:
        out: dict[str, Any]
        if call.custom:
            out = {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
        else:
            out = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        self._lose_cache(call, out)
        return self._extra(out, call.extra, call.at)

    # ── Tools ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _tool(self, tool: Any) -> dict[str, Any] | None:
        if not isinstance(tool, Tool):
            if tool.dialect == NAME:
                data: dict[str, Any] = tool.data
                return data
            self.lost.append(tool.at)
            return None
        function: dict[str, Any] = {"name": tool.name}
        if tool.description is not None:
            function["description"] = tool.description
        if tool.schema is not None:
            function["parameters"] = tool.schema
        if tool.strict is not None:
            function["strict"] = tool.strict
        out: dict[str, Any] = {"type": "function", "function": function}
        self._lose_cache(tool, out)
        return self._extra(out, tool.extra, tool.at)


def _detail(part: Thinking | RedactedThinking) -> dict[str, Any]:
    if isinstance(part, RedactedThinking):
        return {"type": "reasoning.encrypted", "data": part.data}
    return {"type": "reasoning.text", "text": part.text, "signature": part.signature, **(part.extra or {})}


def _url(source: Source) -> str | None:
    match source:
        case Url(url):
            return url
        case Inline(media_type, data):
            return f"data:{media_type};base64,{data}"
        case _:
            return None


def _tool_choice(choice: ToolChoice) -> Any:
    if choice.allowed is not None:
        tools = [{"type": "function", "function": {"name": name}} for name in choice.allowed]
        return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": tools}}
    if choice.mode == "tool":
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode


def _output(request: Request) -> dict[str, Any]:
    output = request.output
    assert output is not None
    if output.kind == "json_object":
        return {"type": "json_object"}
    schema: dict[str, Any] = {"name": output.name or "answer"}
    for name, value in (("description", output.description), ("schema", output.schema), ("strict", output.strict)):
        if value is not None:
            schema[name] = value
    return {"type": "json_schema", "json_schema": schema}
