"""Messages, written as the items of a request's `input`.

The order of parts is kept: a thought stays ahead of the call or the text that it led to. The service refuses a thought
that nothing follows, so such a one is left out, and it takes no thoughts but its own. `lost` collects paths.
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
    Message,
    Part,
    PlainText,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
)
from trunkline.dialects.emptied import refuse_emptied
from trunkline.dialects.links import write_link
from trunkline.dialects.openai_responses.vocabulary import NAME, unsigned
from trunkline.dialects.turns import words

Json = dict[str, Any]


class ItemWriter:
    def __init__(self, dialect: str, lost: list[str]) -> None:
        self.own = dialect == NAME
        self.elsewhere = dialect not in {"", NAME}
        """The client speaks another dialect, whose file ids mean nothing here."""
        self.lost = lost
        self._custom: set[str] = set()
        """Ids of calls of custom tools: their results have a type of their own."""

    def items(self, messages: Sequence[Message]) -> list[Json]:
        out: list[Json] = []
        answered = ""
        for message in messages:
            if not self.own and (text := words(message)) is not None:
                out.append(_said(message.role, text))
                continue
            before, size = len(self.lost), len(out)
            match message.role:
                case "assistant":
                    out += self._assistant(message)
                case "tool":
                    answered = message.at
                    out += [self._result(part) for part in message.parts if isinstance(part, ToolResult)]
                case _:
                    out += self._message(message)
            if len(out) == size and (not message.at or message.at != answered):
                refuse_emptied((message,), self.lost[before:])
        return out

    def unknown(self, out: Json, extra: Extra | None, at: str) -> Json:
        """Unknown fields of an item, part or tool: back where they came from, or reported."""
        for name, value in (extra or {}).items():
            if self.own:
                out.setdefault(name, value)
            else:
                self.lost.append(f"{at}.{name}")
        return out

    # ── What users say ─────────────────────────────────────────────────────────────────────────────────────────────

    def _message(self, message: Message) -> list[Json]:
        if len(message.parts) == 1 and isinstance(part := message.parts[0], Foreign) and part.at == message.at:
            return [part.data] if self._knows(part) else []
        written = self._parts(message.parts)
        if message.name is not None:
            self.lost.append(f"{message.at}.name")
        if not written and message.parts:
            return []
        return [self.unknown({"role": message.role, "content": _compact(written)}, message.extra, message.at)]

    def _parts(self, parts: Sequence[Part]) -> list[Json]:
        return [out for part in parts if (out := self._part(part)) is not None]

    def _part(self, part: Part) -> Json | None:
        """None where this dialect has no way to say it."""
        match part:
            case Text():
                return self._marked({"type": "input_text", "text": part.text}, part)
            case Image(source=FileId()) | Document(source=FileId()) if self.elsewhere:
                self.lost.append(part.at)
                return None
            case Image(source=FileId(file_id)):
                image: Json = {"type": "input_image", "file_id": file_id, "detail": part.detail or "auto"}
                return self._marked(image, part)
            case Image() if (url := write_link(part.source)) is not None:
                return self._marked({"type": "input_image", "image_url": url, "detail": part.detail or "auto"}, part)
            case Document():
                return self._document(part)
            case Audio() if self.own:  # not in the description: the service has to say so itself
                audio: Json = {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}
                return self.unknown(audio, part.extra, part.at)
            case Foreign():
                return part.data if self._knows(part) else None
            case _:
                self.lost.append(part.at)
                return None

    def _knows(self, part: Foreign) -> bool:
        if part.dialect != NAME:
            self.lost.append(part.at)
        return part.dialect == NAME

    def _marked(self, out: Json, part: Text | Image | Document | ToolCall | ToolResult) -> Json:
        if part.cache is not None:
            self.lost.append(f"{part.at}.cache_control")
        return self.unknown(out, part.extra, part.at)

    def _document(self, part: Document) -> Json:
        for name in ("context", "citations"):
            if getattr(part, name):
                self.lost.append(f"{part.at}.{name}")
        title: Json = {"filename": part.title} if part.title else {}
        match part.source:
            case PlainText(text):
                out: Json = {"type": "input_text", "text": f"{part.title}\n\n{text}" if part.title else text}
            case FileId(file_id):
                out = {"type": "input_file", "file_id": file_id} | title
            case Url(url):
                out = {"type": "input_file", "file_url": url} | title
            case Inline(media_type, data):
                link = f"data:{media_type};base64,{data}"
                out = {"type": "input_file", "filename": part.title or "document", "file_data": link}
        return self._marked(out, part)

    # ── What the model said and did ────────────────────────────────────────────────────────────────────────────────

    def _assistant(self, message: Message) -> list[Json]:
        out: list[Json] = []
        texts: list[Text | Refusal] = []
        for part in message.parts:
            if isinstance(part, Text | Refusal):
                if not part.text and not self.own:
                    continue  # chat's calls come with an empty text
                if part.aside is not None:
                    self._say(texts, out)
                texts.append(part)
                continue
            self._say(texts, out)
            if (written := self._done(part)) is not None:
                out.append(written)
        self._say(texts, out)
        if message.name is not None:
            self.lost.append(f"{message.at}.name")
        self.unknown({}, message.extra, message.at)
        return out if self.own else self._without_loose_thoughts(out, message)

    def _say(self, texts: list[Text | Refusal], out: list[Json]) -> None:
        """One message of these texts, which are then gone."""
        if not texts:
            return
        said = list(texts)
        texts.clear()
        out.append(self._own_message(said) if self.own else self._message_of(said))

    def _message_of(self, said: list[Text | Refusal]) -> Json:
        """As a string: an array is for messages that have an id of the service's."""
        for part in said:
            if isinstance(part, Text):
                self._marked({}, part)
        return {"type": "message", "role": "assistant", "content": "".join(part.text for part in said)}

    def _own_message(self, said: list[Text | Refusal]) -> Json:
        head: Json = {"type": "message", "role": "assistant"} | (said[0].aside or {})
        content: list[Json] = []
        for part in said:
            if isinstance(part, Refusal):
                content.append({"type": "refusal", "refusal": part.text})
                continue
            item = self._marked({}, part)
            head |= {name: item.pop(name) for name in _OF_THE_ITEM if name in item}
            content.append({"type": "output_text", "text": part.text, "annotations": [], **item})
        plain = len(content) == 1 and content[0].keys() == _PLAIN and not content[0]["annotations"] and "id" not in head
        return {**head, "content": content[0]["text"] if plain else content}

    def _done(self, part: Part) -> Json | None:
        match part:
            case ToolCall():
                return self._call(part)
            case Thinking(aside=dict(whole)) if self.own and part.maker == NAME:
                return whole
            case Thinking(text=text, signature=str(signature), maker=maker) if maker == NAME:
                item_id, encrypted = unsigned(signature)
                summary = [{"type": "summary_text", "text": text}] if text else []
                return {"type": "reasoning", "id": item_id, "summary": summary, "encrypted_content": encrypted}
            case Foreign() if self._knows(part):
                return part.data
            case Foreign():
                return None
            case _:
                self.lost.append(part.at)
                return None

    def _call(self, part: ToolCall) -> Json:
        if part.signature is not None:
            self.lost.append(f"{part.at}.signature")
        aside = (part.aside or {}) if self.own else {}
        if part.custom:
            self._custom.add(part.id)
            out: Json = {"type": "custom_tool_call", "call_id": part.id, "name": part.name, "input": part.arguments}
        else:
            out = {"type": "function_call", "call_id": part.id, "name": part.name, "arguments": part.arguments}
        return self._marked(out | aside, part)

    def _result(self, part: ToolResult) -> Json:
        custom = part.custom or part.call_id in self._custom
        kind = "custom_tool_call_output" if custom else "function_call_output"
        aside = (part.aside or {}) if self.own else {}
        if part.is_error:
            self.lost.append(f"{part.at}.is_error")
        out: Json = {"type": kind, "call_id": part.call_id, "output": _compact(self._parts(part.content)), **aside}
        return self._marked(out, part)

    def _without_loose_thoughts(self, items: list[Json], message: Message) -> list[Json]:
        """A thought at the end led to nothing that could be sent."""
        while items and items[-1]["type"] == "reasoning":
            items.pop()
            self.lost.append(message.at)
        return items


def _said(role: str, text: str) -> Json:
    if role == "assistant":
        return {"type": "message", "role": role, "content": text}
    return {"role": role, "content": text}


_PLAIN = {"type", "text", "annotations"}

_OF_THE_ITEM = frozenset({"phase"})
"""Unknown fields that the reader found on a message of the model, not on its text."""


def _compact(written: list[Json]) -> str | list[Json]:
    """A single plain text is a string; anything else an array."""
    if len(written) == 1 and written[0].keys() == {"type", "text"}:
        text: str = written[0]["text"]
        return text
    return written or ""
