"""Where the bytes of an image or a file are, as OpenAI's dialects say it: one string, a link or a `data:` URL."""

from __future__ import annotations

from trunkline.core.errors import BadRequest
from trunkline.core.request import Inline, Source, Url


def read_link(url: str, path: str) -> Source:
    """A `data:` URL (RFC 2397) is the bytes themselves. Raises BadRequest."""
    if not url.startswith("data:"):
        return Url(url)
    head, comma, data = url[5:].partition(",")
    media_type, *parameters = head.split(";")
    if not comma or "base64" not in parameters:
        raise BadRequest(f"{path}: a data: URL must be base64-encoded, data:<media type>;base64,<data>.", param=path)
    return Inline(media_type or "application/octet-stream", data)


def write_link(source: Source) -> str | None:
    """None for what is neither a link nor bytes."""
    match source:
        case Url(url):
            return url
        case Inline(media_type, data):
            return f"data:{media_type};base64,{data}"
        case _:
            return None
