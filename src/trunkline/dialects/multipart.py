"""Forms with files (RFC 7578), as far as a gateway must understand them: a field's text, and where it stands.

A form is not decoded and written anew: a recording of 20 MB passes as it came, and only the bytes of the field that is
replaced are others.

What the gateway reads the provider must read too, or a key could name one model here and get another there. So whatever
two parsers might take differently is refused: a field that comes twice, a part that says its name twice or in another
encoding (`name*`), a header field on several lines, a boundary behind half a line break or with something behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from trunkline.core.errors import BadRequest

MAX_PARTS = 256
MAX_HEAD = 8192
"""Bytes of a part's header fields."""
MAX_VALUE = 4096
"""Bytes of a field whose text is read."""

_BOUNDARY = re.compile(
    rb'multipart/form-data\s*;(?:.*?;)?\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))(?=[\s;]|$)', re.I
)
_DISPOSITION = re.compile(rb"content-disposition[ \t]*:(.*)", re.I | re.S)
_OF_A_FORM = re.compile(rb"[ \t]*form-data[ \t]*(?=;)", re.I)
_PARAMETER = re.compile(rb';[ \t]*([\w*-]+)[ \t]*=[ \t]*(?:"([^"]*)"|([^;"\s]*))')


class Part(Struct, frozen=True):
    """A field of a form: its name, and where its content begins and ends."""

    name: bytes
    start: int
    end: int


_NAMELESS = "has a part that does not say its name once"


def boundary(content_type: bytes | None) -> bytes | None:
    """What stands between the parts; None where this is no form."""
    matched = _BOUNDARY.match(content_type or b"")
    return (matched[1] or matched[2]) if matched else None


def parts(body: bytes, boundary: bytes) -> Iterator[Part]:
    """The fields, in order. Raises BadRequest where this is no whole form."""
    opening, delimiter = b"--" + boundary, b"\r\n--" + boundary
    if not body.startswith(opening):
        raise _malformed("does not begin with its boundary")
    if b"\r--" + boundary in body or body.count(b"\n--" + boundary) > body.count(delimiter):
        raise _malformed("has a boundary that no line break stands before")
    at, count = len(opening), 0
    while not body.startswith(b"--", at):
        count += 1
        if count > MAX_PARTS:
            raise _malformed(f"has more than {MAX_PARTS} parts")
        end_of_head = body.find(b"\r\n\r\n", at, at + MAX_HEAD)
        end = body.find(delimiter, end_of_head + 2)
        if end_of_head < 0 or end < 0:
            raise _malformed("ends before its last boundary")
        yield Part(_name(body[at:end_of_head]), end_of_head + 4, end)
        at = end + len(delimiter)
    if body[at + 2 :].strip():
        raise _malformed("goes on behind its last boundary")


def _name(head: bytes) -> bytes:
    """The name that a part's header fields give it; `head` begins where the boundary ends. Raises BadRequest."""
    nothing, *lines = head.split(b"\r\n")
    if nothing or any(line[:1] in (b" ", b"\t") or b"\r" in line or b"\n" in line for line in lines):
        raise _malformed("has a part whose header fields do not stand on one line each")
    said = [found[1] for line in lines if (found := _DISPOSITION.fullmatch(line)) is not None]
    given = [parameter for text in said for parameter in _PARAMETER.findall(text)]
    names = [(key.lower(), quoted or bare) for key, quoted, bare in given if key.lower().split(b"*")[0] == b"name"]
    if len(said) != 1 or not _OF_A_FORM.match(said[0]) or b'\\"' in said[0]:
        raise _malformed(_NAMELESS)
    if len(names) != 1 or names[0][0] != b"name":
        raise _malformed(_NAMELESS)
    name: bytes = names[0][1]
    return name


def content_type(boundary: bytes) -> bytes:
    """The header field of a form."""
    return b'multipart/form-data; boundary="%b"' % boundary


def _malformed(what: str) -> BadRequest:
    return BadRequest(f"The request's multipart form {what}.", code="invalid_form")


def text(body: bytes, boundary: bytes, name: bytes) -> str | None:
    """A field's text, None where there is none. Raises BadRequest naming the field."""
    found = _find(body, boundary, name)
    if found is None:
        return None
    if found.end - found.start > MAX_VALUE:
        path = name.decode("ascii")
        raise BadRequest(f"{path} must be at most {MAX_VALUE} bytes long.", param=path)
    try:
        return body[found.start : found.end].decode().strip()
    except UnicodeDecodeError:
        path = name.decode("ascii")
        raise BadRequest(f"{path} must be UTF-8.", param=path) from None


def replaced(body: bytes, boundary: bytes, name: bytes, value: str) -> bytes:
    """The form with this text as the field's, every other byte as it came. A field that is not there comes first."""
    found = _find(body, boundary, name)
    if found is not None:
        return b"".join((body[: found.start], value.encode(), body[found.end :]))
    head = b'--%b\r\ncontent-disposition: form-data; name="%b"\r\n\r\n' % (boundary, name)
    return b"".join((head, value.encode(), b"\r\n", body))


def _find(body: bytes, boundary: bytes, name: bytes) -> Part | None:
    found = [part for part in parts(body, boundary) if part.name == name]
    if len(found) > 1:
        path = name.decode("ascii")
        raise BadRequest(f"{path} must be in the form once, not {len(found)} times.", param=path, code="invalid_form")
    return found[0] if found else None
