"""The model's name in a JSON body, replaced, every other value's bytes as they came."""

from __future__ import annotations

import msgspec

from trunkline.dialects.fields import raw_fields

_encode = msgspec.json.Encoder().encode


def renamed(body: bytes, model: str) -> bytes:
    """The same bytes where the name is right already. The body is known to be a JSON object."""
    fields = raw_fields(body)
    name = _encode(model)
    if fields.get("model") == msgspec.Raw(name):
        return body
    fields["model"] = msgspec.Raw(name)
    return _encode(fields)
