"""What came of one attempt at one target: all that the router learns from."""

from __future__ import annotations

from msgspec import Struct

from trunkline.core.errors import Blame, Kind
from trunkline.core.usage import Usage


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

    @property
    def failed(self) -> bool:
        """The target did not do what it is for. An error of the caller's, or of ours, is none of its."""
        return self.blame == "upstream" and self.error not in _ASKED_FOR


_ASKED_FOR: frozenset[Kind | None] = frozenset(
    {None, "invalid_request", "not_found", "conflict", "too_large", "content_filter", "context_length"}
)
"""Kinds of an upstream's error that the request brought about."""
