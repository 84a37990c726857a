"""What no single field can know: names that refer to nothing, a kind without what it needs, a door left open.

Each check looks at the finished structs and notes problems at paths; the reading knows their lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from urllib.parse import SplitResult, urlsplit

from trunkline.config.problems import Path, did_you_mean
from trunkline.config.read import Reading
from trunkline.config.schema import Config, ModelSettings, is_loopback, split_address

Found = Iterator[tuple[Path, str]]
Check = Callable[[Config, Reading], Found]

SIMULATOR = "sim"
"""The provider name of the built-in simulator's models."""

_NEEDS = {
    "openai": ("api_key",),
    "anthropic": ("api_key",),
    "azure": ("endpoint", "api_key"),
    "openai-compatible": ("base_url",),
}
_FOREIGN = {
    "openai": ("endpoint", "api_version"),
    "anthropic": ("endpoint", "api_version", "organization", "project"),
    "azure": ("base_url", "organization", "project"),
    "openai-compatible": ("endpoint", "api_version", "organization", "project"),
}
"""Fields that mean nothing to a kind: setting one is a mistake, not a no-op."""

_PROVIDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MODEL_NAME = re.compile(r"[^\s/]{1,256}")
_API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_OURS = frozenset(
    {
        "host", "content-length", "content-type", "transfer-encoding", "connection", "te", "upgrade", "keep-alive",
        "user-agent", "accept-encoding",
    }
)  # fmt: skip
"""Header fields that the gateway itself writes."""
_CREDENTIALS = frozenset({"authorization", "x-api-key", "api-key"})
"""Header fields that `api_key` may become."""
_CLIENTS = ("lean", "general")
_DURABLE = ("sqlite", "postgresql")


def check(config: Config, reading: Reading, *, insecure: bool) -> None:
    """Note every problem of a configuration that could be read. `insecure` allows `auth: open` on any address."""
    for one in CHECKS if insecure else (*CHECKS, _exposure):
        for path, message in one(config, reading):
            reading.problem(path, message)


def _listen(config: Config, _: Reading) -> Found:
    try:
        split_address(config.listen)
    except ValueError as error:
        yield ("listen",), str(error)


def _exposure(config: Config, _: Reading) -> Found:
    try:
        host, _port = split_address(config.listen)
    except ValueError:
        return
    if config.auth == "open" and not is_loopback(host):
        yield (
            ("auth",),
            f'"open" lets everyone who reaches {host} spend your money; '
            "set `auth: required`, listen on 127.0.0.1, or start with --insecure",
        )


def _secrets(config: Config, _: Reading) -> Found:
    for name, secret, least in (("admin_key", config.admin_key, 16), ("auth_secret", config.auth_secret, 32)):
        if secret is not None and len(secret.reveal()) < least:
            yield (name,), f"is shorter than {least} characters; make one with `openssl rand -hex 32`"


def _provider_names(config: Config, _: Reading) -> Found:
    for name in config.providers:
        if not _PROVIDER_NAME.fullmatch(name):
            yield ("providers", name), "a provider's name has 1 to 64 letters, digits, dots, dashes and underscores"
        if name == SIMULATOR and config.simulates:
            yield ("providers", name), f'"{SIMULATOR}" is the built-in simulator; choose another name, or disable it'


def _kinds(config: Config, _: Reading) -> Found:
    for name, provider in config.providers.items():
        for field in _NEEDS[provider.kind]:
            if getattr(provider, field) is None:
                yield ("providers", name, field), f"is required for kind {provider.kind}"
        for field in _FOREIGN[provider.kind]:
            if getattr(provider, field) is not None:
                yield ("providers", name, field), f"means nothing to kind {provider.kind}; remove it"
        if provider.api_version is not None and not _API_VERSION.fullmatch(provider.api_version):
            yield ("providers", name, "api_version"), 'expected a date such as "2024-10-21" or "2025-04-01-preview"'


def _urls(config: Config, reading: Reading) -> Found:
    for name, provider in config.providers.items():
        for field in ("base_url", "endpoint"):
            url = getattr(provider, field)
            if url is not None:
                path = ("providers", name, field)
                yield from ((path, fault) for fault in _url_faults(url, config.listen))


def _url_faults(url: str, listen: str) -> Iterator[str]:
    """Never shows the URL: it may hold what it must not."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        yield 'is not a URL; expected one such as "https://api.example.com/v1"'
        return
    if not url.isascii() or " " in url:
        yield "must be ASCII without blanks; write an international host name in its xn-- form"
    elif parts.scheme not in ("http", "https") or not parts.hostname:
        yield 'expected an http:// or https:// URL, such as "https://api.example.com/v1"'
    elif parts.username is not None or parts.password is not None:
        yield "a URL must not hold credentials; put them into api_key or headers"
    elif parts.query or parts.fragment:
        yield "a URL must end with its path: no ? and no #"
    elif _is_self(parts, port, listen):
        yield "points at this gateway itself: its calls would go round in circles"


def _is_self(parts: SplitResult, port: int | None, listen: str) -> bool:
    try:
        host, own = split_address(listen)
    except ValueError:
        return False
    wanted = parts.hostname or ""
    reaches = wanted == host or (is_loopback(wanted) and (is_loopback(host) or host in ("0.0.0.0", "::")))  # noqa: S104
    return own != 0 and port == own and reaches


def _headers(config: Config, _: Reading) -> Found:
    for name, provider in config.providers.items():
        for header, value in provider.headers.items():
            path = ("providers", name, "headers", header)
            if not _HEADER_NAME.fullmatch(header):
                yield path, "is not a header field's name"
            elif header.lower() in _OURS:
                yield path, "is set by the gateway itself; remove it"
            elif header.lower() in _CREDENTIALS and provider.api_key is not None:
                yield path, "would be there twice, since api_key is set; remove one"
            elif not value.reveal().isascii():
                yield path, "a header field's value must be ASCII"
        for field, text in (("organization", provider.organization), ("project", provider.project)):
            if text is not None and not text.isascii():
                yield ("providers", name, field), "must be ASCII: it is sent as a header field"
        if provider.api_key is not None and not provider.api_key.reveal().isascii():
            yield ("providers", name, "api_key"), "must be ASCII: it is sent as a header field"


def _offered(config: Config, reading: Reading) -> Found:
    for name, provider in config.providers.items():
        for index, model in enumerate(provider.models):
            if provider.models.index(model) < index:
                path = ("providers", name, "models", index)
                yield path, f'"{reading.shown(path, model)}" is listed twice; remove one'


def _model_names(config: Config, _: Reading) -> Found:
    for name in config.models:
        if "/" in name:
            yield ("models", name), "a public model's name has no /, which is how `provider/model` is told apart"
        elif not _MODEL_NAME.fullmatch(name):
            yield ("models", name), "a public model's name has 1 to 256 characters, none of them blank"


def _targets(config: Config, reading: Reading) -> Found:
    providers = {*config.providers, *((SIMULATOR,) if config.simulates else ())}
    for name, model in config.models.items():
        for index, target in enumerate(model.targets):
            path = ("models", name, "targets", index)
            provider, slash, upstream = target.target.partition("/")
            if not slash or not provider or not upstream:
                yield (*path, "target"), 'expected "provider/model", such as "openai/gpt-4o"'
            elif provider not in providers:
                hint = did_you_mean(provider, providers) or f"; known: {', '.join(sorted(providers)) or 'none'}"
                yield (*path, "target"), f'there is no provider "{reading.shown((*path, "target"), provider)}"{hint}'
            if (*path, "weight") in reading.lines:
                yield (*path, "weight"), "is for strategy `weighted`, which is not available yet; remove it"


def _fallbacks(config: Config, reading: Reading) -> Found:
    for name, model in config.models.items():
        for index, other in enumerate(model.fallback):
            path = ("models", name, "fallback", index)
            if other not in config.models:
                hint = did_you_mean(other, config.models)
                yield path, f'there is no public model "{reading.shown(path, other)}"{hint}'
            elif _reaches(config.models, other, name):
                yield path, f'goes round in circles: "{other}" falls back to "{name}"'


def _reaches(models: dict[str, ModelSettings], start: str, goal: str) -> bool:
    """Whether following fallbacks from one model comes to another (itself included)."""
    seen: set[str] = set()
    ahead = [start]
    while ahead:
        name = ahead.pop()
        if name == goal:
            return True
        if name in models and name not in seen:
            seen.add(name)
            ahead.extend(models[name].fallback)
    return False


def _state(config: Config, _: Reading) -> Found:
    hot, durable = config.state.hot, config.state.durable
    if hot.startswith(("redis://", "rediss://")):
        yield ("state", "hot"), 'Redis is not available yet; available: "memory://"'
    elif hot != "memory://":
        yield ("state", "hot"), 'expected "memory://"'
    if durable is None:
        if config.auth == "required":
            yield ("state", "durable"), "`auth: required` needs a database for its keys; name one, or set `auth: open`"
    elif durable.scheme not in _DURABLE:
        yield ("state", "durable"), "expected a URL that begins with sqlite:/// or postgresql://"


def _transport(config: Config, _: Reading) -> Found:
    if config.transport.client not in _CLIENTS:
        hint = did_you_mean(config.transport.client, _CLIENTS)
        yield ("transport", "client"), f"expected {' or '.join(_CLIENTS)}{hint}"


CHECKS: tuple[Check, ...] = (
    _listen, _secrets, _provider_names, _kinds, _urls, _headers, _offered, _model_names, _targets, _fallbacks, _state,
    _transport,
)  # fmt: skip
