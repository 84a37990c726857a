"""Whether an answer that broke off can go on, and how: what the client has seen of it decides.

    nothing yet, or thoughts alone   → anew: another answer, whose thoughts are not shown a second time
    text, and nothing but text       → continued: a model is given these words as the beginning of its own answer
    anything else                    → not at all: a tool call, half a choice among several, a refusal cannot be taken
                                       back, and a model that is asked once more would contradict them

Nothing here asks a model in prose to "continue": only those that are made to take up their own words are given any.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import structs

from trunkline.core.events import (
    ArgumentsDelta,
    CitationDelta,
    Event,
    Finished,
    Logprobs,
    OpaqueDelta,
    PartFinished,
    PartStarted,
    ReasoningDelta,
    Started,
    TextDelta,
)
from trunkline.core.reply import Flow
from trunkline.core.request import Message, Request, Text
from trunkline.core.usage import Usage

MAX_WORDS = 256 * 1024
"""Characters of an answer that are remembered to go on from; a longer one cannot be gone on with."""

THOUGHTS = frozenset({"reasoning", "redacted_reasoning"})


class Said:
    """What a client has been sent of an answer. `next`: the index of its next part."""

    __slots__ = ("_pieces", "_size", "final", "kinds", "next", "started", "thought")

    def __init__(self) -> None:
        self.started = False
        self.thought = False
        """Thoughts have been shown."""
        self.final: str | None = None
        """Why nothing can follow what was said."""
        self.next = 0
        self.kinds: dict[int, str] = {}
        """The parts that have not ended, by index."""
        self._pieces: list[str] = []
        self._size = 0

    @property
    def words(self) -> str:
        """The answer's text; "" where it is nothing but white space: no model can be given that."""
        words = "".join(self._pieces)
        return words if not words.isspace() else ""

    def note(self, event: Event) -> None:
        """This event has been sent."""
        match event:
            case TextDelta():
                self._text(event)
            case ReasoningDelta():
                self.thought = True
            case Started():
                self.started = True
            case PartStarted():
                self._part(event)
            case PartFinished():
                self.kinds.pop(event.index, None)
            case Finished():
                self._stop("it has ended")
            case ArgumentsDelta():
                self._stop("a tool call was begun")
            case CitationDelta() | OpaqueDelta() | Logprobs():
                self._stop("it holds more than text")
            case _:
                pass

    def _text(self, event: TextDelta) -> None:
        self._size += len(event.text)
        if self._size > MAX_WORDS:
            self._pieces.clear()
            self._stop("it is too long")
        else:
            self._pieces.append(event.text)

    def _part(self, event: PartStarted) -> None:
        self.next = event.index + 1
        self.kinds[event.index] = event.kind
        if event.choice:
            self._stop("several alternatives were asked for")
        elif event.kind in THOUGHTS:
            self.thought = True
        elif event.kind != "text":
            self._stop("it holds more than text")

    def _stop(self, why: str) -> None:
        self.final = self.final or why


class Resumable(Flow, Protocol):
    """A stream's flow that another upstream's answer can be led into. An error that it meets it keeps in `error`, and
    tells the client nothing of it before `fail`."""

    @property
    def said(self) -> Said: ...


class Recovery:
    """What an attempt must know to go on with an answer that broke off. Made for the first attempt already: its flow
    must be one that can be gone on with."""

    __slots__ = ("flow", "spent", "words")

    def __init__(self) -> None:
        self.flow: Resumable | None = None
        """The answer that has begun."""
        self.words = ""
        """Of it: what the next model shall take for the beginning of its own answer; "" where it begins anew."""
        self.spent: Usage | None = None
        """What it has used so far."""


def obstacle(request: Request) -> str | None:
    """Why this request's answer must not be continued from its own text; None: nothing stands in the way.

    The grammar that holds an answer to a schema begins with the model's first token, so a continued one would be held
    to the schema twice; a model that must call a tool says no text; alternatives and their probabilities are told
    apart only within one answer.
    """
    if request.output is not None:
        return "it is held to a format"
    if request.tool_choice is not None and request.tool_choice.mode in ("required", "tool"):
        return "a tool must be called"
    if (request.n or 1) > 1:
        return "several alternatives were asked for"
    if request.logprobs:
        return "probabilities were asked for"
    return None


def continued(request: Request, words: str, produced: int) -> Request:
    """The request for the rest of an answer. Anthropic's models refuse words that end in white space, so that is left
    away, and `policy.splice` sees to it. `produced`: about how many tokens the answer has already."""
    mine = Message("assistant", [Text(words.rstrip())])
    limit = request.max_tokens
    left = None if limit is None else max(1, limit - produced)
    return structs.replace(request, messages=[*request.messages, mine], max_tokens=left)
