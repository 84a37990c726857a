"""The pieces that an answer is written of: parts, candidates, and the fields around them, alike in streams and whole
answers.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.core.events import Finished, PartStarted, Started
from trunkline.core.usage import Usage
from trunkline.dialects.base import Envelope
from trunkline.dialects.carried import Carried
from trunkline.dialects.gemini.signatures import packed, sealed
from trunkline.dialects.gemini.usage import write_usage
from trunkline.dialects.gemini.vocabulary import FINISH_REASONS, NAME

Wire = dict[str, Any]

_OWN_ALONE = frozenset({"opaque", "media"})


class Speaking:
    """A part that is being said, and what it will be on the wire."""

    __slots__ = ("choice", "data", "id", "kind", "name", "signature", "texts")

    def __init__(self, part: PartStarted) -> None:
        self.kind = part.kind
        self.choice = part.choice
        self.id = part.id
        self.name = part.name
        self.data = part.data or {}
        self.signature = ""
        self.texts: list[str] = []

    @property
    def thought(self) -> bool:
        return self.kind in ("reasoning", "redacted_reasoning")


class Parts:
    """`maker`: the upstream's dialect. Thoughts that another family signed are kept until the next call, which takes
    them along (`signatures`)."""

    def __init__(self, maker: str) -> None:
        self.maker = maker
        self.own = maker == NAME
        self._kept: dict[int, list[Carried]] = {}

    def carries(self, part: PartStarted) -> bool:
        """Whether there is a part for it here."""
        return part.kind != "custom_tool_call" and (self.own or part.kind not in _OWN_ALONE)

    def words(self, spoken: Speaking, text: str) -> Wire:
        return {"text": text, "thought": True} if spoken.thought else {"text": text}

    def signed(self, spoken: Speaking, wire: Wire) -> Wire:
        """The words with their signature."""
        redacted = spoken.kind == "redacted_reasoning"
        signature = str(spoken.data.get("data", "")) if redacted else spoken.signature
        if not signature:
            return wire
        if not self.own and spoken.thought:
            text = "".join(spoken.texts)
            kept = Carried(self.maker, "redacted" if redacted else "thinking", signature, text)
            self._kept.setdefault(spoken.choice, []).append(kept)
        return wire | {"thoughtSignature": sealed(signature, self.maker, redacted)}

    def call(self, spoken: Speaking) -> Wire:
        called: Wire = {"name": spoken.name, "args": _object("".join(spoken.texts))}
        if spoken.id:
            called = {"id": spoken.id, **called}
        wire: Wire = {"functionCall": called}
        signature = str(spoken.data.get("signature", ""))
        kept = self._kept.pop(spoken.choice, [])
        if self.own:
            return wire | {"thoughtSignature": signature} if signature else wire
        if signature:
            kept.append(Carried(self.maker, "call", signature))
        return wire | {"thoughtSignature": packed(kept)} if kept else wire


def _object(text: str) -> Any:
    """A call's arguments, which must be an object here. The JSON text goes in as it is; text that is none (the model
    erred, or was cut short) becomes a value in one."""
    if not text:
        return {}
    try:
        if isinstance(msgspec.json.decode(text), dict):
            return msgspec.Raw(text.encode())
    except (msgspec.DecodeError, RecursionError):
        pass
    return {"arguments": text}


def beside(head: Started | None, envelope: Envelope) -> Wire:
    """What every chunk says beside its candidates."""
    extra = dict(head.extra) if head is not None and head.extra and head.dialect == NAME else {}
    model = head.model if head is not None else ""
    return {"modelVersion": model or envelope.model, "responseId": head.id if head is not None else "", **extra}


def ended(finished: Finished, parts: list[Wire], own: bool, refused: bool) -> Wire:
    """A candidate with its end."""
    extra = dict(finished.extra) if own and finished.extra else {}
    extra.pop("promptFeedback", None)
    reason = "SAFETY" if refused and finished.reason == "stop" else FINISH_REASONS[finished.reason]
    out: Wire = {"content": {"parts": parts, "role": "model"}} if parts else {}
    return out | {"finishReason": reason, "index": finished.choice, **extra}


def closing(candidates: list[Wire], finished: list[Finished], usage: Usage | None, own: bool) -> Wire:
    """The last fields: the candidates' ends, a verdict on the prompt, and the counts."""
    feedback = next((each.extra["promptFeedback"] for each in finished if own and each.extra
                     and "promptFeedback" in each.extra), None)  # fmt: skip
    out: Wire = {"promptFeedback": feedback} if feedback is not None else {}
    blocked = feedback is not None and not any(each.get("content") for each in candidates)
    if not blocked:
        out = {"candidates": candidates, **out}
    if usage is not None:
        out["usageMetadata"] = write_usage(usage)
    return out
