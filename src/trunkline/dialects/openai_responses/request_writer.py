"""The core `Request`, written as a Responses request body.

The same request gives the same bytes: key order is fixed, nothing is generated. A provider's prompt cache matches
prefixes of bytes, so a growing conversation must only ever grow at its end.

A client of another dialect sends its whole conversation each time, so nothing is stored for it, and a model that thinks
is asked to give its thoughts along, encrypted, so that the client can bring them back.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

import msgspec

from trunkline.core.request import CustomTool, ForeignTool, OutputFormat, Reasoning, Request, Tool, ToolChoice
from trunkline.dialects.base import Quirks
from trunkline.dialects.effort import effort_of, nearest
from trunkline.dialects.forced import refuse_forced
from trunkline.dialects.mapping import SILENCE, TIERS
from trunkline.dialects.openai_responses.item_writer import ItemWriter, Json
from trunkline.dialects.openai_responses.vocabulary import ENCRYPTED, LOGPROBS, NAME, put_back

_encode = msgspec.json.Encoder().encode

_PLAIN: Mapping[str, str] = {
    "max_tokens": "max_output_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_logprobs": "top_logprobs",
    "user": "user",
}
"""Attributes of `Request` to what they are called here."""

_UNKNOWN_HERE: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "seed": (),
    "stop": ([],),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "top_k": (),
}
"""Fields that Responses has no word for, with the values that ask for nothing."""

_unknown_here, _ALL_UNSET = attrgetter(*_UNKNOWN_HERE), (None,) * len(_UNKNOWN_HERE)

_THOUGHTS_SHOWN = frozenset({"reasoning", "thinking"})
"""What a client that can see thoughts calls its wish for them; chat's `reasoning_effort` asks for effort alone."""
_THINKING = frozenset({"enabled", "adaptive"})

_LEAST_TOKENS = 16
"""The service refuses a smaller `max_output_tokens`."""

_COUNTED = frozenset({
    "model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "text", "reasoning", "truncation",
    "conversation", "previous_response_id", "personality",
})  # fmt: skip
"""Fields of a request to count tokens (OpenAI's API reference, November 2026)."""


def write_request(request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
    """Raises BadRequest where a message holds nothing that this dialect can say."""
    return _encode(_RequestWriter(request, quirks, lost).body(model))


def write_count_request(request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
    """The same without what says how to answer: the service counts the prompt."""
    body = _RequestWriter(request, quirks, lost).body(model)
    return _encode({name: value for name, value in body.items() if name in _COUNTED})


class _RequestWriter:
    def __init__(self, request: Request, quirks: Quirks, lost: list[str]) -> None:
        self.request = request
        self.quirks = quirks
        self.lost = lost
        self.own = request.dialect == NAME
        self.items = ItemWriter(request.dialect, lost)

    def body(self, model: str) -> Json:
        request = self.request
        out: Json = {"model": model} | self._input()
        if request.tools or request.tool_choice is not None:
            self._tools(out)
        if request.output is not None and self._takes("output"):
            out["text"] = {"format": _format(request.output)}
        if request.verbosity is not None and self._takes("verbosity"):
            out.setdefault("text", {})["verbosity"] = request.verbosity
        if request.reasoning is not None and self._takes("reasoning"):
            out["reasoning"] = self._reasoning(request.reasoning)
        for attribute, name in _PLAIN.items():
            if (value := getattr(request, attribute)) is not None and self._takes(attribute):
                out[name] = value
        if not self.own and out.get("max_output_tokens", _LEAST_TOKENS) < _LEAST_TOKENS:
            self.lost.append(request.name_of("max_tokens"))
            out["max_output_tokens"] = _LEAST_TOKENS
        self._envelope(out)
        if request.stream:
            out["stream"] = True
        self._rest(out)
        return out

    def _input(self) -> Json:
        """Instructions that came by that name go back by it."""
        messages = self.request.messages
        if self.own and messages and messages[0].at == "instructions":
            said = "".join(getattr(part, "text", "") for part in messages[0].parts)
            rest = self.items.items(messages[1:])
            return {"instructions": said} | ({"input": rest} if rest else {})
        return {"input": self.items.items(messages)} if messages else {}

    def _takes(self, name: str) -> bool:
        """Whether this model takes the field; a refused one is reported."""
        if name in self.quirks.drop:
            self.lost.append(self.request.name_of(name))
            return False
        return True

    def _reasoning(self, reasoning: Reasoning) -> Json:
        """Effort as a level; a summary of the thoughts for those who are used to see them."""
        name = self.request.name_of("reasoning")
        summary = reasoning.summary
        effort = reasoning.effort if self.own else effort_of(reasoning)
        if not self.own:
            if summary is None and effort != "none" and self._shows(reasoning):
                summary = "auto"
            if effort is not None:
                effort, changed = nearest(effort, self.quirks.efforts)
                self.lost.extend([name] if changed else ())
            if reasoning.budget is not None:
                self.lost.append(f"{name}.budget_tokens")
        return _set(effort=effort, summary=summary)

    def _shows(self, reasoning: Reasoning) -> bool:
        """Whether the client wants to see thoughts: it says so, or its family's always do who ask for thinking."""
        if reasoning.display is not None:
            return reasoning.display != "omitted"
        return reasoning.mode in _THINKING or self.request.name_of("reasoning") in _THOUGHTS_SHOWN

    def _envelope(self, out: Json) -> None:
        request = self.request
        if request.tier is not None and self._takes("tier"):
            tier = request.tier if self.own else TIERS[NAME].said.get(request.tier)
            if tier is None:
                self.lost.append(request.name_of("tier"))
            elif tier != SILENCE:
                out["service_tier"] = tier
        if request.metadata is not None and self.own:
            out["metadata"] = request.metadata
        elif request.metadata is not None:
            self.lost.append(request.name_of("metadata"))
        include = list(request.aside.get("include", ()))
        if request.logprobs and self._takes("logprobs"):
            include.append(LOGPROBS)
        include += request.extra.get("include", ()) if self.own else ()
        if not self.own:
            if self.quirks.encrypted_thoughts:
                include.append(ENCRYPTED)
            out["store"] = False
        if include or "include" in request.aside:
            out["include"] = include

    def _rest(self, out: Json) -> None:
        request = self.request
        if request.cache is not None:
            self.lost.append(request.name_of("cache"))
        if (values := _unknown_here(request)) != _ALL_UNSET:
            for (name, nothing), value in zip(_UNKNOWN_HERE.items(), values, strict=True):
                if value is not None and value not in nothing:
                    self.lost.append(request.name_of(name))
        for name, value in request.extra.items():
            if self.own:
                put_back(out, name, value)
            elif name in _SHARED_EXTRAS and request.dialect in _RELATIVES:
                out.setdefault(name, value)
            elif name != "store" or value:  # nothing is stored here
                self.lost.append(name)
        if self.own:
            for name, value in request.aside.items():
                out.setdefault(name, value)

    # ── Tools ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _tools(self, out: Json) -> None:
        request = self.request
        tools = [written for tool in request.tools if (written := self._tool(tool)) is not None]
        refuse_forced(request, self.lost)
        choice = request.tool_choice
        if not tools:
            if choice is not None and choice.mode in {"required", "tool"} and not self.own:
                self.lost.append(request.name_of("tool_choice"))
                return
        else:
            out["tools"] = tools
        if choice is not None:
            out["tool_choice"] = self._choice(choice, tools)
        if request.parallel_tool_calls is not None and tools and self._takes("parallel_tool_calls"):
            out["parallel_tool_calls"] = request.parallel_tool_calls

    def _tool(self, tool: Tool | CustomTool | ForeignTool) -> Json | None:
        if isinstance(tool, ForeignTool):
            if tool.dialect == NAME:
                return tool.data
            self.lost.append(tool.at)
            return None
        if isinstance(tool, CustomTool):
            custom = {"type": "custom"} | _set(name=tool.name, description=tool.description, format=self._grammar(tool))
            return self.items.unknown(custom, tool.extra, tool.at)
        out: Json = {"type": "function"} | _set(name=tool.name, description=tool.description)
        if self.own:
            out |= _set(parameters=tool.schema, strict=tool.strict)
        else:  # strict is what the service would take silence for
            out |= {"parameters": tool.schema or {"type": "object", "properties": {}}, "strict": bool(tool.strict)}
        if tool.cache is not None:
            self.lost.append(f"{tool.at}.cache_control")
        return self.items.unknown(out, tool.extra, tool.at)

    def _grammar(self, tool: CustomTool) -> Json | None:
        """Chat has an object of its own around a grammar's words."""
        match tool.format:
            case {"type": "grammar", "grammar": dict(grammar)}:
                return {"type": "grammar"} | grammar
            case other:
                return other

    def _choice(self, choice: ToolChoice, tools: list[Json]) -> Any:
        if self.own and (kept := self.request.aside.get("tool_choice")) is not None:
            return kept
        kinds = {str(tool.get("name")): str(tool["type"]) for tool in tools}
        if choice.allowed is not None:
            allowed = [{"type": kinds.get(name, "function"), "name": name} for name in choice.allowed]
            return {"type": "allowed_tools", "mode": choice.mode, "tools": allowed}
        if choice.mode == "tool":
            return {"type": kinds.get(choice.name or "", "function"), "name": choice.name}
        return choice.mode


_RELATIVES = frozenset({"openai_chat"})
"""Dialects of the same vendor."""

_SHARED_EXTRAS = frozenset({
    "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "moderation",
})  # fmt: skip
"""Fields that both of OpenAI's dialects have, and the core has not."""


def _format(output: OutputFormat) -> Json:
    if output.kind == "json_object":
        return {"type": "json_object"}
    schema = output.schema or {}
    return {"type": "json_schema"} | _set(
        name=output.name or "answer", description=output.description, schema=schema, strict=output.strict
    )


def _set(**fields: Any) -> Json:
    """The fields that say something."""
    return {name: value for name, value in fields.items() if value is not None}
