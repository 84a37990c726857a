"""Which of a route's candidates have what the request needs. The need is computed only where some target is known to
lack something, and the body shows a sign of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from trunkline.core.call import Call
from trunkline.core.errors import ClientError, UnsupportedCapability
from trunkline.policy.estimate import estimate_tokens
from trunkline.policy.needs import NAMES, Needs, Watch, choose, needs_of
from trunkline.stages.routing.route import Candidate, Route

Offer = Callable[[Needs, Call], str | None]
"""The nearest model that has what is needed and that the caller may use."""


def able(call: Call, route: Route, offer: Offer | None) -> Sequence[Candidate]:
    """Raises UnsupportedCapability where none has."""
    peek = call.peek
    assert peek is not None
    watch = route.watch
    plain = peek.plain and peek.effort is None
    if call.surface.operation != "generate" or not watch.suspects(call.body, plain):
        return route.candidates
    needs = _needs(call, watch)
    if needs is None:
        return route.candidates
    found, missing = choose(route.candidates, needs, call.lossy)
    if missing:
        raise _refusal(call, route.model, needs, missing, offer)
    return found


def _needs(call: Call, watched: Watch) -> Needs | None:
    """What the request needs; None where it cannot be read: the provider may know more of its format than we do."""
    try:
        if call.parsed is None:
            call.parsed = call.surface.dialect.read_request(call.body, call.peek)
        large = watched.size is not None and len(call.body) > watched.size
        tokens = estimate_tokens(msgspec.json.decode(call.body)) if large else 0
    except (ClientError, msgspec.DecodeError):
        return None
    return needs_of(call.parsed, tokens)


def _refusal(call: Call, model: str, needs: Needs, missing: list[str], offer: Offer | None) -> UnsupportedCapability:
    named = (f"{NAMES[need]} ({needs.asked[need]})" if need in needs.asked else NAMES[need] for need in missing)
    asked = ", ".join(named)
    near = offer(needs, call) if offer is not None else None
    hint = f"The model {near!r} can." if near is not None else "No other configured model is known to."
    path = next((needs.asked[need] for need in missing if need in needs.asked), "model")
    return UnsupportedCapability(f"The model {model!r} cannot do what this asks for: {asked}. {hint}", param=path)
