"""The content of a message and of a tool's result, read into core parts.

A part of a type that the core has no word for is kept whole as `Foreign`, as is a known one with a source that it
cannot say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from trunkline.core.errors import BadRequest
from trunkline.core.request import Audio, Document, FileId, Foreign, Image, Inline, Part, Refusal, Source, Text, Url
from trunkline.dialects.fields import Fields, wrong
from trunkline.dialects.links import read_link
from trunkline.dialects.openai_responses.vocabulary import NAME


def read_content(value: Any, at: str) -> list[Part]:
    """A string, or an array of parts. Raises BadRequest."""
    if type(value) is str:
        return [Text(value, at=at)]
    if type(value) is not list:
        raise wrong(at, "a string or an array of parts", value)
    return [_part(item, f"{at}[{i}]") for i, item in enumerate(value)]


def read_output(value: Any, at: str) -> list[Part]:
    """What a tool gave: a string, or an array of parts. Raises BadRequest."""
    if value is None:
        return []
    return read_content(value, at)


def _part(item: Any, at: str) -> Part:
    fields = Fields(dict(item) if type(item) is dict else item, at)
    kind = fields.need("type", str)
    read = _PARTS.get(kind)
    part = read(fields) if read is not None else None
    return Foreign(NAME, item, at) if part is None else part


def _text(fields: Fields) -> Part:
    """Citations of an answer that is sent back are the service's own remarks on it."""
    text = fields.need("text", str)
    said = {name: value for name in ("annotations", "logprobs") if (value := fields.any(name))}
    return Text(text, None, _with(fields.rest(), said), fields.at)


def _with(extra: dict[str, Any] | None, more: dict[str, Any]) -> dict[str, Any] | None:
    return {**(extra or {}), **more} if more else extra


def _refusal(fields: Fields) -> Part:
    return Refusal(fields.need("refusal", str), fields.at)


def _image(fields: Fields) -> Part | None:
    url, file_id = fields.get("image_url", str), fields.get("file_id", str)
    if url is None and file_id is None:
        raise BadRequest(f"{fields.at} needs image_url or file_id.", param=fields.at)
    source: Source = read_link(url, fields.path("image_url")) if url is not None else FileId(file_id or "")
    detail = fields.get("detail", str)
    return Image(
        source, None if detail == "auto" else detail, extra=fields.rest(), at=fields.at
    )  # the SDK must say one


def _file(fields: Fields) -> Part | None:
    data, url, file_id = (fields.get(name, str) for name in ("file_data", "file_url", "file_id"))
    source: Source
    if data is not None:
        source = read_link(data, fields.path("file_data"))
        if isinstance(source, Url):
            source = Inline("application/pdf", source.url)
    elif url is not None:
        source = read_link(url, fields.path("file_url"))
    elif file_id is not None:
        source = FileId(file_id)
    else:
        raise BadRequest(f"{fields.at} needs file_data, file_url or file_id.", param=fields.at)
    return Document(source, fields.get("filename", str), extra=fields.rest(), at=fields.at)


def _audio(fields: Fields) -> Part:
    inner = fields.inner("input_audio")
    return Audio(inner.need("data", str), inner.need("format", str), fields.rest(), fields.at)


_PARTS: Mapping[str, Callable[[Fields], Part | None]] = {
    "input_text": _text,
    "output_text": _text,
    "text": _text,
    "refusal": _refusal,
    "input_image": _image,
    "input_file": _file,
    "input_audio": _audio,
}
