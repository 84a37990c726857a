"""The core `Request`, written as a Chat Completions request body.

The same request gives the same bytes, whatever happened before: key order is fixed, nothing is generated. A provider's
prompt cache matches prefixes of bytes, so a growing conversation must only ever grow at its end.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import msgspec
from msgspec import structs

from trunkline.core.request import (
    CustomTool,
    ForeignTool,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    RedactedThinking,
    Refusal,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from trunkline.dialects.base import Quirks
from trunkline.dialects.effort import DEFAULT, effort_of, nearest
from trunkline.dialects.emptied import refuse_emptied
from trunkline.dialects.forced import refuse_forced
from trunkline.dialects.mapping import SILENCE, TIERS
from trunkline.dialects.openai_chat.content_writer import ContentWriter, Json
from trunkline.dialects.openai_chat.vocabulary import NAME, put_back

_encode = msgspec.json.Encoder().encode

_PLAIN = (
    "temperature", "top_p", "seed", "stop", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs",
    "top_logprobs", "n", "verbosity", "user",
)  # fmt: skip
"""Fields that are called the same here as in `Request`."""

_OWN = ("top_k", "metadata")
"""The same, for those who speak this dialect: only some hosts know `top_k`, and `metadata` labels a stored answer."""

_settings = attrgetter(*_PLAIN, *_OWN)
"""Their values at once: mostly none is set, and to find that out costs a tenth of asking one by one (2 µs)."""

_ALL_UNSET = (None,) * len(_PLAIN + _OWN)


def write_request(request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
    """Raises BadRequest where a message holds nothing that chat can say."""
    return _encode(_RequestWriter(request, quirks, lost).body(model))


class _RequestWriter:
    def __init__(self, request: Request, quirks: Quirks, lost: list[str]) -> None:
        self.request = request
        self.quirks = quirks
        self.lost = lost
        self.content = ContentWriter(request.dialect, lost)
        self.own = self.content.own
        self.answered = ""
        """The path of the last message with tool results: Messages has them and what follows them in one."""

    def body(self, model: str) -> Json:
        request = self.request
        out: Json = {"model": model, "messages": self._messages()}
        if request.tools or request.tool_choice is not None:
            self._tools(out)
        if request.output is not None and self._takes("output"):
            out["response_format"] = _output(request.output)
        if request.max_tokens is not None and self._takes("max_tokens"):
            out[self.quirks.max_tokens_field] = request.max_tokens
        if (settings := _settings(request)) != _ALL_UNSET:
            self._put(settings, out)
        if request.reasoning is not None and self._takes("reasoning"):
            self._reasoning(request.reasoning, out)
        if request.tier is not None and self._takes("tier"):
            self._tier(request.tier, out)
        if request.stream:
            out["stream"] = True
            if self.quirks.stream_usage:
                out["stream_options"] = {"include_usage": True}
        self._rest(out)
        return out

    def _put(self, settings: tuple[Any, ...], out: Json) -> None:
        for name, value in zip(_PLAIN + _OWN, settings, strict=True):
            if value is None or not self._takes(name):
                continue
            if self.own or name not in _OWN:
                out[name] = value
            else:
                self.lost.append(self.request.name_of(name))

    def _takes(self, name: str) -> bool:
        """Whether this model takes the field; a refused one is reported."""
        if name in self.quirks.drop:
            self.lost.append(self.request.name_of(name))
            return False
        return True

    def _rest(self, out: Json) -> None:
        if self.request.cache is not None:
            self.lost.append(self.request.name_of("cache"))
        for name, value in self.request.extra.items():
            if self.own:
                put_back(out, name, value)
            else:
                self.lost.append(name)

    def _tier(self, tier: str, out: Json) -> None:
        said = tier if self.own else TIERS[NAME].said.get(tier)
        if said is None:
            self.lost.append(self.request.name_of("tier"))
        elif said != SILENCE:
            out["service_tier"] = said

    def _reasoning(self, reasoning: Reasoning, out: Json) -> None:
        """In the field that the client used; from another dialect as a level, with what a level cannot say reported."""
        name = self.request.name_of("reasoning")
        if self.own and name == "thinking":
            out["thinking"] = _set(type=reasoning.mode, budget_tokens=reasoning.budget, display=reasoning.display)
            out |= _set(reasoning_effort=reasoning.effort)
        elif self.own and name == "reasoning":
            enabled = False if reasoning.mode == "disabled" else None
            bare = reasoning.effort is None and reasoning.budget is None and enabled is None
            out["reasoning"] = _set(
                effort=reasoning.effort, max_tokens=reasoning.budget, enabled=True if bare else enabled
            )
        else:
            level, changed = nearest(effort_of(reasoning) or DEFAULT, self.quirks.efforts)
            out["reasoning_effort"] = level
            if changed:
                self.lost.append(name)
            told = (("budget_tokens", reasoning.budget), ("display", reasoning.display))
            self.lost.extend(f"{name}.{field}" for field, value in told if value is not None)

    # ── Messages ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _messages(self) -> list[Json]:
        """Images do not fit in a tool message here: they follow the last of the results in a user message."""
        out: list[Json] = []
        seen: list[Part] = []
        for message in self.request.messages:
            if message.role == "tool":
                self.answered = message.at
                out += self._tool_messages(message, seen)
                continue
            if seen:
                out += self._shown(seen)
            out.append(self._message(message))
        if seen:
            out += self._shown(seen)
        return out

    def _shown(self, seen: list[Part]) -> list[Json]:
        written = self.content.parts(seen)
        seen.clear()
        return [{"role": "user", "content": written}] if written else []

    def _message(self, message: Message) -> Json:
        before = len(self.lost)
        if message.role == "assistant" and not _plain(message):
            out = self._assistant(message)
        else:
            role = "system" if message.role == "developer" and not self.quirks.developer_role else message.role
            out = {"role": role, "content": self.content.content(message.parts)}
        if out["content"] == "" and (not message.at or message.at != self.answered):
            refuse_emptied((message,), self.lost[before:])
        if message.name is not None:
            out["name"] = message.name
        return self.content.unknown(out, message.extra, message.at)

    def _assistant(self, message: Message) -> Json:
        out: Json = {"role": "assistant", "content": None}
        calls = [self.content.tool_call(part) for part in message.parts if isinstance(part, ToolCall)]
        apart = ToolCall | Thinking | RedactedThinking | Refusal
        said = [part for part in message.parts if not isinstance(part, apart)]
        refusals = [part.text for part in message.parts if isinstance(part, Refusal)]
        if said or not (calls or refusals):
            out["content"] = self.content.content(said)
        if refusals:
            out["refusal"] = "".join(refusals)
        self.content.thinking(message.parts, out)
        if calls:
            out["tool_calls"] = calls
        return out

    def _tool_messages(self, message: Message, seen: list[Part]) -> list[Json]:
        """One message a result. What came in by this dialect stays where it is: some hosts take images there."""
        out: list[Json] = []
        for result in message.parts:
            assert isinstance(result, ToolResult)
            texts = [part for part in result.content if self.own or isinstance(part, Text)]
            seen += [part for part in result.content if not (self.own or isinstance(part, Text))]
            if result.is_error:
                self.lost.append(f"{result.at}.is_error")
            written: Json = {"role": "tool", "tool_call_id": result.call_id, "content": self.content.content(texts)}
            out.append(self.content.marked(written, result))
        if out:
            if message.name is not None:
                out[0]["name"] = message.name
            self.content.unknown(out[0], message.extra, message.at)
        return out

    # ── Tools ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _tools(self, out: Json) -> None:
        request = self.request
        tools = [written for tool in request.tools if (written := self._tool(tool)) is not None]
        choice = request.tool_choice
        refuse_forced(request, self.lost)
        if choice is not None and choice.allowed is not None and not self.quirks.allowed_tools:
            tools = [tool for tool in tools if (name := _name(tool)) is None or name in choice.allowed]
            choice = structs.replace(choice, allowed=None)
        if tools:
            out["tools"] = tools
            if choice is not None:
                out["tool_choice"] = _tool_choice(choice, tools)
            if request.parallel_tool_calls is not None and self._takes("parallel_tool_calls"):
                out["parallel_tool_calls"] = request.parallel_tool_calls
        elif choice is not None and choice.mode in {"required", "tool"}:
            self.lost.append(request.name_of("tool_choice"))

    def _tool(self, tool: Tool | CustomTool | ForeignTool) -> Json | None:
        if isinstance(tool, ForeignTool):
            if tool.dialect == NAME:
                return tool.data
            self.lost.append(tool.at)
            return None
        if isinstance(tool, CustomTool):
            custom = _set(name=tool.name, description=tool.description, format=_grammar(tool.format))
            return self.content.unknown({"type": "custom", "custom": custom}, tool.extra, tool.at)
        function = _set(name=tool.name, description=tool.description, parameters=tool.schema, strict=tool.strict)
        return self.content.marked({"type": "function", "function": function}, tool)


def _plain(message: Message) -> bool:
    """Whether it is one text: an assistant's is then written like anybody's."""
    return len(message.parts) == 1 and type(message.parts[0]) is Text


def _set(**fields: Any) -> Json:
    """The fields that say something."""
    return {name: value for name, value in fields.items() if value is not None}


def _grammar(format: Json | None) -> Json | None:
    """Responses says in one object what chat says in two."""
    match format:
        case {"type": "grammar", "syntax": syntax, "definition": definition}:
            return {"type": "grammar", "grammar": {"syntax": syntax, "definition": definition}}
        case other:
            return other


def _tool_choice(choice: ToolChoice, tools: list[Json]) -> Any:
    kinds = {name: tool["type"] for tool in tools if isinstance(name := _name(tool), str)}
    if choice.allowed is not None:
        allowed = [_named(name, kinds) for name in choice.allowed]
        return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": allowed}}
    return _named(choice.name or "", kinds) if choice.mode == "tool" else choice.mode


def _name(tool: Json) -> Any:
    named = tool.get(tool["type"])
    return named.get("name") if isinstance(named, dict) else None


def _named(name: str, kinds: dict[str, str]) -> Json:
    kind = kinds.get(name, "function")
    return {"type": kind, kind: {"name": name}}


def _output(output: OutputFormat) -> Json:
    if output.kind == "json_object":
        return {"type": "json_object"}
    schema = _set(
        name=output.name or "answer", description=output.description, schema=output.schema, strict=output.strict
    )
    return {"type": "json_schema", "json_schema": schema}
