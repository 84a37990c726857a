"""A conversation that stands at tool results whose calls came without the thinking that led to them.

Claude, asked to think with a fixed budget, refuses it: thinking must lead the turn that called. A model that decides
for itself how much to think may have called without a thought, and is not checked.
"""

from __future__ import annotations

from collections.abc import Collection

from trunkline.core.request import Message, Part, RedactedThinking, Thinking, ToolCall


def thinking_missing(messages: list[Message], makers: Collection[str]) -> bool:
    """`makers`: whose thoughts are sent; those of other families are left out, as if they were not there."""
    results = False
    for message in reversed(messages):
        if message.role == "assistant":
            calls = any(isinstance(part, ToolCall) for part in message.parts)
            return results and calls and not any(_signed(part, makers) for part in message.parts)
        results = results or message.role == "tool"
    return False


def _signed(part: Part, makers: Collection[str]) -> bool:
    if not isinstance(part, Thinking | RedactedThinking) or part.maker not in makers:
        return False
    return isinstance(part, RedactedThinking) or part.signature is not None
