"""`Idempotency-Key`: a call is made once, and whoever sends it again gets the same answer.

The header is that of the IETF's draft (draft-ietf-httpapi-idempotency-key-header) and of many APIs. A client that tries
again because its connection broke, or its own patience, pays once: while the first try is running the second listens to
the same answer from its beginning, streams included; afterwards it is given what was kept. What failed before it began
is not kept, so that trying again is of use.

A stage after `auth`, because an answer belongs to the key that asked, and before all that counts or is paid for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from hashlib import blake2b

from trunkline.core.call import Call
from trunkline.core.errors import (
    BadRequest,
    ClientGone,
    DeadlineExceeded,
    GatewayError,
    IdempotencyKeyReused,
    why_cancelled,
)
from trunkline.core.pipeline import Handler
from trunkline.core.reply import Reply
from trunkline.stages.idempotency.listening import listening
from trunkline.stages.idempotency.performance import Performance
from trunkline.stages.idempotency.records import Name, Records
from trunkline.stages.idempotency.settings import IdempotencySettings

log = logging.getLogger("trunkline.calls")

HEADER = b"idempotency-key"
MAX_LENGTH = 255


class Idempotency:
    """`clock`: seconds, monotonic."""

    def __init__(self, settings: IdempotencySettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self.records = Records(settings, clock)

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        given = call.header(HEADER)
        if given is None or not self._settings.ttl or call.memory is not None or call.surface.operation == "response":
            return await proceed(call)
        assert call.key is not None
        name = (call.key.id, call.surface.path, _checked(given))
        fingerprint = _fingerprint(call)
        performance = self.records.find(name)
        if performance is None:
            return await self._first(name, fingerprint, call, proceed)
        if performance.fingerprint != fingerprint:
            raise IdempotencyKeyReused(
                "This Idempotency-Key was sent with another request before: every request needs a key of its own.",
            )
        return await self._again(performance, call)

    def take(self, settings: IdempotencySettings) -> None:
        """Go on with these; what is kept stays for as long as was said."""
        self._settings = self.records.settings = settings

    async def aclose(self, error: GatewayError) -> None:
        """End what goes on without its client."""
        running = self.records.running
        for performance in running:
            performance.stop(error)
        if running:
            await asyncio.wait([performance.task for performance in running])

    async def _first(self, name: Name, fingerprint: bytes, call: Call, proceed: Handler) -> Reply:
        """Make the call. If its client leaves before the answer has begun, go on all the same, so that the entry in the
        ledger waits for what is paid."""
        performance = Performance(fingerprint, self._settings.linger, self.records.may_keep)
        self.records.begin(name, performance)
        performance.task = asyncio.create_task(performance.play(call, proceed))
        performance.task.add_done_callback(lambda task: self._ended(name, performance, task))
        performance.join(call)
        try:
            await self._through(performance, call)
            return listening(performance, call, pays=True)
        finally:
            performance.leave(call)

    async def _through(self, performance: Performance, call: Call) -> None:
        """Until the answer has begun; where the client has gone before, until its end: then nothing is left to hear."""
        task = asyncio.current_task()
        assert task is not None
        gone = False
        while not performance.over and (gone or performance.reply is None):
            try:
                await performance.news()
            except asyncio.CancelledError as cancelled:
                if not any(isinstance(why, ClientGone) for why in cancelled.args):
                    performance.stop(why_cancelled(cancelled))
                    raise
                gone = True
                task.uncancel()
                performance.leave(call)

    async def _again(self, performance: Performance, call: Call) -> Reply:
        if not performance.kept:
            raise IdempotencyKeyReused(
                f"The answer to this Idempotency-Key was too large to be kept (idempotency.max_size is "
                f"{self._settings.max_size} bytes): send the request with a new key.",
                code="idempotent_answer_too_large",
            )
        performance.join(call)
        try:
            await _begun(performance, call.deadline)
            call.target, call.api = performance.by
            return listening(performance, call, pays=False)
        finally:
            performance.leave(call)

    def _ended(self, name: Name, performance: Performance, task: asyncio.Task[None]) -> None:
        performance.close()
        self.records.end(name, performance)
        if not task.cancelled() and (mistake := task.exception()) is not None:
            log.error("a mistake of the gateway's own", exc_info=mistake)


async def _begun(performance: Performance, deadline: float | None) -> None:
    """Raises DeadlineExceeded."""
    try:
        async with asyncio.timeout_at(deadline):
            while performance.reply is None and not performance.over:
                await performance.news()
    except TimeoutError:
        raise DeadlineExceeded("The call's deadline passed before its answer had begun.") from None


def _checked(given: bytes) -> bytes:
    """Raises BadRequest."""
    given = given.strip()
    if not 0 < len(given) <= MAX_LENGTH or not given.isascii():
        raise BadRequest(
            f"Idempotency-Key must be 1 to {MAX_LENGTH} ASCII characters, such as a UUID.",
            code="invalid_idempotency_key",
        )
    return given


def _fingerprint(call: Call) -> bytes:
    """What makes a request another one: its body, and what its path says of it."""
    said = call.addressed
    where = repr((said.model, said.stream, said.framing, call.query)).encode()
    return blake2b(where + b"\n" + call.body, digest_size=16).digest()
