"""Google's `embedContent` and `batchEmbedContents`, as AI Studio and Vertex have them.

A batch is a list of single requests, so one reader and one writer serve both. Vertex wants what is no content inside
`embedContentConfig` (its flat fields are deprecated); AI Studio knows the flat fields alone. Both are read everywhere.
Source: the discovery documents of both services, November 2026.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from trunkline.core.call import Headers, Peek
from trunkline.core.embedding import Embeddings, EmbedRequest, Item, Purpose, Truncate
from trunkline.core.errors import BadRequest
from trunkline.dialects.embeddings.base import (
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
from trunkline.dialects.embeddings.purposes import GEMINI, read_purpose
from trunkline.dialects.fields import Fields, decode_object, raw_fields

MAX_BATCH = 100
"""Requests of one batch ("at most 100 requests can be in one batch" is what the API answers beyond)."""

_TASKS: dict[Purpose, str] = {
    "query": "search result",
    "similarity": "sentence similarity",
    "classification": "classification",
    "clustering": "clustering",
    "question": "question answering",
    "fact": "fact checking",
    "code": "code retrieval",
}
"""Models from gemini-embedding-2 on have no task types: the text itself says what it is for (Gemini API, "Embeddings",
prompt formats of the multimodal model)."""

_SETTINGS = {
    "purpose": "taskType", "title": "title", "dimensions": "outputDimensionality", "truncate": "autoTruncate",
}  # fmt: skip
_CUTS: dict[bool | None, Truncate | None] = {None: None, True: "end", False: "none"}
_CUT_WORDS: dict[Truncate, bool] = {"end": True, "none": False}


class _Values(Struct):
    values: list[float]


class _Usage(Struct, rename="camel"):
    prompt_token_count: int | None = None


class _One(Struct, rename="camel"):
    embedding: _Values
    usage_metadata: _Usage | None = None


class _Many(Struct, rename="camel"):
    embeddings: list[_Values]
    usage_metadata: _Usage | None = None


class _Told(Struct, rename="camel"):
    usage_metadata: _Usage | None = None


class Gemini(Format):
    """`nested`: Vertex's way to say the settings."""

    def __init__(self, name: str, batch: bool, nested: bool) -> None:
        self.name = name
        self._batch = batch
        self._nested = nested

    def limit(self, model: str) -> int:
        return MAX_BATCH if self._batch else 1

    def patch(self, body: bytes, model: str) -> bytes:
        """The path names the model; where the body repeats it, it must say the same."""
        if b'"model"' not in body:
            return body
        top = raw_fields(body)
        if self._batch and "requests" in top:
            try:
                rows = msgspec.json.decode(top["requests"], type=list[dict[str, msgspec.Raw]])
            except (msgspec.DecodeError, UnicodeDecodeError):
                raise BadRequest("requests must be an array of objects.", param="requests") from None
            top["requests"] = msgspec.Raw(encode([self._renamed(row, model) for row in rows]))
        return encode(self._renamed(top, model))

    def _renamed(self, fields: dict[str, msgspec.Raw], model: str) -> dict[str, msgspec.Raw]:
        if "model" in fields:
            if self._nested:
                del fields["model"]
            else:
                fields["model"] = msgspec.Raw(encode(f"models/{model}"))
        return fields

    # ── Requests ───────────────────────────────────────────────────────────────────────────────────────────────────

    def read_request(self, body: bytes) -> EmbedRequest:
        top = Fields(decode_object(body))
        top.any("model")
        if not self._batch:
            request = EmbedRequest([])
            self._read_one(top, request)
            return checked(request, "content")
        request = EmbedRequest([])
        for index, value in enumerate(top.need("requests", list)):
            self._read_one(Fields(value, f"requests[{index}]"), request)
        request.extra += list(top.rest() or ())
        return checked(request, "requests")

    def _read_one(self, fields: Fields, request: EmbedRequest) -> None:
        """Append one request's text; what holds for all must be the same in each. Raises BadRequest."""
        fields.any("model")
        text = _text(fields.inner("content"))
        config = fields.inner("embedContentConfig")
        settings = config if config.left else fields
        paths = {name: settings.path(said_as) for name, said_as in _SETTINGS.items()}
        purpose = read_purpose(settings.any("taskType"), paths["purpose"])
        item = Item(text, fields.path("content"), purpose, settings.get("title", str))
        common = settings.get("outputDimensionality", int), _CUTS[settings.get("autoTruncate", bool)]
        if request.items and common != (request.dimensions, request.truncate):
            raise BadRequest(
                f"{fields.at} must ask for the same outputDimensionality and autoTruncate as the requests before it: "
                "this model takes them once for all.",
                param=fields.at,
            )
        request.items.append(item)
        request.dimensions, request.truncate = common
        said(request, **{name: path for name, path in paths.items() if name not in request.said})
        request.extra += [fields.path(name) for name in fields.rest() or ()]

    def write_request(self, request: EmbedRequest, model: str, lost: list[str]) -> bytes:
        lose(request, lost, "user", "normalize")
        lose_truncation(request, lost, *(_CUT_WORDS if self._nested else ()))
        lost += request.extra
        rows = [self._written(item, request, model) for item in request.items]
        if _prompted(model) and any(item.title and item.purpose != "document" for item in request.items):
            lose_of_items(request, lost, "title")
        if not self._batch:
            return encode(rows[0])
        if self._nested:
            return encode({"requests": rows})
        return encode({"requests": [{"model": f"models/{model}", **row} for row in rows]})

    def _written(self, item: Item, request: EmbedRequest, model: str) -> dict[str, Any]:
        settings: dict[str, Any] = {}
        text = item.text
        if _prompted(model):
            text = _prompt(item)
        else:
            if item.purpose is not None:
                settings["taskType"] = GEMINI[item.purpose]
            if item.title is not None:
                settings["title"] = item.title
        if request.dimensions is not None:
            settings["outputDimensionality"] = request.dimensions
        if self._nested and request.truncate in _CUT_WORDS:
            settings["autoTruncate"] = _CUT_WORDS[request.truncate]
        content = {"parts": [{"text": text}]}
        if not self._nested:
            return {"content": content, **settings}
        return {"content": content, "embedContentConfig": settings} if settings else {"content": content}

    # ── Answers ────────────────────────────────────────────────────────────────────────────────────────────────────

    def read_answer(self, body: bytes, headers: Headers) -> Embeddings:
        if self._batch:
            many = read_json(body, _Many)
            return Embeddings([each.values for each in many.embeddings], _count(many.usage_metadata))
        one = read_json(body, _One)
        return Embeddings([one.embedding.values], _count(one.usage_metadata))

    def write_answer(self, answer: Embeddings, request: EmbedRequest, peek: Peek) -> bytes:
        values = [{"values": vector} for vector in answer.vectors]
        body: dict[str, Any] = {"embeddings": values} if self._batch else {"embedding": values[0]}
        if answer.tokens is not None:
            body["usageMetadata"] = {"promptTokenCount": answer.tokens}
            if self._nested:
                body["usageMetadata"]["totalTokenCount"] = answer.tokens
        return encode(body)

    def tokens(self, body: bytes, headers: Headers) -> int | None:
        told = peeked(body, _Told)
        return _count(told.usage_metadata) if told is not None else None


def _text(content: Fields) -> str:
    """The text of a content: its parts in one. Raises BadRequest for parts that are no text."""
    texts = []
    for index, value in enumerate(content.need("parts", list)):
        part = Fields(value, f"{content.at}.parts[{index}]")
        if set(part.left) - {"text"}:
            raise BadRequest(
                f"{part.at} is no text, which is all that this model's provider takes: choose a Gemini model.",
                param=part.at,
            )
        texts.append(part.need("text", str))
    content.any("role")
    return "".join(texts)


def _prompted(model: str) -> bool:
    """Whether the model reads its task in the text."""
    name = model.rsplit("/", 1)[-1]
    return name.startswith("gemini-embedding-") and not name.startswith("gemini-embedding-001")


def _prompt(item: Item) -> str:
    if item.purpose is None:
        return item.text
    if item.purpose == "document":
        return f"title: {item.title or 'none'} | text: {item.text}"
    return f"task: {_TASKS[item.purpose]} | query: {item.text}"


def _count(usage: _Usage | None) -> int | None:
    return usage.prompt_token_count if usage is not None else None
