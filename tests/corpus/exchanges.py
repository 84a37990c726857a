"""The recorded chat and Messages exchanges, and how the corpus tests count them.

The recordings stand beside the repository, in `../shared`; without them the corpus tests skip. Azure's classic API
carries the model in the path: there the deployment's name is put into the body, as the gateway's edge does.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.laws.generators import pieces
from trunkline.core.events import Event
from trunkline.dialects import anthropic, openai_chat
from trunkline.dialects.base import Dialect, Envelope

TOOLS = Path(__file__).resolve().parents[3] / "shared" / "tools"
needs_recordings = pytest.mark.skipif(
    not (TOOLS / "corpus.py").exists(), reason="the recorded exchanges (../shared) are not here"
)

CHAT = ("openai", "azure", "compat")
DIALECTS: dict[str, Dialect] = {"openai_chat": openai_chat.DIALECT, "anthropic": anthropic.DIALECT}


def library() -> Any:
    if str(TOOLS) not in sys.path:
        sys.path.append(str(TOOLS))
    import corpus

    return corpus


@cache
def chats() -> tuple[Any, ...]:
    corpus = library()
    rows = [row for name in CHAT for row in corpus.entries(provider=name, endpoint="chat/completions")]
    return tuple(_with_model(corpus.exchange(row["id"])) for row in rows)


@cache
def messages() -> tuple[Any, ...]:
    corpus = library()
    rows = corpus.entries(provider="anthropic", endpoint="messages")
    return tuple(corpus.exchange(row["id"]) for row in rows if row["endpoint"] == "POST /v1/messages")


def _with_model(found: Any) -> Any:
    body = json.loads(found.request)
    if "model" in body or "/deployments/" not in found.record["request"]["url"]:
        return found
    model = found.record["request"]["url"].split("/deployments/")[1].split("/")[0]
    return found._replace(request=json.dumps({"model": model, **body}).encode())


def answered(exchanges: Sequence[Any], stream: bool | None = None) -> Iterator[Any]:
    for found in exchanges:
        if found.meta["status"] == 200 and stream in {None, found.meta["stream"]}:
            yield found


def read(dialect: Dialect, data: bytes, stream: bool, size: int = 0) -> list[Event]:
    reader = dialect.reader(stream)
    return [event for piece in pieces(data, size) for event in reader.feed(piece)] + list(reader.eof())


def write(dialect: Dialect, events: Sequence[Event], stream: bool) -> bytes:
    writer = dialect.writer(Envelope(stream))
    return b"".join(writer.feed(event) for event in events) + writer.eof()


class Tally:
    """Checks every exchange before it fails, and prints by provider what came of them. `excused` holds the exchanges
    that are known to fail, each with its reason; one that passes after all fails the test, so that the list stays
    true."""

    def __init__(self, what: str, excused: dict[str, str] | None = None) -> None:
        self.what = what
        self.excused = excused or {}
        self.seen: Counter[str] = Counter()
        self.passed: Counter[str] = Counter()
        self.failed: dict[str, str] = {}

    def check(self, found: Any, ok: object, reason: str) -> None:
        self.seen[found.meta["provider"]] += 1
        if ok:
            self.passed[found.meta["provider"]] += 1
        else:
            self.failed[found.meta["id"]] = reason

    def assert_all(self, at_least: int) -> None:
        for provider, count in self.seen.items():
            print(f"{self.what}, {provider}: {count} entries, {self.passed[provider]} passed")
        for key, reason in self.failed.items():
            print(f"  {key}: {self.excused.get(key, reason[:400])}")
        assert self.failed.keys() == self.excused.keys()
        assert self.passed.total() >= at_least
