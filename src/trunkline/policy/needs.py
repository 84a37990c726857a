"""What a request needs of a model, what a model lacks, and which of several targets can serve.

The identity path never parses a body, so nothing is looked for that every target has: `Watch` holds what any target
lacks, byte patterns tell whether a body may ask for it, and only then is it read. Not to find a need is harmless (the
provider refuses); to invent one would not be, so a need counts only where a model is known to lack it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from msgspec import Struct

from trunkline.core.request import (
    Audio,
    CustomTool,
    Document,
    FileId,
    Image,
    Inline,
    Message,
    Part,
    Request,
    Tool,
    ToolResult,
    Url,
    Video,
)

NAMES = {
    "text": "answers in text",
    "tools": "tools",
    "parallel_tools": "parallel tool calls",
    "image": "images",
    "document": "documents",
    "audio": "audio",
    "video": "video",
    "json_schema": "a JSON schema for the answer",
    "reasoning": "reasoning",
    "streaming": "streaming",
    "input": "a prompt of this length",
    "output": "an answer of this length",
}
"""Every need, as a sentence calls it."""

SOFT = frozenset({"parallel_tools", "streaming", "output"})
"""Needs for which a better target is taken, but no call refused: calls come one by one, answers come whole, and a
provider says itself which limit it has."""
LOSABLE = frozenset({"reasoning"})
"""Needs that the caller may waive (`x-trunkline-strict: 0`): the answer is worth less, but it is one."""

SURE = 2.0
"""An estimate is refused for only where it is beyond doubt: this many times what fits."""

_SIGNS: dict[str, tuple[bytes, ...]] = {
    "text": (b"",),
    "tools": (b'"tools"', b'"functions"', b'"toolConfig"'),
    "parallel_tools": (b"parallel_tool",),
    "image": (b"image",),
    "document": (b"document", b'"file"', b"input_file", b"application/", b"file_data"),
    "audio": (b"audio",),
    "video": (b"video",),
    "json_schema": (b"json_schema", b"response_schema", b"responseSchema", b"responseJsonSchema", b"output_format"),
    "reasoning": (b"reasoning", b"thinking", b"effort"),
    "streaming": (b'"stream',),
}
"""What a body of any family holds where it may ask for it. Written otherwise (with JSON escapes) it is overlooked.
Plain words, since Python finds those thirty times as fast as an expression of alternatives."""

_LIMIT = re.compile(rb'max(?:_completion|_output|Output)?_?[tT]okens"\s*:\s*(\d{1,12})')
"""What the families call the limit of an answer."""

MEDIA: dict[type, str] = {Image: "image", Document: "document", Audio: "audio", Video: "video"}
_BYTES_PER_TOKEN = 4


class Ability(Struct, frozen=True):
    """What is known of a target. `input` and `output` in tokens, None where unknown."""

    lacks: frozenset[str] = frozenset()
    has: frozenset[str] = frozenset()
    """What is known to be there: of use to name a model that can."""
    input: int | None = None
    output: int | None = None


ANY = Ability()
"""Nothing is known to be missing."""


class Able(Protocol):
    @property
    def ability(self) -> Ability: ...


A = TypeVar("A", bound=Able)


class Needs(Struct):
    """`asked`: each need to the JSON path that asks for it. Tokens: `input` is an estimate, 0 where it was not made."""

    asked: dict[str, str]
    input: int = 0
    output: int = 0


def needs_of(request: Request, input: int = 0) -> Needs:
    """All that a request asks of a model. `input`: the estimate of its tokens."""
    asked = {"text": "model"}
    if any(isinstance(tool, Tool | CustomTool) for tool in request.tools) and not _idle(request):
        asked["tools"] = request.name_of("tools")
        if request.parallel_tool_calls:
            asked["parallel_tools"] = request.name_of("parallel_tool_calls")
    if request.output is not None and request.output.kind == "json_schema":
        asked["json_schema"] = request.name_of("output")
    if thinks(request):
        asked["reasoning"] = request.name_of("reasoning")
    if request.stream:
        asked["streaming"] = "stream"
    for part in _parts(request.messages):
        need = _medium(part)
        if need is not None:
            asked.setdefault(need, part.at)
    return Needs(asked, input, request.max_tokens or 0)


def _idle(request: Request) -> bool:
    return request.tool_choice is not None and request.tool_choice.mode == "none"


def thinks(request: Request) -> bool:
    """Whether it asks the model to think, or leaves it to it in so many words."""
    asked = request.reasoning
    return asked is not None and asked.mode != "disabled" and asked.effort != "none" and asked.budget != 0


def _parts(messages: Iterable[Message]) -> Iterator[Part]:
    for message in messages:
        for part in message.parts:
            yield part
            if isinstance(part, ToolResult):
                yield from part.content


def _medium(part: Part) -> str | None:
    """A document that is text, or of a media type that says so, asks for nothing special."""
    need = MEDIA.get(type(part))
    if need == "document" and isinstance(part, Document):
        source = part.source
        media = source.media_type if isinstance(source, Inline | Url | FileId) else "text/plain"
        return None if media is not None and media.startswith("text/") else need
    return need


def shortfall(needs: Needs, ability: Ability, slack: float = 1.0) -> list[str]:
    """The needs that are known not to be met. `slack`: how far beyond its room an estimated prompt may go."""
    short = [need for need in needs.asked if need in ability.lacks]
    if ability.input is not None and needs.input > ability.input * slack:
        short.append("input")
    if ability.output is not None and needs.output > ability.output:
        short.append("output")
    return short


class Watch(Struct, frozen=True):
    """What to look for in the requests of one model, and how."""

    signs: tuple[bytes, ...]
    size: int | None
    """Bytes of a body from which on its prompt may be too long."""
    output: int | None
    """Tokens beyond which an answer is too long for some target, and perhaps not for another."""
    wordless: bool = False
    """Some target does not answer in text: then the plainest request asks for what it lacks."""

    def suspects(self, body: bytes, plain: bool = False) -> bool:
        """Whether this body may ask for what some target lacks. `plain`: it holds nothing but text."""
        if self.size is not None and len(body) > self.size:
            return True
        if not plain or self.wordless:
            for sign in self.signs:  # a plain loop: a generator costs more than the search
                if sign in body:
                    return True
        limit = _LIMIT.search(body) if self.output is not None else None
        return limit is not None and int(limit[1]) > (self.output or 0)


def watch(targets: Iterable[Able]) -> Watch:
    abilities = [target.ability for target in targets]
    lacking = {need for ability in abilities for need in ability.lacks}
    signs = [sign for need in sorted(lacking) for sign in _SIGNS[need]]
    rooms = [ability.input for ability in abilities if ability.input is not None]
    outputs = {ability.output for ability in abilities}
    size = min(rooms) * _BYTES_PER_TOKEN if rooms else None
    # Where all are alike in this nobody can be preferred to another.
    output = min((each for each in outputs if each is not None), default=None) if len(outputs) > 1 else None
    return Watch(tuple(signs), size, output, b"" in signs)


def choose(targets: Sequence[A], needs: Needs, waived: bool = False) -> tuple[Sequence[A], list[str]]:
    """(the targets that can serve, in their order; or none, and the needs that stand in the way, the fewest that do).

    First those that lack nothing; where there is none, those that lack only what may be missing. `waived`: the caller
    allows losses.
    """
    whole = [target for target in targets if not shortfall(needs, target.ability)]
    if whole:
        return whole, []
    spared = SOFT | LOSABLE if waived else SOFT
    short = [[need for need in shortfall(needs, target.ability, SURE) if need not in spared] for target in targets]
    usable = [target for target, missing in zip(targets, short, strict=True) if not missing]
    return (usable, []) if usable else ((), min(short, key=len))
