"""The prompt cache of a simulated provider: which prefixes of a conversation it has seen.

A conversation is a row of segments (tools, system, messages); a prefix is known by a running hash of its segments.
OpenAI caches by itself in steps of 128 tokens and charges no write; Anthropic caches up to each mark in the request.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

Ttl = Literal["5m", "1h"]

STEP = 128
"""OpenAI reports cached tokens in steps of this many."""


class Segment(Struct, frozen=True):
    """A piece of the prompt. `mark`: cache everything up to here, for this long."""

    text: str
    tokens: int
    mark: Ttl | None = None


class Reuse(Struct, frozen=True):
    """Tokens of one prompt: `total` holds `read`, `write_5m` and `write_1h`."""

    total: int
    read: int = 0
    write_5m: int = 0
    write_1h: int = 0


class PrefixCache:
    """A bounded memory of prefixes, least recently used first out. Time to live is not simulated."""

    def __init__(self, minimum: int, entries: int) -> None:
        self._minimum = minimum
        self._entries = entries
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def automatic(self, model: str, segments: list[Segment]) -> Reuse:
        """OpenAI's way: every prefix that is long enough is remembered without being asked."""
        read = total = 0
        for key, total, _ in self._prefixes(model, segments):
            if total >= self._minimum and self._known(key):
                read = total
        return Reuse(total=total, read=read // STEP * STEP)

    def marked(self, model: str, segments: list[Segment]) -> Reuse:
        """Anthropic's way: prefixes that end in a mark are read if known, and written otherwise."""
        read = written = total = 0
        writes: dict[Ttl, int] = {"5m": 0, "1h": 0}
        if not any(segment.mark for segment in segments):
            return Reuse(total=sum(segment.tokens for segment in segments))
        for key, total, mark in self._prefixes(model, segments):
            if mark is None or total < self._minimum:
                continue
            if self._known(key) and not written:
                read = total
            else:
                writes[mark] += total - read - written
                written = total - read
        return Reuse(total=total, read=read, write_5m=writes["5m"], write_1h=writes["1h"])

    def _prefixes(self, model: str, segments: list[Segment]) -> Iterator[tuple[bytes, int, Ttl | None]]:
        running, total = hashlib.blake2b(model.encode(), digest_size=16), 0
        for segment in segments:
            running.update(len(segment.text).to_bytes(8, "big"))
            running.update(segment.text.encode("utf-8", "surrogatepass"))
            total += segment.tokens
            yield running.copy().digest(), total, segment.mark

    def _known(self, key: bytes) -> bool:
        """Whether it was seen before; from now on it was."""
        known = key in self._seen
        self._seen[key] = None
        self._seen.move_to_end(key)
        if len(self._seen) > self._entries:
            self._seen.popitem(last=False)
        return known
