"""The five families' recordings, each as its own surface would take them, and a table of what the laws found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import unquote

from msgspec import Struct

from tests.corpus import test_bedrock, test_gemini, test_responses
from tests.corpus.exchanges import chats, messages
from trunkline.core.call import Addressed, Peek
from trunkline.dialects import anthropic, composed, gemini, openai_chat, openai_responses
from trunkline.dialects.base import Dialect


class Family(Struct, frozen=True):
    """`skipped`: recordings that no law is asked of, each with its reason."""

    dialect: Dialect
    recorded: Callable[[], Iterable[Any]]
    skipped: dict[str, str] = {}

    def exchanges(self) -> Iterator[tuple[Any, Dialect, Peek]]:
        """Each with the dialect that it is in (two of Bedrock's are) and what its path says."""
        for found in self.recorded():
            if found.meta["id"] in self.skipped or not found.request:
                continue
            dialect = composed.INVOKE if found.meta["endpoint"].split("/")[-1].startswith("invoke") else self.dialect
            yield found, dialect, dialect.peek(found.request, Addressed(_model(found), found.meta["stream"]))


def _model(found: Any) -> str:
    """The one that the path names, or any: bodies that name one are not asked for it."""
    _, mark, rest = found.record["request"]["url"].partition("/model/")
    return unquote(rest.split("/")[0]) if mark else "m"


def _bedrock() -> Iterator[Any]:
    yield from test_bedrock.converses()
    yield from filter(test_bedrock.is_known, filter(lambda found: found.request, test_bedrock.invocations()))


_CUT = {
    "pydantic-ai__c382ede9e359": "its recorder cut the body open: there is a second object in the first's place",
}

FAMILIES: dict[str, Family] = {
    "openai_chat": Family(openai_chat.DIALECT, chats),
    "openai_responses": Family(openai_responses.DIALECT, test_responses.exchanges, test_responses.NOT_A_REQUEST),
    "anthropic": Family(anthropic.DIALECT, messages),
    "gemini": Family(gemini.DIALECT, test_gemini.exchanges),
    "bedrock": Family(composed.CONVERSE, _bedrock, _CUT),
}


class Table:
    """Entries and passes by law and family, and why each failure is one. Printed when all is done."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[str, str]] = Counter()
        self.passed: Counter[tuple[str, str]] = Counter()
        self.reasons: dict[tuple[str, str, str], str] = {}
        self.notes: dict[tuple[str, str], list[str]] = {}
        """Requests that are refused, because nothing would be left of a message."""

    def check(self, law: str, family: str, found: Any, problem: str) -> None:
        self.seen[law, family] += 1
        self.passed[law, family] += not problem
        if problem:
            self.reasons[law, family, found.meta["id"]] = problem

    def failures(self, law: str, family: str) -> dict[str, str]:
        """Why, by the recording's id."""
        return {key: why for (of, by, key), why in self.reasons.items() if (of, by) == (law, family)}

    def lines(self) -> Iterator[str]:
        width = max((len(law) for law, _ in self.seen), default=0)
        yield " " * width + "".join(f"{name:>20}" for name in FAMILIES)
        for law in dict.fromkeys(law for law, _ in self.seen):
            cells = ((self.passed[law, name], self.seen[law, name]) for name in FAMILIES)
            yield f"{law:<{width}}" + "".join(f"{f'{passed} of {seen}' if seen else '':>20}" for passed, seen in cells)
        for (law, family, key), why in self.reasons.items():
            yield f"  {law}, {family}, {key}: {why[:300]}"
        for (law, family), lines in self.notes.items():
            yield from (f"  {law}, {family}, refused: {line[:200]}" for line in lines)


TABLE = Table()
