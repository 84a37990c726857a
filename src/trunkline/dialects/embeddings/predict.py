"""Vertex's `:predict` for embeddings: instances in, predictions out, a task type and a title for each instance.

Source: Vertex AI, "Text embeddings API" (text-embedding-005, gemini-embedding-001), November 2026.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from trunkline.core.call import Headers, Peek
from trunkline.core.embedding import Embeddings, EmbedRequest, Item, Truncate
from trunkline.dialects.embeddings.base import Format, checked, encode, lose, lose_truncation, peeked, read_json, said
from trunkline.dialects.embeddings.purposes import GEMINI, read_purpose
from trunkline.dialects.fields import Fields, decode_object

MAX_INSTANCES = 250
_CUTS: dict[bool | None, Truncate | None] = {None: None, True: "end", False: "none"}
_CUT_WORDS: dict[Truncate, bool] = {"end": True, "none": False}


class _Statistics(Struct):
    token_count: int | float | None = None


class _Embedding(Struct):
    values: list[float]
    statistics: _Statistics | None = None


class _Prediction(Struct):
    embeddings: _Embedding


class _Answer(Struct):
    predictions: list[_Prediction]


class _ToldEmbedding(Struct):
    statistics: _Statistics | None = None


class _ToldPrediction(Struct):
    embeddings: _ToldEmbedding | None = None


class _Told(Struct):
    predictions: list[_ToldPrediction] = []


class Predict(Format):
    name = "predict"

    def limit(self, model: str) -> int:
        """Gemini's model takes one instance a request."""
        return 1 if model.rsplit("/", 1)[-1].startswith("gemini-") else MAX_INSTANCES

    def read_request(self, body: bytes) -> EmbedRequest:
        top = Fields(decode_object(body))
        request = EmbedRequest([])
        for index, value in enumerate(top.need("instances", list)):
            _read_instance(Fields(value, f"instances[{index}]"), request)
        parameters = top.inner("parameters")
        request.dimensions = parameters.get("outputDimensionality", int)
        request.truncate = _CUTS[parameters.get("autoTruncate", bool)]
        request.extra += list(top.rest() or ())
        said(request, dimensions="parameters.outputDimensionality", truncate="parameters.autoTruncate")
        return checked(request, "instances")

    def write_request(self, request: EmbedRequest, model: str, lost: list[str]) -> bytes:
        lose(request, lost, "user", "normalize")
        lose_truncation(request, lost, *_CUT_WORDS)
        lost += request.extra
        body: dict[str, Any] = {"instances": [_instance(item) for item in request.items]}
        parameters: dict[str, Any] = {}
        if request.dimensions is not None:
            parameters["outputDimensionality"] = request.dimensions
        if request.truncate in _CUT_WORDS:
            parameters["autoTruncate"] = _CUT_WORDS[request.truncate]
        if parameters:
            body["parameters"] = parameters
        return encode(body)

    def read_answer(self, body: bytes, headers: Headers) -> Embeddings:
        answer = read_json(body, _Answer)
        rows = [each.embeddings for each in answer.predictions]
        return Embeddings([row.values for row in rows], _sum([row.statistics for row in rows]))

    def write_answer(self, answer: Embeddings, request: EmbedRequest, peek: Peek) -> bytes:
        """Tokens are counted for each text, so only the count of a single one can be told."""
        rows: list[dict[str, Any]] = [{"values": vector} for vector in answer.vectors]
        if len(rows) == 1 and answer.tokens is not None:
            rows[0]["statistics"] = {"truncated": False, "token_count": answer.tokens}
        characters = sum(len(item.text) for item in request.items)
        return encode(
            {
                "predictions": [{"embeddings": row} for row in rows],
                "metadata": {"billableCharacterCount": characters},
            }
        )

    def tokens(self, body: bytes, headers: Headers) -> int | None:
        told = peeked(body, _Told)
        if told is None:
            return None
        return _sum([each.embeddings.statistics for each in told.predictions if each.embeddings is not None])


def _read_instance(fields: Fields, request: EmbedRequest) -> None:
    text = fields.need("content", str)
    task = fields.path("task_type" if "task_type" in fields.left else "taskType")
    word = fields.any("task_type") or fields.any("taskType")
    request.items.append(Item(text, fields.path("content"), read_purpose(word, task), fields.get("title", str)))
    paths = {"purpose": task, "title": fields.path("title")}
    said(request, **{name: path for name, path in paths.items() if name not in request.said})
    request.extra += [fields.path(name) for name in fields.rest() or ()]


def _instance(item: Item) -> dict[str, str]:
    written = {"content": item.text}
    if item.purpose is not None:
        written["task_type"] = GEMINI[item.purpose]
    if item.title is not None:
        written["title"] = item.title
    return written


def _sum(statistics: list[_Statistics | None]) -> int | None:
    counts = [each.token_count for each in statistics if each is not None and each.token_count is not None]
    return int(sum(counts)) if counts else None
