"""What of a call a condition looks at, a price is estimated from and a conversation is recognised by. Each is found
when it is first asked for: most calls are routed without any."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from typing import Any, Literal

import msgspec

from trunkline.core.call import Call
from trunkline.core.usage import Usage
from trunkline.policy.balance import spread
from trunkline.policy.estimate import BYTES_PER_TOKEN
from trunkline.policy.latency import TYPICAL_OUTPUT

By = Literal["session", "prefix", "key"]
"""What a conversation is recognised by; `header:NAME` is another."""

MAX_FIELDS = 64
"""Header fields, and parameters of the body, that a condition sees."""
MAX_VALUE = 1024
"""Characters of one."""
_OPENING = 4096
"""Bytes of text by which a conversation's opening is told from others."""

_LIMIT = re.compile(rb'max(?:_completion|_output|Output)?_?[tT]okens"\s*:\s*(\d{1,9})')
_SESSIONS = (b"x-trunkline-session", b"session-id", b"session_id", b"x-session-id", b"x-claude-code-session-id")
"""Header fields in which clients name the session: our own, Codex's, and those of other tools."""

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_value = msgspec.json.Decoder().decode
_Broken = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Body(msgspec.Struct):
    """Where bodies name the conversation (OpenAI's `prompt_cache_key`, Anthropic's `metadata.user_id`), what comes
    before it in each family, and the conversation itself."""

    prompt_cache_key: msgspec.Raw = msgspec.Raw()
    metadata: msgspec.Raw = msgspec.Raw()
    system: msgspec.Raw = msgspec.Raw()
    instructions: msgspec.Raw = msgspec.Raw()
    systemInstruction: msgspec.Raw = msgspec.Raw()  # noqa: N815 - Gemini's name
    messages: msgspec.Raw = msgspec.Raw()
    contents: msgspec.Raw = msgspec.Raw()
    input: msgspec.Raw = msgspec.Raw()
    prompt: msgspec.Raw = msgspec.Raw()


_body = msgspec.json.Decoder(_Body).decode
_BEFORE = frozenset({"system", "developer"})
"""Roles of turns that come before the conversation."""


class Facts:
    """Of one call. `look` answers for a condition: the names are those of `policy.conditions.SAMPLE`."""

    __slots__ = ("_call", "_lot", "_seen", "_usage")

    def __init__(self, call: Call) -> None:
        self._call = call
        self._seen: dict[str, Any] = {}
        self._usage: Usage | None = None
        self._lot: float | None = None

    def look(self, name: str) -> Any:
        if name not in self._seen:
            self._seen[name] = _LOOKS[name](self._call)
        return self._seen[name]

    @property
    def usage(self) -> Usage:
        """A rough estimate: the same for every target, so it serves to compare their prices."""
        if self._usage is None:
            body = self._call.body
            limit = _LIMIT.search(body)
            output = min(int(limit[1]), TYPICAL_OUTPUT) if limit is not None else TYPICAL_OUTPUT
            self._usage = Usage(input=len(body) // BYTES_PER_TOKEN, output=output)
        return self._usage

    def cached(self, tokens: int) -> Usage:
        """The same where so many tokens of the prompt are in the cache."""
        usage = self.usage
        return Usage(input=usage.input, cache_read=min(tokens, usage.input), output=usage.output)

    @property
    def lot(self) -> float:
        """From 0 to 1: the same for all calls of a conversation, so that it stays on its side of a canary."""
        if self._lot is None:
            self._lot = spread(b"canary" + conversation(self._call, "session"))
        return self._lot


def _key(call: Call) -> dict[str, Any]:
    key = call.key
    if key is None:
        return {"id": "", "name": "", "owner": "", "team": "", "tags": []}
    team = getattr(key, "team", None)
    return {"id": key.id, "name": key.name, "owner": key.owner or "", "team": team or "", "tags": list(key.tags)}


def _headers(call: Call) -> dict[str, str]:
    """Without those that carry credentials, which no condition needs."""
    return {
        name.decode("latin-1"): value[:MAX_VALUE].decode("latin-1")
        for name, value in call.headers[:MAX_FIELDS]
        if name not in _CREDENTIALS
    }


_CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"cookie"})


def _params(call: Call) -> dict[str, Any]:
    """The body's own fields that are plain values; of the others, that they are there."""
    try:
        fields = _fields(call.body)
        return {name: _plain(raw) for name, raw in list(fields.items())[:MAX_FIELDS]}
    except _Broken:
        return {}


def _plain(raw: msgspec.Raw) -> Any:
    text = bytes(raw)
    if text[:1] in (b"{", b"[") or len(text) > MAX_VALUE:
        return True
    return _value(text)


_LOOKS: Mapping[str, Callable[[Call], Any]] = {
    "model": lambda call: call.peek.model if call.peek is not None else "",
    "path": lambda call: call.surface.path,
    "stream": lambda call: call.peek is not None and call.peek.stream,
    "priority": lambda call: call.priority,
    "tags": lambda call: list(call.tags),
    "key": _key,
    "headers": _headers,
    "params": _params,
    "tokens": lambda call: len(call.body) // BYTES_PER_TOKEN,
}


def conversation(call: Call, by: str) -> bytes:
    """The name of the conversation that a call belongs to, a short hash of whatever is the same for all its turns.
    Conversations of different keys or models are different ones."""
    who = call.key.id if call.key is not None else ""
    model = call.peek.model if call.peek is not None else ""
    named = f"{who}\0{model}\0".encode() + _NAMES.get(by, _by_header)(call, by)
    return blake2b(named, digest_size=16).digest()


def _by_key(call: Call, by: str) -> bytes:
    return b""


def _by_header(call: Call, by: str) -> bytes:
    said = call.header(by.removeprefix("header:").lower().encode())
    return said if said is not None else _by_prefix(call, by)


def _by_session(call: Call, by: str) -> bytes:
    """What the client calls its session, and where it does not, how the conversation began."""
    for name in _SESSIONS:
        if said := call.header(name):
            return said
    try:
        body = _body(call.body)
        return _named(body) or _opening(body)
    except _Broken:
        return call.body[:_OPENING]


def _by_prefix(call: Call, by: str) -> bytes:
    try:
        return _opening(_body(call.body))
    except _Broken:
        return call.body[:_OPENING]


def _named(body: _Body) -> bytes:
    """The body's own name for it; empty where it has none."""
    key = _value(body.prompt_cache_key) if body.prompt_cache_key else None
    if isinstance(key, str) and key:
        return key.encode()
    metadata = _value(body.metadata) if body.metadata else None
    user = metadata.get("user_id") if isinstance(metadata, dict) else None
    return user.encode() if isinstance(user, str) and "session" in user else b""


def _opening(body: _Body) -> bytes:
    """The texts up to the first turn of the user, which every later request repeats. Marks of caches move from turn to
    turn, so only texts count."""
    said: list[str] = []
    for raw in (body.system, body.instructions, body.systemInstruction):
        if raw:
            _gather(_value(raw), said)
    for turn in _first_turns(bytes(body.messages or body.contents or body.input or body.prompt)):
        _gather(turn, said)
    return "\0".join(said).encode()[:_OPENING]


def _first_turns(turns: bytes) -> Iterator[Any]:
    """Of those that come after nothing is read but where they end."""
    if not turns.startswith(b"["):
        yield _value(turns) if turns else None
        return
    for raw in _items(turns):
        turn = _value(raw)
        yield turn
        if not (isinstance(turn, dict) and turn.get("role") in _BEFORE):
            return


def _gather(value: Any, said: list[str]) -> None:
    """Every text within, in order."""
    stack = [value]
    while stack:
        match stack.pop():
            case str(words):
                said.append(words[:_OPENING])
            case dict(fields):
                stack += [each for name, each in reversed(fields.items()) if name != "cache_control"]
            case list(items):
                stack += reversed(items)
            case _:
                pass


_NAMES: Mapping[str, Callable[[Call, str], bytes]] = {
    "session": _by_session,
    "prefix": _by_prefix,
    "key": _by_key,
}
