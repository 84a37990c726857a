"""Without a file: the providers whose usual environment variables are set, as their own SDKs read them.

The result is the tree that a file would have given, so that every check applies. It serves this machine alone, without
keys: the first call of a newcomer works, and nobody else's does.
"""

from __future__ import annotations

from collections.abc import Mapping

from trunkline.config.tree import Mapped, Scalar, Tree
from trunkline.providers.hosts import HOSTS

Variables = tuple[str, ...]
"""Names for one thing, the first that is set counts."""

_AZURE_FIELDS: dict[str, Variables] = {
    "endpoint": ("AZURE_OPENAI_ENDPOINT",),
    "api_version": ("OPENAI_API_VERSION",),
}
_AWS_REGION = ("AWS_REGION", "AWS_DEFAULT_REGION")
_GOOGLE_PROJECT = ("GOOGLE_CLOUD_PROJECT",)

PROVIDERS: tuple[tuple[str, tuple[Variables, ...], dict[str, Variables]], ...] = (
    (
        "openai",
        (("OPENAI_API_KEY",),),
        {
            "api_key": ("OPENAI_API_KEY",),
            "base_url": ("OPENAI_BASE_URL",),
            "organization": ("OPENAI_ORG_ID",),
            "project": ("OPENAI_PROJECT_ID",),
        },
    ),
    (
        "anthropic",
        (("ANTHROPIC_API_KEY",),),
        {"api_key": ("ANTHROPIC_API_KEY",), "base_url": ("ANTHROPIC_BASE_URL",)},
    ),
    (
        "gemini",
        (("GOOGLE_API_KEY", "GEMINI_API_KEY"),),
        {"api_key": ("GOOGLE_API_KEY", "GEMINI_API_KEY"), "base_url": ("GOOGLE_GEMINI_BASE_URL",)},
    ),
    (
        "vertex",
        (_GOOGLE_PROJECT, ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_GENAI_USE_VERTEXAI")),
        {"project": _GOOGLE_PROJECT, "location": ("GOOGLE_CLOUD_LOCATION",), "base_url": ("GOOGLE_VERTEX_BASE_URL",)},
    ),
    (
        "bedrock",
        (
            _AWS_REGION,
            (
                "AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE",
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            ),
        ),
        {
            "region": _AWS_REGION,
            "api_key": ("AWS_BEARER_TOKEN_BEDROCK",),
            "base_url": ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME",),
        },
    ),
    (
        "azure",
        (("AZURE_OPENAI_ENDPOINT",), ("AZURE_OPENAI_API_KEY",)),
        {"api_key": ("AZURE_OPENAI_API_KEY",), **_AZURE_FIELDS},
    ),
    (
        "azure",
        (("AZURE_OPENAI_ENDPOINT",), ("AZURE_TENANT_ID",), ("AZURE_CLIENT_ID",), ("AZURE_CLIENT_SECRET",)),
        {
            "tenant_id": ("AZURE_TENANT_ID",),
            "client_id": ("AZURE_CLIENT_ID",),
            "client_secret": ("AZURE_CLIENT_SECRET",),
            **_AZURE_FIELDS,
        },
    ),
    *((name, (host.variables,), {"api_key": host.variables}) for name, host in HOSTS.items() if host.variables),
)  # fmt: skip
"""Provider (its kind has the same name), the variables that it needs, and the variables of each field. Of two rows of
one name the first that has what it needs counts. AWS's and Google's own chains (`edge/credentials`) read the rest."""


def environment_tree(environ: Mapping[str, str]) -> Mapped:
    """What a file would say, were it written from these variables. Empty variables count as unset."""
    providers: dict[str, Tree] = {}
    for name, needed, fields in PROVIDERS:
        if name not in providers and all(_set(environ, variables) for variables in needed):
            found = {field: _set(environ, variables) for field, variables in fields.items()}
            values = {field: _scalar(environ, variable) for field, variable in found.items() if variable}
            providers[name] = _mapped({"kind": Scalar(text=name, raw=name, line=0), **values})
    return _mapped({"auth": Scalar(text="open", raw="open", line=0), "providers": _mapped(providers)})


def _set(environ: Mapping[str, str], variables: Variables) -> str | None:
    return next((variable for variable in variables if environ.get(variable)), None)


def _mapped(items: Mapping[str, Tree]) -> Mapped:
    return Mapped(line=0, items=dict(items), lines=dict.fromkeys(items, 0))


def _scalar(environ: Mapping[str, str], variable: str) -> Scalar:
    return Scalar(text=environ[variable], raw=f"${{{variable}}}", line=0)
