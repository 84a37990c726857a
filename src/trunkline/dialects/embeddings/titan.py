"""Amazon Titan Text Embeddings on Bedrock's InvokeModel: one text a call.

Source: Amazon Bedrock, "Amazon Titan Embeddings G1 - Text" and "Text Embeddings V2" parameters, November 2026.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from trunkline.core.call import Headers, Peek
from trunkline.core.embedding import Embeddings, EmbedRequest, Item
from trunkline.core.errors import BadRequest
from trunkline.dialects.embeddings.base import (
    Format,
    checked,
    count_header,
    encode,
    lose,
    lose_of_items,
    lose_truncation,
    peeked,
    read_json,
    said,
)
from trunkline.dialects.fields import Fields, decode_object


class _Answer(Struct, rename="camel"):
    embedding: list[float]
    input_text_token_count: int | None = None


class _Told(Struct, rename="camel"):
    input_text_token_count: int | None = None


class Titan(Format):
    name = "titan"

    def read_request(self, body: bytes) -> EmbedRequest:
        fields = Fields(decode_object(body))
        request = EmbedRequest(
            [Item(fields.need("inputText", str), "inputText")],
            dimensions=fields.get("dimensions", int),
            normalize=fields.get("normalize", bool),
        )
        if fields.any("inputImage") is not None:
            raise BadRequest("inputImage can only go to a model of Titan's.", param="inputImage")
        types = fields.strings("embeddingTypes")
        if types not in (None, ["float"]):
            raise BadRequest("embeddingTypes can only be float with this model.", param="embeddingTypes")
        request.by_type = types is not None
        request.extra = list(fields.rest() or ())
        return checked(said(request, dimensions="dimensions", normalize="normalize"), "inputText")

    def write_request(self, request: EmbedRequest, model: str, lost: list[str]) -> bytes:
        """The first generation takes the text and nothing else; the one for images names its size otherwise."""
        lose(request, lost, "user")
        lose_truncation(request, lost, "none")
        lose_of_items(request, lost, "purpose", "title")
        lost += request.extra
        body: dict[str, Any] = {"inputText": request.items[0].text}
        if "titan-embed-text-v1" in model:
            lose(request, lost, "dimensions", "normalize")
            return encode(body)
        if "titan-embed-image" in model:
            lose(request, lost, "normalize")
            if request.dimensions is not None:
                body["embeddingConfig"] = {"outputEmbeddingLength": request.dimensions}
            return encode(body)
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        if request.normalize is not None:
            body["normalize"] = request.normalize
        return encode(body)

    def read_answer(self, body: bytes, headers: Headers) -> Embeddings:
        answer = read_json(body, _Answer)
        count = answer.input_text_token_count
        return Embeddings([answer.embedding], count_header(headers) if count is None else count)

    def write_answer(self, answer: Embeddings, request: EmbedRequest, peek: Peek) -> bytes:
        vector = answer.vectors[0]
        return encode(
            {
                "embedding": vector,
                "embeddingsByType": {"float": vector},
                "inputTextTokenCount": answer.tokens or 0,
            }
        )

    def tokens(self, body: bytes, headers: Headers) -> int | None:
        told = peeked(body, _Told)
        count: int | None = told.input_text_token_count if told is not None else None
        return count_header(headers) if count is None else count

    def answer_headers(self, answer: Embeddings) -> Headers:
        return [(b"x-amzn-bedrock-input-token-count", b"%d" % (answer.tokens or 0))]
