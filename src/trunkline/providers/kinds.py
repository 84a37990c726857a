"""The kinds of provider, as rows: which dialect they speak, where, and how they want to be signed.

A new provider is a new row; a new wire format is a dialect. Facts: the providers' API references, November 2026.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct, structs

from trunkline.core.call import Headers
from trunkline.core.request import Request
from trunkline.dialects import anthropic, composed, gemini, openai_chat, openai_responses
from trunkline.dialects.anthropic import api_version
from trunkline.dialects.base import Dialect, Quirks
from trunkline.providers import prefill
from trunkline.providers.hosts import HOSTS, PLAIN, Host
from trunkline.providers.prefill import Prefill

Sign = Callable[[str], Headers]
"""An API key, or an access token, to the header fields that carry it."""

Account = Literal["none", "aws", "google", "entra"]
"""Whose accounts a kind knows besides API keys: their keys sign, or are exchanged for tokens that expire
(`edge/credentials`)."""


class Api(Struct, frozen=True):
    """A wire format that a kind of provider serves, and where."""

    dialect: Dialect
    paths: dict[str, str]
    """What can be done there, to its path below the base URL; `{model}` and `{version}` are filled in. The keys are
    operations; `stream` and `stream:<framing>` are `generate` where streaming has a path of its own, and
    `<operation>:<form>` is a variant of one: `embed:` with the name of a wire format (`dialects/embeddings`)."""
    thoughts: bool = False
    """A model's thoughts come and go back in it: preferred to the others for a model that thinks."""
    models: str | None = None
    """Models that are reached by it (a regular expression for the name's beginning); None: all."""
    forward: frozenset[bytes] = frozenset()
    """Client headers that belong to the dialect and pass on the identity path."""
    defaults: tuple[tuple[bytes, bytes], ...] = ()
    """Headers of the dialect that the identity path adds where the client sent none."""
    translated: Callable[[Request], Headers] | None = None
    """Headers of the dialect for a request that we wrote."""
    prefill: Prefill | None = None
    """How its models are told to take up their own words; None: they do not."""


class Kind(Struct, frozen=True):
    """`apis` in order of preference: a client's own dialect comes before all, then the first."""

    apis: tuple[Api, ...]
    sign: Sign
    prices: str
    """The provider's name in the price list, where the configuration says no other; `free` where nothing is paid."""
    account: Account = "none"
    needs_key: bool = True
    """A host without an API key is a mistake (where the kind knows no accounts either)."""
    models: str | None = None
    """Names of models that can only mean this kind (a regular expression for their beginning)."""
    base_url: str | None = None
    """The public address, where there is one: `{location}`, `{project}` and `{region}` are filled in."""
    quirks: Quirks = Quirks()


def bearer(key: str) -> Headers:
    """RFC 6750."""
    return [(b"authorization", b"Bearer " + key.encode())]


def x_api_key(key: str) -> Headers:
    return [(b"x-api-key", key.encode())]


def x_goog_api_key(key: str) -> Headers:
    return [(b"x-goog-api-key", key.encode())]


def api_key(key: str) -> Headers:
    """Azure's own, and what Claude on Foundry reads, as its SDK sends both."""
    return [(b"api-key", key.encode()), (b"x-api-key", key.encode())]


def _anthropic_headers(request: Request) -> Headers:
    sampling = request.temperature is not None or request.top_p is not None or request.top_k is not None
    headers = [(b"anthropic-version", api_version(sampling).encode())]
    if betas := request.aside.get("anthropic_beta"):  # of a body made for another host of the same models
        headers.append((b"anthropic-beta", ",".join(map(str, betas)).encode("ascii", "ignore")))
    return headers


_OPENAI_HEADERS = frozenset({b"openai-beta", b"x-client-request-id"})


_BESIDES_CHAT = {
    "embed:openai": "/embeddings",
    "moderate": "/moderations",
    "image": "/images/generations",
    "image:edits": "/images/edits",
    "image:variations": "/images/variations",
    "speech": "/audio/speech",
    "transcribe": "/audio/transcriptions",
    "transcribe:translations": "/audio/translations",
}
"""What hosts of OpenAI's API do besides chat, beside its path. One that cannot says so itself."""


def _beside(path: str) -> dict[str, str]:
    """All paths of a host, by that of its chat."""
    return {"generate": path} | {what: path.replace("/chat/completions", at) for what, at in _BESIDES_CHAT.items()}


def _chat(path: str, whole: bool = False) -> Api:
    """`whole`: the host has the rest of OpenAI's API too."""
    return Api(openai_chat.DIALECT, _beside(path) if whole else {"generate": path}, forward=_OPENAI_HEADERS)


def _azure(path: str) -> Api:
    """What OpenAI has and Azure has not is left out."""
    paths = {what: at for what, at in _beside(path).items() if what not in {"moderate", "image:variations"}}
    return Api(openai_chat.DIALECT, paths, forward=_OPENAI_HEADERS)


def _responses(path: str, query: str = "") -> Api:
    """`path`: of its folder; `query`: what follows the path."""
    paths = {"generate": f"{path}/responses{query}", "count_tokens": f"{path}/responses/input_tokens{query}"}
    return Api(openai_responses.DIALECT, paths, thoughts=True, forward=_OPENAI_HEADERS)


_MESSAGES = Api(
    anthropic.DIALECT,
    {"generate": "/v1/messages", "count_tokens": "/v1/messages/count_tokens"},
    forward=frozenset({b"anthropic-version", b"anthropic-beta"}),
    defaults=((b"anthropic-version", b"2023-06-01"),),
    translated=_anthropic_headers,
    prefill=prefill.PLAIN,
)

_ON_BEDROCK = r"([a-z-]+\.)?"
"""What may stand before a maker's name there: the regions of an inference profile."""

_INVOKING = frozenset(
    b"x-amzn-bedrock-" + name
    for name in (
        b"accept", b"trace", b"guardrailidentifier", b"guardrailversion", b"performanceconfig-latency",
        b"service-tier", b"request-metadata",
    )
)  # fmt: skip
"""What Converse has in its body."""

_BEDROCK = (
    structs.replace(
        _MESSAGES,
        paths={what: f"/anthropic{path}" for what, path in _MESSAGES.paths.items()},
        models=_ON_BEDROCK + r"anthropic\.claude-(?!v\d|instant|3)",
        translated=lambda request: [(b"anthropic-version", b"2023-06-01")],  # newer models alone know the newer one
    ),
    structs.replace(_chat("/openai/v1/chat/completions"), models=_ON_BEDROCK + r"openai\."),
    structs.replace(_responses("/openai/v1"), models=_ON_BEDROCK + r"openai\."),
    Api(
        composed.CONVERSE,
        {
            "generate": "/model/{model}/converse",
            "stream": "/model/{model}/converse-stream",
            "count_tokens": "/model/{model}/count-tokens",
        },
        thoughts=True,
        prefill=prefill.ON_BEDROCK,
    ),
    Api(
        composed.INVOKE,
        {"generate": "/model/{model}/invoke", "stream": "/model/{model}/invoke-with-response-stream"},
        thoughts=True,
        forward=_INVOKING,
        prefill=prefill.ON_BEDROCK,
    ),
)
"""Its own surfaces of Anthropic's and OpenAI's formats come first, for the models that have them: nothing is lost on
the way there. Converse has all models."""

_GEMINI_3 = Quirks(signed_calls=True, media_results=True, developer_role=False)
"""What Google's models of today want; those before Gemini 3 are told apart by their names."""


def _gemini(models: str) -> Api:
    """`models`: where the models are."""
    return Api(
        gemini.DIALECT,
        {
            "generate": f"{models}/{{model}}:generateContent",
            "stream": f"{models}/{{model}}:streamGenerateContent?alt=sse",
            f"stream:{gemini.ARRAY}": f"{models}/{{model}}:streamGenerateContent",
            "count_tokens": f"{models}/{{model}}:countTokens",
        },
        thoughts=True,
        prefill=prefill.PLAIN,
    )


_ON_VERTEX = "/v1/projects/{project}/locations/{location}"
_VERTEX_CLAUDE = f"{_ON_VERTEX}/publishers/anthropic/models"
_VERTEX = (
    structs.replace(_gemini(f"{_ON_VERTEX}/publishers/google/models"), models=r"(?!claude-)[^/]+$"),
    Api(
        composed.VERTEX_CLAUDE,
        {
            "generate": f"{_VERTEX_CLAUDE}/{{model}}:rawPredict",
            "stream": f"{_VERTEX_CLAUDE}/{{model}}:streamRawPredict",
        },
        models=r"claude-",
        forward=frozenset({b"anthropic-beta"}),
        prefill=prefill.PLAIN,
    ),
    Api(
        composed.VERTEX_CLAUDE_COUNT,
        {"count_tokens": f"{_VERTEX_CLAUDE}/count-tokens:rawPredict"},
        models=r"claude-",
        forward=frozenset({b"anthropic-beta"}),
    ),
    structs.replace(_chat(f"{_ON_VERTEX}/endpoints/openapi/chat/completions"), models=r".+/"),
)
"""Google's own models, Claude, and by OpenAI's format those of others, whose names are `publisher/model`."""

_COMPATIBLE = Api(openai_chat.DIALECT, _beside("/chat/completions"))

_NO_CLAUDE = r"(?!claude-)"
_FOUNDRY = (
    structs.replace(
        _MESSAGES,
        paths={what: f"/anthropic{path}" for what, path in _MESSAGES.paths.items()},
        models=r"claude-",
    ),
)
"""Claude on Azure speaks its maker's format. A deployment whose name does not say so needs a `base_model`."""
_INFERENCE = Api(
    openai_chat.DIALECT,
    {
        "generate": "/models/chat/completions?api-version={version}",
        "embed:openai": "/models/embeddings?api-version={version}",
    },
    models=_NO_CLAUDE,
)
"""Azure's dated API for models of every maker."""


def _completions(path: str, models: str | None = None) -> Api:
    return Api(composed.COMPLETIONS, {"complete": path}, models=models, forward=_OPENAI_HEADERS)


_COMPLETING = r"gpt-3\.5-turbo-instruct|babbage-|davinci-"
"""Models that OpenAI and Azure still serve by the legacy API; all others chat."""


def _embeddings(models: str, path: str, **forms: str) -> Api:
    """`forms`: wire formats (underscores for hyphens) to what follows the model's name."""
    dialect = composed.CONVERSE if path.startswith("/model/") else gemini.DIALECT
    paths = {f"embed:{form.replace('_', '-')}": f"{path}{{model}}{end}" for form, end in forms.items()}
    return Api(dialect, paths, models=models)


_GOOGLES = _ON_VERTEX + "/publishers/google/models/"
_VERTEX_EMBEDDINGS = (
    _embeddings(r"gemini-", _GOOGLES, vertex_batch=":batchEmbedContents", vertex=":embedContent", predict=":predict"),
    _embeddings(r"(?!gemini-|claude-)[^/]+$", _GOOGLES, predict=":predict"),
)
_STUDIO_EMBEDDINGS = _embeddings("", "/v1beta/models/", gemini_batch=":batchEmbedContents", gemini=":embedContent")
_BEDROCK_EMBEDDINGS = (
    _embeddings(_ON_BEDROCK + r"amazon\.titan-embed", "/model/", titan="/invoke"),
    _embeddings(_ON_BEDROCK + r"amazon\.nova-2-multimodal-embeddings", "/model/", nova="/invoke"),
    _embeddings(_ON_BEDROCK + r"cohere\.embed", "/model/", cohere="/invoke"),
)


def _apis(name: str, host: Host) -> tuple[Api, ...]:
    more = (
        (host.completes, _completions("/completions")),
        (host.responds, Api(openai_responses.DIALECT, {"generate": "/responses"}, forward=_OPENAI_HEADERS)),
    )
    chat = structs.replace(_COMPATIBLE, prefill=prefill.HOSTS.get(name))
    return (chat, *(api for has, api in more if has))


KINDS: dict[str, Kind] = {
    "openai": Kind(
        apis=(_chat("/chat/completions", whole=True), _responses(""), _completions("/completions", _COMPLETING)),
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
    "gemini": Kind(
        apis=(_gemini("/v1beta/models"), _STUDIO_EMBEDDINGS),
        base_url="https://generativelanguage.googleapis.com",
        sign=x_goog_api_key,
        prices="google",
        models=r"gemini-",
        quirks=_GEMINI_3,
    ),
    "vertex": Kind(
        apis=(*_VERTEX, *_VERTEX_EMBEDDINGS),
        base_url="https://{location}-aiplatform.googleapis.com",
        sign=bearer,
        prices="google",
        account="google",
        quirks=structs.replace(_GEMINI_3, counts_whole=False),
    ),
    "bedrock": Kind(
        apis=(*_BEDROCK, *_BEDROCK_EMBEDDINGS),
        base_url="https://bedrock-runtime.{region}.amazonaws.com",
        sign=bearer,
        prices="aws",
        account="aws",
    ),
    "azure": Kind(
        apis=(
            *_FOUNDRY,
            structs.replace(_azure("/openai/v1/chat/completions"), models=_NO_CLAUDE),
            structs.replace(_responses("/openai/v1"), models=_NO_CLAUDE),
            _completions("/openai/v1/completions", _COMPLETING),
        ),
        sign=api_key,
        prices="azure",
        account="entra",
    ),
    "azure-classic": Kind(
        apis=(
            *_FOUNDRY,
            structs.replace(
                _azure("/openai/deployments/{model}/chat/completions?api-version={version}"),
                models=_NO_CLAUDE,
            ),
            structs.replace(_responses("/openai", "?api-version={version}"), models=_NO_CLAUDE),
            _completions("/openai/deployments/{model}/completions?api-version={version}", _COMPLETING),
        ),
        sign=api_key,
        prices="azure",
        account="entra",
    ),
    "azure-inference": Kind(apis=(*_FOUNDRY, _INFERENCE), sign=api_key, prices="azure", account="entra", quirks=PLAIN),
    "openai-compatible": Kind(
        apis=(_COMPATIBLE, _completions("/completions")),
        sign=bearer,
        prices="unknown",
        needs_key=False,
        quirks=PLAIN,
    ),
    **{
        name: Kind(
            apis=_apis(name, host),
            base_url=host.base_url,
            sign=bearer,
            prices=host.prices,
            needs_key=host.needs_key,
            quirks=host.quirks,
        )
        for name, host in HOSTS.items()
    },
}
