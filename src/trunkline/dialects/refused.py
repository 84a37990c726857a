"""Which parameter a provider's 400 is about, out of its own words, and a request body without it.

Providers say "unsupported" in a dozen ways; each pattern here is one that was seen in recordings or is documented. What
is not recognised is left alone: the caller gets the provider's error.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Raw, Struct

from trunkline.core.errors import UpstreamError
from trunkline.dialects.effort import nearest

PROTECTED = frozenset({
    "model", "messages", "input", "contents", "content", "system", "instructions", "systeminstruction", "prompt",
    "tools", "toolconfig", "toolchoice", "responseformat", "text", "stream", "anthropicversion", "thinking",
})  # fmt: skip
"""Fields without which a request is another request: never left out. Names as `_plain` makes them."""

DEFAULTS: dict[str, tuple[Any, ...]] = {
    "temperature": (1, 1.0), "topp": (1, 1.0), "n": (1,), "candidatecount": (1,), "presencepenalty": (0, 0.0),
    "frequencypenalty": (0, 0.0), "paralleltoolcalls": (True,), "logprobs": (False,), "store": (False,),
    "servicetier": ("auto", "default"), "verbosity": ("medium",), "stop": ([], None), "user": (None,),
}  # fmt: skip
"""Values that ask for what happens anyway: leaving them out loses nothing."""

_CODES = frozenset({"unsupported_parameter", "unsupported_value", "unknown_parameter"})
_UNSUPPORTED = re.compile(r"not supported|unsupported|unrecognized|unknown parameter|not permitted|deprecated", re.I)
_ELSEWHERE = re.compile(r"/v1/responses|in /v1/")
"""The parameter is fine, the endpoint is not: leaving it out would not help."""
_INSTEAD = re.compile(r"[Uu]se '(\w+)' instead")
_LEVELS = re.compile(r"effort level '(\w+)'.*?[Ss]upported levels: ([\w, ]+)")  # Anthropic
_VALUES = re.compile(r"does not support '(\w+)'.*?[Ss]upported values are: ([\w', ]+)")  # OpenAI
_ONE_VALUE = re.compile(r"[Oo]nly the default")
_CONDITION = re.compile(r"\bwhen\b|\bwhile\b|\btogether\b|\bcannot both\b|\bwith (?!this|the current)")
"""It is refused beside something else: of the request, not of the model."""
_NAMED = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?:^|: )([\w.]+): Extra inputs are not permitted",  # Anthropic, Mistral, Bedrock's Claude
        r"Unknown name \"(\w+)\"",  # Google
        r"extraneous key \[(\w+)\] is not permitted",  # Bedrock
        r"doesn't support the (\w+) field",  # Bedrock
        r"[Uu]nrecognized request arguments? supplied: (\w+)",  # OpenAI, older
        r"property '([\w.]+)' is unsupported",  # Groq
        r"\w+`? and `(\w+)` cannot both be (?:specified|set)",  # Anthropic
        r"^`?'?(\w+)'?`? (?:is|are) (?:not supported|deprecated|not allowed|unsupported|not enabled)",  # Anthropic …
    )
)
_MOST_FIELDS = 256

_encode = msgspec.json.Encoder().encode
_object = msgspec.json.Decoder(dict[str, Raw]).decode


class Refused(Struct, frozen=True):
    """`name`: the parameter, in the provider's words. `instead`: what it is called there; else it is left out. `value`:
    the one value that is refused, and `levels` those that are not; else any. `once`: another request may be answered
    otherwise, so there is nothing to remember."""

    name: str
    instead: str | None = None
    value: str | None = None
    levels: tuple[str, ...] = ()
    once: bool = False


class Edit(Struct, frozen=True):
    """A body without what was refused. `lost`: the path that was given up; None where nothing was."""

    body: bytes
    lost: str | None


def read_refusal(error: UpstreamError) -> Refused | None:
    """What a provider's error says that it does not take; None where it says nothing of the kind."""
    message = error.message
    if error.status not in (400, 422) or _ELSEWHERE.search(message):
        return None
    if found := _LEVELS.search(message):
        return Refused("effort", None, found[1], tuple(re.findall(r"\w+", found[2])))
    once = _CONDITION.search(message) is not None
    if error.param and (error.upstream_code in _CODES or _UNSUPPORTED.search(message)):
        if found := _VALUES.search(message):
            levels = tuple(re.findall(r"'(\w+)'", found[2]))
            return _allowed(Refused(error.param, None, found[1], levels, once))
        if error.upstream_code == "unsupported_value" and not _ONE_VALUE.search(message):
            once = True  # another value may be taken
        instead = _INSTEAD.search(message)
        return _allowed(Refused(error.param, instead[1] if instead else None, once=once))
    named = next((found[1] for pattern in _NAMED if (found := pattern.search(message))), None)
    return _allowed(Refused(named, once=once)) if named else None


def _allowed(refused: Refused) -> Refused | None:
    last = _plain(refused.name.rpartition(".")[2])
    return None if last in PROTECTED or "[" in refused.name else refused


def without(body: bytes, refused: Refused) -> Edit | None:
    """The body as the provider takes it, every other value byte for byte; None where nothing of it is there."""
    try:
        return _edit(body, refused, "", 2)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _edit(body: bytes, refused: Refused, at: str, depth: int) -> Edit | None:
    """Parameters stand at the top or in an object there (`generationConfig`, `output_config`)."""
    fields = _object(body)
    if len(fields) > _MOST_FIELDS:
        return None
    wanted = _plain(refused.name.rpartition(".")[2])
    name = next((name for name in fields if _plain(name) == wanted), None)
    if name is not None:
        return _changed(fields, name, refused, f"{at}{name}")
    for outer, value in fields.items() if depth > 1 else ():
        inner = bytes(value)
        if _plain(outer) not in PROTECTED and inner.startswith(b"{"):
            found = _edit(inner, refused, f"{at}{outer}.", depth - 1)
            if found is not None:
                return Edit(_encode(fields | {outer: Raw(found.body)}), found.lost)
    return None


def _changed(fields: dict[str, Raw], name: str, refused: Refused, at: str) -> Edit | None:
    value = msgspec.json.decode(fields[name])
    if refused.instead is not None:
        if refused.instead in fields:
            return None
        renamed = {refused.instead if key == name else key: raw for key, raw in fields.items()}
        return Edit(_encode(renamed), None)
    if refused.value is not None:
        if value != refused.value:
            return None
        level, changed = nearest(refused.value, refused.levels)
        if level == refused.value:  # no level at all, or none of them is near
            return _left_out(fields, name, value, at)
        return Edit(_encode(fields | {name: Raw(_encode(level))}), at if changed else None)
    return _left_out(fields, name, value, at)


def _left_out(fields: dict[str, Raw], name: str, value: Any, at: str) -> Edit:
    kept = {key: raw for key, raw in fields.items() if key != name}
    return Edit(_encode(kept), None if value in DEFAULTS.get(_plain(name), ()) else at)


def _plain(name: str) -> str:
    """`maxOutputTokens` and `max_output_tokens` are one name."""
    return name.replace("_", "").lower()
