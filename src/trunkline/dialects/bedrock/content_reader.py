"""The blocks of a Converse message, read into core parts.

A block is an object of one field, whose name says what it is. A cache point is a block too: it marks what stands before
it. What the core has no part for (guarded content, citations, a server's own tools) is kept whole as `Foreign`: only
Converse understands it, and only Converse gets it back. The same goes for a known block with a source or a shape that
the core cannot say.

Signatures come back as the gateway sent them: with their maker, where that was another family (`dialects.carried`).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from trunkline.core.errors import BadRequest
from trunkline.core.request import (
    Audio,
    Document,
    Foreign,
    Image,
    Inline,
    Part,
    PlainText,
    RedactedThinking,
    Source,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Url,
    Video,
)
from trunkline.dialects.bedrock.vocabulary import DOCUMENTS, IMAGES, NAME, VIDEOS, media_types, read_cache
from trunkline.dialects.carried import unpack, unseal
from trunkline.dialects.fields import Fields, wrong

_encode = msgspec.json.Encoder().encode

_IMAGE_TYPES, _DOCUMENT_TYPES, _VIDEO_TYPES = media_types(IMAGES), media_types(DOCUMENTS), media_types(VIDEOS)

_MARKED = (Text, Image, Document, ToolCall, ToolResult, Tool)
"""What a cache point may stand behind."""

Block = dict[str, Any]
_Readers = Mapping[str, Callable[[Fields], Part | None]]


def read_content(value: Any, at: str) -> list[Part]:
    """An array of blocks. Raises BadRequest."""
    return _blocks(value, at, _BLOCKS)


def read_system(value: Any, at: str = "system") -> list[Part]:
    """The instructions: texts, cache points, guarded content. Raises BadRequest."""
    return _blocks(value, at, _SYSTEM_BLOCKS)


def _blocks(value: Any, at: str, readers: _Readers) -> list[Part]:
    if type(value) is not list:
        raise wrong(at, "an array of content blocks", value)
    out: list[Part] = []
    for i, item in enumerate(value):
        if type(item) is not dict:
            raise wrong(f"{at}[{i}]", "an object", item)
        if "cachePoint" in item and mark(out, item["cachePoint"]):
            continue
        out.append(_block(item, f"{at}[{i}]", readers))
    return out


def mark(out: list[Any], point: Any) -> bool:
    """Puts a cache point onto what stands before it; False where there is nothing, or nothing that can hold it."""
    cache = read_cache(point)
    if cache is None or not out or not isinstance(out[-1], _MARKED) or out[-1].cache is not None:
        return False
    out[-1].cache = cache
    return True


def _block(item: Block, at: str, readers: _Readers) -> Part:
    named = [name for name in item if item[name] is not None]
    if len(named) != 1:
        raise BadRequest(f"{at} must have exactly one field, which says what kind of block it is.", param=at)
    name = named[0]
    if name == "text":
        text = item["text"]
        if type(text) is not str:
            raise wrong(f"{at}.text", "a string", text)
        return Text(text, at=at)
    if name == "json" and readers is _RESULT_BLOCKS:
        return Text(_encode(item["json"]).decode(), at=f"{at}.json", aside={"json": True})
    if (reader := readers.get(name)) is not None:
        fields = Fields(dict(item[name]) if type(item[name]) is dict else item[name], f"{at}.{name}")
        if (part := reader(fields)) is not None:
            return part
    return Foreign(NAME, item, at)


def _source(fields: Fields, media_type: str | None) -> Source | None:
    match fields.need("source", dict):
        case {"bytes": str(data), **rest} if not rest and media_type is not None:
            return Inline(media_type, data)
        case {"s3Location": {"uri": str(uri), **owner}, **rest} if not rest and not owner:
            return Url(uri, media_type)
        case {"text": str(text), **rest} if not rest:
            return PlainText(text)
    return None


def _image(fields: Fields) -> Image | None:
    source = _source(fields, _IMAGE_TYPES.get(fields.need("format", str)))
    return None if source is None else Image(source, extra=fields.rest(), at=fields.at)


def _document(fields: Fields) -> Document | None:
    source = _source(fields, _DOCUMENT_TYPES.get(fields.get("format", str) or "txt"))
    if source is None:
        return None
    return Document(
        source,
        title=fields.need("name", str),
        context=fields.get("context", str),
        citations=fields.get("citations", dict),
        extra=fields.rest(),
        at=fields.at,
    )


def _video(fields: Fields) -> Video | None:
    source = _source(fields, _VIDEO_TYPES.get(fields.need("format", str)))
    return None if source is None else Video(source, fields.rest(), fields.at)


def _audio(fields: Fields) -> Audio | None:
    match fields.need("source", dict):
        case {"bytes": str(data), **rest} if not rest:
            return Audio(data, fields.need("format", str), fields.rest(), fields.at)
    return None


def _reasoning(fields: Fields) -> Thinking | RedactedThinking | None:
    match fields.left:
        case {"reasoningText": dict(inner), **rest} if not rest:
            thought = Fields(dict(inner), fields.path("reasoningText"))
            text, signature = thought.need("text", str), thought.get("signature", str)
            bare, maker = unseal(signature, NAME) if signature is not None else (None, NAME)
            return Thinking(text, bare, thought.rest(), fields.at, maker)
        case {"redactedContent": str(data), **rest} if not rest:
            bare, maker = _revealed(data)
            return RedactedThinking(bare, fields.at, None, maker)
    return None


def _revealed(data: str) -> tuple[str, str]:
    """(the encrypted thought, its maker): a blob of ours holds another family's text, marked."""
    try:
        text = base64.b64decode(data, validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return data, NAME
    bare, maker = unseal(text, NAME)
    return (data, NAME) if maker == NAME else (bare, maker)


def _tool_use(fields: Fields) -> ToolCall | None:
    if fields.left.get("type") == "server_tool_use":
        return None
    fields.any("type")
    call_id, thoughts = unpack(fields.need("toolUseId", str))
    name = fields.need("name", str)
    given = fields.any("input")
    if type(given) is not dict:
        raise wrong(fields.path("input"), "an object", given)
    signed = next((each for each in thoughts if each.kind == "call"), None)
    return ToolCall(
        call_id,
        name,
        _encode(given).decode(),
        extra=fields.rest(),
        at=fields.at,
        signature=signed.signature if signed is not None else None,
        maker=signed.maker if signed is not None else "",
    )


def _tool_result(fields: Fields) -> ToolResult | None:
    if fields.left.get("type") is not None:
        return None  # of a server's own tool
    call_id, _ = unpack(fields.need("toolUseId", str))
    content = _blocks(fields.need("content", list), fields.path("content"), _RESULT_BLOCKS)
    status = fields.get("status", str)
    return ToolResult(call_id, content, status == "error", extra=fields.rest(), at=fields.at)


_RESULT_BLOCKS: _Readers = {
    "image": _image,
    "document": _document,
    "video": _video,
}
"""What a tool's result may hold beside text and JSON; no tool result among them, so reading never nests. JSON is text
to every other family; `aside` tells our own writer to say it as JSON again."""

_SYSTEM_BLOCKS: _Readers = {}

_BLOCKS: _Readers = {
    "image": _image,
    "document": _document,
    "video": _video,
    "audio": _audio,
    "reasoningContent": _reasoning,
    "toolUse": _tool_use,
    "toolResult": _tool_result,
}
