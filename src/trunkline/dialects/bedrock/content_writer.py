"""Core parts, written as the blocks of a Converse message.

What a block cannot say is reported by the path that the client knows it by. Blank texts are left out, because the
service refuses them and they say nothing. A cache mark becomes a block of its own behind what it marks.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from trunkline.core.request import (
    Audio,
    CacheMark,
    Document,
    Extra,
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
    ToolCall,
    ToolResult,
    Url,
    Video,
)
from trunkline.dialects.bedrock.families import Family
from trunkline.dialects.bedrock.vocabulary import (
    ALLOWED_ID,
    AUDIOS,
    DOCUMENTS,
    IMAGES,
    MAX_ID,
    NAME,
    VIDEOS,
    write_cache,
)
from trunkline.dialects.objects import arguments_of

Block = dict[str, Any]

_FOREIGN_LETTERS = re.compile(r"[^a-zA-Z0-9_.:-]")
_UNNAMEABLE = re.compile(r"[^\w\s()\[\]-]+", re.ASCII)
_MAX_NAME = 180
"""Characters of a document's name: the service takes 200, and a number may follow."""
_UNTITLED = "document"

_AUDIO_FORMATS = {"mpeg3": "mp3", "x-wav": "wav", "pcm16": "pcm"}


def _plain(part: Part) -> str | None:
    """The text of a part that says something and is nothing else."""
    if type(part) is Text and part.cache is None and not part.extra and not part.text.isspace():
        return part.text
    return None


class ContentWriter:
    """Of one request: documents' names must differ in all of it."""

    def __init__(self, dialect: str, family: Family, lost: list[str]) -> None:
        self.own = dialect == NAME
        self.family = family
        self.lost = lost
        self._names: dict[str, int] = {}

    def blocks(self, parts: Sequence[Part]) -> list[Block]:
        if len(parts) == 1 and (text := _plain(parts[0])):
            return [{"text": text}]  # what most messages are
        out: list[Block] = []
        for part in parts:
            if (block := self._block(part)) is None:
                continue
            out.append(block)
            if (cache := self._cache(part)) is not None:
                if "document" in block:  # behind which the service takes no cache point; it does behind such a text
                    out.append({"text": "\n"})
                out.append(write_cache(cache))
        return out

    def unknown(self, block: Block, extra: Extra | None, at: str) -> Block:
        """Unknown fields: back where they came from, or reported."""
        for name, value in (extra or {}).items():
            if self.own:
                block.setdefault(name, value)
            else:
                self.lost.append(f"{at}.{name}")
        return block

    def _block(self, part: Part) -> Block | None:
        match part:
            case Text() | Refusal():
                return self._text(part)
            case Image():
                return self._image(part)
            case Document():
                return self._document(part)
            case Audio():
                return self._audio(part)
            case Video():
                return self._video(part)
            case ToolCall():
                return self._tool_use(part)
            case ToolResult():
                return {"toolResult": self._tool_result(part)}
            case Thinking() | RedactedThinking():
                return self._thought(part)
            case Foreign(dialect=dialect, data=data) if dialect == NAME:
                return data
        self.lost.append(part.at)
        return None

    def _cache(self, part: Part) -> CacheMark | None:
        """The mark behind a block. What is inside a result cannot be marked apart, so the result is."""
        cache: CacheMark | None = getattr(part, "cache", None)
        if isinstance(part, ToolResult):
            inner = (getattr(each, "cache", None) for each in reversed(part.content))
            cache = cache or next((each for each in inner if each is not None), None)
            if cache is not None and not self.family.tool_cache:
                self.lost.append(f"{part.at}.cache_control")
                return None
        return cache

    # ── What is said ───────────────────────────────────────────────────────────────────────────────────────────────

    def _text(self, part: Text | Refusal) -> Block | None:
        if part.text.strip() or (part.text and self.own):
            extra = part.extra if isinstance(part, Text) else None
            return self.unknown({"text": part.text}, extra, part.at)
        if part.text or getattr(part, "cache", None) is not None:
            self.lost.append(part.at)
        return None

    def _thought(self, part: Thinking | RedactedThinking) -> Block | None:
        """Only what this model's family has signed: it refuses anything else."""
        if part.maker in self.family.verified:
            if isinstance(part, RedactedThinking):
                foreign = part.maker not in {"", NAME}
                data = base64.b64encode(part.data.encode()).decode() if foreign else part.data
                return {"reasoningContent": {"redactedContent": data}}
            if part.signature is not None or self.own:
                signed = {"signature": part.signature} if part.signature is not None else {}
                thought = self.unknown({"text": part.text} | signed, part.extra, part.at)
                return {"reasoningContent": {"reasoningText": thought}}
        self.lost.append(part.at)
        return None

    def _image(self, part: Image) -> Block | None:
        if (media := self._media(part.source, IMAGES)) is None:
            self.lost.append(part.at)
            return None
        if part.detail is not None:
            self.lost.append(part.detail_at or f"{part.at}.detail")
        return {"image": self.unknown(media, part.extra, part.at)}

    def _video(self, part: Video) -> Block | None:
        if (media := self._media(part.source, VIDEOS)) is None:
            self.lost.append(part.at)
            return None
        return {"video": self.unknown(media, part.extra, part.at)}

    def _audio(self, part: Audio) -> Block | None:
        name = _AUDIO_FORMATS.get(part.format, part.format)
        if name not in AUDIOS:
            self.lost.append(part.at)
            return None
        audio: Block = {"format": name, "source": {"bytes": part.data}}
        return {"audio": self.unknown(audio, part.extra, part.at)}

    def _document(self, part: Document) -> Block | None:
        media = self._media(part.source, DOCUMENTS)
        if media is None:
            self.lost.append(part.at)
            return None
        document: Block = {"format": media["format"], "name": self._name(part.title), "source": media["source"]}
        if part.context is not None:
            document["context"] = part.context
        if part.citations is not None:
            document["citations"] = {"enabled": bool(part.citations.get("enabled"))}
        return {"document": self.unknown(document, part.extra, part.at)}

    def _name(self, title: str | None) -> str:
        """A name in the letters that the service allows, unlike all before it in this request. Counting from the front
        keeps the names of a growing conversation as they were."""
        base = " ".join(_UNNAMEABLE.sub("-", title or "").split()).strip("- ")[:_MAX_NAME] or _UNTITLED
        while (number := self._names.get(base, 0)) > 0:
            self._names[base] = number + 1
            base = f"{base}-{number + 1}"
        self._names[base] = 1
        return base

    def _media(self, source: Source, formats: Mapping[str, str]) -> Block | None:
        """Format and source; None where the service cannot take it: it fetches from its own store alone."""
        match source:
            case Inline(media_type, data):
                name = formats.get(media_type.partition(";")[0].strip().lower())
                where: Block = {"bytes": data}
            case Url(url, media_type) if url.startswith("s3://"):
                name = formats.get(media_type or "") or _by_suffix(url, formats)
                where = {"s3Location": {"uri": url}}
            case PlainText(text) if formats is DOCUMENTS:
                name = "txt"
                where = {"text": text} if self.own else {"bytes": base64.b64encode(text.encode()).decode()}
            case _:
                return None
        return None if name is None else {"format": name, "source": where}

    # ── Tools ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _tool_use(self, part: ToolCall) -> Block:
        call: Block = {"toolUseId": tool_id(part.id), "name": part.name, "input": arguments_of(part, self.lost)}
        return {"toolUse": self.unknown(call, part.extra, part.at)}

    def _tool_result(self, part: ToolResult) -> Block:
        content = [block for each in part.content if (block := self._result_block(each)) is not None]
        result: Block = {"toolUseId": tool_id(part.call_id), "content": content}
        if part.is_error:
            result["status"] = "error"
        return self.unknown(result, part.extra, part.at)

    def _result_block(self, part: Part) -> Block | None:
        """Text, JSON, image, document, video: a result takes nothing else."""
        match part:
            case Text(aside=aside) if self.own and aside and aside.get("json"):
                return {"json": msgspec.Raw(part.text.encode())}
            case Text() | Image() | Document() | Video():
                return self._block(part)
            case Foreign(dialect=dialect, data=data) if dialect == NAME:
                return data
        self.lost.append(part.at)
        return None


def tool_id(call_id: str) -> str:
    """A tool call's id in the letters and the length that the service allows; the same change on the call and on its
    result. What had to change ends in a hash of what it was, so that different ids stay different."""
    if ALLOWED_ID.fullmatch(call_id):
        return call_id
    mark = blake2b(call_id.encode(errors="surrogatepass"), digest_size=8).hexdigest()
    return f"{_FOREIGN_LETTERS.sub('_', call_id)[: MAX_ID - len(mark) - 1]}_{mark}"


def _by_suffix(url: str, formats: Mapping[str, str]) -> str | None:
    suffix = url.rpartition(".")[2].lower()
    suffix = {"jpg": "jpeg", "3gp": "three_gp"}.get(suffix, suffix)
    return suffix if suffix in formats.values() else None
