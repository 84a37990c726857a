"""What an error means for the rest of the call: another target, the same one again, or nothing more to be done.

The error's class decides, not its status: every dialect has read the provider's own words into it already.
"""

from __future__ import annotations

from typing import Literal

from trunkline.core.errors import DeadlineExceeded, GatewayError, Kind

Step = Literal["next", "longer", "refused", "stop"]
"""`next`: another target may answer, or the same one later. `longer`: only one with more room. `refused`: a content
filter spoke, and another target's may not. `stop`: nobody can answer this, or nobody may any more."""

_STEPS: dict[Kind, Step] = {"context_length": "longer", "content_filter": "refused"}


def step(error: GatewayError) -> Step:
    if isinstance(error, DeadlineExceeded):
        return "stop"
    if error.blame == "upstream" and error.kind in _STEPS:
        return _STEPS[error.kind]
    return "next" if error.retryable else "stop"


def again(error: GatewayError) -> bool:
    """Whether the very target that gave this error may do better a little later. One that names the account, or what
    the target cannot do, will not."""
    return error.retryable and error.kind in _PASSING


_PASSING: frozenset[Kind] = frozenset({"rate_limit", "timeout", "overloaded", "server", "conflict"})
