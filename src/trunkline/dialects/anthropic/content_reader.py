"""The blocks of a message, read into core parts.

A block type that the core has no part for (server tools, search results, container files) is kept whole as `Foreign`:
only Anthropic understands it, and only Anthropic gets it back. The same goes for a known block with a source or a shape
that the core cannot say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from trunkline.core.errors import BadRequest
from trunkline.core.request import (
    CacheMark,
    Document,
    FileId,
    Foreign,
    Image,
    Inline,
    Part,
    PlainText,
    RedactedThinking,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
)
from trunkline.dialects.anthropic.vocabulary import NAME, read_cache
from trunkline.dialects.carried import unpack, unseal
from trunkline.dialects.fields import Fields, wrong

_encode = msgspec.json.Encoder().encode


def read_content(value: Any, at: str) -> list[Part]:
    """A string, or an array of blocks. Raises BadRequest."""
    if type(value) is str:
        return [Text(value, at=at)]
    if type(value) is not list:
        raise wrong(at, "a string or an array of blocks", value)
    return [_block(item, f"{at}[{i}]", _BLOCKS) for i, item in enumerate(value)]


def take_cache(fields: Fields) -> CacheMark | None:
    """The block's cache mark, taken; a `cache_control` that says more stays with the unknown fields."""
    mark = read_cache(fields.left.get("cache_control"))
    if mark is not None:
        del fields.left["cache_control"]
    return mark


def _block(item: Any, at: str, readers: Mapping[str, Callable[[Fields], Part | None]]) -> Part:
    if type(item) is not dict:
        raise wrong(at, "an object", item)
    kind = item.get("type")
    if type(kind) is not str:
        raise BadRequest(f"{at}.type is required and must be a string.", param=f"{at}.type")
    if reader := readers.get(kind):
        fields = Fields(dict(item), at)
        del fields.left["type"]
        if (part := reader(fields)) is not None:
            return part
    return Foreign(NAME, item, at)


def _text(fields: Fields) -> Text:
    return Text(fields.need("text", str), take_cache(fields), fields.rest(), fields.at)


def _image(fields: Fields) -> Image | None:
    if (source := _source(fields)) is None:
        return None
    return Image(source, cache=take_cache(fields), extra=fields.rest(), at=fields.at)


def _document(fields: Fields) -> Document | None:
    if (source := _source(fields)) is None:
        return None
    return Document(
        source,
        title=fields.get("title", str),
        context=fields.get("context", str),
        citations=fields.get("citations", dict),
        cache=take_cache(fields),
        extra=fields.rest(),
        at=fields.at,
    )


def _source(fields: Fields) -> Source | None:
    match fields.need("source", dict):
        case {"type": "base64", "media_type": str(media_type), "data": str(data), **rest} if not rest:
            return Inline(media_type, data)
        case {"type": "url", "url": str(url), **rest} if not rest:
            return Url(url)
        case {"type": "file", "file_id": str(file_id), **rest} if not rest:
            return FileId(file_id)
        case {"type": "text", "media_type": "text/plain", "data": str(text), **rest} if not rest:
            return PlainText(text)
    return None


def _thinking(fields: Fields) -> Thinking:
    signature, maker = unseal(fields.get("signature", str) or "", NAME)
    return Thinking(fields.need("thinking", str), signature or None, fields.rest(), fields.at, maker)


def _redacted(fields: Fields) -> RedactedThinking | None:
    data, maker = unseal(fields.need("data", str), NAME)
    return None if fields.rest() else RedactedThinking(data, fields.at, maker=maker)


def _tool_use(fields: Fields) -> ToolCall:
    """What is packed into the id is the call's own signature: thoughts have blocks of their own."""
    call_id, carried = unpack(fields.need("id", str))
    signed = next((one for one in carried if one.kind == "call"), None)
    return ToolCall(
        id=call_id,
        name=fields.need("name", str),
        arguments=_encode(fields.need("input", dict)).decode(),
        cache=take_cache(fields),
        extra=fields.rest(),
        at=fields.at,
        signature=signed.signature if signed is not None else None,
        maker=signed.maker if signed is not None else "",
    )


def _tool_result(fields: Fields) -> ToolResult:
    call_id, _ = unpack(fields.need("tool_use_id", str))
    content, path = fields.any("content"), fields.path("content")
    parts: list[Part] = []
    if type(content) is list:
        parts = [_block(item, f"{path}[{i}]", _RESULT_BLOCKS) for i, item in enumerate(content)]
    elif type(content) is str:
        parts = [Text(content, at=path)] if content else []
    elif content is not None:
        raise wrong(path, "a string or an array of blocks", content)
    is_error = fields.get("is_error", bool) or False
    return ToolResult(call_id, parts, is_error, take_cache(fields), fields.rest(), fields.at)


_RESULT_BLOCKS: Mapping[str, Callable[[Fields], Part | None]] = {
    "text": _text,
    "image": _image,
    "document": _document,
}
"""What a tool's result may hold; no tool result among them, so reading never nests."""

_BLOCKS: Mapping[str, Callable[[Fields], Part | None]] = {
    **_RESULT_BLOCKS,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
}
