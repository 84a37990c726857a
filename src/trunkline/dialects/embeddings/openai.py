"""OpenAI's `/v1/embeddings`: also that of Azure, Mistral, Voyage, Cohere's compatible endpoint and most other hosts."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from trunkline.core.call import Headers, Peek
from trunkline.core.embedding import Embeddings, EmbedRequest, Item
from trunkline.core.errors import BadRequest, UpstreamProtocol
from trunkline.dialects.embeddings.base import (
    MAX_TEXTS,
    Format,
    checked,
    encode,
    lose,
    lose_of_items,
    lose_truncation,
    peeked,
    read_json,
    said,
)
from trunkline.dialects.embeddings.purposes import read_purpose
from trunkline.dialects.embeddings.vectors import from_base64, to_base64
from trunkline.dialects.fields import Fields, decode_object, wrong
from trunkline.dialects.renamed import renamed

_ENCODINGS = {None: False, "float": False, "base64": True}


class _Row(Struct):
    embedding: list[float] | str
    index: int | None = None


class _Usage(Struct):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


class _Answer(Struct):
    data: list[_Row]
    model: str | None = None
    usage: _Usage | None = None


class _Told(Struct):
    usage: _Usage | None = None


class OpenAI(Format):
    name = "openai"

    def limit(self, model: str) -> int:
        return MAX_TEXTS

    def patch(self, body: bytes, model: str) -> bytes:
        return renamed(body, model)

    def read_request(self, body: bytes) -> EmbedRequest:
        fields = Fields(decode_object(body))
        fields.any("model")
        purpose = read_purpose(fields.any("input_type"), "input_type")
        items = [Item(text, at, purpose) for text, at in _texts(fields.any("input"))]
        encoding = fields.get("encoding_format", str)
        if encoding not in _ENCODINGS:
            raise BadRequest("encoding_format must be float or base64.", param="encoding_format")
        request = EmbedRequest(
            items,
            dimensions=fields.get("dimensions", int),
            user=fields.get("user", str),
            base64=_ENCODINGS[encoding],
            extra=list(fields.rest() or ()),
        )
        return checked(said(request, dimensions="dimensions", user="user", purpose="input_type"), "input")

    def write_request(self, request: EmbedRequest, model: str, lost: list[str]) -> bytes:
        """`float` is asked for: the one encoding that every compatible host has."""
        lose(request, lost, "normalize")
        lose_truncation(request, lost, "none")
        lose_of_items(request, lost, "purpose", "title")
        lost += request.extra
        body: dict[str, Any] = {"model": model, "input": [item.text for item in request.items]}
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        if request.user is not None:
            body["user"] = request.user
        body["encoding_format"] = "float"
        return encode(body)

    def read_answer(self, body: bytes, headers: Headers) -> Embeddings:
        answer = read_json(body, _Answer)
        rows = sorted(enumerate(answer.data), key=lambda row: row[0] if row[1].index is None else row[1].index)
        try:
            vectors = [_numbers(row.embedding) for _, row in rows]
        except ValueError as error:
            raise UpstreamProtocol("The upstream's embeddings are not valid base64 of float32.") from error
        return Embeddings(vectors, _count(answer.usage), answer.model or "")

    def write_answer(self, answer: Embeddings, request: EmbedRequest, peek: Peek) -> bytes:
        data = [
            {"object": "embedding", "index": index, "embedding": to_base64(vector) if request.base64 else vector}
            for index, vector in enumerate(answer.vectors)
        ]
        tokens = answer.tokens or 0
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return encode({"object": "list", "data": data, "model": answer.model or peek.model, "usage": usage})

    def tokens(self, body: bytes, headers: Headers) -> int | None:
        told = peeked(body, _Told)
        return _count(told.usage) if told is not None else None


def _texts(value: Any) -> list[tuple[str, str]]:
    """The texts of `input`, each with its path. Raises BadRequest."""
    if isinstance(value, str):
        return [(value, "input")]
    if not isinstance(value, list):
        raise wrong("input", "a string or an array of strings", value)
    found = []
    for index, item in enumerate(value):
        if isinstance(item, int | list):
            raise BadRequest(
                "input holds token ids, which only models of OpenAI's family can read: send the text itself, or choose "
                "such a model.",
                param="input",
            )
        if not isinstance(item, str):
            raise wrong(f"input[{index}]", "a string", item)
        found.append((item, f"input[{index}]"))
    return found


def _numbers(embedding: list[float] | str) -> list[float]:
    return from_base64(embedding) if isinstance(embedding, str) else embedding


def _count(usage: _Usage | None) -> int | None:
    """Some hosts give the total alone (Voyage)."""
    if usage is None:
        return None
    return usage.prompt_tokens if usage.prompt_tokens is not None else usage.total_tokens
