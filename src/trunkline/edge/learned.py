"""What targets have been seen to refuse, so that it is not asked of them again.

A provider that answers 400 because of one parameter is asked once more without it, and the parameter is remembered for
that target: renamed where the provider said how, left out where nothing is lost, or where the caller takes losses (any
translated call that is not strict; on the identity path, only `x-trunkline-strict: 0`). The limit of an answer's tokens
is never left out of a call that limits apply to. Each process learns for itself; what it has learned expires, because
providers change their minds. A refusal that may be due to one caller's value, or to what else is in one request, is not
remembered: it must not take the parameter from all others.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Any

from msgspec import Struct

from trunkline.core.call import Attempt, Call, Headers
from trunkline.core.errors import UpstreamError
from trunkline.dialects.asked import asked
from trunkline.dialects.mapping import FIELDS
from trunkline.dialects.refused import Edit, Refused, read_refusal, without
from trunkline.edge.operations.asking import is_identity
from trunkline.edge.sender import Sender
from trunkline.edge.transport.base import Response

LIFETIME = 3600.0
"""Seconds that a lesson holds."""
MAX_TARGETS = 1024
MAX_LESSONS = 16
"""Of one target."""
MAX_TRIES = 3
"""Of one request at one target: a provider names one parameter at a time."""

_OURS = "stream_options"
"""A field that the gateway sets for itself, where the caller did not ask for usage."""
_VERSION = b"anthropic-version"
"""What is refused may depend on it."""

Key = tuple[str, str, bytes]
"""Target, dialect and API version."""


class Lesson(Struct, frozen=True):
    refused: Refused
    until: float
    """Monotonic clock, seconds."""


class Lessons:
    """Per target, in memory; the least recently used target is forgotten first."""

    def __init__(self) -> None:
        self._known: OrderedDict[Key, list[Lesson]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def of(self, key: Key, now: float) -> list[Refused]:
        lessons = self._known.get(key)
        if lessons is None:
            return []
        self._known.move_to_end(key)
        lessons[:] = [each for each in lessons if each.until > now]
        if not lessons:
            del self._known[key]
        return [each.refused for each in lessons]

    def add(self, key: Key, refused: Refused, now: float) -> None:
        lessons = self._known.setdefault(key, [])
        lessons[:] = [each for each in lessons if each.refused != refused][-(MAX_LESSONS - 1) :]
        lessons.append(Lesson(refused, now + LIFETIME))
        if len(self._known) > MAX_TARGETS:
            self._known.popitem(last=False)

    def keep(self, providers: Collection[str]) -> None:
        """Forget what was learned of all other providers."""
        for key in [key for key in self._known if key[0].partition("/")[0] not in providers]:
            del self._known[key]

    def shown(self) -> Mapping[str, list[dict[str, Any]]]:
        """What is known of each target, for people."""
        now = time.monotonic()
        out: dict[str, list[dict[str, Any]]] = {}
        for (target, dialect, _), lessons in self._known.items():
            for each in lessons:
                told = {"dialect": dialect, "parameter": each.refused.name, "seconds_left": round(each.until - now)}
                more = {"instead": each.refused.instead, "value": each.refused.value}
                said = {name: value for name, value in more.items() if value is not None}
                out.setdefault(target, []).append(told | said)
        return out


class Learner:
    """Leaves out what the target has refused before, and asks again where it refuses something new."""

    def __init__(self, sender: Sender, lessons: Lessons) -> None:
        self._sender = sender
        self._lessons = lessons

    def taught(self, call: Call, headers: Headers, body: bytes) -> bytes:
        """The body without what is known to be refused."""
        if self._lessons:
            for refused in self._lessons.of(_key(call, headers), asyncio.get_running_loop().time()):
                body = _accepted(call, body, refused) or body
        return body

    async def again(self, call: Call, path: bytes, headers: Headers, body: bytes, error: UpstreamError) -> Response:
        """Ask as `Sender.send` does, without what `error` refuses. Raises it where that is not what it says, or may
        not be."""
        clock = asyncio.get_running_loop().time
        for _ in range(MAX_TRIES - 1):
            refused = read_refusal(error)
            changed = _accepted(call, body, refused) if refused is not None else None
            if refused is None or changed is None:
                break
            if not refused.once:
                self._lessons.add(_key(call, headers), refused, clock())
            _tried(call, error, clock())
            body = changed
            try:
                return await self._sender.send(call, path, headers, body)
            except UpstreamError as next_error:
                error = next_error
        raise error


def _key(call: Call, headers: Headers) -> Key:
    version = next((value for name, value in headers if name == _VERSION), b"")
    return call.target.name, call.api.dialect.name, version


def _accepted(call: Call, body: bytes, refused: Refused) -> bytes | None:
    """The body without what is refused, the loss written down; None where it is not there, or may not be lost."""
    assert call.peek is not None
    edit = without(body, refused)
    if edit is None or (call.grant is not None and _longer(call, body, edit.body)):
        return None
    if edit.lost is not None and not (edit.lost == _OURS and not call.peek.include_usage):
        identity = is_identity(call)
        if call.strict or (identity and not call.lossy):
            return None
        call.lost = list(dict.fromkeys([*call.lost, edit.lost if identity else _in_client_words(call, edit)]))
    return edit.body


def _longer(call: Call, before: bytes, after: bytes) -> bool:
    """Whether this takes an answer's limit away, by which it was reckoned what the call may cost at most."""
    family, framing = call.api.dialect.name, call.peek.framing if call.peek is not None else ""
    limit = asked(before, family, framing).output
    return limit is not None and asked(after, family, framing).output != limit


def _in_client_words(call: Call, edit: Edit) -> str:
    """The client's own name of a field that the upstream's dialect calls `edit.lost`."""
    assert edit.lost is not None
    family = call.api.dialect.name
    row = next((row for row in FIELDS if row.names.get(family) == edit.lost), None)
    return edit.lost if row is None or call.parsed is None else call.parsed.name_of(row.attribute)


def _tried(call: Call, error: UpstreamError, now: float) -> None:
    """The attempt so far is over, and another one at the same target begins."""
    attempt = call.attempt
    assert attempt is not None
    attempt.status, attempt.reason = error.status, error.code
    attempt.duration = now - call.started - attempt.start
    call.attempt = Attempt(attempt.target, now - call.started, kind=attempt.kind)
    call.attempts.append(call.attempt)
