"""Embeddings through Bedrock's InvokeModel: the bodies of Titan, Cohere and Nova, each told by its own fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from trunkline.sim.problems import Problem
from trunkline.sim.tokens import count
from trunkline.sim.turn import Turn
from trunkline.sim.vectors import vector

Json = dict[str, Any]

TITAN_SIZES = (256, 512, 1024)
COHERE_SIZES = (256, 512, 1024, 1536)
NOVA_SIZES = (256, 384, 1024, 3072)
MAX_TEXTS = 96
INPUT_TYPES = ("search_document", "search_query", "classification", "clustering", "image")


def embeds(body: Json) -> bool:
    """Whether it is a body of an embedding model."""
    return any(name in body for name in _MODELS)


def embedded(body: Json, turn: Turn) -> tuple[Json, int] | None:
    """The answer and the tokens of the input; None where the body asks for no embedding. Raises Problem."""
    for name, embed in _MODELS.items():
        if name in body:
            return embed(body, turn)
    return None


def _known(body: Json, names: str) -> None:
    for name in body:
        if name not in names.split():
            raise Problem(f"Malformed input request: #: extraneous key [{name[:80]}] is not permitted, please reformat "
                          "your input and try again.")  # fmt: skip


def _size(value: Any, sizes: tuple[int, ...], default: int) -> int:
    if value is None:
        return default
    if value not in sizes:
        raise Problem(f"Malformed input request: {value} is not a valid dimension; choose one of {sizes}.")
    return int(value)


def _titan(body: Json, turn: Turn) -> tuple[Json, int]:
    _known(body, "inputText dimensions normalize embeddingTypes")
    text = body["inputText"]
    if not isinstance(text, str) or not text:
        raise Problem(
            "Malformed input request: #/inputText: expected minLength: 1, actual: 0, please reformat your input"
        )
    values = vector(text, _size(body.get("dimensions"), TITAN_SIZES, 1024))
    tokens = count(text)
    return {"embedding": values, "embeddingsByType": {"float": values}, "inputTextTokenCount": tokens}, tokens


def _cohere(body: Json, turn: Turn) -> tuple[Json, int]:
    _known(body, "texts images input_type truncate embedding_types output_dimension max_tokens")
    texts = body["texts"]
    if body.get("input_type") not in INPUT_TYPES:
        raise Problem(f"Malformed input request: #/input_type: must be one of {', '.join(INPUT_TYPES)}.")
    if not isinstance(texts, list) or not 1 <= len(texts) <= MAX_TEXTS:
        raise Problem(f"Malformed input request: #/texts: expected 1 to {MAX_TEXTS} items.")
    kinds = body.get("embedding_types") or ["float"]
    if kinds != ["float"]:
        raise Problem(f"Malformed input request: #/embedding_types: the simulator gives float only, not {kinds}.")
    rows = [vector(text, _size(body.get("output_dimension"), COHERE_SIZES, 1024)) for text in texts]
    typed = "v3" not in turn.name or "embedding_types" in body
    reply = {
        "embeddings": {"float": rows} if typed else rows,
        "id": f"sim{turn.number:08x}",
        "response_type": "embeddings_by_type" if typed else "embeddings_floats",
        "texts": texts,
    }
    return reply, sum(count(text) for text in texts)


def _nova(body: Json, turn: Turn) -> tuple[Json, int]:
    _known(body, "taskType singleEmbeddingParams schemaVersion")
    params = body.get("singleEmbeddingParams") or {}
    text = (params.get("text") or {}).get("value")
    if body["taskType"] != "SINGLE_EMBEDDING" or not text:
        raise Problem("The simulator embeds one text: taskType SINGLE_EMBEDDING with singleEmbeddingParams.text.value.")
    values = vector(text, _size(params.get("embeddingDimension"), NOVA_SIZES, 3072))
    return {"embeddings": [{"embedding": values, "embeddingType": "TEXT"}]}, count(text)


_MODELS: Mapping[str, Callable[[Json, Turn], tuple[Json, int]]] = {
    "inputText": _titan,
    "texts": _cohere,
    "taskType": _nova,
}
"""By the field that only this model's body has."""
