"""One answer led into another: the events of the second follow what was sent of the first, and the client sees one.

It starts once, its parts go on counting, the text that was open goes on, thoughts are not shown twice, and words that
the second model repeats from the end of the first's are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import structs

from trunkline.core.events import Event, Finished, PartFinished, PartStarted, Started, TextDelta
from trunkline.core.usage import Usage
from trunkline.policy.continuation import THOUGHTS, Said

WINDOW = 2000
"""Characters at the end of what was said in which a repetition is looked for."""
SHORTEST = 12
"""Characters: less of a repetition is chance ("the ", a digit), and stays."""


class Overlap:
    """Takes from a continuation's beginning what repeats the end of what was said. Text is held back only
    as long as it may still turn out to be a repetition."""

    __slots__ = ("_bare", "_best", "_held", "_read", "_starts", "_tail", "done")

    def __init__(self, said: str) -> None:
        self._bare = said[-1:].isspace()
        """White space was said, and not told to the model: what it begins with of its own is the same once more."""
        self._tail = said[-WINDOW:].rstrip()
        self._held = ""
        self._starts: list[int] = list(range(len(self._tail)))
        """Where in the tail all that was read so far can be read too, and more."""
        self._read = 0
        self._best = 0
        self.done = not said

    def feed(self, text: str) -> str:
        """What can be shown of it by now."""
        if self.done:
            return self._trimmed(text)
        if not self._held:
            text = text.lstrip() if self._bare else text
        self._held += text
        for character in text:
            self._match(character)
        return "" if self._starts else self.end()

    def end(self) -> str:
        """No more comes, or no more of it can be a repetition: all that was held and is none."""
        self.done = True
        rest, self._held = self._held[self._best :], ""
        return self._trimmed(rest)

    def _trimmed(self, text: str) -> str:
        if self._bare:
            text = text.lstrip()
            self._bare = not text
        return text

    def _match(self, character: str) -> None:
        tail, read = self._tail, self._read
        matching = [start for start in self._starts if tail[start + read] == character]
        self._read = read + 1
        self._starts = [start for start in matching if start + self._read < len(tail)]
        if len(self._starts) < len(matching) and self._read >= SHORTEST:
            self._best = self._read


class Splice:
    """`said`: what the client has, which grows as the events that come out of this are sent. `words`: of it, what the
    model was given to go on from. `spent`: what it has cost so far."""

    __slots__ = ("_hide", "_left", "_overlap", "_parts", "_said", "_spent", "_text")

    def __init__(self, said: Said, words: str, spent: Usage | None) -> None:
        self._said = said
        self._spent = spent
        self._hide = said.thought or bool(words)
        self._overlap = Overlap(words)
        self._left = list(said.kinds)
        """Parts of the first answer that have not ended."""
        self._text = next((index for index, kind in said.kinds.items() if kind == "text"), None)
        """The one that the second answer's first text goes on with."""
        self._parts: dict[int, int | None] = {}
        """The second answer's parts to what they are called here; None: not shown."""

    def follow(self, event: Event) -> Iterator[Event]:
        """What is sent for one event of the second answer."""
        match event:
            case Started():
                if not self._said.started:
                    yield event
            case Usage():
                yield event if self._spent is None else self._spent + event
            case PartStarted():
                yield from self._begin(event)
            case TextDelta():
                yield from self._more(event)
            case PartFinished():
                yield from self._end(event)
            case Finished():
                yield from self._close()
                yield event
            case _:
                yield from self._renumbered(event)

    def _begin(self, event: PartStarted) -> Iterator[Event]:
        if event.kind in THOUGHTS and self._hide:
            self._parts[event.index] = None
        elif event.kind == "text" and self._text is not None:
            self._parts[event.index] = self._text
            self._left.remove(self._text)
            self._text = None
        else:
            yield from self._close()
            self._parts[event.index] = self._said.next
            yield from self._renumbered(event)

    def _more(self, event: TextDelta) -> Iterator[Event]:
        text = self._overlap.feed(event.text)
        if text:
            yield from self._renumbered(TextDelta(event.index, text))

    def _end(self, event: PartFinished) -> Iterator[Event]:
        shown = self._parts.get(event.index) is not None
        if shown and not self._overlap.done and (rest := self._overlap.end()):
            yield from self._renumbered(TextDelta(event.index, rest))
        yield from self._renumbered(event)

    def _close(self) -> Iterator[Event]:
        """The first answer's parts end where something else follows."""
        self._text = None
        while self._left:
            yield PartFinished(self._left.pop(0))

    def _renumbered(self, event: Event) -> Iterator[Event]:
        theirs = getattr(event, "index", None)
        if theirs is None:
            yield event
        elif (ours := self._parts.get(theirs)) is not None:
            yield structs.replace(event, index=ours)
