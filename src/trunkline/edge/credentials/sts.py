"""AWS's Security Token Service: a role's temporary keys, for other keys or for another issuer's token.

Its query API: a form in, XML out, of which four elements matter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlencode, urlsplit

from trunkline.core.errors import CredentialUnavailable
from trunkline.edge.credentials.issuer import Issuer
from trunkline.edge.credentials.sources import Clock
from trunkline.providers.signing import AwsKeys, Outgoing, sign

LIFE = 3600
"""Seconds that a role is assumed for: what every role allows."""
SESSION = "trunkline"
_VERSION = "2011-06-15"
_FORM = (b"content-type", b"application/x-www-form-urlencoded")
_ELEMENT = re.compile(rb"<(AccessKeyId|SecretAccessKey|SessionToken|Expiration)>([!-;=-~]+)</")


class Sts:
    """That of a region; AWS_ENDPOINT_URL_STS names another, as for AWS's SDKs."""

    def __init__(self, region: str, issuer: Issuer, environ: Mapping[str, str], clock: Clock) -> None:
        self._url = environ.get("AWS_ENDPOINT_URL_STS") or f"https://sts.{region}.amazonaws.com"
        self._region = region
        self._issuer = issuer
        self._clock = clock

    async def by_keys(self, role: str, external_id: str | None, keys: AwsKeys) -> tuple[AwsKeys, float]:
        """The role's keys and when they end, seconds since the epoch."""
        values = {"RoleArn": role, "RoleSessionName": SESSION, "DurationSeconds": str(LIFE)}
        if external_id is not None:
            values["ExternalId"] = external_id
        return await self._ask("AssumeRole", values, keys)

    async def by_token(self, role: str, session: str, token: str) -> tuple[AwsKeys, float]:
        values = {"RoleArn": role, "RoleSessionName": session, "WebIdentityToken": token}
        return await self._ask("AssumeRoleWithWebIdentity", values, None)

    async def _ask(self, action: str, values: dict[str, str], keys: AwsKeys | None) -> tuple[AwsKeys, float]:
        body = urlencode({"Action": action, "Version": _VERSION, **values}).encode()
        headers = [_FORM]
        if keys is not None:
            host = urlsplit(self._url).netloc
            headers += sign(keys, Outgoing(b"POST", host, b"/", headers, body), self._region, "sts", self._clock())
        answer = await self._issuer.post(f"{self._url.rstrip('/')}/", headers, body)
        found = {name.decode(): value.decode() for name, value in _ELEMENT.findall(answer)}
        try:
            until = datetime.fromisoformat(found["Expiration"]).timestamp()
            return AwsKeys(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]), until
        except (KeyError, ValueError):
            raise CredentialUnavailable(f"{action} was answered without keys") from None
