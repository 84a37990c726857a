"""What a request's head says to the gateway itself, in header fields of its own."""

from __future__ import annotations

from trunkline.core.call import Call, Priority
from trunkline.core.errors import BadRequest
from trunkline.edge.admittance import read_priority

DAY = 86_400_000
"""Milliseconds: the longest deadline that may be asked for."""
_BOOLEANS = {b"1": True, b"true": True, b"0": False, b"false": False}


def read_head(call: Call) -> tuple[bytes | None, float | None, Priority | None]:
    """Strictness and tags go into the call. Returned are its declared length, and what it asks for: seconds, priority.
    Raises BadRequest."""
    declared = limit = asked = None
    for name, value in call.headers:
        if name == b"content-length":
            declared = value
        elif name[:12] == b"x-trunkline-":
            if name == b"x-trunkline-strict":
                call.strict = _yes_or_no(value)
            elif name == b"x-trunkline-tags":
                call.tags = (*call.tags, *_tags(value))
            elif name == b"x-trunkline-deadline-ms":
                limit = _milliseconds(value)
            elif name == b"x-trunkline-priority":
                asked = read_priority(value)
    return declared, limit, asked


def _tags(value: bytes) -> tuple[str, ...]:
    try:
        tags = tuple(tag.strip() for tag in value.decode().split(",") if tag.strip())
    except UnicodeDecodeError:
        raise BadRequest("x-trunkline-tags must be UTF-8.") from None
    if len(tags) > 32 or any(len(tag) > 128 for tag in tags):
        raise BadRequest("x-trunkline-tags takes at most 32 tags of at most 128 characters.")
    return tags


def _yes_or_no(value: bytes) -> bool:
    said = _BOOLEANS.get(value.strip().lower())
    if said is None:
        raise BadRequest("x-trunkline-strict must be 1, true, 0 or false.")
    return said


def _milliseconds(value: bytes) -> float:
    if not (value.isdigit() and len(value) <= len(b"%d" % DAY) and 0 < int(value) <= DAY):
        raise BadRequest(f"x-trunkline-deadline-ms must be a whole number of milliseconds between 1 and {DAY}.")
    return int(value) / 1000
