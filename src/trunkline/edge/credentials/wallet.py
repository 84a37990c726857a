"""A provider's credentials, used in turn; one that the provider refuses rests, or is retired, while the others go on.

What is wrong with a retired one is wrong until somebody does something about it: that is logged as an error, for an
alarm to be raised. It is used again when its file or command gives another secret, when the configuration has another
row, or when the one call that tries it once in a long while succeeds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from trunkline.core.call import Call, Headers
from trunkline.core.errors import DeadlineExceeded, UpstreamError
from trunkline.edge.credentials.access import Opener, Shown
from trunkline.edge.transport.base import Response
from trunkline.policy.refusal import refused
from trunkline.policy.rotation import Rotation
from trunkline.providers.signing import Outgoing
from trunkline.providers.target import Provider

log = logging.getLogger("trunkline.credentials")

STREAK = 5
"""Failures in a row with one credential, while another one works, that are about the credential: an account or a region
that is broken."""
LOOK_EVERY = 5.0
"""Seconds between looks whether a retired credential is another one by now."""

T = TypeVar("T")
Ask = Callable[[Headers], Awaitable[Response]]
"""Sends the request with these header fields. Raises GatewayError where there is no answer."""
Explain = Callable[[Response, list[bytes]], Awaitable[UpstreamError]]
"""An error answer read, the secrets in it masked."""


class Wallet:
    """Its credentials, or the one fixed key that stands among the provider's header fields and needs no access."""

    def __init__(self, provider: Provider, opener: Opener) -> None:
        entries = provider.credentials
        self.users = 0
        """Calls that ask by it at the moment."""
        self.provider = provider.name
        self._accesses = [opener.open(provider, number, entry) for number, entry in enumerate(entries)]
        self._rotation = Rotation([entry.weight for entry in entries] or [1.0])
        self._streaks = [0] * len(entries)
        """Failures in a row that nobody blamed on the credential."""
        self._used: dict[int, object] = {}
        """What was shown of those that were refused last."""
        self._retired: set[int] = set()
        """Those that may be others by now."""
        self._looked = float("-inf")

    async def ask(self, call: Call, request: Outgoing, ask: Ask, explain: Explain) -> Response:
        """The answer with the first credential that is not refused, below status 400. Raises GatewayError: what the
        last one got."""
        tried: set[int] = set()
        failure: UpstreamError | None = None
        model = call.target.model
        if self._retired:
            await self._look()
        while (number := self._next(call, tried, model)) is not None:
            tried.add(number)
            access = self._accesses[number]
            try:
                response = await self._once(call, number, request, ask, explain)
            except UpstreamError as error:
                if not self.blame(call, error, number):
                    self._suspect(call, error, number)
                    raise
                failure = error
                if call.deadline is not None and _now() >= call.deadline:
                    break
            else:
                self._streaks[number] = 0
                self.praise(call, number)
                if len(self._accesses) > 1 and call.attempts:  # a probe makes none
                    call.attempts[-1].credential = access.label
                return response
        assert failure is not None
        raise failure

    def _next(self, call: Call, tried: set[int], model: str) -> int | None:
        """The next one to try: first that of the conversation, whose account has its beginning in the cache."""
        if call.lot is not None and not tried:
            number = self._rotation.at(call.lot, _now(), model)
            if number is not None:
                return number
        return self._rotation.choose(_now(), tried, model)

    def praise(self, call: Call, number: int = 0) -> None:
        """It did what was asked of it."""
        if self._rotation.well(number, _now(), call.target.model):
            self._retired.discard(number)
            log.warning("%s of %s works again", self._label(number), self.provider)

    def blame(self, call: Call, error: UpstreamError, number: int = 0) -> bool:
        """Let it rest or retire it, where the error is about it rather than the request: whether it is."""
        verdict = refused(error)
        if verdict is None:
            return False
        target, now = call.target, _now()
        model = "" if verdict.whole else target.model
        facts = {"request_id": call.id, "target": target.name, "code": error.code, "status": error.status}
        label = self._label(number)
        if verdict.sentence == "retire":
            seconds = self._rotation.retire(number, now, error.code, model)
            told = "%s of %s is retired%s: the provider refuses it (%s); it is tried again in %.0f s"
            scope = f" for {model}" if model else ""
            log.error(told, label, self.provider, scope, error.code, seconds, extra=facts)
            if self._accesses:
                self._retired.add(number)
            return True
        seconds = self._rotation.rest(number, now, error.retry_after, error.code, model)
        if len(self._accesses) > 1:  # a single one is tried again all the same
            told = "%s at %s was refused (%s) and rests for %.0f s"
            log.warning(told, label, target.name, error.code, seconds, extra=facts)
        return True

    def _suspect(self, call: Call, error: UpstreamError, number: int) -> None:
        """Something failed with it. Where that happens again and again, and with another one it does not, it rests."""
        if not error.retryable:
            return
        self._streaks[number] += 1
        if self._streaks[number] < STREAK or min(self._streaks) > 0:
            return
        reason = f"{self._streaks[number]} failures in a row, and none with another credential"
        seconds = self._rotation.rest(number, _now(), None, reason)
        facts = {"request_id": call.id, "target": call.target.name, "code": error.code, "status": error.status}
        told = "%s of %s rests for %.0f s: %s"
        log.warning(told, self._label(number), self.provider, seconds, reason, extra=facts)

    @property
    def held(self) -> bool:
        """Whether anything is known against any of its credentials."""
        return next(self._rotation.held(), None) is not None

    def shown(self) -> list[dict[str, Any]]:
        """The credentials that are not used at the moment: which, for what model (None: all), why and for how long."""
        now = _now()
        return [
            {
                "provider": self.provider,
                "credential": self._label(number),
                "model": model or None,
                "state": "retired" if held.retired else "resting",
                "reason": held.reason,
                "seconds_left": round(held.until - now, 1),
            }
            for number, model, held in self._rotation.held()
            if held.until > now
        ]

    async def aclose(self) -> None:
        for access in self._accesses:
            await access.aclose()

    async def _look(self) -> None:
        """Use those again that are others by now: a file has been written anew, a command says something else."""
        if _now() < self._looked + LOOK_EVERY:
            return
        self._looked = _now()
        for number in [*self._retired]:
            if await self._accesses[number].changed(self._used.get(number)):
                self._retired.discard(number)
                self._rotation.renew(number)
                log.warning("%s of %s is another one now and is used again", self._label(number), self.provider)

    async def _once(self, call: Call, number: int, request: Outgoing, ask: Ask, explain: Explain) -> Response:
        """One credential; once more where it was refused and there is a newer one of it."""
        access = self._accesses[number]
        shown = await _timely(call, access.shown(request))
        response = await ask(shown.headers)
        if response.status < 400:
            return response
        error = await _explained(response, shown, explain)
        self._used[number] = shown.used
        stale = response.status == 401 or error.kind == "authentication"  # AWS says 403 of a token that has expired
        if not stale or not await _timely(call, access.renew(shown)):
            raise error
        shown = await _timely(call, access.shown(request))
        response = await ask(shown.headers)
        if response.status < 400:
            return response
        self._used[number] = shown.used
        raise await _explained(response, shown, explain)

    def _label(self, number: int) -> str:
        return self._accesses[number].label if self._accesses else "the credential"


async def _timely(call: Call, waiting: Awaitable[T]) -> T:
    """A credential is waited for no longer than the call may take. Raises DeadlineExceeded."""
    try:
        async with asyncio.timeout_at(call.deadline):
            return await waiting
    except TimeoutError:
        raise DeadlineExceeded("The call's deadline passed while it waited for the provider's credential.") from None


async def _explained(response: Response, shown: Shown, explain: Explain) -> UpstreamError:
    try:
        return await explain(response, shown.secrets)
    finally:
        response.close()


def _now() -> float:
    return asyncio.get_running_loop().time()
