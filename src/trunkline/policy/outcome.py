"""What came of one attempt at one target: all that the router learns from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from trunkline.core.errors import Blame, Kind
from trunkline.core.usage import Usage

Effect = Literal["good", "bad", "limited", "none"]
"""What an outcome says of the target's health. `limited`: it is well, and has enough to do. `none`: it says nothing."""

_EFFECTS: Mapping[Kind | None, Effect] = {
    None: "good",
    "server": "bad",
    "timeout": "bad",
    "overloaded": "bad",
    "authentication": "bad",
    "permission": "bad",
    "billing": "bad",
    "rate_limit": "limited",
    "quota": "limited",
    # What the request itself brought about shows a target that works: it does not count as good all the same, since a
    # proxy in front of a dead model can say most of it.
    "invalid_request": "none",
    "not_found": "none",
    "conflict": "none",
    "too_large": "none",
    "content_filter": "none",
    "context_length": "none",
}


class Outcome(Struct, frozen=True):
    """Times in seconds. An attempt that was given up (the client left, another was quicker) is no outcome of the
    target's: `blame` is not "upstream" and there is no `usage`."""

    duration: float
    """From the attempt's start to its end."""
    begun: float | None = None
    """From the attempt's start to the first of its answer; None where there was none."""
    stream: bool = False
    usage: Usage | None = None
    error: Kind | None = None
    """None: a good answer."""
    blame: Blame | None = None
    """Whose fault the error is."""
    retry_after: float | None = None
    """What the provider asked for."""
    code: str | None = None
    """The error's, as in docs/errors.md."""

    @property
    def effect(self) -> Effect:
        if self.error is None:
            return "good"
        return _EFFECTS[self.error] if self.blame == "upstream" else "none"

    @property
    def failed(self) -> bool:
        """The target did not do what it is for. An error of the caller's, or of ours, is none of its."""
        return self.effect in ("bad", "limited")
