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


class Api(Struct, frozen=True):
    """A wire format that a kind of provider serves, and where."""

    dialect: Dialect
    paths: dict[str, str]
    """What can be done there, to its path below the base URL; `{model}` and `{version}` are filled in. The keys are
    operations; `stream` and `stream:<framing>` are `generate` where streaming has a path of its own."""
    models: str | None = None
    """Models that are reached by it (a regular expression for the name's beginning); None: all."""
    forward: frozenset[bytes] = frozenset()
    """Client headers that belong to the dialect and pass on the identity path."""
    defaults: tuple[tuple[bytes, bytes], ...] = ()
    """Headers of the dialect that the identity path adds where the client sent none."""
    translated: Callable[[Request], Headers] | None = None
    """Headers of the dialect for a request that we wrote."""


class Kind(Struct, frozen=True):
    """`apis` in order of preference: a client's own dialect comes before all, then the first."""

    apis: tuple[Api, ...]
    sign: Sign
    prices: str
    """The provider's name in the price list, where the configuration says no other."""
    models: str | None = None
    """Names of models that can only mean this kind (a regular expression for their beginning)."""
    base_url: str | None = None
    """The public address, where there is one."""
    quirks: Quirks = Quirks()


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


def _chat(path: str) -> Api:
    return Api(openai_chat.DIALECT, {"generate": path}, forward=_OPENAI_HEADERS)


_MESSAGES = Api(
    anthropic.DIALECT,
    {"generate": "/v1/messages", "count_tokens": "/v1/messages/count_tokens"},
    forward=frozenset({b"anthropic-version", b"anthropic-beta"}),
    defaults=((b"anthropic-version", b"2023-06-01"),),
    translated=_anthropic_headers,
)

KINDS: dict[str, Kind] = {
    "openai": Kind(
        apis=(_chat("/chat/completions"),),
        base_url="https://api.openai.com/v1",
        sign=bearer,
        prices="openai",
        models=r"gpt-|chatgpt-|o[1-9]",
    ),
    "anthropic": Kind(
        apis=(_MESSAGES,),
        base_url="https://api.anthropic.com",
        sign=x_api_key,
        prices="anthropic",
        models=r"claude-",
    ),
    "azure": Kind(apis=(_chat("/openai/v1/chat/completions"),), sign=api_key, prices="azure"),
    "azure-classic": Kind(
        apis=(_chat("/openai/deployments/{model}/chat/completions?api-version={version}"),),
        sign=api_key,
        prices="azure",
    ),
    "openai-compatible": Kind(
        apis=(Api(openai_chat.DIALECT, {"generate": "/chat/completions"}),),
        sign=bearer,
        prices="unknown",
        quirks=Quirks(max_tokens_field="max_tokens", developer_role=False),
    ),
}
