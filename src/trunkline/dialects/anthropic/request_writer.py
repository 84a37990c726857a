"""The core `Request`, written as a Messages request body.

The same request gives the same bytes: key order is fixed, nothing is generated. The service's prompt cache matches
prefixes, so a growing conversation must only ever grow at its end. That is why a system message in the middle of the
conversation stays there: moved up into `system` it would change the first bytes of every later request.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import msgspec

from trunkline.core.request import CustomTool, ForeignTool, Message, OutputFormat, Request, Text, Tool, ToolChoice
from trunkline.dialects.anthropic.content_writer import Block, ContentWriter, compact
from trunkline.dialects.anthropic.thinking import Plan, plan
from trunkline.dialects.anthropic.vocabulary import NAME, write_cache
from trunkline.dialects.base import Quirks
from trunkline.dialects.custom import as_function
from trunkline.dialects.emptied import refuse_emptied
from trunkline.dialects.forced import refuse_forced
from trunkline.dialects.mapping import SILENCE, TIERS
from trunkline.dialects.turns import INSTRUCTIONS, no_prefill, role_of, spoken, turns

_encode = msgspec.json.Encoder().encode

_UNKNOWN_HERE: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "seed": (),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "verbosity": ("medium",),
}
"""Fields that Messages has no word for, with the values that ask for nothing."""

_SAMPLING = ("temperature", "top_p", "top_k")

_unknown_here, _sampling = attrgetter(*_UNKNOWN_HERE), attrgetter(*_SAMPLING)
"""All values of a group at once: mostly none is set, and to find that out costs a tenth of asking one by one."""

_ALL_UNSET, _NOT_SAMPLED = (None,) * len(_UNKNOWN_HERE), (None,) * len(_SAMPLING)

_CHOICES = {"auto": "auto", "required": "any", "tool": "tool", "none": "none"}


def write_request(request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
    """Raises BadRequest where the model does not take the conversation at all."""
    return _encode(_RequestWriter(request, quirks, lost).body(model))


def write_count_request(request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
    """The same without what says how to answer: the service counts the prompt, and refuses the rest."""
    body = _RequestWriter(request, quirks, lost).body(model)
    return _encode({name: value for name, value in body.items() if name in _COUNTED})


_COUNTED = frozenset({
    "model", "messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control",
    "context_management", "mcp_servers", "speed",
})  # fmt: skip
"""Fields of a request to count tokens (Anthropic's API reference, November 2026)."""


def api_version(request_has_sampling: bool) -> str:
    """The `anthropic-version` to send: from 2026-10-21 on the service refuses temperature, top_p and top_k."""
    return "2023-06-01" if request_has_sampling else "2026-10-21"


class _RequestWriter:
    def __init__(self, request: Request, quirks: Quirks, lost: list[str]) -> None:
        self.request = request
        self.quirks = quirks
        self.lost = lost
        self.own = request.dialect == NAME
        self.content = ContentWriter(request.dialect, lost)

    def body(self, model: str) -> dict[str, Any]:
        request, made = self.request, plan(self.request, self.quirks, self.lost)
        system, rest = self._leading_system()
        out: dict[str, Any] = {"model": model, "max_tokens": made.max_tokens}
        said = spoken(rest)
        messages = self._messages(rest) if said is None else [{"role": role, "content": text} for role, text in said]
        if system and not messages:
            # Instructions alone are a request elsewhere; here somebody must have said something.
            self.lost.append(f"{self.request.messages[0].at}.role")
            messages, system = [{"role": "user", "content": compact(system)}], []
        if system:
            out["system"] = compact(system)
        out["messages"] = messages
        if request.tools or request.tool_choice is not None:
            self._tooling(made, out)
        if made.thinking is not None:
            out["thinking"] = made.thinking
        if (made.effort is not None or request.output is not None) and (config := self._output_config(made)):
            out["output_config"] = config
        if (sampling := _sampling(request)) != _NOT_SAMPLED:
            self._sampling(sampling, made, out)
        if request.stop and (stop := self._stop(request.stop)):
            out["stop_sequences"] = stop
        self._envelope(out)
        if request.stream:
            out["stream"] = True
        self._rest(out)
        return out

    # ── Messages ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _leading_system(self) -> tuple[list[Block], list[Message]]:
        """The instructions before the first turn, and what follows them. `system` takes texts and nothing else."""
        blocks: list[Block] = []
        messages = self.request.messages
        for position, message in enumerate(messages):
            if (
                message.role not in INSTRUCTIONS
                or (self.own and message.extra)
                or not all(isinstance(part, Text) for part in message.parts)
            ):
                return blocks, messages[position:]
            blocks += self.content.blocks(message.parts)
            self._message_fields({}, message)
        return blocks, []

    def _messages(self, messages: list[Message]) -> list[dict[str, Any]]:
        out: list[dict[str, Any]] = []
        for turn in turns(messages, self._role):
            before = len(self.lost)
            if content := self.content.content(turn.parts):
                written: dict[str, Any] = {"role": turn.role, "content": content}
                for message in turn.messages:
                    if message.name is not None or message.extra:
                        self._message_fields(written, message)
                out.append(written)
            else:
                refuse_emptied(turn.messages, self.lost[before:])
        if out and out[-1]["role"] == "assistant":
            self._prefill(out, messages)
        return out

    def _role(self, message: Message) -> str:
        return role_of(message, self.own or self.quirks.system_turns, self.lost)

    def _message_fields(self, written: dict[str, Any], message: Message) -> None:
        if message.name is not None:
            self.lost.append(f"{message.at}.name")
        self.content.unknown(written, message.extra, message.at)

    def _prefill(self, out: list[dict[str, Any]], messages: list[Message]) -> None:
        """The answer's beginning, put into the model's mouth. The service refuses white space at its end."""
        if not self.quirks.prefill:
            raise no_prefill(messages)
        content = out[-1]["content"]
        if isinstance(content, str):
            content = [{"type": "text", "text": content}]
        if content[-1]["type"] != "text":
            return
        text = content[-1]["text"].rstrip()
        content = [*content[:-1], content[-1] | {"text": text}] if text else content[:-1]
        if content:
            out[-1]["content"] = compact(content)
        else:
            out.pop()

    # ── Tools ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _tooling(self, made: Plan, out: dict[str, Any]) -> None:
        if tools := self._tools():
            out["tools"] = tools
        refuse_forced(self.request, self.lost)
        if choice := self._tool_choice(made, bool(tools)):
            out["tool_choice"] = choice

    def _tools(self) -> list[dict[str, Any]]:
        choice = self.request.tool_choice
        allowed = choice.allowed if choice is not None else None
        return [
            written
            for tool in self.request.tools
            if (written := self._tool(tool)) is not None and (allowed is None or written.get("name") in allowed)
        ]

    def _tool(self, tool: Tool | CustomTool | ForeignTool) -> dict[str, Any] | None:
        if isinstance(tool, ForeignTool):
            if tool.dialect == NAME:
                return tool.data
            self.lost.append(tool.at)
            return None
        if isinstance(tool, CustomTool):
            tool = as_function(tool, self.lost)
        out: dict[str, Any] = {"name": tool.name}
        if tool.description is not None:
            out["description"] = tool.description
        out["input_schema"] = tool.schema or {}
        if "type" not in out["input_schema"] and not self.own:
            out["input_schema"] = {"type": "object", "properties": {}} | out["input_schema"]
        if tool.strict:
            out["strict"] = True
        return self.content.marked(out, tool)

    def _tool_choice(self, made: Plan, tools: bool) -> dict[str, Any] | None:
        choice, single = self.request.tool_choice, self.request.parallel_tool_calls is False
        if not tools:
            if choice is not None and choice.mode in {"required", "tool"}:
                self.lost.append(self.request.name_of("tool_choice"))
            return None
        if choice is None and not single:
            return None
        out = self._choice(choice or ToolChoice("auto"), made)
        if single and out["type"] != "none":
            out["disable_parallel_tool_use"] = True
        return out

    def _choice(self, choice: ToolChoice, made: Plan) -> dict[str, Any]:
        if made.budgeted and choice.mode in {"required", "tool"}:
            self.lost.append(self.request.name_of("tool_choice"))
            return {"type": "auto"}
        out: dict[str, Any] = {"type": _CHOICES[choice.mode]}
        if choice.mode == "tool":
            out["name"] = choice.name
        return out

    # ── How to answer ──────────────────────────────────────────────────────────────────────────────────────────────

    def _output_config(self, made: Plan) -> dict[str, Any]:
        out: dict[str, Any] = {}
        if made.effort is not None:
            out["effort"] = made.effort
        output = self.request.output
        if output is not None and self._takes("output") and (written := self._format(output)) is not None:
            out["format"] = written
        return out

    def _format(self, output: OutputFormat) -> dict[str, Any] | None:
        """JSON by schema. There is no JSON without one here: asked for that, nothing is sent and the loss is told (an
        empty schema would forbid every field). The name is a label that nothing reads; a description is advice lost."""
        if output.kind == "json_object" or output.schema is None:
            self.lost.append(self.request.name_of("output"))
            return None
        if output.description is not None:
            self.lost.append(f"{self.request.name_of('output')}.json_schema.description")
        return {"type": "json_schema", "schema": output.schema}

    def _sampling(self, values: tuple[Any, ...], made: Plan, out: dict[str, Any]) -> None:
        for name, value in zip(_SAMPLING, values, strict=True):
            if value is None or not self._takes(name):
                continue
            kept = _sampled(name, value, made.on)
            if kept != value:
                self.lost.append(self.request.name_of(name))
            if kept is not None:
                out[name] = kept

    def _stop(self, asked: list[str]) -> list[str]:
        """The service refuses a stop sequence of white space."""
        if not self._takes("stop"):
            return []
        kept = [text for text in asked if text.strip()]
        if len(kept) < len(asked):
            self.lost.append(self.request.name_of("stop"))
        return kept

    # ── The rest ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _envelope(self, out: dict[str, Any]) -> None:
        request = self.request
        if request.user is not None:
            out["metadata"] = {"user_id": request.user}
        if request.metadata is not None and not self.own:
            self.lost.append(request.name_of("metadata"))
        elif request.metadata:
            out["metadata"] = out.get("metadata", {}) | request.metadata
        if request.tier is not None:
            tier = request.tier if self.own else TIERS[NAME].said.get(request.tier)
            if tier is None:
                self.lost.append(request.name_of("tier"))
            elif tier != SILENCE:
                out["service_tier"] = tier
        if request.cache is not None:
            out["cache_control"] = write_cache(request.cache)

    def _rest(self, out: dict[str, Any]) -> None:
        if (values := _unknown_here(self.request)) != _ALL_UNSET:
            for (name, nothing), value in zip(_UNKNOWN_HERE.items(), values, strict=True):
                if value is not None and value not in nothing:
                    self.lost.append(self.request.name_of(name))
        for name, value in self.request.extra.items():
            if not self.own:
                self.lost.append(name)
            elif name in _NESTED and isinstance(value, dict):
                out[name] = out.get(name, {}) | value
            else:
                out.setdefault(name, value)

    def _takes(self, name: str) -> bool:
        """Whether this model takes the field; a refused one is reported."""
        if name in self.quirks.drop:
            self.lost.append(self.request.name_of(name))
            return False
        return True


_NESTED = frozenset({"output_config", "thinking", "tool_choice"})
"""Objects of which the reader took what it knew: the unknown rest goes back in beside it."""


def _sampled(name: str, value: float, thinking: bool) -> float | None:
    """What the service takes of a sampling parameter: OpenAI's temperature reaches 2, and thinking wants little
    tampering (Anthropic, "Extended thinking": temperature and top_k not at all, top_p between 0.95 and 1)."""
    match name:
        case "temperature":
            kept = min(value, 1.0)
            return None if thinking and kept != 1.0 else kept
        case "top_p":
            return None if thinking and value < 0.95 else value
        case _:
            return None if thinking else value
