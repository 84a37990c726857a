"""The endpoints that take calls: a path, the dialect spoken there, and the operation.

Most paths are looked up as they are. Those that name a model, as Google's, Amazon's and Azure's do, are patterns:
tried only once nothing else is found at the path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from trunkline.core.call import Addressed, Operation
from trunkline.dialects import anthropic, composed, gemini, openai_chat, openai_responses
from trunkline.dialects.base import Dialect

MAX_PATH = 2048
"""Characters of a path that patterns are tried on."""


class Surface(Struct, frozen=True):
    """`path` may hold `{model}` and `{id}`, which the call gets to know, and other names in braces, which stand for
    one segment each."""

    path: str
    dialect: Dialect
    operation: Operation = "generate"
    stream: bool = False
    """The path alone says that the answer shall be a stream."""
    method: str = "POST"
    form: str = ""
    """Which variant of the operation it is, where there are several: for embeddings the wire format's name."""
    default: str = ""
    """The model that is meant where the body names none."""
    multipart: bool = False
    """A form with files (RFC 7578) is taken too."""
    socket: bool = False
    """A WebSocket is taken too, whose messages are calls."""
    embeds: bool = False
    """Where the body is one of an embedding model, the call is for `embed`, in that model's format."""


def _openai(base: str) -> tuple[Surface, ...]:
    """What OpenAI's API does besides chat, below the paths of OpenAI, Azure's v1 and Azure's deployments."""
    dialect = openai_chat.DIALECT
    return (
        Surface(f"{base}/completions", composed.COMPLETIONS, "complete"),
        Surface(f"{base}/embeddings", dialect, "embed", form="openai"),
        Surface(f"{base}/moderations", dialect, "moderate", default="omni-moderation-latest"),
        Surface(f"{base}/images/generations", dialect, "image", default="dall-e-2"),
        Surface(f"{base}/images/edits", dialect, "image", form="edits", default="gpt-image-1", multipart=True),
        Surface(f"{base}/images/variations", dialect, "image", form="variations", default="dall-e-2", multipart=True),
        Surface(f"{base}/audio/speech", dialect, "speech"),
        Surface(f"{base}/audio/transcriptions", dialect, "transcribe", multipart=True),
        Surface(f"{base}/audio/translations", dialect, "transcribe", form="translations", multipart=True),
    )


def _azure() -> Iterator[Surface]:
    """Azure's dated APIs: a deployment is in the path, or a model of any maker in the body."""
    yield Surface("/openai/deployments/{model}/chat/completions", openai_chat.DIALECT)
    yield from _openai("/openai/deployments/{model}")
    yield from _responses("/openai/responses")
    yield Surface("/models/chat/completions", openai_chat.DIALECT)
    yield Surface("/models/embeddings", openai_chat.DIALECT, "embed", form="openai")


def _responses(base: str) -> tuple[Surface, ...]:
    """OpenAI's Responses, and the life of one that is remembered."""
    dialect, one = openai_responses.DIALECT, f"{base}/{{id}}"
    return (
        Surface(base, dialect, socket=True),
        Surface(f"{base}/input_tokens", dialect, "count_tokens"),
        Surface(one, dialect, "response", method="GET"),
        Surface(one, dialect, "response", method="DELETE", form="delete"),
        Surface(f"{one}/cancel", dialect, "response", form="cancel"),
        Surface(f"{one}/input_items", dialect, "response", method="GET", form="input_items"),
    )


def _bedrock(model: str) -> tuple[Surface, ...]:
    """Amazon's paths below that of a model."""
    return (
        Surface(f"{model}/converse", composed.CONVERSE),
        Surface(f"{model}/converse-stream", composed.CONVERSE, stream=True),
        Surface(f"{model}/count-tokens", composed.CONVERSE, "count_tokens"),
        Surface(f"{model}/invoke", composed.INVOKE, embeds=True),
        Surface(f"{model}/invoke-with-response-stream", composed.INVOKE, stream=True),
    )


_IN_PROJECT = "projects/{project}/locations/{location}"


def _gemini_embeddings() -> Iterator[Surface]:
    """Google's paths for embeddings: AI Studio's, and Vertex's, which has an older way besides."""
    for version in ("/v1", "/v1beta"):
        model = version + "/models/{model}"
        yield Surface(f"{model}:embedContent", gemini.DIALECT, "embed", form="gemini")
        yield Surface(f"{model}:batchEmbedContents", gemini.DIALECT, "embed", form="gemini-batch")
    for version in ("/v1", "/v1beta1"):
        for where in ("", f"/{_IN_PROJECT}"):
            model = f"{version}{where}/publishers/{{publisher}}/models/{{model}}"
            yield Surface(f"{model}:embedContent", gemini.DIALECT, "embed", form="vertex")
            yield Surface(f"{model}:batchEmbedContents", gemini.DIALECT, "embed", form="vertex-batch")
            yield Surface(f"{model}:predict", gemini.DIALECT, "embed", form="predict")


def _gemini(models: str) -> tuple[Surface, ...]:
    """Google's paths below those of the models."""
    return (
        Surface(f"{models}/{{model}}:generateContent", gemini.DIALECT),
        Surface(f"{models}/{{model}}:streamGenerateContent", gemini.DIALECT, stream=True),
        Surface(f"{models}/{{model}}:countTokens", gemini.DIALECT, "count_tokens"),
    )


def _claude(models: str) -> tuple[Surface, ...]:
    """Claude's paths on Vertex AI."""
    return (
        Surface(f"{models}/count-tokens:rawPredict", composed.VERTEX_CLAUDE_COUNT, "count_tokens"),
        Surface(f"{models}/{{model}}:rawPredict", composed.VERTEX_CLAUDE),
        Surface(f"{models}/{{model}}:streamRawPredict", composed.VERTEX_CLAUDE, stream=True),
    )


SURFACES: tuple[Surface, ...] = (
    Surface("/v1/chat/completions", openai_chat.DIALECT),
    Surface("/openai/v1/chat/completions", openai_chat.DIALECT),
    *_responses("/v1/responses"),
    *_responses("/openai/v1/responses"),
    Surface("/v1/messages", anthropic.DIALECT),
    Surface("/v1/messages/count_tokens", anthropic.DIALECT, "count_tokens"),
    Surface("/anthropic/v1/messages", anthropic.DIALECT),
    Surface("/anthropic/v1/messages/count_tokens", anthropic.DIALECT, "count_tokens"),
    *_openai("/v1"),
    *_openai("/openai/v1"),
    *_azure(),
    *_bedrock("/model/{model}"),
    *_gemini("/v1beta/models"),
    *_gemini("/v1/models"),
    *_claude(f"/v1/{_IN_PROJECT}/publishers/anthropic/models"),
    *_gemini(f"/v1beta1/{_IN_PROJECT}/publishers/{{publisher}}/models"),
    *_gemini(f"/v1/{_IN_PROJECT}/publishers/{{publisher}}/models"),
    *_gemini("/v1beta1/publishers/{publisher}/models"),
    *_gemini("/v1/publishers/{publisher}/models"),
    *_gemini_embeddings(),
)

GOOGLE = "google"
"""The publisher of Google's own models on Vertex AI."""
_SSE = re.compile(rb"(?:^|&)(?:%24|\$)?alt=sse(?:&|$)")
"""Google streams an array unless it is asked for events."""
_BLANK = re.compile(r"\{(\w+)\}")


class _Pattern(Struct, frozen=True):
    matches: re.Pattern[str]
    surface: Surface


def _pattern(surface: Surface) -> _Pattern:
    """A model's name may hold slashes: it goes as far as what follows lets it."""
    text = "".join(
        (f"(?P<{piece}>.+)" if piece == "model" else f"(?P<{piece}>[^/]+)") if number % 2 else re.escape(piece)
        for number, piece in enumerate(_BLANK.split(surface.path))
    )
    return _Pattern(re.compile(text), surface)


def _ending(path: str) -> str:
    """The verb of a path: `:generateContent`, `/converse`; "" where a blank is at the end."""
    ending = path[max(path.rfind("/"), path.rfind(":")) :]
    return "" if "{" in ending else ending


FIXED = {surface.path: surface for surface in SURFACES if "{" not in surface.path}
"""By path, those that name no model."""
_PATTERNS: dict[str, list[_Pattern]] = {}
"""By what a path ends with, so that few are tried: there are dozens."""
for _surface in SURFACES:
    if "{" in _surface.path:
        _PATTERNS.setdefault(_ending(_surface.path), []).append(_pattern(_surface))


def fixed(path: str) -> Surface | None:
    """The surface at just this path."""
    return FIXED.get(path)


def find(path: str, method: str, query: bytes) -> tuple[Surface, Addressed] | None:
    """The surface whose pattern this path fits, and what the path says. Several surfaces may share a path: that of
    the method is found, or any."""
    if len(path) > MAX_PATH:
        return None
    found = None
    for pattern in _PATTERNS.get(_ending(path), ()) or _PATTERNS.get("", ()):
        matched = pattern.matches.fullmatch(path)
        if matched is None:
            continue
        surface, said = pattern.surface, matched.groupdict()
        found = surface, _addressed(surface, said, query)
        if surface.method == method:
            return found
    return found


def _addressed(surface: Surface, said: dict[str, str], query: bytes) -> Addressed:
    model, publisher = said.get("model", ""), said.get("publisher", GOOGLE)
    if publisher != GOOGLE:
        model = f"{publisher}/{model}"  # what Google's SDK makes of a name with a slash: it may be one of ours
    framing = gemini.ARRAY if surface.stream and surface.dialect is gemini.DIALECT and not _SSE.search(query) else ""
    return Addressed(model, surface.stream, framing, said.get("id", ""))
