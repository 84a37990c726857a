"""Sending a request to a provider, and what goes wrong there in the gateway's own words.

The operations (`edge/operations`) decide what to ask and what becomes of the answer; this is how they ask.
"""

from __future__ import annotations

import asyncio

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
from trunkline.core.secret import MASK
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
from trunkline.providers.target import Provider, Target

MAX_ERROR_BODY = 1024 * 1024


class Sender:
    """Raises `GatewayError` for whatever the transport raises."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._origins: dict[str, Origin] = {}

    async def send(self, call: Call, path: bytes, headers: Headers, body: bytes, method: bytes = b"POST") -> Response:
        """The answer's head has come, with a status below 400. `headers`: those of the dialect; the provider's own,
        its credential among them, are added. Raises `UpstreamError` with what the provider said otherwise."""
        target: Target = call.target
        response = await self._open(call, target.provider, path, headers, body, method)
        try:
            if response.status >= 400:
                raise await self._error(call, path, response)
            if response.status >= 300:
                raise UpstreamProtocol(f"The upstream answered with status {response.status}.")
        except BaseException:
            response.close()
            raise
        return response

    async def body(self, call: Call, response: Response) -> bytes:
        """All of an answer; the connection is given back."""
        try:
            data = await response.body()
        except TransportError as error:
            raise mapped(error, call.deadline) from error
        finally:
            response.close()
        return data

    async def _open(
        self, call: Call, provider: Provider, path: bytes, headers: Headers, body: bytes, method: bytes
    ) -> Response:
        origin = self._origins.get(provider.name)
        if origin is None:
            origin = self._origins[provider.name] = Origin(provider.scheme, provider.host, provider.port)
        deadline = call.deadline
        if provider.timeout is not None:
            limit = asyncio.get_running_loop().time() + provider.timeout
            deadline = limit if deadline is None else min(limit, deadline)
        fields = [*provider.headers, *headers] if headers else provider.headers
        try:
            return await self._transport.send(origin, method, path, fields, body, deadline)
        except TransportError as error:
            raise mapped(error, call.deadline) from error

    async def _error(self, call: Call, path: bytes, response: Response) -> UpstreamError:
        try:
            body = await response.body()
        except TransportError:
            body = b""
        body = body[:MAX_ERROR_BODY]
        for secret in call.target.provider.secrets:
            body = body.replace(secret, MASK.encode())
        error: UpstreamError = call.api.dialect.read_error(response.status, response.headers, body)
        if error.kind == "not_found":  # a wrong deployment or base URL
            error.detail = f"asked at {path.decode()}"
        return error


def mapped(error: TransportError, deadline: float | None) -> GatewayError:
    """The transport's error in the gateway's tree. Its text names hosts, so it is for the operator alone. `deadline`:
    the call's own, loop time, which is told apart from a provider that is too slow."""
    out = _told(error, deadline)
    out.detail = str(error)
    return out


def _told(error: TransportError, deadline: float | None) -> GatewayError:
    match error:
        case ConnectFailed():
            return UpstreamUnreachable("The provider could not be reached.")
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
