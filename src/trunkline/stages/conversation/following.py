"""A request that goes on with a conversation that the gateway remembers.

Whoever made the last answer, and remembers it, is asked first and told no more than the answer's id. Everybody else
gets the whole conversation: in the call's own body for those who speak another dialect, and for those of the same one
without what only another provider could read.
"""

from __future__ import annotations

from msgspec import Raw

from trunkline.core.stores import Kept
from trunkline.dialects.openai_responses.remembered import (
    Makers,
    continued,
    decode_items,
    expanded,
    for_provider,
    read_answer,
    rewritten,
)


def provider_of(target: str) -> str:
    return target.partition("/")[0]


class Following:
    """`sent`: the request, which names the answer that it goes on with. Implements `core.call.Follows`."""

    def __init__(self, sent: bytes, kept: Kept) -> None:
        self._sent = sent
        self._native = kept.native
        self.previous = kept.id
        self.target = kept.target if kept.native else ""
        answer = read_answer(kept.response)
        self.hidden = answer.total_tokens if answer is not None and self.target else 0
        output = answer.output if answer is not None else []
        before: Makers = (*kept.makers, (provider_of(kept.target), len(output)))
        self.items: list[Raw]
        self.makers: Makers
        self.items, self.makers = continued([*decode_items(kept.input), *output], before, sent)
        """All that is said, and by whom: what was before, and the request's own."""

    def whole(self) -> bytes:
        """The request with all of the conversation."""
        return expanded(self._sent, self.items)

    def body(self, target: str) -> bytes:
        if target == self.target:
            return rewritten(self._sent, previous_response_id=self._native)
        return expanded(self._sent, for_provider(self.items, self.makers, provider_of(target)))

    def forgotten(self) -> None:
        """The provider remembers nothing of it (any more): it is told everything."""
        self.target, self.hidden = "", 0
