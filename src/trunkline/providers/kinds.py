"""The kinds of provider, as rows: which dialect they speak, where, and how they want to be signed.

A new provider is a new row; a new wire format is a dialect. Facts: the providers' API references, November 2026.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from trunkline.core.call import Headers
from trunkline.core.request import Request
from trunkline.dialects import anthropic, openai_chat
from trunkline.dialects.anthropic import api_version
from trunkline.dialects.base import Dialect, Quirks
from trunkline.providers.settings import ProviderSettings

Sign = Callable[[ProviderSettings], Headers]


class Kind(Struct, frozen=True):
    dialect: Dialect
    paths: dict[str, str]
    """Operation to path below the base URL; `{model}` and `{version}` are filled in."""
    sign: Sign
    prices: str
    """The provider's name in the price list, where the configuration says no other."""
    models: str | None = None
    """Names of models that can only mean this kind (a regular expression for their beginning)."""
    base_url: str | None = None
    """The public address, where there is one."""
    quirks: Quirks = Quirks()
    forward: frozenset[bytes] = frozenset()
    """Client headers that belong to the dialect and pass on the identity path."""
    defaults: tuple[tuple[bytes, bytes], ...] = ()
    """Headers of the dialect that the identity path adds where the client sent none."""
    translated: Callable[[Request], Headers] | None = None
    """Headers of the dialect for a request that we wrote."""


def bearer(settings: ProviderSettings) -> Headers:
    """RFC 6750; OpenAI adds whom to bill."""
    headers: Headers = []
    if settings.api_key:
        headers.append((b"authorization", b"Bearer " + settings.api_key.reveal().encode()))
    for name, value in ((b"openai-organization", settings.organization), (b"openai-project", settings.project)):
        if value:
            headers.append((name, value.encode()))
    return headers


def x_api_key(settings: ProviderSettings) -> Headers:
    return [(b"x-api-key", settings.api_key.reveal().encode())] if settings.api_key else []


def api_key(settings: ProviderSettings) -> Headers:
    return [(b"api-key", settings.api_key.reveal().encode())] if settings.api_key else []


def _anthropic_headers(request: Request) -> Headers:
    sampling = request.temperature is not None or request.top_p is not None or request.top_k is not None
    return [(b"anthropic-version", api_version(sampling).encode())]


_OPENAI_HEADERS = frozenset({b"openai-beta", b"x-client-request-id"})

KINDS: dict[str, Kind] = {
    "openai": Kind(
        dialect=openai_chat.DIALECT,
        base_url="https://api.openai.com/v1",
        paths={"generate": "/chat/completions"},
        sign=bearer,
        prices="openai",
        models=r"gpt-|chatgpt-|o[1-9]",
        forward=_OPENAI_HEADERS,
    ),
    "anthropic": Kind(
        dialect=anthropic.DIALECT,
        base_url="https://api.anthropic.com",
        paths={"generate": "/v1/messages", "count_tokens": "/v1/messages/count_tokens"},
        sign=x_api_key,
        prices="anthropic",
        models=r"claude-",
        forward=frozenset({b"anthropic-version", b"anthropic-beta"}),
        defaults=((b"anthropic-version", b"2023-06-01"),),
        translated=_anthropic_headers,
    ),
    "azure": Kind(
        dialect=openai_chat.DIALECT,
        paths={"generate": "/openai/v1/chat/completions"},
        sign=api_key,
        prices="azure",
        forward=_OPENAI_HEADERS,
    ),
    "azure-classic": Kind(
        dialect=openai_chat.DIALECT,
        paths={"generate": "/openai/deployments/{model}/chat/completions?api-version={version}"},
        sign=api_key,
        prices="azure",
        forward=_OPENAI_HEADERS,
    ),
    "openai-compatible": Kind(
        dialect=openai_chat.DIALECT,
        paths={"generate": "/chat/completions"},
        sign=bearer,
        prices="unknown",
        quirks=Quirks(max_tokens_field="max_tokens", developer_role=False),
    ),
}
