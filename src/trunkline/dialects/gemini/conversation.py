"""Messages grouped into contents, as the service wants them.

Neighbours of the model's make one content, and so do all results of one turn: as many as the turn has calls, right
behind it. Where a history does not keep to that, what is left over on either side is left out and reported: a call
that nobody answered, a result of no call.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field

from trunkline.core.request import Message, Part, ToolCall, ToolResult


class Content(Struct):
    """`calls`: those that the results of this content answer."""

    role: str
    parts: list[Part]
    messages: list[Message]
    calls: list[ToolCall] = field(default_factory=list)


def contents(messages: Iterable[Message], lost: list[str]) -> list[Content]:
    out: list[Content] = []
    for message in messages:
        role = _ROLES.get(message.role, "user")
        if out and out[-1].role == role and role != "user":
            out[-1].parts += message.parts
            out[-1].messages.append(message)
        else:
            out.append(Content(role, list(message.parts), [message]))
    for number, content in enumerate(out):
        if content.role == "model":
            _match(content, out[number + 1] if number + 1 < len(out) else None, lost)
    return out


_ROLES = {"assistant": "model", "tool": "results"}


def _match(content: Content, following: Content | None, lost: list[str]) -> None:
    """Leaves a turn only the calls that are answered in the content behind it."""
    answers = following if following is not None and following.role == "results" else None
    answered = {part.call_id for part in answers.parts if isinstance(part, ToolResult)} if answers else set()
    calls = [part for part in content.parts if isinstance(part, ToolCall)]
    orphans = [call.at for call in calls if call.id not in answered]
    if orphans:
        lost += orphans
        content.parts = [part for part in content.parts if not isinstance(part, ToolCall) or part.id in answered]
    if answers is not None:
        answers.calls = [call for call in calls if call.id in answered]
