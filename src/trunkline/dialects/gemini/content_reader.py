"""The parts of a content, read into core parts.

A part that the core has no word for (code that the service ran, its own tools' calls) is kept whole as `Foreign`: only
Gemini understands it, and only Gemini gets it back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from trunkline.core.errors import BadRequest
from trunkline.core.request import (
    Document,
    Foreign,
    Inline,
    Part,
    RedactedThinking,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from trunkline.dialects.fields import wrong
from trunkline.dialects.gemini.media import located, part_of
from trunkline.dialects.gemini.signatures import unpacked, unsealed
from trunkline.dialects.gemini.vocabulary import NAME, SYNTHETIC, CamelFields

_encode = msgspec.json.Encoder().encode
_SIGNED = frozenset({"thought", "thoughtSignature"})
"""Fields of a part that holds a signature and nothing else."""
_SAID = ("output", "result")
"""Keys of a response that hold all of what a function said: Google's word, and the one that its SDKs wrap it in."""


def read_parts(value: Any, at: str) -> list[Part]:
    """An array of parts, or a single one. Raises BadRequest."""
    if type(value) is dict:
        return _part(value, at)
    if type(value) is not list:
        raise wrong(at, "an array of parts", value)
    out: list[Part] = []
    for i, item in enumerate(value):
        out += _part(item, f"{at}[{i}]")
    return out


def _part(item: Any, at: str) -> list[Part]:
    """Mostly one part; with a call the thoughts that came packed with it."""
    if type(item) is dict and len(item) == 1 and type(text := item.get("text")) is str:
        return [Text(text, at=at)]  # what most parts are
    fields = CamelFields(item, at)
    given = fields.left
    for name, reader in _READERS.items():
        if given.get(name) is not None:
            if (parts := reader(fields)) is not None:
                return parts
            break
    else:
        if given.get("thoughtSignature") is not None and given.keys() <= _SIGNED:
            return _signed_nothing(fields)
    return [Foreign(NAME, item, at)]


def _text(fields: CamelFields) -> list[Part]:
    text, thought = fields.need("text", str), fields.get("thought", bool)
    signature, maker, redacted = _signature(fields)
    if not thought:
        return [Text(text, None, fields.rest(), fields.at, signature, maker if signature else "")]
    if redacted and signature:
        return [RedactedThinking(signature, fields.at, fields.rest(), maker)]
    return [Thinking(text, signature, fields.rest(), fields.at, maker)]


def _signature(fields: CamelFields) -> tuple[str | None, str, bool]:
    signature = fields.get("thoughtSignature", str)
    return unsealed(signature) if signature else (None, NAME, False)


def _signed_nothing(fields: CamelFields) -> list[Part]:
    """A signature alone: of a thought without words, or of a text that has ended."""
    thought = fields.get("thought", bool)
    signature, maker, redacted = _signature(fields)
    if redacted and signature:
        return [RedactedThinking(signature, fields.at, fields.rest(), maker)]
    if thought:
        return [Thinking("", signature, fields.rest(), fields.at, maker)]
    return [Text("", None, fields.rest(), fields.at, signature, maker)]


def _call(fields: CamelFields) -> list[Part]:
    call = CamelFields(fields.need("functionCall", dict), fields.path("functionCall"))
    given = fields.get("thoughtSignature", str)
    fields.get("thought", bool)  # says nothing of a call
    part = ToolCall(
        id=call.get("id", str) or "",
        name=call.need("name", str),
        arguments=_encode(call.get("args", dict) or {}).decode(),
        at=fields.at,
        extra=_extra(fields, call, "functionCall"),
    )
    if not given:
        return [part]
    carried = unpacked(given)
    if not carried:
        part.signature, part.maker = given, NAME
        return [part]
    out: list[Part] = []
    for each in carried:
        match each.kind:
            case "thinking":
                out.append(Thinking(each.text, each.signature, None, fields.at, each.maker))
            case "redacted":
                out.append(RedactedThinking(each.signature, fields.at, None, each.maker))
            case "call":
                part.signature, part.maker = each.signature, each.maker
    return [*out, part]


def _extra(fields: CamelFields, inner: CamelFields, name: str) -> dict[str, Any] | None:
    """What nobody took, that of the object inside by dotted names."""
    extra = fields.rest() or {}
    extra |= {f"{name}.{key}": value for key, value in (inner.rest() or {}).items()}
    return extra or None


def _response(fields: CamelFields) -> list[Part]:
    """`call_id` is empty where there is none: the request's reader finds the call (`answer`)."""
    given = CamelFields(fields.need("functionResponse", dict), fields.path("functionResponse"))
    name, call_id = given.need("name", str), given.get("id", str)
    content, is_error = _said(given.get("response", dict) or {}, given.path("response"))
    for i, item in enumerate(given.get("parts", list) or ()):
        content += _part(item, f"{given.path('parts')}[{i}]")
    fields.get("thoughtSignature", str)
    part = ToolResult(call_id or "", content, is_error, at=fields.at, extra=_extra(fields, given, "functionResponse"))
    part.extra = (part.extra or {}) | {RESPONDER: name}
    return [part]


RESPONDER = "functionResponse.name"
"""Where a result keeps its function's name until its call is found."""


def _said(response: dict[str, Any], at: str) -> tuple[list[Part], bool]:
    """(what a function said, whether that is an error). An object with more than the one key is told as JSON."""
    if len(response) == 1:
        ((key, value),) = response.items()
        if type(value) is str and (key in _SAID or key == "error"):
            return ([Text(value, at=f"{at}.{key}")] if value else []), key == "error"
    return ([Text(_encode(response).decode(), at=at)] if response else []), False


def _inline(fields: CamelFields) -> list[Part] | None:
    blob = CamelFields(fields.left["inlineData"], fields.path("inlineData"))
    media_type, data = blob.need("mimeType", str), blob.need("data", str)
    part = part_of(Inline(media_type, data), media_type, fields.at)
    return _media(part, fields, blob, "inlineData")


def _file(fields: CamelFields) -> list[Part] | None:
    blob = CamelFields(fields.left["fileData"], fields.path("fileData"))
    uri, media_type = blob.need("fileUri", str), blob.get("mimeType", str)
    part = part_of(located(uri, media_type), media_type or "", fields.at)
    return _media(part, fields, blob, "fileData")


def _media(part: Any, fields: CamelFields, blob: CamelFields, name: str) -> list[Part] | None:
    if part is None:
        return None
    fields.any(name)
    fields.any("thoughtSignature")  # on what the model made; nothing checks it
    if isinstance(part, Document):
        part.title = blob.get("displayName", str)
    part.extra = _extra(fields, blob, name)
    return [part]


_READERS: Mapping[str, Callable[[CamelFields], list[Part] | None]] = {
    "text": _text,
    "functionCall": _call,
    "functionResponse": _response,
    "inlineData": _inline,
    "fileData": _file,
}
"""By the field that says what a part is."""


# ── One message out of many contents ───────────────────────────────────────────────────────────────────────────────


def joined(contents: Iterable[list[Part]]) -> list[Part]:
    """The parts of a model's turn. Clients keep a stream as it came, one content a chunk: words of a kind that are not
    signed yet go on in the next."""
    out: list[Part] = []
    words: list[str] = []
    for parts in contents:
        last, first, rest = out[-1] if out else None, parts[0] if parts else None, parts
        if isinstance(last, Text | Thinking) and isinstance(first, Text | Thinking) and _goes_on(last, first):
            words = words or [last.text]
            words.append(first.text)
            last.signature, last.maker = first.signature, first.maker
            rest = parts[1:]
        if rest:
            _say(out, words)
            words = []
            out += rest
    _say(out, words)
    return out


def _goes_on(last: Text | Thinking, first: Text | Thinking) -> bool:
    if type(last) is not type(first) or last.signature is not None or last.extra or first.extra:
        return False
    return first.signature is None or isinstance(last, Thinking)


def _say(parts: list[Part], words: list[str]) -> None:
    """The pieces of the last part's text, where there are several."""
    if words and isinstance(part := parts[-1], Text | Thinking):
        part.text = "".join(words)


def settled(parts: list[Part]) -> list[Part]:
    """A model's parts without what says nothing (the empty text at a stream's end) and without thoughts that came twice
    (`signatures`)."""
    seen: set[tuple[str, str]] = set()
    out: list[Part] = []
    for part in parts:
        match part:
            case Text(text="", signature=None) if len(parts) > 1:
                continue
            case Thinking(signature=str(signature), maker=maker) | RedactedThinking(data=signature, maker=maker):
                if (maker, signature) in seen:
                    continue
                seen.add((maker, signature))
                if isinstance(part, Thinking) and maker != NAME:
                    _gather(out, part)
        out.append(part)
    return out


def _gather(parts: list[Part], thought: Thinking) -> None:
    """What a stream brought in pieces before its signature: to who signed it, it is one thought. (With a call it came
    whole, and the pieces are the same once more.) Google's own may stay as they are."""
    found: list[str] = []
    while parts and isinstance(piece := parts[-1], Thinking) and piece.signature is None and not piece.extra:
        parts.pop()
        found.append(piece.text)
        thought.at = piece.at
    pieces = "".join(reversed(found))
    if pieces != thought.text:
        thought.text = pieces + thought.text


def identify(calls: list[ToolCall], position: int) -> None:
    """Ids for the calls that the service gave none: by their place, so that they are the same in every turn."""
    for number, call in enumerate(calls):
        if not call.id:
            call.id = f"{SYNTHETIC}{position}_{number}"


class OpenCalls:
    """The calls of a turn that have no result yet."""

    def __init__(self, calls: Sequence[ToolCall] = ()) -> None:
        self._by_id: dict[str, deque[ToolCall]] = {}
        self._by_name: dict[str, deque[ToolCall]] = {}
        self._taken: set[int] = set()
        """Of those, by identity: each stands in both tables."""
        for call in calls:
            self._by_id.setdefault(call.id, deque()).append(call)
            self._by_name.setdefault(call.name, deque()).append(call)

    def take(self, call_id: str, name: str) -> ToolCall | None:
        """The one of this id, or where there is none, the first of this name; it is open no more."""
        queue = self._by_id.get(call_id) if call_id else self._by_name.get(name)
        while queue:
            call = queue.popleft()
            if id(call) not in self._taken:
                self._taken.add(id(call))
                return call
        return None


NO_CALLS = OpenCalls()


def answer(result: ToolResult, open_calls: OpenCalls, position: int, number: int) -> None:
    """Finds the call that this is the result of: by its id, else the first of that name that is still open. A name
    without a call stays in `extra`, where the writer finds it."""
    name = (result.extra or {})[RESPONDER]
    call = open_calls.take(result.call_id, name)
    if call is None:
        result.call_id = result.call_id or f"{SYNTHETIC}{position}_r{number}"
        return
    result.call_id = call.id
    assert result.extra is not None
    del result.extra[RESPONDER]
    result.extra = result.extra or None


def roles_of(value: str | None, at: str) -> str:
    """`user` or `model`. Raises BadRequest."""
    match value:
        case None | "" | "user" | "function":  # `function` is what older SDKs called a turn of responses
            return "user"
        case "model":
            return "model"
    raise BadRequest(f"{at}.role must be user or model, not {value!r}.", param=f"{at}.role")
