"""What no single field can know: names that refer to nothing, a kind without what it needs, a door left open.

Each check looks at the finished structs and notes problems at paths; the reading knows their lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from urllib.parse import SplitResult, urlsplit

from trunkline.config.limit_checks import LIMIT_CHECKS
from trunkline.config.problems import Path, did_you_mean
from trunkline.config.provider_checks import PROVIDER_CHECKS
from trunkline.config.read import Reading
from trunkline.config.schema import Config, is_loopback, split_address
from trunkline.core.redis_url import locate_redis
from trunkline.policy.conditions import Condition
from trunkline.stages.routing.settings import ModelSettings

Found = Iterator[tuple[Path, str]]
Check = Callable[[Config, Reading], Found]

SIMULATORS = ("sim", "sim-anthropic", "sim-bedrock", "sim-gemini", "sim-vertex", "sim-azure")
"""The provider names of the built-in simulator's models, one for each format that it speaks."""

_PROVIDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MODEL_NAME = re.compile(r"[^\s/]{1,256}")
_AFFINITY = re.compile(r"session|prefix|key|header:[A-Za-z0-9-]{1,64}")
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


def _proxies(config: Config, _: Reading) -> Found:
    for number, network in enumerate(config.server.trusted_proxies):
        try:
            ip_network(network, strict=False)
        except ValueError:
            yield ("server", "trusted_proxies", number), 'is no network; expected one such as "10.0.0.0/8"'


def _secrets(config: Config, _: Reading) -> Found:
    for name, secret, least in (("admin_key", config.admin_key, 16), ("auth_secret", config.auth_secret, 32)):
        if secret is not None and len(secret.reveal()) < least:
            yield (name,), f"is shorter than {least} characters; make one with `openssl rand -hex 32`"


def _provider_names(config: Config, _: Reading) -> Found:
    for name in config.providers:
        if not _PROVIDER_NAME.fullmatch(name):
            yield ("providers", name), "a provider's name has 1 to 64 letters, digits, dots, dashes and underscores"
        if name in SIMULATORS and config.simulates:
            yield ("providers", name), f'"{name}" is the built-in simulator; choose another name, or disable it'


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
    providers = {*config.providers, *(SIMULATORS if config.simulates else ())}
    for path, target in _named_targets(config):
        provider, slash, upstream = target.partition("/")
        if not slash or not provider or not upstream:
            yield path, 'expected "provider/model", such as "openai/gpt-4o"'
        elif provider not in providers:
            hint = did_you_mean(provider, providers) or f"; known: {', '.join(sorted(providers)) or 'none'}"
            yield path, f'there is no provider "{reading.shown(path, provider)}"{hint}'


def _named_targets(config: Config) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for name, model in config.models.items():
        for index, target in enumerate(model.targets):
            yield ("models", name, "targets", index, "target"), target.target
        if model.mirror is not None:
            yield ("models", name, "mirror", "target"), model.mirror.target


def _choices(config: Config, reading: Reading) -> Found:
    for name, model in config.models.items():
        if model.affinity is not None and not _AFFINITY.fullmatch(model.affinity.by):
            yield ("models", name, "affinity", "by"), "expected session, prefix, key or header:NAME"
        names = [target.target for target in model.targets]
        for index, target in enumerate(model.targets):
            if names.index(target.target) < index:
                path = ("models", name, "targets", index)
                yield path, f'"{reading.shown((*path, "target"), target.target)}" is listed twice; make one row of both'
            if target.when is not None:
                try:
                    Condition(target.when)
                except ValueError as error:
                    yield ("models", name, "targets", index, "when"), str(error)
        if sum(target.canary or 0.0 for target in model.targets) > 1.0:
            yield ("models", name, "targets"), "the shares of its canaries add up to more than 1"


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
    if hot != "memory://":
        yield from ((("state", "hot"), fault) for fault in _redis_faults(hot))
    if durable is None:
        if config.auth == "required":
            yield ("state", "durable"), "`auth: required` needs a database for its keys; name one, or set `auth: open`"
    elif durable.scheme not in _DURABLE:
        yield ("state", "durable"), "expected a URL that begins with sqlite:/// or postgresql://"


def _redis_faults(url: str) -> Iterator[str]:
    try:
        locate_redis(url)
    except ValueError as error:
        yield str(error)


def uncounted(config: Config) -> str | None:
    """Why the limits of this configuration cannot be kept with as many workers, if they cannot."""
    limited = config.limits or any(team.limits for team in config.teams.values())
    if config.server.workers == 1 or config.state.hot != "memory://" or not limited:
        return None
    return (
        f"{config.server.workers} workers that count each for itself cannot keep limits: name a Redis, such as "
        "redis://127.0.0.1:6379, or serve with one worker"
    )


def _workers(config: Config, _: Reading) -> Found:
    if (why := uncounted(config)) is not None:
        yield ("state", "hot"), why


def _transport(config: Config, _: Reading) -> Found:
    if config.transport.client not in _CLIENTS:
        hint = did_you_mean(config.transport.client, _CLIENTS)
        yield ("transport", "client"), f"expected {' or '.join(_CLIENTS)}{hint}"


CHECKS: tuple[Check, ...] = (
    _listen, _proxies, _secrets, _provider_names, *PROVIDER_CHECKS, _urls, _offered, _model_names, _targets, _choices,
    _fallbacks, _state, _workers, _transport, *LIMIT_CHECKS,
)  # fmt: skip
