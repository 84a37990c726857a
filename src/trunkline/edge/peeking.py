"""The first look at a request's body: is it fit to be read, and which model does it ask for.

Most bodies are JSON and the dialect knows where it names its model. A form with files is no JSON; and some endpoints
have a model of their own where the body names none.

A key may be bound to models, so what names the model here must name it at the provider too. Parsers differ in which of
two fields of one name counts, and some (Go's, C#'s) take `Model` for `model`: such a body is refused.
"""

from __future__ import annotations

import re

import msgspec
from msgspec import Struct, structs

from trunkline.core.call import Addressed, Call, Peek
from trunkline.core.errors import BadRequest
from trunkline.dialects import embeddings, multipart
from trunkline.dialects.fields import missing
from trunkline.edge.limits import check_depth, check_text
from trunkline.edge.surfaces import Surface

_NAMING = re.compile(rb'"model"\s*:')
_ESCAPED = re.compile(rb"\\u00[46][4-9a-f]")
"""Letters of that name as JSON may escape them too; in lower case, as the other."""
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

_TRUE = frozenset({"true", "1"})


class _Named(Struct):
    model: str | None = None


_named = msgspec.json.Decoder(_Named).decode


def peek(call: Call, max_depth: int) -> Peek | None:
    """None where the path says it all. Raises BadRequest naming the field."""
    surface: Surface = call.surface
    if surface.operation == "response":
        return None
    if surface.multipart and (boundary := multipart.boundary(call.header(b"content-type"))) is not None:
        return _form(call, boundary)
    check_text(call.body)
    check_depth(call.body, max_depth)
    _check_name(call.body)
    if surface.embeds and (form := embeddings.invoked(call.body)) is not None:
        call.surface = structs.replace(surface, operation="embed", form=form)
    return surface.dialect.peek(call.body, _addressed(call) if surface.default else call.addressed)


def _check_name(body: bytes) -> None:
    """Raises BadRequest where not every parser may find the same model in it."""
    lower = body.lower()
    several = lower.count(b'"model"') > 1 and len(_NAMING.findall(lower)) > 1
    if several or (lower.find(b"\\") >= 0 and lower.find(b"\\u00") >= 0 and _ESCAPED.search(lower)):
        try:
            fields = _fields(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return  # the dialect says what is wrong with it
        named = [name for name in fields if name.lower() == "model"]
        values = [bytes(value).lower() for value in fields.values()]
        if named not in ([], ["model"]) or _outside(_NAMING, lower, values) > 1 or _outside(_ESCAPED, lower, values):
            raise BadRequest("The body must name its model once, in a field called `model`.", param="model")


def _outside(pattern: re.Pattern[bytes], body: bytes, values: list[bytes]) -> int:
    """How often it stands between the values: in their names."""
    return len(pattern.findall(body)) - sum(len(pattern.findall(value)) for value in values)


def _form(call: Call, boundary: bytes) -> Peek:
    model = call.addressed.model or multipart.text(call.body, boundary, b"model") or call.surface.default
    streamed = (multipart.text(call.body, boundary, b"stream") or "").lower() in _TRUE
    return Peek(model or missing("model"), streamed)


def _addressed(call: Call) -> Addressed:
    """What path and query say; the endpoint's own model where nobody else names one."""
    surface: Surface = call.surface
    if call.addressed.model:
        return call.addressed
    try:
        named = _named(call.body).model
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return call.addressed  # the dialect says what is wrong with it
    return call.addressed if named else Addressed(surface.default)
