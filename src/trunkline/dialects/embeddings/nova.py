"""Amazon Nova Multimodal Embeddings on Bedrock's InvokeModel: one text a call, as far as texts go.

Source: Amazon Nova, "Multimodal Embeddings: request and response schema", November 2026.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from trunkline.core.call import Headers, Peek
from trunkline.core.embedding import Embeddings, EmbedRequest, Item, Truncate
from trunkline.core.errors import BadRequest
from trunkline.dialects.embeddings.base import (
    Format,
    checked,
    count_header,
    encode,
    lose,
    lose_of_items,
    read_json,
    said,
)
from trunkline.dialects.embeddings.purposes import NOVA, read_purpose, write_purpose
from trunkline.dialects.fields import Fields, decode_object

_CUTS: dict[str | None, Truncate | None] = {None: None, "NONE": "none", "START": "start", "END": "end"}
_AT = "singleEmbeddingParams"


class _Row(Struct):
    embedding: list[float]


class _Answer(Struct):
    embeddings: list[_Row]


class Nova(Format):
    name = "nova"

    def read_request(self, body: bytes) -> EmbedRequest:
        top = Fields(decode_object(body))
        if top.need("taskType", str) != "SINGLE_EMBEDDING":
            raise BadRequest("taskType can only be SINGLE_EMBEDDING with this model.", param="taskType")
        params = top.inner(_AT)
        text = params.inner("text")
        if not text.left:
            raise BadRequest(f"{text.at} is required: only a model of Amazon's takes other media.", param=text.at)
        purpose = read_purpose(params.any("embeddingPurpose"), params.path("embeddingPurpose"))
        cut = text.get("truncationMode", str)
        if cut not in _CUTS:
            raise BadRequest(f"{text.at}.truncationMode must be NONE, START or END.", param=f"{text.at}.truncationMode")
        request = EmbedRequest(
            [Item(text.need("value", str), text.path("value"), purpose)],
            dimensions=params.get("embeddingDimension", int),
            truncate=_CUTS[cut],
            extra=list(top.rest() or ()),
        )
        said(
            request,
            dimensions=params.path("embeddingDimension"),
            truncate=text.path("truncationMode"),
            purpose=params.path("embeddingPurpose"),
        )
        return checked(request, text.at)

    def write_request(self, request: EmbedRequest, model: str, lost: list[str]) -> bytes:
        """Purpose and truncation must be there; an error is the one truncation that changes nothing."""
        lose(request, lost, "user", "normalize")
        lose_of_items(request, lost, "title")
        lost += request.extra
        item = request.items[0]
        purpose, whole = write_purpose(item.purpose or "document", NOVA)
        if not whole:
            lose(request, lost, "purpose")
        params: dict[str, Any] = {
            "embeddingPurpose": purpose,
            "text": {"truncationMode": (request.truncate or "none").upper(), "value": item.text},
        }
        if request.dimensions is not None:
            params["embeddingDimension"] = request.dimensions
        return encode({"taskType": "SINGLE_EMBEDDING", _AT: params})

    def read_answer(self, body: bytes, headers: Headers) -> Embeddings:
        answer = read_json(body, _Answer)
        return Embeddings([row.embedding for row in answer.embeddings], count_header(headers))

    def write_answer(self, answer: Embeddings, request: EmbedRequest, peek: Peek) -> bytes:
        return encode({"embeddings": [{"embeddingType": "TEXT", "embedding": vector} for vector in answer.vectors]})

    def tokens(self, body: bytes, headers: Headers) -> int | None:
        return count_header(headers)

    def answer_headers(self, answer: Embeddings) -> Headers:
        return [(b"x-amzn-bedrock-input-token-count", b"%d" % (answer.tokens or 0))]
