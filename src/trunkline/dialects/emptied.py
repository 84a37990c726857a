"""A message of which translation leaves nothing.

A part that a dialect cannot say is reported as lost, and the rest of the request is worth sending. But where a message
held nothing else, the provider would refuse it as empty, in words that name neither the part nor the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trunkline.core.errors import BadRequest
from trunkline.core.request import Message, RedactedThinking, Thinking

_SPEAKERS = frozenset({"user", "assistant"})
"""Instructions may be lost and the question remains: that is reported, no more."""


def refuse_emptied(messages: Iterable[Message], lost: Sequence[str]) -> None:
    """`lost`: the paths that these messages lost. Raises BadRequest naming the first part of a message that lost all of
    them. Thoughts do not count: they are the model's own, and a message that held nothing else has said nothing."""
    gone = frozenset(lost)
    for message in messages:
        if message.role not in _SPEAKERS:
            continue
        said = [part.at for part in message.parts if not isinstance(part, Thinking | RedactedThinking)]
        if said and all(at in gone for at in said):
            raise BadRequest(
                f"{said[0]} cannot be translated for this model, and its message would be empty without it; leave it "
                "out, or choose a model that takes it.",
                param=said[0],
            )
