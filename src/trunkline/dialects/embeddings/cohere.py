"""Cohere's embeddings, as Bedrock's InvokeModel takes them: many texts a call, one purpose for all of them.

Source: Cohere, "Embed API"; Amazon Bedrock, "Cohere Embed v3 / v4" parameters, November 2026. Without `embedding_types`
version 3 answers with a bare list of vectors and version 4 by type: both are read.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from trunkline.core.call import Headers, Peek
from trunkline.core.embedding import Embeddings, EmbedRequest, Item, Truncate
from trunkline.core.errors import BadRequest, UpstreamProtocol
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
from trunkline.dialects.embeddings.purposes import COHERE, read_purpose, write_purpose
from trunkline.dialects.fields import Fields, decode_object

MAX_TEXTS = 96
_CUTS: dict[str | None, Truncate | None] = {None: None, "NONE": "none", "START": "start", "LEFT": "start", "END": "end",
                                            "RIGHT": "end"}  # fmt: skip
_CUT_WORDS: dict[Truncate, tuple[str, str]] = {
    "none": ("NONE", "NONE"), "start": ("START", "LEFT"), "end": ("END", "RIGHT"),
}  # fmt: skip
"""What to cut off, in the words of version 3 and of version 4."""


class _ByType(Struct, rename={"floats": "float"}):
    floats: list[list[float]] | None = None


class _Answer(Struct):
    embeddings: list[list[float]] | _ByType


class Cohere(Format):
    name = "cohere"

    def limit(self, model: str) -> int:
        return MAX_TEXTS

    def read_request(self, body: bytes) -> EmbedRequest:
        fields = Fields(decode_object(body))
        fields.any("model")
        purpose = read_purpose(fields.any("input_type"), "input_type")
        texts = fields.strings("texts")
        for name in ("images", "inputs"):
            if fields.any(name) is not None:
                raise BadRequest(f"{name} can only go to a model of Cohere's: send texts.", param=name)
        if texts is None:
            raise BadRequest("texts is required and must be an array of strings.", param="texts")
        types = fields.strings("embedding_types")
        if types not in (None, ["float"]):
            raise BadRequest("embedding_types can only be float with this model.", param="embedding_types")
        cut = fields.get("truncate", str)
        if cut not in _CUTS:
            raise BadRequest("truncate must be NONE, START, END, LEFT or RIGHT.", param="truncate")
        request = EmbedRequest(
            [Item(text, f"texts[{index}]", purpose) for index, text in enumerate(texts)],
            dimensions=fields.get("output_dimension", int),
            truncate=_CUTS[cut],
            by_type=types is not None,
            extra=list(fields.rest() or ()),
        )
        return checked(said(request, dimensions="output_dimension", truncate="truncate", purpose="input_type"), "texts")

    def write_request(self, request: EmbedRequest, model: str, lost: list[str]) -> bytes:
        """`input_type` must be there: what is stored is embedded more often than what is asked."""
        lose(request, lost, "user", "normalize")
        lose_of_items(request, lost, "title")
        lost += request.extra
        purpose, whole = write_purpose(request.items[0].purpose or "document", COHERE)
        if not whole:
            lose(request, lost, "purpose")
        body: dict[str, Any] = {
            "texts": [item.text for item in request.items],
            "input_type": purpose,
            "embedding_types": ["float"],
        }
        fourth = "embed-v4" in model
        if request.truncate is not None:
            body["truncate"] = _CUT_WORDS[request.truncate][fourth]
        if request.dimensions is not None:
            if fourth:
                body["output_dimension"] = request.dimensions
            else:
                lose(request, lost, "dimensions")
        return encode(body)

    def read_answer(self, body: bytes, headers: Headers) -> Embeddings:
        found = read_json(body, _Answer).embeddings
        vectors = found.floats if isinstance(found, _ByType) else found
        if vectors is None:
            raise UpstreamProtocol("The upstream's embeddings hold no floats.")
        return Embeddings(vectors, count_header(headers))

    def write_answer(self, answer: Embeddings, request: EmbedRequest, peek: Peek) -> bytes:
        body: dict[str, Any] = {"id": "", "texts": [item.text for item in request.items]}
        if request.by_type:
            body |= {"response_type": "embeddings_by_type", "embeddings": {"float": answer.vectors}}
        else:
            body |= {"response_type": "embeddings_floats", "embeddings": answer.vectors}
        return encode(body)

    def tokens(self, body: bytes, headers: Headers) -> int | None:
        return count_header(headers)

    def answer_headers(self, answer: Embeddings) -> Headers:
        return [(b"x-amzn-bedrock-input-token-count", b"%d" % (answer.tokens or 0))]
