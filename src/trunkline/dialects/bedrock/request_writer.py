"""The core `Request`, written as a Converse request body.

The same request gives the same bytes: key order is fixed, nothing is generated, documents are named in order. A growing
conversation must only ever grow at its end, so a system message in the middle of it stays there.

The model's name is in the path, as is whether to stream: the body says neither.
"""

from __future__ import annotations

import re
from operator import attrgetter
from typing import Any

import msgspec

from trunkline.core.request import Foreign, Message, OutputFormat, Request, Text
from trunkline.dialects.base import Quirks
from trunkline.dialects.bedrock.content_writer import Block, ContentWriter
from trunkline.dialects.bedrock.families import family_of
from trunkline.dialects.bedrock.reasoning import Plan, plan
from trunkline.dialects.bedrock.tooling import Tooling
from trunkline.dialects.bedrock.vocabulary import NAME
from trunkline.dialects.emptied import refuse_emptied
from trunkline.dialects.mapping import BEDROCK, SILENCE, TIERS
from trunkline.dialects.turns import INSTRUCTIONS, Turn, no_prefill, role_of, spoken, turns

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
    "user": (),
    "cache": (),
}
"""Fields that Converse has no word for, with the values that ask for nothing."""

_unknown_here = attrgetter(*_UNKNOWN_HERE)
_ALL_UNSET = (None,) * len(_UNKNOWN_HERE)

_LABEL = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{0,256}")
_MAX_LABELS = 16
"""What `requestMetadata` takes."""

_FILLER = "."
"""A text that says nothing, where the service insists on one."""

COUNTED = ("messages", "system", "toolConfig", "additionalModelRequestFields")
"""Fields of a request to count tokens."""


def write_request(request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
    """Raises BadRequest where the model does not take the conversation at all."""
    return _encode(body_of(request, model, quirks, lost))


def body_of(request: Request, model: str, quirks: Quirks, lost: list[str]) -> dict[str, Any]:
    """The same before it is encoded, for formats that are nearly the same."""
    return _RequestWriter(request, model, quirks, lost).body()


def write_count_request(request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
    """The same without what says how to answer."""
    body = body_of(request, model, quirks, lost)
    return _encode({"input": {"converse": {name: body[name] for name in COUNTED if name in body}}})


class _RequestWriter:
    def __init__(self, request: Request, model: str, quirks: Quirks, lost: list[str]) -> None:
        self.request = request
        self.quirks = quirks
        self.family = family_of(model, quirks)
        self.lost = lost
        self.own = request.dialect == NAME
        self.content = ContentWriter(request.dialect, self.family, lost)

    def body(self) -> dict[str, Any]:
        request = self.request
        made = plan(request, self.family, self.quirks, self.lost)
        system, rest = self._leading_system()
        said = spoken(rest)
        messages = self._messages(rest) if said is None else [_said(role, text) for role, text in said]
        if system and not messages:
            # Instructions alone are a request elsewhere; here somebody must have said something.
            self.lost.append(f"{request.messages[0].at}.role")
            messages, system = [{"role": "user", "content": system}], []
        out: dict[str, Any] = {"messages": messages}
        if system:
            out["system"] = system
        if config := self._inference(made):
            out["inferenceConfig"] = config
        if said is None or request.tools or request.tool_choice is not None:
            self._tooling(made, out)
        if request.output is not None and (text := self._format(request.output)) is not None:
            out["outputConfig"] = {"textFormat": text}
        if fields := self._additional(made, "toolConfig" in out):
            out["additionalModelRequestFields"] = fields
        self._envelope(out)
        self._rest(out)
        return out

    def _tooling(self, made: Plan, out: dict[str, Any]) -> None:
        if (tooling := Tooling(self.request, self.family, self.lost).config(made.budgeted)) is not None:
            out["toolConfig"] = tooling

    # ── Messages ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _leading_system(self) -> tuple[list[Block], list[Message]]:
        """The instructions before the first turn, all of them, and what follows."""
        blocks: list[Block] = []
        messages = self.request.messages
        for position, message in enumerate(messages):
            if message.role not in INSTRUCTIONS or not all(_instructs(part) for part in message.parts):
                return blocks, messages[position:]
            blocks += self.content.blocks(message.parts)
            self._message_fields({}, message)
        return blocks, []

    def _messages(self, messages: list[Message]) -> list[dict[str, Any]]:
        out: list[dict[str, Any]] = []
        for turn in turns(messages, self._role):
            before = len(self.lost)
            content = self._content(turn)
            if not content:
                refuse_emptied(turn.messages, self.lost[before:])
                continue
            if out and out[-1]["role"] == turn.role:  # what stood between them was empty
                out[-1]["content"] += content
                continue
            written: dict[str, Any] = {"role": turn.role, "content": content}
            for message in turn.messages:
                self._message_fields(written, message)
            out.append(written)
        if out and out[0]["role"] == "assistant":
            self.lost.append(f"{messages[0].at}.role")
            out.insert(0, {"role": "user", "content": [{"text": _FILLER}]})
        if out and out[-1]["role"] == "assistant":
            self._prefill(out, messages)
        return out

    def _content(self, turn: Turn) -> list[Block]:
        blocks = self.content.blocks(turn.parts)
        if len(blocks) == 1 and "text" in blocks[0]:
            return blocks
        results = [block["toolResult"] for block in blocks if "toolResult" in block]
        if results and self.family.results_alone:
            # The words beside the results go into the last of them: in a turn of their own they would break the
            # alternation of roles, which the service insists on.
            said = [block for block in blocks if "text" in block]
            results[-1]["content"] = [*results[-1]["content"], *said]
            blocks = [block for block in blocks if "text" not in block]
        documents = [block["document"] for block in blocks if "document" in block]
        if documents and not any("text" in block and block["text"].strip() for block in blocks):
            blocks.append({"text": _names(documents) or _FILLER})  # the service refuses documents without a text
        return blocks

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
        if "text" in content[-1]:
            out[-1]["content"] = [*content[:-1], {"text": content[-1]["text"].rstrip()}]

    # ── How to answer ──────────────────────────────────────────────────────────────────────────────────────────────

    def _inference(self, made: Plan) -> dict[str, Any]:
        request, out = self.request, dict[str, Any]()
        if request.max_tokens is not None:
            out["maxTokens"] = request.max_tokens
        for name, wire in (("temperature", "temperature"), ("top_p", "topP")):
            value = getattr(request, name)
            if value is None or not self._takes(name):
                continue
            kept = _sampled(name, value, made.on and self.family.reasoning == "claude")
            if kept != value:
                self.lost.append(request.name_of(name))
            if kept is not None:
                out[wire] = kept
        if request.stop and self._takes("stop"):
            kept_stops = [text for text in request.stop if text.strip()]
            if len(kept_stops) < len(request.stop):
                self.lost.append(request.name_of("stop"))
            if kept_stops:
                out["stopSequences"] = kept_stops
        return out

    def _format(self, output: OutputFormat) -> dict[str, Any] | None:
        """JSON by schema, which travels as text. There is no JSON without one here: asked for that, nothing is sent and
        the loss is told."""
        if not self._takes("output"):
            return None
        if output.kind == "json_object" or output.schema is None:
            self.lost.append(self.request.name_of("output"))
            return None
        asked: dict[str, Any] = {"schema": _encode(output.schema).decode()}
        if output.name:
            asked["name"] = output.name
        if output.description:
            asked["description"] = output.description
        return {"type": "json_schema", "structure": {"jsonSchema": asked}}

    def _additional(self, made: Plan, tools: bool) -> dict[str, Any]:
        request, out = self.request, dict(made.fields)
        if request.top_k is not None and self._takes("top_k"):
            if self.family.top_k is None or (made.on and self.family.reasoning == "claude"):
                self.lost.append(request.name_of("top_k"))
            else:
                _put(out, self.family.top_k, request.top_k)
        if request.parallel_tool_calls is False and tools:
            if self.family.single_calls and (choice := self._single(made)) is not None:
                out["tool_choice"] = choice
            else:
                self.lost.append(request.name_of("parallel_tool_calls"))
        return out

    def _single(self, made: Plan) -> dict[str, Any] | None:
        """Claude's own way to be told to call one tool at a time, which must say the choice again."""
        choice = self.request.tool_choice
        mode = choice.mode if choice is not None and not made.budgeted else "auto"
        if mode == "none":
            return None
        out: dict[str, Any] = {"type": {"auto": "auto", "required": "any", "tool": "tool"}[mode]}
        if mode == "tool" and choice is not None:
            out["name"] = choice.name
        return out | {"disable_parallel_tool_use": True}

    # ── The rest ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _envelope(self, out: dict[str, Any]) -> None:
        request = self.request
        if request.metadata:
            if self.own or _are_labels(request.metadata):
                out["requestMetadata"] = request.metadata
            else:
                self.lost.append(request.name_of("metadata"))
        if request.tier is not None:
            tier = request.tier if self.own else TIERS[BEDROCK].said.get(request.tier)
            if tier is None:
                self.lost.append(request.name_of("tier"))
            elif tier != SILENCE:
                out["serviceTier"] = {"type": tier}

    def _rest(self, out: dict[str, Any]) -> None:
        if (values := _unknown_here(self.request)) != _ALL_UNSET:
            for (name, nothing), value in zip(_UNKNOWN_HERE.items(), values, strict=True):
                if value is not None and value not in nothing:
                    self.lost.append(self.request.name_of(name))
        for name, value in self.request.extra.items():
            if self.own:
                first, _, within = name.partition(".")
                _put(out, (first, within) if within else (first,), value)
            else:
                self.lost.append(name)

    def _takes(self, name: str) -> bool:
        """Whether this model takes the field; a refused one is reported."""
        if name in self.quirks.drop:
            self.lost.append(self.request.name_of(name))
            return False
        return True


def _said(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"text": text}]}


def _instructs(part: Any) -> bool:
    """Whether `system` can hold it."""
    return isinstance(part, Text) or (isinstance(part, Foreign) and part.dialect == NAME)


def _sampled(name: str, value: float, thinking: bool) -> float | None:
    """What the service takes of a sampling parameter: others' temperature reaches 2, and Claude's thinking wants little
    tampering."""
    if name == "temperature":
        kept = min(value, 1.0)
        return None if thinking and kept != 1.0 else kept
    return None if thinking and value < 0.95 else value


def _put(out: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Sets what is not there yet."""
    *outer, last = path
    for name in outer:
        inner = out.setdefault(name, {})
        if not isinstance(inner, dict):
            return
        out = inner
    if isinstance(value, dict) and isinstance(out.get(last), dict):
        out[last] = value | out[last]
    else:
        out.setdefault(last, value)


def _are_labels(metadata: dict[str, Any]) -> bool:
    return len(metadata) <= _MAX_LABELS and all(
        name and _LABEL.fullmatch(name) and isinstance(value, str) and _LABEL.fullmatch(value)
        for name, value in metadata.items()
    )


def _names(documents: list[Any]) -> str:
    """Of documents that have one: what the client wrote passes even if it is no document to us."""
    named = (document.get("name") for document in documents if isinstance(document, dict))
    return ", ".join(name for name in named if isinstance(name, str))
