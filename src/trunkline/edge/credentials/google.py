"""Access tokens for Google Cloud: from a service account's key, a user's login, another issuer's token, the machine.

What Google calls application default credentials, in its order: the configured JSON, the file of
GOOGLE_APPLICATION_CREDENTIALS, that of `gcloud auth application-default login`, the metadata server. The JSON is read
anew for every token, so that a rotated key counts.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from trunkline.core.errors import CredentialUnavailable
from trunkline.edge.credentials.issuer import Issuer, parsed, token
from trunkline.edge.credentials.renewed import Held, Renewed
from trunkline.edge.credentials.sources import Clock, FromFile, Source

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_URI = "https://oauth2.googleapis.com/token"  # noqa: S105
GRANT_LIFE = 3600
"""Seconds that a signed grant, and with it the token, is asked for: the most that Google gives."""
_JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105
_MACHINE_TOKEN = "/computeMetadata/v1/instance/service-accounts/default/token"  # noqa: S105
_GCLOUD = ".config/gcloud/application_default_credentials.json"
_encode = msgspec.json.Encoder().encode


class Google:
    """Tokens of one account. `account`: its JSON, None for the default credentials."""

    def __init__(self, account: Source[str] | None, issuer: Issuer, environ: Mapping[str, str], clock: Clock) -> None:
        self._account = account or _default(environ)
        self._issuer = issuer
        self._machine = environ.get("GCE_METADATA_HOST") or "metadata.google.internal"
        self._clock = clock
        self._ways: dict[str, Callable[[dict[str, Any]], Awaitable[tuple[str, float]]]] = {
            "service_account": self._service_account,
            "authorized_user": self._authorized_user,
            "external_account": self._external_account,
        }

    def source(self) -> Renewed[str]:
        return Renewed(self._fetch, self._clock, self._account)

    async def _fetch(self) -> Held[str]:
        if self._account is None:
            text, life = await self._of_machine()
        else:
            account = _object(await self._account.get())
            way = self._ways.get(str(account.get("type")))
            if way is None:
                known = ", ".join(self._ways)
                raise CredentialUnavailable(f"the Google credentials' `type` is not one of {known}")
            text, life = await way(account)
        return Held.lasting(text, self._clock(), life)

    async def _of_machine(self) -> tuple[str, float]:
        url = f"http://{self._machine}{_MACHINE_TOKEN}"
        try:
            answer = await self._issuer.get(url, {"metadata-flavor": "Google"})
        except CredentialUnavailable as error:
            raise CredentialUnavailable(
                f"no service_account is set, there are no default credentials, and {error.detail}"
            ) from None
        return token(url, parsed(url, answer))

    async def _service_account(self, account: dict[str, Any]) -> tuple[str, float]:
        """A grant that the key has signed, for a token (RFC 7523)."""
        url = _text({"token_uri": TOKEN_URI} | account, "token_uri")
        now = int(self._clock())
        head = {"alg": "RS256", "typ": "JWT", "kid": account.get("private_key_id", "")}
        claims = {
            "iss": _text(account, "client_email"),
            "scope": SCOPE,
            "aud": url,
            "iat": now,
            "exp": now + GRANT_LIFE,
        }
        to_sign = f"{_base64(_encode(head))}.{_base64(_encode(claims))}"
        signature = await asyncio.to_thread(_signed, _text(account, "private_key"), to_sign.encode())
        grant = f"{to_sign}.{_base64(signature)}"
        return token(url, await self._issuer.form(url, {"grant_type": _JWT_GRANT, "assertion": grant}))

    async def _authorized_user(self, account: dict[str, Any]) -> tuple[str, float]:
        url = _text({"token_uri": TOKEN_URI} | account, "token_uri")
        names = ("client_id", "client_secret", "refresh_token")
        values = {name: _text(account, name) for name in names}
        return token(url, await self._issuer.form(url, {"grant_type": "refresh_token", **values}))

    async def _external_account(self, account: dict[str, Any]) -> tuple[str, float]:
        """Another issuer's token for one of Google's (RFC 8693), and that for a service account's."""
        url = _text(account, "token_url")
        values = {
            "grant_type": _EXCHANGE,
            "audience": _text(account, "audience"),
            "scope": SCOPE,
            "requested_token_type": _ACCESS_TOKEN,
            "subject_token_type": _text(account, "subject_token_type"),
            "subject_token": await self._subject(account.get("credential_source")),
        }
        text, life = token(url, await self._issuer.form(url, values))
        impersonated = account.get("service_account_impersonation_url")
        return await self._impersonated(impersonated, text) if isinstance(impersonated, str) else (text, life)

    async def _subject(self, source: Any) -> str:
        """The other issuer's token: in a file, or at an address."""
        match source:
            case {"file": str(path)}:
                text = await FromFile(path).get()
            case {"url": str(url), **more}:
                given = more.get("headers")
                headers = {str(name): str(value) for name, value in (given if isinstance(given, dict) else {}).items()}
                text = (await self._issuer.get(url, headers)).decode("utf-8", "replace").strip()
            case _:
                raise CredentialUnavailable("`credential_source` of the Google credentials has neither file nor url")
        match source.get("format"):
            case {"type": "json", "subject_token_field_name": str(name)}:
                return _text(_object(text), name)
        return text

    async def _impersonated(self, url: str, bearer: str) -> tuple[str, float]:
        headers = [(b"authorization", f"Bearer {bearer}".encode()), (b"content-type", b"application/json")]
        answer = parsed(url, await self._issuer.post(url, headers, _encode({"scope": [SCOPE]})))
        try:
            until = datetime.fromisoformat(str(answer.get("expireTime"))).timestamp()
        except ValueError:
            until = self._clock() + 60.0
        return token(url, {"access_token": answer.get("accessToken"), "expires_in": until - self._clock()})


def _default(environ: Mapping[str, str]) -> Source[str] | None:
    """The file of the default credentials; None where only the machine itself can be asked."""
    named = environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if named:
        return FromFile(named)
    usual = Path(environ.get("HOME", "/nonexistent")) / _GCLOUD
    return FromFile(str(usual)) if usual.is_file() else None


def _object(text: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        value = None
    if not isinstance(value, dict):
        raise CredentialUnavailable("the Google credentials are not a JSON object")
    return value


def _text(account: dict[str, Any], name: str) -> str:
    value = account.get(name)
    if not isinstance(value, str) or not value:
        raise CredentialUnavailable(f"the Google credentials have no `{name}`")
    return value


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _signed(private_key: str, message: bytes) -> bytes:
    """RS256. The library is large, and only for those who use such keys."""
    try:
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError:
        raise CredentialUnavailable(
            "service accounts need a library that is not installed: pip install 'trunkline[vertex]'"
        ) from None
    try:
        key = load_pem_private_key(private_key.encode(), password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise CredentialUnavailable("`private_key` of the Google credentials is no RSA key in PEM form")
    return key.sign(message, PKCS1v15(), SHA256())
