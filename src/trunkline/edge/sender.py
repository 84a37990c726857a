"""Sending a request to a provider, and what goes wrong there in the gateway's own words.

The operations (`edge/operations`) decide what to ask and what becomes of the answer; this is how they ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from trunkline.core.call import Call, Headers
from trunkline.core.errors import (
    DeadlineExceeded,
    GatewayError,
    UpstreamBroken,
    UpstreamError,
    UpstreamProtocol,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from trunkline.core.secret import without
from trunkline.edge.credentials.access import Opener
from trunkline.edge.credentials.wallet import Wallet
from trunkline.edge.transport.base import (
    CLOCK_SLACK,
    BrokenOff,
    ConnectFailed,
    Origin,
    Oversized,
    Response,
    TimedOut,
    Transport,
    TransportError,
)
from trunkline.edge.transport.head import authority
from trunkline.providers.signing import Outgoing
from trunkline.providers.target import Provider, Target

MAX_ERROR_BODY = 1024 * 1024


class Sender:
    """Raises `GatewayError` for whatever the transport raises."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._opener = Opener(transport)
        # By `Provider.identity`: a row that changes is another provider, also for calls that still know the old one.
        self._origins: dict[str, Origin] = {}
        self._wallets: dict[str, Wallet] = {}
        self._leaving: set[str] = set()
        """Providers that the configuration has no longer, whose wallets close when nobody asks by them."""
        self._blamed: set[str] = set()
        """Providers of one fixed key that was refused lately."""
        self._known: frozenset[str] | None = None
        """Those that it has; None: all that there are."""

    async def send(self, call: Call, path: bytes, headers: Headers, body: bytes, method: bytes = b"POST") -> Response:
        """The answer's head has come, with a status below 400. `headers`: those of the dialect; the provider's own,
        its credential among them, are added. Raises `UpstreamError` with what the provider said otherwise."""
        target: Target = call.target
        provider = target.provider
        origin = self._origins.get(provider.identity)
        if origin is None:
            origin = self._origins[provider.identity] = Origin(provider.scheme, provider.host, provider.port)
        fields = _fields(provider, headers) if headers else provider.headers
        if provider.credentials:
            response = await self._signed(call, origin, Outgoing(method, authority(origin), path, fields, body))
        else:
            response = await self._open(call, origin, method, path, fields, body)
        try:
            if response.status >= 400:
                error = await self._error(call, path, response, [])
                self._blame(call, provider, error)
                raise error
            if response.status >= 300:
                raise UpstreamProtocol(f"The upstream answered with status {response.status}.")
        except BaseException:
            response.close()
            raise
        if self._blamed and provider.identity in self._blamed:
            self._praise(call, provider)
        return response

    def credentials(self) -> list[dict[str, Any]]:
        """Those that rest or are retired: see `Wallet.shown`."""
        return [each for wallet in self._wallets.values() for each in wallet.shown()]

    async def body(self, call: Call, response: Response) -> bytes:
        """All of an answer; the connection is given back."""
        try:
            data = await response.body()
        except TransportError as error:
            raise mapped(error, call.deadline) from error
        finally:
            response.close()
        return data

    async def keep(self, providers: Iterable[Provider]) -> frozenset[str]:
        """The configuration has these providers now. What is open for others is closed once nobody uses it. The names
        of those that were asked before and are as they were."""
        rows = {each.identity: each.name for each in providers}
        same = frozenset(rows[identity] for identity in self._origins.keys() & rows.keys())
        self._known = frozenset(rows)
        self._origins = {key: origin for key, origin in self._origins.items() if key in self._known}
        self._blamed &= self._known
        self._leaving = self._wallets.keys() - self._known
        for identity in [*self._leaving]:
            await self._left(identity)
        return same

    async def aclose(self) -> None:
        """No credential is renewed any more."""
        for wallet in self._wallets.values():
            await wallet.aclose()

    def _blame(self, call: Call, provider: Provider, error: UpstreamError) -> None:
        """A provider of one fixed key has refused."""
        if not provider.credentials and self._wallet(provider).blame(call, error):
            self._blamed.add(provider.identity)

    def _praise(self, call: Call, provider: Provider) -> None:
        wallet = self._wallet(provider)
        wallet.praise(call)
        if not wallet.held:
            self._blamed.discard(provider.identity)

    async def _left(self, identity: str) -> None:
        """Close a wallet that has no provider any more, unless it is in use."""
        if self._wallets[identity].users == 0:
            self._leaving.discard(identity)
            await self._wallets.pop(identity).aclose()

    def _wallet(self, provider: Provider) -> Wallet:
        wallet = self._wallets.get(provider.identity)
        if wallet is None:
            wallet = self._wallets[provider.identity] = Wallet(provider, self._opener)
            if self._known is not None and provider.identity not in self._known:
                self._leaving.add(provider.identity)
        return wallet

    async def _signed(self, call: Call, origin: Origin, request: Outgoing) -> Response:
        """By whichever of the provider's credentials is next."""
        provider = call.target.provider
        wallet = self._wallet(provider)

        async def ask(headers: Headers) -> Response:
            fields = [*request.headers, *headers]
            return await self._open(call, origin, request.method, request.path, fields, request.body)

        async def explain(response: Response, secrets: list[bytes]) -> UpstreamError:
            return await self._error(call, request.path, response, secrets)

        wallet.users += 1
        try:
            return await wallet.ask(call, request, ask, explain)
        finally:
            wallet.users -= 1
            if self._leaving and provider.identity in self._leaving:
                await self._left(provider.identity)

    async def _open(
        self, call: Call, origin: Origin, method: bytes, path: bytes, fields: Headers, body: bytes
    ) -> Response:
        deadline, patience = call.deadline, call.target.provider.timeout
        if patience is not None:
            limit = asyncio.get_running_loop().time() + patience
            deadline = limit if deadline is None else min(limit, deadline)
        try:
            return await self._transport.send(origin, method, path, fields, body, deadline)
        except TransportError as error:
            raise mapped(error, call.deadline) from error

    async def _error(self, call: Call, path: bytes, response: Response, secrets: list[bytes]) -> UpstreamError:
        """What the provider said. `secrets`: the credential that was shown, beside those in the provider's own header
        fields."""
        try:
            body = await response.body()
        except TransportError:
            body = b""
        body = body[:MAX_ERROR_BODY]
        body = without(body, (*call.target.provider.secrets, *secrets))
        error: UpstreamError = call.api.dialect.read_error(response.status, response.headers, body)
        if error.kind == "not_found":  # a wrong deployment or base URL
            error.detail = f"asked at {path.decode()}"
        return error


def _fields(provider: Provider, headers: Headers) -> Headers:
    """The provider's own and the dialect's, which may say another content type: a form's."""
    if any(name == b"content-type" for name, _ in headers):
        return [*(field for field in provider.headers if field[0] != b"content-type"), *headers]
    return [*provider.headers, *headers]


def mapped(error: TransportError, deadline: float | None) -> GatewayError:
    """The transport's error in the gateway's tree. Its text names hosts, so it is for the operator alone. `deadline`:
    the call's own, loop time, which is told apart from a provider that is too slow."""
    out = _told(error, deadline)
    out.detail = str(error)
    return out


def _told(error: TransportError, deadline: float | None) -> GatewayError:
    match error:
        case ConnectFailed():
            return UpstreamUnreachable("The provider could not be reached; the gateway's log says why.")
        case TimedOut() if deadline is not None and asyncio.get_running_loop().time() >= deadline - CLOCK_SLACK:
            return DeadlineExceeded("The call's deadline passed before its answer was complete.")
        case TimedOut():
            return UpstreamTimeout("The provider did not answer in time.")
        case Oversized():
            return UpstreamProtocol(f"The provider's answer is larger than transport.{error.setting} allows.")
        case BrokenOff() if error.sent:
            return UpstreamBroken("The provider's answer broke off.", retryable=True)
        case _:
            return UpstreamProtocol("The provider's answer could not be read.")
