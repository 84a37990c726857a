"""What must come back of a model's thoughts, as a chat client carries it.

Twice, because chat has no field for it: in `reasoning_details`, as OpenRouter has them, for clients that keep those;
and packed into the id of the first call that follows, which every client sends back. `request_reader` takes either,
and what comes back both ways counts once.
"""

from __future__ import annotations

from typing import Any

from trunkline.core.events import PartStarted
from trunkline.dialects.carried import Carried, pack, seal
from trunkline.dialects.openai_chat.vocabulary import NAME


class Thoughts:
    """Of one answer. `maker`: the upstream's dialect."""

    def __init__(self, maker: str) -> None:
        self._maker = maker
        self._own = maker == NAME
        self._unpacked: dict[int, list[Carried]] = {}
        """Choice to the thoughts that no call has taken along yet."""

    def text(self, part: PartStarted, text: str, signature: str | None) -> dict[str, Any]:
        """A thought as an item of `reasoning_details`."""
        out: dict[str, Any] = {"type": "reasoning.text", "text": text}
        if signature:
            out["signature"] = seal(signature, self._maker, NAME)
            self._keep(part, Carried(self._maker, "thinking", signature, text))
        return out

    def redacted(self, part: PartStarted) -> dict[str, Any]:
        data = part.data or {}
        if self._own:
            return {"type": "reasoning.encrypted", **data}
        encrypted = str(data.get("data") or "")
        self._keep(part, Carried(self._maker, "redacted", encrypted))
        return {"type": "reasoning.encrypted", "data": seal(encrypted, self._maker, NAME)}

    def call_id(self, part: PartStarted) -> str:
        """The id of a call, with what its model wants back together with it."""
        carried = self._unpacked.pop(part.choice, [])
        signature = (part.data or {}).get("signature")
        if signature and not self._own:
            carried = [*carried, Carried(self._maker, "call", signature)]
        return pack(part.id, carried)

    def _keep(self, part: PartStarted, thought: Carried) -> None:
        if self._maker not in {"", NAME}:
            self._unpacked.setdefault(part.choice, []).append(thought)
