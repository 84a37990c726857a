"""What a model says, as a sequence of events: every dialect reads into these and writes from them.

A whole (non-streamed) answer is the same sequence arriving at once. The grammar, per answer:

    Started  (PartStarted (…Delta)* PartFinished)*  Finished+  Usage?      | Failed at any point, then nothing

Part indexes count 0, 1, 2 … over the whole answer, never reused; parts of one choice do not overlap. `choice` is
the number of the alternative (OpenAI's `n`), 0 elsewhere. There is one `Finished` a choice.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from trunkline.core.errors import GatewayError
from trunkline.core.usage import Usage

PartKind = Literal[
    "text", "refusal", "reasoning", "redacted_reasoning", "tool_call", "custom_tool_call", "media", "opaque"
]

Reason = Literal[
    "stop", "stop_sequence", "length", "context_window", "tool_calls", "content_filter", "refusal", "pause", "error"
]


class Started(Struct, frozen=True):
    """The answer has an id and a model. `extra` holds the upstream's own envelope fields, for its own dialect."""

    id: str
    model: str
    created: int = 0
    extra: dict[str, Any] | None = None
    dialect: str = ""
    """The upstream's dialect: whose fields `extra`, `details` and `data` hold, here and in all that follows."""


class PartStarted(Struct, frozen=True):
    """A part begins. `id` and `name` are set for tool calls; `data` holds what only its own dialect understands:
    the encrypted text of `redacted_reasoning` (`{"data": str}`), the audio of `media`, the block of `opaque`."""

    index: int
    kind: PartKind
    choice: int = 0
    id: str = ""
    name: str = ""
    data: dict[str, Any] | None = None


class TextDelta(Struct, frozen=True):
    """More text of a `text` or `refusal` part."""

    index: int
    text: str


class ReasoningDelta(Struct, frozen=True):
    """More text of a `reasoning` part."""

    index: int
    text: str


class SignatureDelta(Struct, frozen=True):
    """The signature of a `reasoning` part: opaque, to be sent back unchanged."""

    index: int
    signature: str


class ArgumentsDelta(Struct, frozen=True):
    """More of a tool call's arguments, as JSON text (or of a custom tool's free-form input)."""

    index: int
    json: str


class CitationDelta(Struct, frozen=True):
    """A citation of a text part, in the upstream's own shape."""

    index: int
    data: dict[str, Any]


class OpaqueDelta(Struct, frozen=True):
    """A delta that only its own dialect understands."""

    index: int
    data: dict[str, Any]


class Logprobs(Struct, frozen=True):
    """Token log-probabilities of a choice: OpenAI's `logprobs` object, `{"content": [...], "refusal": [...]}`."""

    choice: int
    data: dict[str, Any]


class PartFinished(Struct, frozen=True):
    index: int


class Finished(Struct, frozen=True):
    """A choice is complete. `details` and `extra` keep what only the upstream's own dialect can say."""

    reason: Reason
    choice: int = 0
    stop_sequence: str | None = None
    details: dict[str, Any] | None = None
    extra: dict[str, Any] | None = None


class Failed(Struct, frozen=True):
    """The upstream failed after it had begun: nothing follows."""

    error: GatewayError


class Opaque(Struct, frozen=True):
    """Something outside the parts that only its own dialect understands (Azure's prompt filter results)."""

    data: dict[str, Any]


Event = (
    Started
    | PartStarted
    | TextDelta
    | ReasoningDelta
    | SignatureDelta
    | ArgumentsDelta
    | CitationDelta
    | OpaqueDelta
    | Logprobs
    | PartFinished
    | Finished
    | Usage
    | Failed
    | Opaque
)
