"""Without a file: the providers whose usual environment variables are set, as their own SDKs read them.

The result is the tree that a file would have given, so that every check applies. It serves this machine alone, without
keys: the first call of a newcomer works, and nobody else's does.
"""

from __future__ import annotations

from collections.abc import Mapping

from trunkline.config.tree import Mapped, Scalar, Tree

PROVIDERS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "openai": (
        ("OPENAI_API_KEY",),
        {
            "api_key": "OPENAI_API_KEY",
            "base_url": "OPENAI_BASE_URL",
            "organization": "OPENAI_ORG_ID",
            "project": "OPENAI_PROJECT_ID",
        },
    ),
    "anthropic": (
        ("ANTHROPIC_API_KEY",),
        {"api_key": "ANTHROPIC_API_KEY", "base_url": "ANTHROPIC_BASE_URL"},
    ),
    "azure": (
        ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT"),
        {
            "api_key": "AZURE_OPENAI_API_KEY",
            "endpoint": "AZURE_OPENAI_ENDPOINT",
            "api_version": "OPENAI_API_VERSION",
        },
    ),
}
"""Provider (its kind has the same name): the variables that it needs, and the variable of each field."""


def environment_tree(environ: Mapping[str, str]) -> Mapped:
    """What a file would say, were it written from these variables. Empty variables count as unset."""
    providers: dict[str, Tree] = {}
    for name, (needed, fields) in PROVIDERS.items():
        if all(environ.get(variable) for variable in needed):
            values = {field: _scalar(environ, variable) for field, variable in fields.items() if environ.get(variable)}
            providers[name] = _mapped({"kind": Scalar(text=name, raw=name, line=0), **values})
    return _mapped({"auth": Scalar(text="open", raw="open", line=0), "providers": _mapped(providers)})


def _mapped(items: Mapping[str, Tree]) -> Mapped:
    return Mapped(line=0, items=dict(items), lines=dict.fromkeys(items, 0))


def _scalar(environ: Mapping[str, str], variable: str) -> Scalar:
    return Scalar(text=environ[variable], raw=f"${{{variable}}}", line=0)
