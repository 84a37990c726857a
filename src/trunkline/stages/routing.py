"""Which target answers: the first of the model's targets that can, and the next one as long as no answer has begun.

A target that is known to lack what the request needs is passed over; where all lack it the call is refused before
anybody is asked. Once a Reply exists the answer is committed. An error that another target cannot have either (a
malformed request, say) ends the call at once; so does the deadline.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import msgspec

from trunkline.core.call import Attempt, Call, Peek
from trunkline.core.errors import (
    ClientError,
    GatewayError,
    InternalError,
    UnsupportedCapability,
    UpstreamTimeout,
    why_cancelled,
)
from trunkline.core.pipeline import Handler
from trunkline.core.reply import Reply
from trunkline.policy.estimate import estimate_tokens
from trunkline.policy.needs import NAMES, Ability, Needs, Watch, choose, needs_of, watch

log = logging.getLogger("trunkline.calls")

MAX_WATCHED = 4096


class Named(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def ability(self) -> Ability: ...


Offer = Callable[[Needs, Call], str | None]
"""The nearest model that has what is needed and that the caller may use."""


class Routing:
    """`resolve` gives the targets of a model's name, in order; it raises ModelNotFound."""

    def __init__(
        self, resolve: Callable[[str], Sequence[Named]], clock: Callable[[], float], offer: Offer | None = None
    ) -> None:
        self._resolve = resolve
        self._clock = clock
        self._offer = offer
        self._watched: dict[str, Watch] = {}

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        assert call.peek is not None
        targets = self._able(call, call.peek, self._resolve(call.peek.model))
        if call.follows is not None:
            targets = _remembering(call, targets)
        last = len(targets) - 1
        for number, target in enumerate(targets):
            call.target, call.api = target, None
            call.attempts.append(Attempt(target.name, self._clock() - call.started))
            call.lost.clear()
            try:
                reply = await proceed(call)
            except GatewayError as error:
                self._ended(call, error)
                _tell(call, error)
                if not error.retryable or number == last or self._late(call):
                    raise
            except asyncio.CancelledError as cancelled:
                self._ended(call, why_cancelled(cancelled))
                raise
            except BaseException:
                self._ended(call, InternalError(""))
                raise
            else:
                call.attempts[-1].status = reply.status
                reply.on_finish.append(partial(self._answered, call, reply))
                return reply
        raise UpstreamTimeout("No target is left.")  # not reached: a model has at least one

    def _able(self, call: Call, peek: Peek, targets: Sequence[Named]) -> Sequence[Named]:
        """Those of the targets that can serve. Raises UnsupportedCapability."""
        model = peek.model
        watched = self._watched.get(model)
        if watched is None:
            if len(self._watched) >= MAX_WATCHED:
                self._watched.clear()
            watched = self._watched[model] = watch(targets)
        plain = peek.plain and peek.effort is None
        if call.surface.operation != "generate" or not watched.suspects(call.body, plain):
            return targets
        needs = _needs(call, watched)
        if needs is None:
            return targets
        able, missing = choose(targets, needs, call.lossy)
        if missing:
            raise self._refusal(call, model, needs, missing)
        return able

    def _refusal(self, call: Call, model: str, needs: Needs, missing: list[str]) -> UnsupportedCapability:
        named = (f"{NAMES[need]} ({needs.asked[need]})" if need in needs.asked else NAMES[need] for need in missing)
        asked = ", ".join(named)
        near = self._offer(needs, call) if self._offer is not None else None
        hint = f"The model {near!r} can." if near is not None else "No other configured model is known to."
        path = next((needs.asked[need] for need in missing if need in needs.asked), "model")
        return UnsupportedCapability(f"The model {model!r} cannot do what this asks for: {asked}. {hint}", param=path)

    def _ended(self, call: Call, error: GatewayError) -> None:
        """No answer came of it."""
        attempt = call.attempts[-1]
        attempt.status = error.status
        attempt.reason = error.code
        attempt.duration = self._clock() - call.started - attempt.start

    def _answered(self, call: Call, reply: Reply, error: GatewayError | None) -> None:
        """The last attempt's answer has come to an end, a good one or a bad one: its status was sent long since."""
        attempt = call.attempts[-1]
        attempt.duration = self._clock() - call.started - attempt.start
        error = error or reply.flow.error
        if error is not None:
            attempt.reason = error.code

    def _late(self, call: Call) -> bool:
        return call.deadline is not None and self._clock() >= call.deadline


def _remembering(call: Call, targets: Sequence[Named]) -> Sequence[Named]:
    """Whoever remembers the conversation that the call goes on with comes first."""
    first = call.follows.target if call.follows is not None else ""
    return sorted(targets, key=lambda target: target.name != first)


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


def _tell(call: Call, error: GatewayError) -> None:
    """The log gets what the caller does not: the transport's own words, and what the provider said of our account."""
    attempt = call.attempts[-1]
    level = logging.DEBUG if error.blame == "client" else logging.WARNING
    facts = {"request_id": call.id, "target": attempt.target, "code": error.code, "status": error.status}
    log.log(level, "attempt %d, at %s, failed: %s", len(call.attempts), attempt.target, error.full, extra=facts)
