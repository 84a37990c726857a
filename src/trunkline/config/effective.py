"""The configuration as it stands, defaults filled in: what `trunkline check` prints. Credentials are masked."""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.config.schema import Config
from trunkline.core.secret import MASK, Dsn, Secret


def effective(config: Config) -> str:
    """The whole configuration as YAML, credentials masked, defaults filled in; of providers, what is set."""
    import yaml

    return yaml.safe_dump(masked(config), sort_keys=False, allow_unicode=True, width=120)


def masked(config: Config) -> Any:
    """The whole configuration as plain dicts, lists and scalars, credentials masked."""
    shown = _without_arguments(msgspec.to_builtins(config, enc_hook=_mask))
    return shown | {"providers": {name: _set(provider) for name, provider in shown["providers"].items()}}


def _set(provider: dict[str, Any]) -> dict[str, Any]:
    """What is said of a provider, its kind first: two thirds of the fields mean something to one kind alone."""
    said = {
        name: [_set(each) for each in value] if name == "credentials" else value
        for name, value in provider.items()
        if value not in (None, False, [], {})
    }
    return {name: said[name] for name in sorted(said, key=lambda name: name != "kind")}


def _without_arguments(value: Any) -> Any:
    """The same, without the arguments of commands, which may hold secrets of their own."""
    match value:
        case {"command": [program, *rest], "ttl": ttl}:
            return {"command": [program, *(MASK for _ in rest)], "ttl": ttl}
        case dict():
            return {name: _without_arguments(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_without_arguments(inner) for inner in value]
    return value


def _mask(value: object) -> str:
    match value:
        case Secret():
            return MASK
        case Dsn():
            return value.masked()
        case _:
            raise NotImplementedError(f"no way to write a {type(value).__name__}")
