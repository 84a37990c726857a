"""A provider made ready to call, and a model there."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Struct, field, structs

from trunkline.core.call import Headers, Operation, Peek
from trunkline.core.secret import SHORTEST_SECRET, Secret
from trunkline.dialects.base import Dialect, Quirks
from trunkline.policy.needs import Ability
from trunkline.policy.probing import ProbeSettings
from trunkline.providers.catalog import facts_of
from trunkline.providers.catalog_facts import NOTHING, Facts
from trunkline.providers.kinds import KINDS, Api, Kind
from trunkline.providers.models import ability_of, quirks_of
from trunkline.providers.prefill import PLAIN, Prefill
from trunkline.providers.settings import CredentialEntry, CredentialSettings, ProviderSettings

USER_AGENT = b"trunkline"
FREE = "free"
"""In the place of a name in the price list: nothing is to be paid."""
GLOBAL = "global"
"""Google's location that is everywhere."""


class Provider(Struct, frozen=True):
    """A row of the configuration, bound to its kind. `headers` may hold a credential: never log it."""

    name: str
    kind: Kind
    scheme: str
    host: str
    port: int
    path: str
    """Of the base URL, without a slash at its end."""
    headers: Headers
    """Those of every request; the credential among them where it is one fixed key."""
    secrets: tuple[bytes, ...]
    """The credentials among the headers' values: what an upstream's error must not repeat to a caller."""
    prices: str
    """Its name in the price list, or `free`."""
    credentials: tuple[CredentialEntry, ...] = ()
    """Those that are more than a fixed key: several, or read from elsewhere, or exchanged, or signing."""
    blanks: dict[str, str] = {}
    """What else paths and addresses name, percent-encoded: version, project, location, region."""
    timeout: float | None = None
    probe: ProbeSettings | None = None
    models: tuple[str, ...] = ()
    catalog: Mapping[str, Facts] = {}
    """What the configuration says of models."""
    identity: str = ""
    """The same for equal rows under one name, and for no others: what is opened for a provider is kept by it. Never
    show it: it is made of secrets too."""

    def __repr__(self) -> str:
        return f"Provider({self.name!r})"


class BoundApi(Struct, frozen=True):
    """A wire format of a provider, bound to a model there."""

    api: Api
    paths: dict[str, bytes]
    """As `Api.paths`, but request targets, percent-encoded; what it cannot do is not there."""
    dialect: Dialect
    """The API's."""

    def path(self, operation: Operation, peek: Peek) -> bytes | None:
        """Where to ask; None where this cannot be asked."""
        if operation == "generate" and peek.stream:
            ways = (f"stream:{peek.framing}", "stream", operation)
            return next((self.paths[way] for way in ways if way in self.paths), None)
        return self.paths.get(operation)

    def at(self, operation: Operation, form: str) -> bytes | None:
        """Where to ask for a variant of an operation; None where this cannot be asked."""
        return self.paths.get(f"{operation}:{form}" if form else operation)

    def forms(self, operation: Operation) -> list[str]:
        """The variants of an operation that can be asked for, in order of preference."""
        return [form for key in self.paths if (form := key.removeprefix(f"{operation}:")) != key]

    def can(self, operation: Operation) -> bool:
        return operation in self.paths or bool(self.forms(operation))


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
    facts: Facts
    """What is known of the model."""
    ability: Ability
    """What is known to be missing."""
    chosen: dict[tuple[str, Operation, str], BoundApi] = field(default_factory=dict)
    """What `api` has answered: by the client's dialect, the operation, and the dialect that tools ask for."""

    def api(self, dialect: Dialect, operation: Operation, peek: Peek | None = None) -> BoundApi:
        """The wire format to speak for a client of this dialect: its own if the target has it, so that the bytes can
        pass; else the one that carries thoughts, for a model that has them; else the first that can do the operation;
        else the first. Where the model thinks about tools in one format alone, that one."""
        by = self.quirks.tools_by if peek is not None and peek.tools and peek.effort != "none" else ""
        key = dialect.name, operation, by
        chosen = self.chosen.get(key)
        if chosen is None:
            chosen = self.chosen[key] = self._choose(dialect, operation, by)
        return chosen

    def prefill(self, dialect: Dialect, peek: Peek | None = None) -> Prefill | None:
        """How it is told to take up its own words, at the API that a client of this dialect is led to; None: it does
        not."""
        said, row = self.facts.prefill, self.api(dialect, "generate", peek).api.prefill
        if said is False:
            return None
        if said or row is None:
            return (row or PLAIN) if said else None
        known = row.makers is None or self.facts.maker in row.makers
        return row if known and self.provider.path.endswith(row.below) else None

    def _choose(self, dialect: Dialect, operation: Operation, by: str) -> BoundApi:
        able = [each for each in self.apis if each.can(operation)] or [*self.apis]
        quirks = self.quirks
        if by:
            able = [each for each in able if each.dialect.name == by] or able
        own = [each for each in able if each.dialect.name == dialect.name]
        telling = [each for each in able if each.api.thoughts] if quirks.encrypted_thoughts else []
        return (own or telling or able)[0]


def bind(name: str, settings: ProviderSettings) -> Provider:
    """The provider of one row."""
    kind = KINDS[_kind(settings)]
    blanks = {
        "version": settings.api_version or "",
        "project": settings.project or "",
        "location": settings.location or GLOBAL,
        "region": settings.region or "",
    }
    url = urlsplit(settings.base_url or settings.endpoint or _public(kind, blanks))
    path = url.path.rstrip("/")
    if settings.kind == "azure":
        path = path.removesuffix("/models").removesuffix("/openai/v1").removesuffix("/openai")
    credentials = offered(settings, kind)
    fixed = _fixed(kind, credentials)
    extra = [(key.lower().encode(), value.reveal().encode()) for key, value in settings.headers.items()]
    signed = [*fixed, *extra]
    return Provider(
        name=name,
        kind=kind,
        scheme=url.scheme,
        host=url.hostname or "",
        port=url.port or (443 if url.scheme == "https" else 80),
        path=path,
        headers=[(b"content-type", b"application/json"), (b"user-agent", USER_AGENT), *signed, *_about(settings)],
        secrets=tuple(secret for _, value in signed if len(secret := value.rpartition(b" ")[2]) >= SHORTEST_SECRET),
        prices=settings.prices or kind.prices,
        credentials=() if fixed else credentials,
        blanks={key: quote(value, safe="") for key, value in blanks.items()},
        timeout=settings.timeout,
        probe=settings.probe,
        models=settings.models,
        identity=_identity(name, settings),
    )


def _identity(name: str, settings: ProviderSettings) -> str:
    def text(value: object) -> str:
        assert isinstance(value, Secret)
        return value.reveal()

    row = msgspec.json.encode((name, settings), enc_hook=text, order="sorted")
    return hashlib.blake2b(row, digest_size=16).hexdigest()


def _kind(settings: ProviderSettings) -> str:
    """Azure's dated APIs have paths of their own: each is a kind to itself. That for models of every maker is on the
    resources of AI Foundry, whose address Azure's own SDK takes with `/models` at its end."""
    if settings.kind != "azure" or settings.api_version is None:
        return settings.kind
    url = urlsplit(settings.endpoint or "")
    foundry = (url.hostname or "").endswith(".services.ai.azure.com") or url.path.rstrip("/").endswith("/models")
    return "azure-inference" if foundry else "azure-classic"


def _public(kind: Kind, blanks: dict[str, str]) -> str:
    """The kind's public address. Vertex's global location has no region in it."""
    url = (kind.base_url or "").format(**blanks)
    return url.replace(f"//{GLOBAL}-", "//")


def offered(settings: ProviderSettings, kind: Kind) -> tuple[CredentialEntry, ...]:
    """All credentials of a provider, in the order of the configuration; none where none is needed. What stands beside
    `kind` is the first, unless the lists are all there is; a kind that knows accounts may find one by itself."""
    own = {name: getattr(settings, name) for name in CredentialSettings.__struct_fields__}
    listed = (*(CredentialEntry(api_key=key) for key in settings.api_keys), *settings.credentials)
    if any(own.values()) or (kind.account != "none" and not listed):
        return (CredentialEntry(**own), *listed)
    return listed


def _fixed(kind: Kind, credentials: tuple[CredentialEntry, ...]) -> Headers:
    """The header fields of a credential that is one key and never changes."""
    match credentials:
        case (CredentialEntry(api_key=Secret() as key),):
            return kind.sign(key.reveal())
    return []


def _about(settings: ProviderSettings) -> Headers:
    """Whom OpenAI shall bill."""
    if settings.kind != "openai":
        return []
    said = ((b"openai-organization", settings.organization), (b"openai-project", settings.project))
    return [(name, value.encode()) for name, value in said if value]


def unpriced(provider: Provider) -> Provider:
    """The same provider, whose calls cost nothing (the simulator)."""
    return structs.replace(provider, prices=FREE)


def target(provider: Provider, model: str, base_model: str | None = None) -> Target:
    """`base_model` says what an opaque name (an Azure deployment) really is."""
    known = base_model or model
    facts = facts_of(known, provider.name, provider.catalog)
    if base_model is not None:
        facts = provider.catalog.get(f"{provider.name}/{model}", NOTHING).over(facts)
    blanks = {**provider.blanks, "model": quote(model, safe="")}
    serving = [api for api in provider.kind.apis if api.models is None or re.match(api.models, known)]
    return Target(
        name=f"{provider.name}/{model}",
        provider=provider,
        model=model,
        quirks=structs.replace(quirks_of(known, provider.kind.quirks, facts), known_as=base_model or ""),
        price_model=None if provider.prices == FREE else f"{provider.prices}:{facts.price_model or known}",
        apis=tuple(_bound(api, provider.path, blanks) for api in serving or provider.kind.apis),
        facts=facts,
        ability=ability_of(facts),
    )


def _bound(api: Api, base: str, blanks: dict[str, str]) -> BoundApi:
    paths = {what: (base + path.format(**blanks)).encode() for what, path in api.paths.items()}
    return BoundApi(api, paths, api.dialect)
