"""Core parts, written as the blocks of a message.

What a block cannot say is reported by the path that the client knows it by. Empty text blocks are left out, because the
service refuses them and they say nothing.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Any

from trunkline.core.request import (
    Audio,
    Document,
    Extra,
    FileId,
    Foreign,
    Image,
    Inline,
    Part,
    PlainText,
    RedactedThinking,
    Refusal,
    Source,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Url,
    Video,
)
from trunkline.dialects.anthropic.vocabulary import NAME, write_cache
from trunkline.dialects.objects import arguments_of

Block = dict[str, Any]

_OURS = frozenset({"", NAME})
"""Makers of signatures that the service takes: a request of its own dialect names none."""

_PDF = "application/pdf"
_FOREIGN_ID = re.compile(r"[^a-zA-Z0-9_-]")


class ContentWriter:
    """`own`: the request came in by this dialect, so its unknown fields go back out. `elsewhere`: it came in by
    another, whose file ids mean nothing here. `lost` collects paths."""

    def __init__(self, dialect: str, lost: list[str]) -> None:
        self.own = dialect == NAME
        self.elsewhere = dialect not in {"", NAME}
        self.lost = lost

    def content(self, parts: Sequence[Part]) -> str | list[Block]:
        """A message's parts, nothing where none of them says anything."""
        if len(parts) == 1 and type(part := parts[0]) is Text and part.cache is None and not part.extra:
            return part.text  # what most messages are, without the 1 µs of a block made and unmade
        return compact(self.blocks(parts))

    def blocks(self, parts: Sequence[Part]) -> list[Block]:
        return [block for part in parts if (block := self.block(part)) is not None]

    def block(self, part: Part) -> Block | None:
        """None where there is nothing to say, or no way to say it."""
        match part:
            case Text():
                return self._text(part)
            case Image(source=FileId()) | Document(source=FileId()) if self.elsewhere:
                self.lost.append(part.at)
                return None
            case Image():
                return self._image(part)
            case Document():
                return self._document(part)
            case ToolCall():
                return self._tool_use(part)
            case ToolResult():
                return self._tool_result(part)
            case Thinking(text=text, signature=str(signature), maker=maker) if maker in _OURS:
                block = {"type": "thinking", "thinking": text, "signature": signature}
                return self.unknown(block, part.extra, part.at)
            case RedactedThinking(data=data, maker=maker) if maker in _OURS:
                return self.unknown({"type": "redacted_thinking", "data": data}, part.extra, part.at)
            case Refusal(text=text):
                return {"type": "text", "text": text} if text else None
            case Foreign(dialect=dialect, data=data) if dialect == NAME:
                return data
            case Thinking() | RedactedThinking() | Audio() | Video() | Foreign():
                # The service refuses thinking without a signature of its own; the others have no block here.
                self.lost.append(part.at)
                return None

    def unknown(self, block: Block, extra: Extra | None, at: str) -> Block:
        """Unknown fields: back where they came from, or reported."""
        if not extra:
            return block
        for name, value in extra.items():
            if self.own:
                block.setdefault(name, value)
            else:
                self.lost.append(f"{at}.{name}")
        return block

    def marked(self, block: Block, part: Text | Image | Document | ToolCall | ToolResult | Tool) -> Block:
        """The block with its cache mark and its unknown fields, which is how all blocks end."""
        if part.cache is not None:
            block["cache_control"] = write_cache(part.cache)
        return self.unknown(block, part.extra, part.at)

    def _text(self, part: Text) -> Block | None:
        if part.text:
            return self.marked({"type": "text", "text": part.text}, part)
        if part.cache is not None:
            self.lost.append(f"{part.at}.cache_control")
        return None

    def _image(self, part: Image) -> Block:
        if part.detail is not None:
            self.lost.append(part.detail_at or f"{part.at}.detail")
        return self.marked({"type": "image", "source": _source(part.source)}, part)

    def _document(self, part: Document) -> Block | None:
        source = _source(part.source)
        if not self.own and source["type"] == "base64" and source["media_type"] != _PDF:
            self.lost.append(part.at)  # an office document, say: the service takes no other kind of file
            return None
        block: Block = {"type": "document", "source": source}
        for name in ("title", "context", "citations"):
            if (value := getattr(part, name)) is not None:
                block[name] = value
        return self.marked(block, part)

    def _tool_use(self, part: ToolCall) -> Block:
        if part.signature is not None:
            self.lost.append(f"{part.at}.signature")
        given = arguments_of(part, self.lost)
        return self.marked({"type": "tool_use", "id": self._id(part.id), "name": part.name, "input": given}, part)

    def _id(self, call_id: str) -> str:
        """A tool call's id in the letters that the service allows; the same change on the call and on its result."""
        return call_id if self.own else _FOREIGN_ID.sub("_", call_id) or "_"

    def _tool_result(self, part: ToolResult) -> Block:
        block: Block = {"type": "tool_result", "tool_use_id": self._id(part.call_id)}
        if content := self.content(part.content):
            block["content"] = content
        if part.is_error:
            block["is_error"] = True
        return self.marked(block, part)


def compact(blocks: list[Block]) -> str | list[Block]:
    """One plain text block as a string: the service takes both for the same."""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        text: str = blocks[0]["text"]
        return text
    return blocks


def _source(source: Source) -> Block:
    match source:
        case Inline(media_type, data) if media_type.startswith("text/") and (text := _decoded(data)) is not None:
            return {"type": "text", "media_type": "text/plain", "data": text}  # base64 is for images and PDF alone
        case Inline(media_type, data):
            return {"type": "base64", "media_type": media_type, "data": data}
        case Url(url):
            return {"type": "url", "url": url}
        case FileId(file_id):
            return {"type": "file", "file_id": file_id}
        case PlainText(text):
            return {"type": "text", "media_type": "text/plain", "data": text}


def _decoded(data: str) -> str | None:
    try:
        return base64.b64decode(data, validate=True).decode()
    except ValueError:
        return None
