"""Asking those who issue credentials: token endpoints and the metadata services of machines.

Their answers hold secrets and their errors may repeat what was sent, so of a failure only the host, the status and a
short error code are told.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from trunkline.core.call import Headers
from trunkline.core.errors import CredentialUnavailable
from trunkline.edge.transport.base import Origin, Transport, TransportError

MAX_ANSWER = 262_144
"""Bytes."""
PATIENCE = 10.0
"""Seconds for one exchange."""
MACHINE_PATIENCE = 2.0
"""Seconds for a metadata service: it is on this machine, or nowhere."""
DEFAULT_LIFE = 300.0
"""Seconds that a token is used whose issuer does not say for how long."""
_FORM = (b"content-type", b"application/x-www-form-urlencoded")
_CODE = re.compile(r"[A-Za-z_.]{1,64}")


class Issuer:
    """Raises CredentialUnavailable for whatever goes wrong."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get(self, url: str, headers: Mapping[str, str], patience: float = MACHINE_PATIENCE) -> bytes:
        return await self._ask(b"GET", url, _fields(headers), b"", patience)

    async def put(self, url: str, headers: Mapping[str, str]) -> bytes:
        return await self._ask(b"PUT", url, _fields(headers), b"", MACHINE_PATIENCE)

    async def post(self, url: str, headers: Headers, body: bytes) -> bytes:
        return await self._ask(b"POST", url, headers, body, PATIENCE)

    async def form(self, url: str, values: Mapping[str, str]) -> dict[str, Any]:
        """A token endpoint's answer (RFC 6749 section 5.1)."""
        return parsed(url, await self.post(url, [_FORM], urlencode(values).encode()))

    async def _ask(self, method: bytes, url: str, headers: Headers, body: bytes, patience: float) -> bytes:
        host, origin, path = _addressed(url)
        deadline = asyncio.get_running_loop().time() + patience
        try:
            response = await self._transport.send(origin, method, path, headers, body, deadline)
            try:
                data = b""
                while len(data) <= MAX_ANSWER and (piece := await response.read()):
                    data += piece
            finally:
                response.close()
        except TransportError:
            raise CredentialUnavailable(f"{host} could not be reached, or broke off") from None
        except ValueError:
            raise CredentialUnavailable(f"{host} cannot be asked: an address or a value is malformed") from None
        if len(data) > MAX_ANSWER:
            raise CredentialUnavailable(f"{host} answered with more than {MAX_ANSWER} bytes")
        if response.status != 200:
            raise CredentialUnavailable(f"{host} refused with status {response.status}{_code(data)}")
        return data


def _addressed(url: str) -> tuple[str, Origin, bytes]:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CredentialUnavailable("the issuer's address is no http or https URL")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    default = 443 if parts.scheme == "https" else 80
    return parts.hostname, Origin(parts.scheme, parts.hostname, port or default), target.encode()


def _fields(headers: Mapping[str, str]) -> Headers:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def _code(data: bytes) -> str:
    """The error's code (RFC 6749 section 5.2), if the answer has one that can only be a code."""
    try:
        code = msgspec.json.decode(data)["error"]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        return ""
    return f" ({code})" if isinstance(code, str) and _CODE.fullmatch(code) else ""


def parsed(url: str, data: bytes) -> dict[str, Any]:
    """The JSON object of an issuer's answer."""
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        value = None
    if not isinstance(value, dict):
        raise CredentialUnavailable(f"{urlsplit(url).hostname} did not answer with a JSON object")
    return value


def token(url: str, answer: Mapping[str, Any]) -> tuple[str, float]:
    """The access token and the seconds for which it is good."""
    text, seconds = answer.get("access_token"), answer.get("expires_in", DEFAULT_LIFE)
    try:
        life = float(seconds)
    except (TypeError, ValueError):
        life = DEFAULT_LIFE
    if not isinstance(text, str) or not text.isascii() or not text.isprintable() or not text or not life > 0:
        raise CredentialUnavailable(f"{urlsplit(url).hostname} answered without a usable token")
    return text, life
