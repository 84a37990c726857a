"""The recorded embeddings: every request and answer is read, and becomes one of every other format."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from google.genai import types as google
from msgspec import structs
from openai.types import CreateEmbeddingResponse

from tests.corpus.exchanges import Tally, library, needs_recordings
from trunkline.core.call import Headers, Peek
from trunkline.core.embedding import Embeddings, EmbedRequest, Item
from trunkline.dialects.embeddings import FORMATS
from trunkline.dialects.embeddings.base import Format, batches

pytestmark = needs_recordings

FORMS = {
    "/embeddings": "openai",
    ":batchEmbedContents": "gemini-batch",
    "models/{m}:embedContent": "vertex",
    ":predict": "predict",
}
BEDROCK = {"titan-embed": "titan", "cohere.embed": "cohere", "nova-2-multimodal-embeddings": "nova"}

NO_TEXT = {"ruby_llm__2f96f41f1697": "an image is embedded with the text, which only Gemini's format can say"}


@cache
def exchanges() -> tuple[Any, ...]:
    corpus = library()
    return tuple(corpus.exchange(row["id"]) for row in corpus.entries() if form_of(row) is not None)


def form_of(row: dict[str, Any]) -> str | None:
    if row["provider"] == "bedrock" and row["endpoint"].endswith("/invoke"):
        return next((form for part, form in BEDROCK.items() if part in (row["model"] or "")), None)
    if "chat/completions" in row["endpoint"]:
        return None
    return next((form for end, form in FORMS.items() if row["endpoint"].endswith(end)), None)


def format_of(found: Any) -> Format:
    return FORMATS[form_of(found.meta) or ""]


def headers_of(found: Any) -> Headers:
    fields = found.record["response"]["headers"]
    pairs = fields.items() if isinstance(fields, dict) else fields
    return [(name.lower().encode(), str(value).encode()) for name, value in pairs]


def test_every_request_is_read_and_says_the_same_in_every_format() -> None:
    tally = Tally("embedding requests", NO_TEXT)
    for found in exchanges():
        form = format_of(found)
        try:
            request = form.read_request(found.request)
        except Exception as error:
            tally.check(found, False, f"{type(error).__name__}: {error}")
            continue
        texts = [item.text for item in request.items]
        wrong = [spoken.name for spoken in FORMATS.values() if said_again(spoken, request) != texts]
        tally.check(found, not wrong and not request.extra, f"{wrong} {request.extra}")
    tally.assert_all(at_least=25)


def said_again(spoken: Format, request: EmbedRequest) -> list[str]:
    """The texts, as the other format's reader finds them in the requests that are made of them."""
    bodies = [
        spoken.write_request(structs.replace(request, items=run), "m", [])
        for run in batches(request.items, spoken.limit("m"))
    ]
    return [item.text for body in bodies for item in spoken.read_request(body).items]


def test_every_request_to_its_own_format_is_what_was_sent() -> None:
    tally = Tally("embedding requests written again", NO_TEXT)
    for found in exchanges():
        form = format_of(found)
        if found.meta["id"] in NO_TEXT:
            tally.check(found, False, NO_TEXT[found.meta["id"]])
            continue
        request = form.read_request(found.request)
        again = form.read_request(form.write_request(request, found.meta["model"] or "m", []))
        same = ([item.text for item in again.items], again.dimensions) == (
            [item.text for item in request.items],
            request.dimensions,
        )
        tally.check(found, same, f"{again} is not {request}")
    tally.assert_all(at_least=25)


def test_every_answer_is_read_and_becomes_every_other() -> None:
    tally = Tally("embedding answers")
    for found in exchanges():
        if found.meta["status"] != 200:
            continue
        form = format_of(found)
        answer = form.read_answer(found.response, headers_of(found))
        texts = _texts(found)
        counted = answer.tokens == form.tokens(found.response, headers_of(found))
        bad = [name for name in FORMATS if not _kept(name, answer, found)]
        tally.check(
            found,
            len(answer.vectors) == texts and counted and not bad,
            f"{len(answer.vectors)} vectors of {texts} texts, {answer.tokens} tokens, {bad}",
        )
    tally.assert_all(at_least=15)


def _texts(found: Any) -> int:
    body = json.loads(found.request)
    for name in ("requests", "instances", "texts"):
        if name in body:
            return len(body[name])
    return len(body["input"]) if isinstance(body.get("input"), list) else 1


def _kept(name: str, answer: Any, found: Any) -> bool:
    """Whether this format's own parser finds the same vectors in the answer written in it."""
    form = FORMATS[name]
    single = name in {"gemini", "vertex", "titan", "nova"}
    vectors = answer.vectors[:1] if single else answer.vectors
    written = form.write_answer(
        Embeddings(vectors, answer.tokens, answer.model), EmbedRequest([Item("", "")] * len(vectors)), Peek("m")
    )
    if name == "openai":
        parsed = CreateEmbeddingResponse.model_validate_json(written, strict=True)
        return [row.embedding for row in parsed.data] == vectors
    if name == "gemini-batch":
        embeddings = google.EmbedContentResponse.model_validate(json.loads(written)).embeddings or []
        return [row.values for row in embeddings] == vectors
    return form.read_answer(written, []).vectors == vectors
