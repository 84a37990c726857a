"""Core parts, written as the parts of a content.

What a part cannot say is reported by the path that the client knows it by. Calls and their results are matched here:
the service counts them, and refuses a call without a result, or a result without its call.
"""

from __future__ import annotations

import base64
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
    ToolCall,
    ToolResult,
    Url,
    Video,
)
from trunkline.dialects.base import Quirks
from trunkline.dialects.gemini.content_reader import RESPONDER
from trunkline.dialects.gemini.media import type_of
from trunkline.dialects.gemini.signatures import PLACEHOLDER
from trunkline.dialects.gemini.vocabulary import NAME, SYNTHETIC
from trunkline.dialects.objects import arguments_of

Wire = dict[str, Any]

_OURS = frozenset({"", NAME})
"""Makers of signatures that the service takes: a request of its own dialect names none."""

_FALLBACKS = {Image: "image/jpeg", Document: "application/pdf", Video: "video/mp4"}
"""Media types for addresses that do not tell: Vertex wants one."""


class ContentWriter:
    """`own`: the request came in by this dialect, so its unknown fields go back out. `lost` collects paths."""

    def __init__(self, dialect: str, quirks: Quirks, lost: list[str]) -> None:
        self.own = dialect == NAME
        self.elsewhere = dialect not in {"", NAME}
        self.quirks = quirks
        self.lost = lost

    def parts(self, parts: Sequence[Part]) -> list[Wire]:
        return [wire for part in parts if (wire := self.part(part)) is not None]

    def part(self, part: Part) -> Wire | None:
        """None where there is nothing to say, or no way to say it."""
        match part:
            case Text():
                return self._text(part)
            case Image() | Document() | Video():
                return self._media(part)
            case Audio(data=data, format=format):
                return self.unknown({"inlineData": {"mimeType": f"audio/{format}", "data": data}}, part.extra, part.at)
            case Thinking(maker=maker) if maker in _OURS and (part.signature is not None or self.own):
                return self._thinking(part)
            case Refusal(text=text):
                return {"text": text} if text else None
            case Foreign(dialect=dialect, data=data) if dialect == NAME:
                return data
            case ToolCall():
                return self.call(part)
            case Thinking() | RedactedThinking() | Foreign() | ToolResult():
                self.lost.append(part.at)
                return None

    def unknown(self, wire: Wire, extra: Extra | None, at: str) -> Wire:
        """Unknown fields: back where they came from, or reported."""
        for name, value in (extra or {}).items():
            outer, _, inner = name.partition(".")
            if not self.own:
                self.lost.append(f"{at}.{name}")
            elif inner:
                wire.setdefault(outer, {}).setdefault(inner, value)
            else:
                wire.setdefault(name, value)
        return wire

    def _text(self, part: Text) -> Wire | None:
        if part.cache is not None:
            self.lost.append(f"{part.at}.cache_control")
        signed = part.signature is not None and part.maker in _OURS
        if not part.text and not signed:
            return None
        wire: Wire = {"text": part.text}
        if signed:
            wire["thoughtSignature"] = part.signature
        return self.unknown(wire, part.extra, part.at) if part.extra else wire

    def _thinking(self, part: Thinking) -> Wire:
        wire: Wire = {"text": part.text, "thought": True}
        if part.signature is not None:
            wire["thoughtSignature"] = part.signature
        return self.unknown(wire, part.extra, part.at)

    def _media(self, part: Image | Document | Video) -> Wire | None:
        source = part.source
        if isinstance(source, FileId) and self.elsewhere:
            self.lost.append(part.at)
            return None
        self._unsaid(part)
        media_type = type_of(source, _FALLBACKS[type(part)])
        match source:
            case Inline(data=data):
                wire: Wire = {"inlineData": {"mimeType": media_type, "data": data}}
            case PlainText(text):
                wire = {"inlineData": {"mimeType": media_type, "data": base64.b64encode(text.encode()).decode()}}
            case Url(address) | FileId(address):
                wire = {"fileData": {"mimeType": media_type, "fileUri": address}}
                if self.own and source.media_type is None:
                    del wire["fileData"]["mimeType"]
        if self.own and isinstance(part, Document) and part.title is not None:
            next(iter(wire.values()))["displayName"] = part.title
        return self.unknown(wire, part.extra, part.at)

    def _unsaid(self, part: Image | Document | Video) -> None:
        """What there is no field for."""
        if isinstance(part, Image) and part.detail is not None:
            self.lost.append(part.detail_at or f"{part.at}.detail")
        if isinstance(part, Document):
            names = ("context", "citations") if self.own else ("title", "context", "citations")
            self.lost += [f"{part.at}.{name}" for name in names if getattr(part, name) is not None]
        if not isinstance(part, Video) and part.cache is not None:
            self.lost.append(f"{part.at}.cache_control")

    # ── Calls and results ──────────────────────────────────────────────────────────────────────────────────────────

    def call(self, part: ToolCall) -> Wire:
        called: Wire = {"name": part.name, "args": arguments_of(part, self.lost)}
        if not part.id.startswith(SYNTHETIC):
            called = {"id": part.id, **called}
        if part.cache is not None:
            self.lost.append(f"{part.at}.cache_control")
        wire: Wire = {"functionCall": called}
        if part.signature is not None and part.maker in _OURS:
            wire["thoughtSignature"] = part.signature
        return self.unknown(wire, part.extra, part.at)

    def calls_signed(self, parts: list[Wire]) -> list[Wire]:
        """A model's parts, the first call among them signed: newer models refuse a history whose calls are not, and
        document a word for those that another model made."""
        if self.quirks.signed_calls:
            first = next((wire for wire in parts if "functionCall" in wire), None)
            if first is not None:
                first.setdefault("thoughtSignature", PLACEHOLDER)
        return parts

    def results(self, given: Sequence[ToolResult], calls: Sequence[ToolCall]) -> list[Wire]:
        """The results of one turn, in the order of its calls: where the service gave a call no id, only the order
        tells two of one name apart. Media of models that take none inside a result follow the results."""
        places = {call.id: number for number, call in enumerate(calls)}
        wires: list[Wire] = []
        following: list[Wire] = []
        seen: set[str] = set()
        for result in sorted(given, key=lambda each: places.get(each.call_id, len(places))):
            number = places.get(result.call_id)
            name = calls[number].name if number is not None else (result.extra or {}).get(RESPONDER)
            if not isinstance(name, str) or result.call_id in seen:
                self.lost.append(result.at)  # nobody's result, or a second one
            else:
                seen.add(result.call_id)
                wires.append(self._result(result, name, following))
        return wires + following

    def _result(self, part: ToolResult, name: str, following: list[Wire]) -> Wire:
        """What a tool said is told as text, whatever is in it: keys of a result that look like references of JSON
        Schema (`$ref`) mean something to the service, inside text they do not."""
        texts = [each.text for each in part.content if isinstance(each, Text)]
        responded: Wire = {"name": name, "response": {"error" if part.is_error else "output": "\n".join(texts)}}
        if not part.call_id.startswith(SYNTHETIC):
            responded = {"id": part.call_id, **responded}
        media = self.parts([each for each in part.content if not isinstance(each, Text)])
        if self.quirks.media_results and media:
            responded["parts"] = media
        else:
            following += media
        if part.cache is not None:
            self.lost.append(f"{part.at}.cache_control")
        extra = {key: value for key, value in (part.extra or {}).items() if key != RESPONDER}
        return self.unknown({"functionResponse": responded}, extra, part.at)
