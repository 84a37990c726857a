"""Messages grouped into turns, as the service wants them.

Neighbours of one role make one turn: parallel tool results that came as several messages must reach the model in a
single user turn, or it learns to call one tool at a time. Within a turn two orders are fixed by the service: tool
results lead a user turn, and thinking leads the tool calls of an assistant's.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from trunkline.core.errors import BadRequest
from trunkline.core.request import Message, Part, RedactedThinking, Text, Thinking, ToolCall, ToolResult


class Turn(Struct):
    role: str
    parts: list[Part]
    messages: list[Message]


INSTRUCTIONS = ("system", "developer")
"""Roles that say how to behave."""


def role_of(message: Message, system_turns: bool, lost: list[str]) -> str:
    """Whose turn a message belongs to. `system_turns`: instructions may stand among the messages; else they become a
    user's words, which is reported."""
    role = message.role
    if role in INSTRUCTIONS:
        if system_turns:
            return "system"
        lost.append(f"{message.at}.role")
        return "user"
    return "user" if role == "tool" else role


def no_prefill(messages: list[Message]) -> BadRequest:
    """The refusal of a conversation whose answer has been begun, by a model that does not go on from there."""
    path = messages[-1].at or "messages"
    return BadRequest(
        f"{path}: this model does not continue an assistant message; end the conversation with a user message.",
        param=path,
    )


def words(message: Message) -> str | None:
    """The text of a message that is one text, says something and is nothing more, as most are; None for any other."""
    parts = message.parts
    if len(parts) != 1 or type(part := parts[0]) is not Text or message.name is not None or message.extra:
        return None
    if part.cache is not None or part.extra or part.signature is not None or part.text.isspace():
        return None
    return part.text or None


def spoken(messages: list[Message]) -> list[tuple[str, str]] | None:
    """Who said what (`user`, `assistant`), where user and model take turns with such messages and the user has the
    first word and the last; None for any other conversation. A writer that knows this need not look further: for a
    third of the time."""
    out: list[tuple[str, str]] = []
    turn, other = "user", "assistant"
    for message in messages:
        if message.role != turn or (text := words(message)) is None:
            return None
        out.append((turn, text))
        turn, other = other, turn
    return out if turn == "assistant" else None


def turns(messages: list[Message], role_of: Callable[[Message], str]) -> list[Turn]:
    out: list[Turn] = []
    for message in messages:
        role = role_of(message)
        if out and out[-1].role == role:
            out[-1].parts += message.parts
            out[-1].messages.append(message)
        else:
            out.append(Turn(role, list(message.parts), [message]))
    for turn in out:
        turn.parts = _ordered(turn)
    return out


def _ordered(turn: Turn) -> list[Part]:
    if len(turn.parts) < 2:
        return turn.parts
    if turn.role == "user":
        return sorted(turn.parts, key=lambda part: not isinstance(part, ToolResult))
    if turn.role == "assistant" and _thinks_late(turn.parts):
        return sorted(turn.parts, key=lambda part: not isinstance(part, Thinking | RedactedThinking))
    return turn.parts


def _thinks_late(parts: list[Part]) -> bool:
    """Whether a tool call stands before the first thought. Thoughts between texts stay where the model had them."""
    for part in parts:
        if isinstance(part, Thinking | RedactedThinking):
            return False
        if isinstance(part, ToolCall):
            return any(isinstance(later, Thinking | RedactedThinking) for later in parts)
    return False
