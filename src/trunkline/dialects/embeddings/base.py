"""What every wire format of embeddings provides, and what they share.

A format is smaller than a dialect: one body in, one body out, no streams. Which formats a surface speaks is its
`form`; which a provider speaks are the names behind `embed:` among its paths. Errors are the dialect's, not ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from operator import attrgetter
from typing import Any, Protocol

import msgspec

from trunkline.core.call import Headers, Peek
from trunkline.core.embedding import Embeddings, EmbedRequest, Item, Truncate
from trunkline.core.errors import BadRequest, UpstreamProtocol

MAX_TEXTS = 2048
"""Texts of one request: what OpenAI takes, and the bound of what one call may make us ask elsewhere."""
MAX_DIMENSIONS = 65_536

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Format(Protocol):
    """The methods with a body are what most formats do."""

    name: str

    def limit(self, model: str) -> int:
        """How many texts one request may hold."""
        return 1

    def patch(self, body: bytes, model: str) -> bytes:
        """The client's body for a target that speaks this format too."""
        return body

    def read_request(self, body: bytes) -> EmbedRequest:
        """Raises BadRequest naming the field, also for what is no text: that needs a target of the same format."""
        ...

    def write_request(self, request: EmbedRequest, model: str, lost: list[str]) -> bytes:
        """Appends to `lost` the client's path of whatever cannot be said."""
        ...

    def read_answer(self, body: bytes, headers: Headers) -> Embeddings:
        """Raises UpstreamProtocol."""
        ...

    def write_answer(self, answer: Embeddings, request: EmbedRequest, peek: Peek) -> bytes: ...

    def tokens(self, body: bytes, headers: Headers) -> int | None:
        """What an answer says was used, for the identity path; None where it says nothing or cannot be read."""
        ...

    def answer_headers(self, answer: Embeddings) -> Headers:
        """What the format says in header fields."""
        return []


def batches(items: Iterable[Item], limit: int) -> Iterator[list[Item]]:
    """The texts in runs of at most `limit`, in order, each run for one purpose: some formats say it once for all."""
    for _, run in groupby(items, key=attrgetter("purpose")):
        while batch := list(islice(run, limit)):
            yield batch


def lose(request: EmbedRequest, lost: list[str], *attributes: str) -> None:
    """Report which of these the client said."""
    lost += [request.said[name] for name in attributes if name in request.said]


def lose_of_items(request: EmbedRequest, lost: list[str], *attributes: str) -> None:
    """As `lose`, for what may be said of each text apart."""
    for name in attributes:
        if any(getattr(item, name) is not None for item in request.items):
            lost.append(request.said.get(name, name))


def lose_truncation(request: EmbedRequest, lost: list[str], *known: Truncate) -> None:
    """Report a way of cutting long texts that is none of those which the target knows."""
    if request.truncate is not None and request.truncate not in known:
        lose(request, lost, "truncate")


def checked(request: EmbedRequest, at: str) -> EmbedRequest:
    """The request, if its size is within bounds. `at`: where its texts are. Raises BadRequest."""
    if not request.items:
        raise BadRequest(f"{at} must hold at least one text.", param=at)
    if len(request.items) > MAX_TEXTS:
        raise BadRequest(f"{at} must hold at most {MAX_TEXTS} texts, not {len(request.items)}.", param=at)
    dimensions = request.dimensions
    if dimensions is not None and not 1 <= dimensions <= MAX_DIMENSIONS:
        path = request.said.get("dimensions", "dimensions")
        raise BadRequest(f"{path} must be between 1 and {MAX_DIMENSIONS}.", param=path)
    return request


def said(request: EmbedRequest, **paths: str) -> EmbedRequest:
    """Note the path of each attribute that the client has set, or has set for one of the texts."""
    for name, path in paths.items():
        held = getattr(request, name) if hasattr(request, name) else _of_items(request, name)
        if held is not None:
            request.said[name] = path
    return request


def _of_items(request: EmbedRequest, name: str) -> Any:
    return next((found for item in request.items if (found := getattr(item, name)) is not None), None)


def read_json(body: bytes, kind: type[Any]) -> Any:
    """An upstream's answer as this type. Raises UpstreamProtocol."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamProtocol(f"The upstream's embeddings could not be read: {error}.") from error


def peeked(body: bytes, kind: type[Any]) -> Any:
    """As `read_json`, None where it cannot be read: the bytes pass all the same."""
    try:
        return read_json(body, kind)
    except UpstreamProtocol:
        return None


def count_header(headers: Headers) -> int | None:
    """Bedrock counts in a header field where the model's own format has no place for it."""
    for name, value in headers:
        if name == b"x-amzn-bedrock-input-token-count" and value.isdigit():
            return int(value)
    return None
