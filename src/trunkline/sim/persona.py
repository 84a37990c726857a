"""What a simulated model says: decided from the request alone, so that the same request gets the same answer.

    tools asked for        → calls, with arguments that satisfy their schemas
    a JSON schema          → an object that satisfies it
    anything else          → a short text that says it comes from a simulator, and repeats what it was asked

Dialects bring a request into an `Ask` and take an `Answer` out of it. Parts are kept in token pieces, because the
limit, the stream's deltas and the usage all count the same pieces.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field

from trunkline.sim import hints
from trunkline.sim import schema as schemas
from trunkline.sim.tokens import pieces

Reason = Literal["stop", "stop_sequence", "length", "tool", "refusal", "filtered"]
PartKind = Literal["thinking", "redacted", "text", "refusal", "tool"]


class Model(Struct, frozen=True):
    """One simulated model. Counts in tokens."""

    context: int
    max_output: int
    thinks: bool
    """Reasons unless told not to, and takes the parameters that reasoning models take."""
    responses_only: bool = False
    """Takes function tools on the Responses API alone, and always reasons."""
    created: int = 1_767_225_600
    """Seconds since the epoch."""


MODELS: Mapping[str, Model] = {
    "sim-tiny": Model(context=512, max_output=128, thinks=False),
    "sim-small": Model(context=128_000, max_output=16_384, thinks=False),
    "sim-large": Model(context=1_000_000, max_output=128_000, thinks=False),
    "sim-thinker": Model(context=400_000, max_output=128_000, thinks=True),
    "sim-responses-only": Model(context=400_000, max_output=128_000, thinks=True, responses_only=True),
}
"""Names that begin with `sim-` must be among these; any other name answers as `sim-small` does."""

PREFIX = "sim-"
FAULT_PREFIX = "fault-"
"""`fault-429` is short for `sim-small+429`."""
DEFAULT = "sim-small"

QUOTED = 200
"""Characters of the prompt that an answer repeats."""


class Tool(Struct, frozen=True):
    name: str
    schema: dict[str, Any]
    free_form: bool = False
    """Takes text instead of JSON (OpenAI custom tools)."""


class Ask(Struct):
    """A request, as far as an answer depends on it."""

    model: str
    """As the answer shall name it."""
    text: str
    """The last user message's text."""
    tools: list[Tool] = field(default_factory=list)
    choice: Literal["auto", "none", "required"] = "auto"
    named: str | None = None
    """The one tool that must be called."""
    parallel: bool = True
    results: list[str] = field(default_factory=list)
    """Texts of the tool results that end the conversation."""
    media: list[str] = field(default_factory=list)
    """Media types of all images, documents and audio."""
    schema: dict[str, Any] | None = None
    """JSON schema of the answer; `{}` for any object."""
    think: bool = False
    limit: int | None = None
    stop: list[str] = field(default_factory=list)
    variant: int = 0
    """Which of several alternatives (OpenAI's `n`)."""
    refuse: bool = False
    redacted: bool = False
    filtered: bool = False
    length: int | None = None
    begun: str = ""
    """The model's own words at the end of the conversation, which it goes on from."""


class Part(Struct):
    kind: PartKind
    pieces: list[str]
    name: str = ""
    free_form: bool = False

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class Answer(Struct):
    parts: list[Part]
    reason: Reason
    stop: str | None = None
    """The stop sequence that ended it."""

    @property
    def tokens(self) -> int:
        return sum(len(part.pieces) for part in self.parts)

    @property
    def thought(self) -> int:
        """Tokens of reasoning among `tokens`."""
        return sum(len(part.pieces) for part in self.parts if part.kind in ("thinking", "redacted"))


def answer(ask: Ask) -> Answer:
    """The model's answer."""
    parts = []
    if ask.think:
        thought = f'The user says: "{_quote(ask.text)}". A simulator has little to think about, so I will answer.'
        parts.append(Part("redacted" if ask.redacted else "thinking", pieces(thought)))
    if ask.refuse:
        parts.append(Part("refusal", pieces("I am a simulator, and I was told to refuse this request.")))
        return _limited(ask, Answer(parts, "refusal"))
    calls = _calls(ask)
    if calls:
        return _limited(ask, Answer(parts + calls, "tool"))
    text = _structured(ask) if ask.schema is not None else _prose(ask)
    reply = Answer(parts, "filtered" if ask.filtered else "stop")
    text, reply.stop = _stopped(_rest(text, ask.begun), ask.stop)
    if reply.stop is not None:
        reply.reason = "stop_sequence"
    parts.append(Part("text", pieces(text)))
    return _limited(ask, reply)


def _calls(ask: Ask) -> list[Part]:
    if not ask.tools or ask.choice == "none":
        return []
    if ask.named is not None:
        chosen = [tool for tool in ask.tools if tool.name == ask.named]
    else:
        answered = ask.results and ask.choice == "auto"
        chosen = [] if answered else _wanted(ask)
        if ask.choice == "required" and not chosen:
            chosen = ask.tools[:1]
    return [_call(tool, ask) for tool in (chosen if ask.parallel else chosen[:1])]


def _wanted(ask: Ask) -> list[Tool]:
    """The tools that the prompt asks for; where it writes out whole calls, those alone."""
    written = [tool for tool in ask.tools if hints.all_arguments(ask.text, tool.name) is not None]
    return written or [tool for tool in ask.tools if hints.names(ask.text, tool.name)]


def _call(tool: Tool, ask: Ask) -> Part:
    if tool.free_form:
        return Part("tool", pieces(f"simulated input: {_quote(ask.text)}"), tool.name, free_form=True)
    arguments = hints.all_arguments(ask.text, tool.name)
    if arguments is None:
        arguments = _arguments(tool, ask.text)
    return Part("tool", pieces(json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))), tool.name)


def _arguments(tool: Tool, text: str) -> dict[str, Any]:
    """Arguments that satisfy the tool's schema and say what the prompt says."""
    said = hints.quoted(text)
    arguments = schemas.example(tool.schema, tool.name, strings=said[0] if said else None)
    arguments = arguments if isinstance(arguments, dict) else {}
    return arguments | hints.arguments(text, tool.name, tool.schema.get("properties") or {})


def _structured(ask: Ask) -> str:
    value = schemas.example(ask.schema) if ask.schema else _any_object(ask)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _any_object(ask: Ask) -> dict[str, Any]:
    """An object without a schema: with the keys that the prompt quotes, else one that says what it is."""
    keys = hints.quoted(ask.text)
    return {key: f"simulated {key}" for key in keys} if keys else {"simulator": True, "model": ask.model}


def _prose(ask: Ask) -> str:
    said = [f"I am {ask.model}, a simulator; no real model has answered."]
    if ask.results:
        said.append("The tools returned: " + "; ".join(f'"{_quote(one)}"' for one in ask.results) + ".")
    elif ask.text:
        said.append(f'You said: "{_quote(ask.text)}".')
    if ask.media:
        kinds = ", ".join(sorted(set(ask.media)))
        said.append(f"You attached {len(ask.media)} file{'s' if len(ask.media) > 1 else ''} ({kinds}).")
    if ask.variant:
        said.append(f"This is alternative {ask.variant + 1}.")
    text = " ".join(said)
    return text if ask.length is None else _stretched(text, ask.length)


def _rest(text: str, begun: str) -> str:
    """The text without its beginning; words that it does not begin with get an end."""
    return text.removeprefix(begun) if text.startswith(begun) else " And so on."


def _stretched(text: str, tokens: int) -> str:
    """The text cut or continued to exactly that many tokens."""
    have = pieces(text)
    return "".join(have[:tokens]) + " word" * max(0, tokens - len(have))


def _stopped(text: str, stop: list[str]) -> tuple[str, str | None]:
    """The text up to the earliest stop sequence, and which one it was."""
    found = min(((text.find(one), one) for one in stop if one and one in text), default=None)
    return (text, None) if found is None else (text[: found[0]], found[1])


def _limited(ask: Ask, reply: Answer) -> Answer:
    """The answer cut at the token limit. Parts that nothing is left for do not appear."""
    if ask.limit is None or reply.tokens <= ask.limit:
        return reply
    left, kept = ask.limit, []
    for part in reply.parts:
        if left > 0:
            kept.append(Part(part.kind, part.pieces[:left], part.name, part.free_form))
        left -= len(part.pieces)
    return Answer(kept, "length")


def _quote(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= QUOTED else flat[:QUOTED] + "…"
