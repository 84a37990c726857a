"""A provider's credentials, used in turn; one that the provider refuses rests while the others go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from trunkline.core.call import Call, Headers
from trunkline.core.errors import CredentialUnavailable, DeadlineExceeded, Kind, UpstreamError
from trunkline.edge.credentials.access import Access, Opener, Shown
from trunkline.edge.transport.base import Response
from trunkline.policy.rotation import Rotation
from trunkline.providers.signing import Outgoing
from trunkline.providers.target import Provider

log = logging.getLogger("trunkline.credentials")

_OF_THE_CREDENTIAL: frozenset[Kind] = frozenset({"authentication", "permission", "billing", "rate_limit", "quota"})
"""Kinds of error that another credential may not have."""
_STATUSES = frozenset({401, 402, 403, 429})

T = TypeVar("T")
Ask = Callable[[Headers], Awaitable[Response]]
"""Sends the request with these header fields. Raises GatewayError where there is no answer."""
Explain = Callable[[Response, list[bytes]], Awaitable[UpstreamError]]
"""An error answer read, the secrets in it masked."""


class Wallet:
    def __init__(self, provider: Provider, opener: Opener) -> None:
        entries = provider.credentials
        self.users = 0
        """Calls that ask by it at the moment."""
        self._accesses = [opener.open(provider, number, entry) for number, entry in enumerate(entries)]
        self._rotation = Rotation([entry.weight for entry in entries])

    async def ask(self, call: Call, request: Outgoing, ask: Ask, explain: Explain) -> Response:
        """The answer with the first credential that is not refused, below status 400. Raises GatewayError: what the
        last one got."""
        tried: set[int] = set()
        failure: UpstreamError | None = None
        while (number := self._rotation.choose(_now(), tried)) is not None:
            tried.add(number)
            access = self._accesses[number]
            try:
                response = await self._once(call, access, request, ask, explain)
            except UpstreamError as error:
                if not _blames(error):
                    raise
                failure = error
                self._rest(call, number, error)
                if call.deadline is not None and _now() >= call.deadline:
                    break
            else:
                self._rotation.well(number)
                if len(self._accesses) > 1 and call.attempt is not None:  # a probe makes none
                    call.attempt.credential = access.label
                return response
        assert failure is not None
        raise failure

    async def aclose(self) -> None:
        for access in self._accesses:
            await access.aclose()

    async def _once(self, call: Call, access: Access, request: Outgoing, ask: Ask, explain: Explain) -> Response:
        """One credential; once more where it was refused and there is a newer one of it."""
        shown = await _timely(call, access.shown(request))
        response = await ask(shown.headers)
        if response.status < 400:
            return response
        error = await _explained(response, shown, explain)
        refused = response.status == 401 or error.kind == "authentication"  # AWS says 403 of a token that has expired
        if not refused or not await _timely(call, access.renew(shown)):
            raise error
        shown = await _timely(call, access.shown(request))
        response = await ask(shown.headers)
        if response.status < 400:
            return response
        raise await _explained(response, shown, explain)

    def _rest(self, call: Call, number: int, error: UpstreamError) -> None:
        seconds = self._rotation.rest(number, _now(), error.retry_after)
        if len(self._accesses) == 1:
            return  # it is tried again all the same
        label = self._accesses[number].label
        target = call.target.name
        facts = {"request_id": call.id, "target": target, "code": error.code, "status": error.status}
        log.warning("%s at %s was refused (%s) and rests for %.0f s", label, target, error.code, seconds, extra=facts)


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


def _blames(error: UpstreamError) -> bool:
    """Whether it is about the credential rather than the request."""
    if isinstance(error, CredentialUnavailable):
        return True
    return error.kind in _OF_THE_CREDENTIAL and error.status in _STATUSES


def _now() -> float:
    return asyncio.get_running_loop().time()
