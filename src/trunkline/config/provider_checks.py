"""What a provider's kind asks of its row: the fields that it needs, those that mean nothing to it, and credentials that
can be sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import combinations

from trunkline.config.problems import Path
from trunkline.config.read import Reading
from trunkline.config.schema import Config
from trunkline.core.secret import Credential, Secret
from trunkline.providers.kinds import KINDS, Account, Kind
from trunkline.providers.settings import CredentialSettings, ProviderSettings

Found = Iterator[tuple[Path, str]]

_NEEDS = {
    "azure": ("endpoint",),
    "bedrock": ("region",),
    "openai-compatible": ("base_url",),
    "vertex": ("project",),
}
_SPECIAL = {
    "azure": ("endpoint", "api_version"),
    "bedrock": ("region",),
    "openai": ("organization", "project"),
    "vertex": ("project", "location"),
}
"""Fields that only some kinds know: set for another, they are a mistake, not a no-op."""
_ANY = frozenset(name for names in _SPECIAL.values() for name in names)
_BY_ACCOUNT: dict[str, tuple[str, ...]] = {
    "none": (),
    "aws": (
        "access_key_id", "secret_access_key", "session_token", "profile", "role_arn", "external_id",
    ),
    "google": ("service_account",),
    "entra": ("tenant_id", "client_id", "client_secret", "managed_identity"),
}  # fmt: skip
"""Credential fields beside `api_key`, by whose accounts a kind knows."""
_TOGETHER = (
    ("access_key_id", "secret_access_key"),
    ("secret_access_key", "access_key_id"),
    ("session_token", "access_key_id"),
    ("external_id", "role_arn"),
    ("tenant_id", "client_secret"),
    ("client_secret", "client_id"),
    ("client_secret", "tenant_id"),
)
"""A credential field, and what it needs beside it."""
_APART = ("api_key", "access_key_id", "service_account", "client_secret", "managed_identity")
"""Ways to be known: one a credential."""

_API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
_PLACE = re.compile(r"[a-z0-9-]{1,64}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_OURS = frozenset(
    {
        "host", "content-length", "content-type", "transfer-encoding", "connection", "te", "upgrade", "keep-alive",
        "user-agent", "accept-encoding",
    }
)  # fmt: skip
"""Header fields that the gateway itself writes."""
_CARRIERS = frozenset({"authorization", "x-api-key", "api-key", "x-goog-api-key"})
"""Header fields that a credential may become."""


_INSTEAD: dict[Account, str] = {
    "none": "",
    "entra": "; or tenant_id, client_id and client_secret; or managed_identity: true",
}
"""What else will do, of kinds that must have a credential."""


def _kinds(config: Config, _: Reading) -> Found:
    for name, provider in config.providers.items():
        at = ("providers", name)
        for field in _NEEDS.get(provider.kind, ()):
            if getattr(provider, field) is None:
                yield (*at, field), f"is required for kind {provider.kind}"
        known = {*_SPECIAL.get(provider.kind, ()), *(("base_url",) if provider.kind != "azure" else ())}
        for field in sorted({*_ANY, "base_url"} - known):
            if getattr(provider, field) is not None:
                yield (*at, field), f"means nothing to kind {provider.kind}; remove it"
        if provider.api_version is not None and not _API_VERSION.fullmatch(provider.api_version):
            yield (*at, "api_version"), 'expected a date such as "2024-10-21" or "2025-04-01-preview"'
        for field in ("region", "location"):
            place = getattr(provider, field)
            if place is not None and not _PLACE.fullmatch(place):
                yield (*at, field), "expected lower-case letters, digits and dashes, such as europe-west4"


def _credentials(config: Config, _: Reading) -> Found:
    for name, provider in config.providers.items():
        kind, at = KINDS[provider.kind], ("providers", name)
        listed = [((*at, "credentials", index), entry) for index, entry in enumerate(provider.credentials)]
        for path, entry in [(at, provider), *listed]:
            yield from _one(path, entry, kind, provider.kind)
        for path, entry in listed:
            if not _ways(entry) and kind.account != "aws" and kind.account != "google":
                yield path, "holds no credential; set api_key"
        if kind.needs_key and kind.account in ("none", "entra") and not _has_any(provider):
            yield (*at, "api_key"), f"is required for kind {provider.kind}{_INSTEAD[kind.account]}"


def _one(path: Path, entry: CredentialSettings, kind: Kind, name: str) -> Found:
    known = _BY_ACCOUNT[kind.account]
    for field in (field for fields in _BY_ACCOUNT.values() for field in fields):
        if getattr(entry, field) and field not in known:
            yield (*path, field), f"means nothing to kind {name}; remove it"
    for field, other in _TOGETHER:
        if getattr(entry, field) and not getattr(entry, other):
            yield (*path, other), f"is required beside {field}"
    for one, other in combinations(_ways(entry), 2):
        yield (*path, other), f"would be a second credential beside {one}; list them under credentials"


def _ways(entry: CredentialSettings) -> list[str]:
    return [field for field in _APART if getattr(entry, field)]


def _has_any(provider: ProviderSettings) -> bool:
    return bool(provider.api_keys or provider.credentials or _ways(provider))


def _headers(config: Config, _: Reading) -> Found:
    for name, provider in config.providers.items():
        keyed = _has_any(provider) or KINDS[provider.kind].account != "none"
        for header, value in provider.headers.items():
            path = ("providers", name, "headers", header)
            if not _HEADER_NAME.fullmatch(header):
                yield path, "is not a header field's name"
            elif header.lower() in _OURS:
                yield path, "is set by the gateway itself; remove it"
            elif header.lower() in _CARRIERS and keyed:
                yield path, "would be there twice, since api_key is set; remove one"
            elif not value.reveal().isascii():
                yield path, "a header field's value must be ASCII"


def _ascii(config: Config, _: Reading) -> Found:
    """Whatever is sent as a header field."""
    for name, provider in config.providers.items():
        at = ("providers", name)
        keys: list[tuple[Path, Credential | None]] = [((*at, "api_key"), provider.api_key)]
        keys += [((*at, "api_keys", index), key) for index, key in enumerate(provider.api_keys)]
        keys += [
            ((*at, "credentials", index, "api_key"), one.api_key) for index, one in enumerate(provider.credentials)
        ]
        for path, key in keys:
            if isinstance(key, Secret) and not key.reveal().isascii():
                yield path, "must be ASCII: it is sent as a header field"
        for field, text in (("organization", provider.organization), ("project", provider.project)):
            if text is not None and not text.isascii():
                yield (*at, field), "must be ASCII: it is sent as a header field"


PROVIDER_CHECKS: tuple[Callable[[Config, Reading], Found], ...] = (_kinds, _credentials, _headers, _ascii)
