"""Forms: uploads of images and sounds come in multipart ones, read by hand, and OAuth's requests in simple ones.

RFC 7578: parts between boundary lines, each with a name, files with a file name too. A field that ends in `[]` or
comes twice is a list, as the OpenAI SDK sends several files.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

from msgspec import Struct

from trunkline.sim.problems import Problem

MAX_PARTS = 128

_BOUNDARY = re.compile(rb'boundary=(?:"([^"]{1,200})"|([^;,\s]{1,200}))')
_NAME = re.compile(rb'[;\s]name="([^"]*)"')
_FILENAME = re.compile(rb'filename="([^"]*)"')
_TYPE = re.compile(rb"content-type:\s*([^\r\n]+)", re.IGNORECASE)


class File(Struct, frozen=True):
    """An uploaded file."""

    name: str
    type: str
    data: bytes


def form(body: bytes, content_type: bytes) -> dict[str, Any]:
    """The fields by name: texts, files, or lists of them.

    Raises:
        Problem: it is no multipart form, or has more than MAX_PARTS parts.
    """
    found = _BOUNDARY.search(content_type)
    if found is None or not content_type.lower().startswith(b"multipart/form-data"):
        raise Problem("This endpoint takes multipart/form-data with a boundary.", code="invalid_content_type")
    parts = (b"\r\n" + body).split(b"\r\n--" + (found[1] or found[2]), MAX_PARTS + 2)
    if len(parts) > MAX_PARTS + 2:
        raise Problem(f"The form has more than {MAX_PARTS} parts.")
    fields: dict[str, Any] = {}
    for part in parts[1:-1]:
        head, _, data = part.partition(b"\r\n\r\n")
        name = _NAME.search(head)
        if name is None:
            raise Problem("A part of the form has no name.")
        _put(fields, name[1].decode("utf-8", "replace"), _value(head, data))
    return fields


def urlencoded(body: bytes) -> dict[str, Any]:
    """The fields of a simple form. Raises Problem where there are too many."""
    try:
        return dict(parse_qsl(body.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_PARTS))
    except ValueError:
        raise Problem(f"The form has more than {MAX_PARTS} fields.") from None


def _value(head: bytes, data: bytes) -> str | File:
    name = _FILENAME.search(head)
    if name is None:
        return data.decode("utf-8", "replace")
    kind = _TYPE.search(head)
    return File(name[1].decode("utf-8", "replace"), kind[1].decode("latin-1") if kind else "", data)


def _put(fields: dict[str, Any], name: str, value: str | File) -> None:
    base = name.removesuffix("[]")
    if base != name or base in fields:
        known = fields.get(base, [])
        fields[base] = [*(known if isinstance(known, list) else [known]), value]
    else:
        fields[base] = value
