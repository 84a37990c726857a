"""One credential, ready to be shown: a source of something secret, and how a request carries it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from trunkline.core.call import Headers
from trunkline.core.errors import CredentialUnavailable
from trunkline.edge.credentials import entra
from trunkline.edge.credentials.aws import Chain, assumed
from trunkline.edge.credentials.google import Google
from trunkline.edge.credentials.issuer import Issuer
from trunkline.edge.credentials.renewed import Held, Renewed
from trunkline.edge.credentials.sources import Clock, Source, text_source
from trunkline.edge.credentials.sts import Sts
from trunkline.edge.transport.base import Transport
from trunkline.providers.kinds import bearer
from trunkline.providers.settings import CredentialEntry
from trunkline.providers.signing import AwsKeys, Outgoing, sign
from trunkline.providers.target import Provider

SERVICE = "bedrock"
_CARRIERS = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"x-amz-security-token"})
LOCAL_KEYS = 60.0
"""Seconds for which AWS keys from the configuration's own files and commands are put together."""


class Access:
    """`carry` makes header fields of what the source gives, for one request."""

    def __init__(self, label: str, source: Source[Any], carry: Callable[[Any, Outgoing], Headers]) -> None:
        self.label = label
        self._source = source
        self._carry = carry

    async def shown(self, request: Outgoing) -> Shown:
        """Raises CredentialUnavailable."""
        used = await self._source.get()
        return Shown(used, self._carry(used, request))

    async def changed(self, used: object) -> bool:
        """Whether there is something else to show than this."""
        try:
            return bool(await self._source.get() != used)
        except CredentialUnavailable:
            return False

    async def renew(self, shown: Shown) -> bool:
        """The provider refused it: whether there is something else to show. Raises CredentialUnavailable."""
        return await self._source.renew(shown.used)

    async def aclose(self) -> None:
        await self._source.aclose()


class Shown(Struct, frozen=True):
    """What was put into a request. Never log it."""

    used: Any
    headers: Headers

    def __repr__(self) -> str:
        return "Shown()"

    @property
    def secrets(self) -> list[bytes]:
        """What an answer must not repeat: the secret, and what was made of it."""
        return [*_texts(self.used), *(value.rpartition(b" ")[2] for name, value in self.headers if name in _CARRIERS)]


def _texts(used: Any) -> list[bytes]:
    if isinstance(used, AwsKeys):
        return [text.encode() for text in (used.secret_access_key, used.session_token) if text]
    return [str(used).encode()]


class Opener:
    """Makes the credentials of providers. `environ` stands in for the process's environment."""

    def __init__(
        self, transport: Transport, environ: Mapping[str, str] | None = None, clock: Clock = time.time
    ) -> None:
        self._issuer = Issuer(transport)
        self._environ = os.environ if environ is None else environ
        self._clock = clock

    def open(self, provider: Provider, number: int, entry: CredentialEntry) -> Access:
        label = f"credential {number + 1} of {len(provider.credentials)}"
        if entry.api_key is not None:
            return Access(label, text_source(entry.api_key), lambda key, _: provider.kind.sign(key))
        if provider.kind.account == "aws":
            region = provider.blanks["region"]
            return Access(
                label,
                self._aws(entry, region),
                lambda keys, request: sign(keys, request, region, SERVICE, self._clock()),
            )
        source = self._google(entry) if provider.kind.account == "google" else self._entra(entry)
        return Access(label, source, lambda token, _: bearer(token))

    def _google(self, entry: CredentialEntry) -> Source[str]:
        account = text_source(entry.service_account) if entry.service_account is not None else None
        return Google(account, self._issuer, self._environ, self._clock).source()

    def _entra(self, entry: CredentialEntry) -> Source[str]:
        if entry.managed_identity or entry.client_secret is None:
            return entra.machine(entry.client_id, self._issuer, self._environ, self._clock)
        secret = text_source(entry.client_secret)
        tenant, client = entry.tenant_id or "", entry.client_id or ""
        return entra.application(tenant, client, secret, self._issuer, self._environ, self._clock)

    def _aws(self, entry: CredentialEntry, region: str) -> Source[AwsKeys]:
        sts = Sts(region, self._issuer, self._environ, self._clock)
        keys: Source[AwsKeys]
        if entry.secret_access_key is not None:
            keys = self._given(entry)
        else:
            keys = Chain(entry.profile, self._issuer, sts, self._environ, self._clock).source()
        if entry.role_arn is None:
            return keys
        return assumed(sts, entry.role_arn, entry.external_id, keys, self._clock)

    def _given(self, entry: CredentialEntry) -> Renewed[AwsKeys]:
        """The configuration's own, whose parts may be files and commands."""
        assert entry.secret_access_key is not None
        secret = text_source(entry.secret_access_key)
        token = text_source(entry.session_token) if entry.session_token is not None else None

        async def fetch() -> Held[AwsKeys]:
            session = await token.get() if token is not None else None
            keys = AwsKeys(entry.access_key_id or "", await secret.get(), session)
            return Held.lasting(keys, self._clock(), LOCAL_KEYS)

        return Renewed(fetch, self._clock, secret, token)
