"""The items of a request's `input`, read into messages.

A turn of the model is several items here (thoughts, texts, calls), one message in the core: a run of them becomes one
assistant message, a run of tool results one tool message, in order. An item that the core has no word for (the work of
a built-in tool) is kept whole as `Foreign` where it stood; on a way through chat it is lost, and reported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from trunkline.core.errors import BadRequest
from trunkline.core.request import (
    Foreign,
    Message,
    Part,
    RedactedThinking,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from trunkline.dialects.carried import placed, unpack, unseal
from trunkline.dialects.fields import Fields, wrong
from trunkline.dialects.openai_responses.content_reader import read_content, read_output
from trunkline.dialects.openai_responses.vocabulary import NAME, REDACTED, signed

_SAYING = frozenset({"type", "role", "content"})
_SPEAKERS = frozenset({"user", "system", "developer", "assistant"})


def read_input(value: Any) -> list[Message]:
    """A string, or an array of items. Raises BadRequest."""
    if type(value) is str:
        return [Message("user", [Text(value, at="input")], at="input")]
    if type(value) is not list:
        raise wrong("input", "a string or an array of items", value)
    out: list[Message] = []
    for i, item in enumerate(value):
        at = f"input[{i}]"
        message = _item(item, at)
        if out and message.role in _RUNS and out[-1].role == message.role and not message.extra:
            out[-1].parts += message.parts
        else:
            out.append(message)
    return out


_RUNS = frozenset({"assistant", "tool"})
"""Roles of which several items in a row are one message."""


def _item(item: Any, at: str) -> Message:
    if type(item) is not dict:
        raise wrong(at, "an object", item)
    kind = item.get("type")
    if kind is None or kind == "message":
        role, text = item.get("role"), item.get("content")
        if type(role) is str and role in _SPEAKERS and type(text) is str and item.keys() <= _SAYING:
            # What most are, for a fifth of the time.
            aside: dict[str, Any] | None = {} if role == "assistant" else None  # each of the model's is an item
            return Message(role, [Text(text, at=f"{at}.content", aside=aside)], at=at)  # type: ignore[arg-type]  # checked above
        return _message(Fields(dict(item), at))
    if type(kind) is not str:
        raise wrong(f"{at}.type", "a string", kind)
    if (known := _ITEMS.get(kind)) is not None:
        role, read = known
        fields = Fields(dict(item), at)
        del fields.left["type"]
        return Message(role, read(fields), at=at)
    return Message(_speaker(item), [Foreign(NAME, item, at)], at=at)


def _speaker(item: dict[str, Any]) -> Role:
    """Who an item is of that we do not know: it says so, or the model made it."""
    return "developer" if item.get("role") == "developer" else "assistant"


def _message(fields: Fields) -> Message:
    role = fields.need("role", str)
    if role not in _SPEAKERS:
        path = fields.path("role")
        raise BadRequest(f"{path} must be user, assistant, system or developer, not {role!r}.", param=path)
    parts = read_content(fields.any("content"), fields.path("content"))
    fields.any("type")
    aside = _aside(fields)
    if role == "assistant" and parts:
        first = parts[0]
        if isinstance(first, Text):
            first.extra = _joined(first.extra, fields.rest())
        if isinstance(first, Text | Refusal):
            first.aside = aside
        return Message("assistant", parts, at=fields.at)
    return Message(role, parts, extra=fields.rest(), at=fields.at)  # type: ignore[arg-type]  # checked above


def _joined(extra: dict[str, Any] | None, more: dict[str, Any] | None) -> dict[str, Any] | None:
    return {**(extra or {}), **more} if more else extra


def _aside(fields: Fields) -> dict[str, Any]:
    """What the service said of the item when it made it."""
    return {name: value for name in ("id", "status") if (value := fields.any(name)) is not None}


def _call(fields: Fields, custom: bool) -> list[Part]:
    """What was packed into the id for want of a field of its own comes back out, ahead of the call that it led to."""
    call_id, carried = unpack(fields.need("call_id", str))
    name, text = fields.need("name", str), fields.get("input" if custom else "arguments", str) or ""
    call = ToolCall(call_id, name, text, custom, at=fields.at, aside=_aside(fields))
    call.extra = fields.rest()
    return placed((), [(call, carried)])


def _function_call(fields: Fields) -> list[Part]:
    return _call(fields, custom=False)


def _custom_call(fields: Fields) -> list[Part]:
    return _call(fields, custom=True)


def _result(fields: Fields) -> list[Part]:
    call_id, _ = unpack(fields.need("call_id", str))
    content, aside = read_output(fields.any("output"), fields.path("output")), _aside(fields)
    return [ToolResult(call_id, content, extra=fields.rest(), at=fields.at, aside=aside)]


def _custom_result(fields: Fields) -> list[Part]:
    call_id, _ = unpack(fields.need("call_id", str))
    content, aside = read_output(fields.any("output"), fields.path("output")), _aside(fields)
    return [ToolResult(call_id, content, extra=fields.rest(), at=fields.at, custom=True, aside=aside)]


def _reasoning(fields: Fields) -> list[Part]:
    """Our own seal on it says that another family's model thought this."""
    whole = {"type": "reasoning", **fields.left}
    encrypted = fields.get("encrypted_content", str)
    texts = [*_texts(fields, "summary"), *_texts(fields, "content")]
    if encrypted is not None:
        bare, maker = unseal(encrypted, NAME)
        if maker != NAME and bare.startswith(REDACTED):
            return [RedactedThinking(bare.removeprefix(REDACTED), fields.at, maker=maker)]
        if maker != NAME:
            return [Thinking("\n\n".join(texts), bare, at=fields.at, maker=maker)]
    signature = signed(fields.get("id", str) or "", encrypted) if encrypted else None
    return [Thinking("\n\n".join(texts), signature, at=fields.at, maker=NAME, aside=whole)]


def _texts(fields: Fields, name: str) -> list[str]:
    items = enumerate(fields.get(name, list) or ())
    parts = [Fields(dict(item) if type(item) is dict else item, fields.path(f"{name}[{i}]")) for i, item in items]
    return [part.need("text", str) for part in parts]


_ITEMS: Mapping[str, tuple[Role, Callable[[Fields], list[Part]]]] = {
    "function_call": ("assistant", _function_call),
    "custom_tool_call": ("assistant", _custom_call),
    "reasoning": ("assistant", _reasoning),
    "function_call_output": ("tool", _result),
    "custom_tool_call_output": ("tool", _custom_result),
}
"""Item types that the core has words for, with whose turn they belong to."""
