"""The first look at a request's body: is it fit to be read, and which model does it ask for.

Most bodies are JSON and the dialect knows where it names its model. A form with files is no JSON; and some endpoints
have a model of their own where the body names none.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct, structs

from trunkline.core.call import Addressed, Call, Peek
from trunkline.dialects import embeddings, multipart
from trunkline.dialects.fields import missing
from trunkline.edge.limits import check_depth
from trunkline.edge.surfaces import Surface

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
    check_depth(call.body, max_depth)
    if surface.embeds and (form := embeddings.invoked(call.body)) is not None:
        call.surface = structs.replace(surface, operation="embed", form=form)
    return surface.dialect.peek(call.body, _addressed(call) if surface.default else call.addressed)


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
