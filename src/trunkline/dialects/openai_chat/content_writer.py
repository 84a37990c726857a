"""Core parts, written as the content of a message.

What chat cannot say is reported by the path that the client knows it by. `own`: the request came in by this dialect, so
its unknown fields, and what only some of its hosts understand, go back out.
"""

from __future__ import annotations

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
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Url,
)
from trunkline.dialects.links import write_link
from trunkline.dialects.openai_chat.vocabulary import NAME, put_back

Json = dict[str, Any]

_OURS = frozenset({"", NAME})
"""Makers of thoughts that a chat host may get back."""


class ContentWriter:
    """`lost` collects paths. `elsewhere`: the client speaks another dialect, whose file ids mean nothing here."""

    def __init__(self, dialect: str, lost: list[str]) -> None:
        self.own = dialect == NAME
        self.elsewhere = dialect not in {"", NAME}
        self.lost = lost

    def content(self, parts: Sequence[Part]) -> str | list[Json]:
        """A single plain text is a string, as most hosts expect; anything else an array."""
        if len(parts) == 1 and type(part := parts[0]) is Text and part.cache is None and not part.extra:
            return part.text  # what most messages are, without the 1 µs of a part made and unmade
        written = self.parts(parts)
        if not written:
            return ""
        if len(written) == 1 and written[0].keys() == {"type", "text"}:
            text: str = written[0]["text"]
            return text
        return written

    def parts(self, parts: Sequence[Part]) -> list[Json]:
        return [out for part in parts if (out := self._part(part)) is not None]

    def unknown(self, out: Json, extra: Extra | None, at: str) -> Json:
        """Unknown fields of a message, part or tool: back where they came from, or reported."""
        if not extra:
            return out
        for name, value in extra.items():
            if self.own:
                put_back(out, name, value)
            else:
                self.lost.append(f"{at}.{name}")
        return out

    def marked(self, out: Json, part: Text | Image | Document | ToolCall | ToolResult | Tool) -> Json:
        """With its cache mark and its unknown fields, which is how all parts end."""
        if part.cache is not None and self.own:
            out["cache_control"] = {"type": "ephemeral"} | ({"ttl": part.cache.ttl} if part.cache.ttl else {})
        elif part.cache is not None:
            self.lost.append(f"{part.at}.cache_control")
        return self.unknown(out, part.extra, part.at)

    def tool_call(self, call: ToolCall) -> Json:
        if call.signature is not None:
            self.lost.append(f"{call.at}.signature")
        if call.custom:
            out: Json = {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
        else:
            out = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        return self.marked(out, call)

    def thinking(self, parts: Sequence[Part], out: Json) -> None:
        """Chat has no field for it; what came in by this dialect goes back as it came, except to others than those
        who made it."""
        thoughts: list[Thinking | RedactedThinking] = []
        for part in parts:
            if isinstance(part, Thinking | RedactedThinking):
                if self.own and part.maker in _OURS:
                    thoughts.append(part)
                else:
                    self.lost.append(part.at)
        if text := "".join(part.text for part in thoughts if isinstance(part, Thinking)):
            out["reasoning_content"] = text
        if any(isinstance(part, RedactedThinking) or part.signature or part.extra for part in thoughts):
            out["reasoning_details"] = [_detail(part) for part in thoughts]

    def _part(self, part: Part) -> Json | None:
        match part:
            case Text():
                return self.marked({"type": "text", "text": part.text}, part)
            case Image():
                if (url := write_link(part.source)) is None:
                    self.lost.append(part.at)
                    return None
                image: Json = {"url": url} | ({"detail": part.detail} if part.detail else {})
                return self.marked({"type": "image_url", "image_url": image}, part)
            case Document():
                return self._document(part)
            case Audio():
                audio: Json = {"data": part.data, "format": part.format}
                return self.unknown({"type": "input_audio", "input_audio": audio}, part.extra, part.at)
            case Refusal():
                return {"type": "refusal", "refusal": part.text}
            case Foreign(dialect=dialect, data=data) if dialect == NAME:
                return data
            case _:
                self.lost.append(part.at)
                return None

    def _document(self, part: Document) -> Json | None:
        out = self._file(part)
        if out is None:
            self.lost.append(part.at)
            return None
        for name in ("context", "citations"):
            if getattr(part, name):
                self.lost.append(f"{part.at}.{name}")
        return self.marked(out, part)

    def _file(self, part: Document) -> Json | None:
        """None where this dialect has no way to say where the document is. A link to one some hosts take, OpenAI does
        not: it goes where it came from."""
        title: Json = {"filename": part.title} if part.title else {}
        match part.source:
            case PlainText(text):
                return {"type": "text", "text": f"{part.title}\n\n{text}" if part.title else text}
            case FileId(file_id) if not self.elsewhere:
                return {"type": "file", "file": {"file_id": file_id} | title}
            case Inline(media_type, data):
                file: Json = {"filename": part.title or "document", "file_data": f"data:{media_type};base64,{data}"}
                return {"type": "file", "file": file}
            case Url(url) if self.own:
                return {"type": "file", "file": title | {"file_data": url}}
            case _:
                return None


def _detail(part: Thinking | RedactedThinking) -> Json:
    extra = part.extra or {}
    if isinstance(part, RedactedThinking):
        return {"type": "reasoning.encrypted", "data": part.data, **extra}
    name = "summary" if extra.get("type") == "reasoning.summary" else "text"
    signature = {"signature": part.signature} if part.signature else {}
    return {"type": "reasoning.text", name: part.text, **signature, **extra}
