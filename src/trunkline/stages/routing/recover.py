"""An answer that breaks off goes on from another target, or from the same one.

`Recovered` is the source and the flow of such an answer at once: what it brings are the client's bytes already, so that
it can ask somebody else in between and nobody further out sees more than a pause.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast

from trunkline.core.call import Call
from trunkline.core.errors import ClientError, GatewayError, UpstreamBroken, UpstreamTimeout
from trunkline.core.pipeline import Handler
from trunkline.core.reply import Reply
from trunkline.core.request import Request
from trunkline.core.usage import Usage
from trunkline.policy.continuation import Recovery, Resumable, Said, obstacle
from trunkline.policy.estimate import BYTES_PER_TOKEN
from trunkline.policy.failover import again
from trunkline.policy.needs import thinks
from trunkline.stages.routing.attempt import Attempts, affordable, tell
from trunkline.stages.routing.journey import Guide, Journey
from trunkline.stages.routing.route import Candidate

GoOn = Callable[[GatewayError], Awaitable[Reply | None]]
"""What follows this error: the reply of another attempt, led into the same flow; None: nothing."""


class Continuing(Protocol):
    """A target, as far as it matters here."""

    def prefill(self, dialect: Any, peek: Any) -> object | None:
        """How its model is told to take up its own words; None: it does not."""
        ...


def recoverable(call: Call) -> bool:
    """Whether this call's answer can be one that is gone on with."""
    return call.peek is not None and call.peek.stream and call.surface.operation == "generate"


class Recovered:
    """`reply`: of the first attempt; `go_on` makes the further ones; `silence`: seconds."""

    __slots__ = ("_charged", "_flow", "_go_on", "_over", "_reply", "_silence")

    def __init__(self, reply: Reply, flow: Resumable, go_on: GoOn, silence: float) -> None:
        self._reply = reply
        self._flow = flow
        self._go_on = go_on
        self._silence = silence
        self._over = False
        self._charged = False
        """What the attempt that spoke last has used stands with it already (`Attempt.usage`)."""

    def reply(self) -> Reply:
        """The answer as a whole."""
        first = self._reply
        whole = Reply(
            self, source=self, head=first.head, status=first.status, content_type=first.content_type,
            headers=first.headers,
        )  # fmt: skip
        whole.on_finish.append(self._finished)
        return whole

    def _finished(self, error: GatewayError | None) -> None:
        self._reply.finish(error)

    # ── As a source ────────────────────────────────────────────────────────────────────────────────────────────────

    async def read(self) -> bytes:
        while not self._over:
            out, error = await self._more()
            if error is not None:
                out += await self._broken(error)
            if out:
                return out
        return b""

    def close(self) -> None:
        self._reply.close()

    async def _more(self) -> tuple[bytes, GatewayError | None]:
        """The next of the answer, and why it broke off if it did."""
        source, flow = self._reply.source, self._flow
        assert source is not None
        if flow.error is not None:  # met together with the first bytes
            return b"", flow.error
        try:
            async with asyncio.timeout(self._silence):
                data = await source.read()
        except TimeoutError:
            return b"", UpstreamTimeout("The provider fell silent inside its answer.")
        except GatewayError as error:
            out = flow.eof()  # behind the end of an answer nothing of it is lost
            self._over = flow.error is None
            return out, None if self._over else error
        out = flow.feed(data) if data else flow.eof()
        self._over = not data and flow.error is None
        return out, flow.error

    async def _broken(self, error: GatewayError) -> bytes:
        self._reply.finish(error)
        self._reply.close()
        self._charged = True
        fresh = await self._go_on(error)
        if fresh is None:
            self._over = True
            return self._flow.fail(error)
        self._charged = False
        self._reply = fresh
        return fresh.head

    # ── As a flow ──────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def usage(self) -> Usage | None:
        """Of the attempt that speaks now."""
        return None if self._charged else self._flow.usage

    @property
    def complete(self) -> bool:
        return self._flow.complete

    @property
    def error(self) -> GatewayError | None:
        return self._flow.error if self._over else None

    @property
    def produced(self) -> int:
        return 0 if self._charged else self._flow.produced

    def feed(self, data: bytes) -> bytes:
        return data

    def eof(self) -> bytes:
        return b""

    def fail(self, error: GatewayError) -> bytes:
        self._over = True
        return self._flow.fail(error)


class Recoverer:
    """Goes on with the answers of calls."""

    def __init__(self, attempts: Attempts, guide: Guide, clock: Callable[[], float]) -> None:
        self._attempts = attempts
        self._guide = guide
        self._clock = clock

    def over(self, journey: Journey, reply: Reply, candidate: Candidate, proceed: Handler) -> Reply:
        """The reply of a first attempt as one that can be gone on with; unchanged where it is none of that sort."""
        recovery: Recovery = journey.call.recovery
        flow = recovery.flow
        if flow is None or reply.source is None:
            return reply
        rescue = _Rescue(journey, flow, candidate)

        async def go_on(error: GatewayError) -> Reply | None:
            return await self._go_on(rescue, error, proceed)

        return Recovered(reply, flow, go_on, journey.route.settings.recover.silence).reply()

    async def _go_on(self, rescue: _Rescue, error: GatewayError, proceed: Handler) -> Reply | None:
        call = rescue.journey.call
        while True:
            tell(call, error)
            rescue.charge()
            candidate = self._successor(rescue, error)
            if candidate is None or not await affordable(call):
                return None
            call.recovery = rescue.recovery()
            try:
                return await self._attempts.make(call, candidate, proceed, self._clock(), "continuation")
            except GatewayError as raised:
                error = raised
            finally:
                rescue.candidate = candidate

    def _successor(self, rescue: _Rescue, error: GatewayError) -> Candidate | None:
        """Who goes on: one that was not asked yet, else the one that has just failed."""
        journey, failed = rescue.journey, rescue.candidate
        if rescue.made >= journey.route.settings.recover.attempts or rescue.said.final is not None:
            return None
        if isinstance(error, UpstreamBroken):
            error.retryable = True
        if not self._guide.may_go_on(journey, failed, error):
            return None
        ask = journey.ask
        ask.able = [each for each in ask.able if rescue.can(each)]
        rescue.made += 1
        candidate = self._guide.other(journey)
        if candidate is None and failed in ask.able and again(error) and self._guide.failovers.withdraw(ask.now):
            return failed
        return candidate


class _Rescue:
    """One answer that has broken off, and what was done about it."""

    __slots__ = ("_request", "candidate", "flow", "journey", "made", "spent")

    def __init__(self, journey: Journey, flow: Resumable, candidate: Candidate) -> None:
        self.journey = journey
        self.flow = flow
        self.candidate = candidate
        """Who spoke last."""
        self.made = 0
        self.spent: Usage | None = None
        self._request: Request | None = None

    @property
    def said(self) -> Said:
        return self.flow.said

    def charge(self) -> None:
        """What the attempt that broke off is believed to have used: its own count, or an estimate."""
        call = self.journey.call
        attempt = call.attempt
        if attempt is None or attempt.status != 200 or attempt.usage is not None:
            return
        known = self.flow.usage
        attempt.usage = known or Usage(
            input=-(-len(call.body) // BYTES_PER_TOKEN), output=self.flow.produced, estimated=True
        )
        attempt.price_model = call.target.price_model
        self.spent = attempt.usage if self.spent is None else self.spent + attempt.usage

    def recovery(self) -> Recovery:
        """What the next attempt must know."""
        recovery = Recovery()
        recovery.flow, recovery.words, recovery.spent = self.flow, self.said.words, self.spent
        return recovery

    def can(self, candidate: Candidate) -> bool:
        """Whether this candidate can go on with what was said."""
        call, target = self.journey.call, cast(Continuing, candidate.target)
        if not self.said.words:
            return True
        if target.prefill(call.surface.dialect, call.peek) is None:
            return False
        request = self._read()
        if request is None or obstacle(request) is not None:
            return False
        return not thinks(request) or "reasoning" in candidate.ability.lacks

    def _read(self) -> Request | None:
        call = self.journey.call
        if call.parsed is None:
            try:
                call.parsed = call.surface.dialect.read_request(call.body, call.peek)
            except ClientError:  # the provider knows more of its format than we do
                return None
        return call.parsed
