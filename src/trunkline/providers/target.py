"""A provider made ready to call, and a model there."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from msgspec import Struct, structs

from trunkline.core.call import Headers, Operation, Peek
from trunkline.dialects.base import Dialect, Quirks
from trunkline.providers.kinds import KINDS, Api, Kind
from trunkline.providers.models import quirks_of
from trunkline.providers.settings import ProviderSettings

USER_AGENT = b"trunkline"
FREE = "free"
"""In the place of a name in the price list: nothing is to be paid."""
SHORTEST_SECRET = 8
"""Bytes; a shorter header value could be any word of a message."""


class Provider(Struct, frozen=True):
    """A row of the configuration, bound to its kind. `headers` holds the credential: never log it."""

    name: str
    kind: Kind
    scheme: str
    host: str
    port: int
    path: str
    """Of the base URL, without a slash at its end."""
    headers: Headers
    secrets: tuple[bytes, ...]
    """The credentials among the headers' values: what an upstream's error must not repeat to a caller."""
    prices: str
    """Its name in the price list, or `free`."""
    version: str | None = None
    timeout: float | None = None
    models: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Provider({self.name!r})"


class BoundApi(Struct, frozen=True):
    """A wire format of a provider, bound to a model there."""

    api: Api
    paths: dict[str, bytes]
    """As `Api.paths`, but request targets, percent-encoded; what it cannot do is not there."""

    @property
    def dialect(self) -> Dialect:
        return self.api.dialect

    def path(self, operation: Operation, peek: Peek) -> bytes | None:
        """Where to ask; None where this cannot be asked."""
        if operation == "generate" and peek.stream:
            return self.paths.get(f"stream:{peek.framing}" if peek.framing else "stream") or self.paths.get(operation)
        return self.paths.get(operation)


class Target(Struct, frozen=True):
    """One model at one provider."""

    name: str
    """`provider/model`."""
    provider: Provider
    model: str
    quirks: Quirks
    price_model: str | None
    """`provider:model` of the price list; None where nothing is to be paid."""
    apis: tuple[BoundApi, ...]
    """Those that serve the model, in order of preference; at least one."""

    def api(self, dialect: Dialect, operation: Operation) -> BoundApi:
        """The wire format to speak for a client of this dialect: its own if the target has it, so that the bytes can
        pass; else the first that can do the operation; else the first."""
        able = [each for each in self.apis if operation in each.paths] or [*self.apis]
        return next((each for each in able if each.dialect.name == dialect.name), able[0])


def bind(name: str, settings: ProviderSettings) -> Provider:
    """The provider of one row. Azure's classic API has paths of its own: it is a kind to itself."""
    classic = settings.kind == "azure" and settings.api_version is not None
    kind = KINDS["azure-classic" if classic else settings.kind]
    url = urlsplit(settings.base_url or settings.endpoint or kind.base_url or "")
    path = url.path.rstrip("/")
    if settings.kind == "azure":
        path = path.removesuffix("/openai/v1").removesuffix("/openai")
    extra = [(key.lower().encode(), value.reveal().encode()) for key, value in settings.headers.items()]
    signed = [*kind.sign(settings), *extra]
    return Provider(
        name=name,
        kind=kind,
        scheme=url.scheme,
        host=url.hostname or "",
        port=url.port or (443 if url.scheme == "https" else 80),
        path=path,
        headers=[(b"content-type", b"application/json"), (b"user-agent", USER_AGENT), *signed],
        secrets=tuple(secret for _, value in signed if len(secret := value.rpartition(b" ")[2]) >= SHORTEST_SECRET),
        prices=settings.prices or kind.prices,
        version=settings.api_version,
        timeout=settings.timeout,
        models=settings.models,
    )


def unpriced(provider: Provider) -> Provider:
    """The same provider, whose calls cost nothing (the simulator)."""
    return structs.replace(provider, prices=FREE)


def target(provider: Provider, model: str, base_model: str | None = None) -> Target:
    """`base_model` says what an opaque name (an Azure deployment) really is."""
    known = base_model or model
    blanks = {"model": quote(model, safe=""), "version": quote(provider.version or "", safe="")}
    serving = [api for api in provider.kind.apis if api.models is None or re.match(api.models, known)]
    return Target(
        name=f"{provider.name}/{model}",
        provider=provider,
        model=model,
        quirks=quirks_of(known, provider.kind.quirks),
        price_model=None if provider.prices == FREE else f"{provider.prices}:{known}",
        apis=tuple(_bound(api, provider.path, blanks) for api in serving or provider.kind.apis),
    )


def _bound(api: Api, base: str, blanks: dict[str, str]) -> BoundApi:
    return BoundApi(api, {what: (base + path.format(**blanks)).encode() for what, path in api.paths.items()})
