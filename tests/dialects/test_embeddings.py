"""Embeddings: nine wire formats, what each can say, and numbers that keep their bits."""

from __future__ import annotations

import contextlib
import json
import math
import struct
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.core.call import Peek
from trunkline.core.embedding import Embeddings, EmbedRequest, Item
from trunkline.core.errors import BadRequest, UpstreamProtocol
from trunkline.dialects.embeddings import FORMATS
from trunkline.dialects.embeddings.base import MAX_TEXTS, batches
from trunkline.dialects.embeddings.purposes import COHERE, GEMINI, NEAREST, NOVA, read_purpose, write_purpose
from trunkline.dialects.embeddings.vectors import from_base64, to_base64

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)

SAYS: dict[str, Any] = {
    "openai": {"model": "m", "input": ["one", "two"], "dimensions": 8, "input_type": "search_query"},
    "gemini": {"content": {"parts": [{"text": "one"}]}, "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 8},
    "gemini-batch": {
        "requests": [
            {"model": "models/m", "content": {"parts": [{"text": text}]}, "taskType": "RETRIEVAL_QUERY",
             "outputDimensionality": 8}
            for text in ("one", "two")
        ]
    },
    "vertex": {
        "content": {"role": "user", "parts": [{"text": "one"}]},
        "embedContentConfig": {"taskType": "RETRIEVAL_QUERY", "outputDimensionality": 8},
    },
    "vertex-batch": {
        "requests": [
            {"content": {"parts": [{"text": text}]},
             "embedContentConfig": {"taskType": "RETRIEVAL_QUERY", "outputDimensionality": 8}}
            for text in ("one", "two")
        ]
    },
    "predict": {
        "instances": [{"content": text, "task_type": "RETRIEVAL_QUERY"} for text in ("one", "two")],
        "parameters": {"outputDimensionality": 8},
    },
    "titan": {"inputText": "one", "dimensions": 8},
    "cohere": {"texts": ["one", "two"], "input_type": "search_query", "output_dimension": 8},
    "nova": {
        "taskType": "SINGLE_EMBEDDING",
        "singleEmbeddingParams": {
            "embeddingPurpose": "TEXT_RETRIEVAL",
            "embeddingDimension": 8,
            "text": {"value": "one", "truncationMode": "NONE"},
        },
    },
}  # fmt: skip
"""The same in every format: a query of 8 dimensions, of two texts where the format takes several."""

SINGLE = {"gemini", "vertex", "titan", "nova"}
NO_PURPOSE = {"titan"}


def read(name: str, body: Any) -> EmbedRequest:
    return FORMATS[name].read_request(json.dumps(body).encode())


# ── Numbers ────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(FLOATS))
def test_base64_keeps_every_bit_of_a_float32(vector: list[float]) -> None:
    text = to_base64(vector)
    assert text == b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    back = from_base64(text)
    assert back == vector
    assert [math.copysign(1, value) for value in back] == [math.copysign(1, value) for value in vector]
    assert to_base64(back) == text


@given(st.lists(FLOATS, min_size=1), st.sampled_from(sorted(FORMATS)))
def test_an_answer_read_is_the_answer_written(vector: list[float], name: str) -> None:
    form = FORMATS[name]
    answer = Embeddings([vector], 7)
    request = EmbedRequest([Item("text", "input")])
    body = form.write_answer(answer, request, Peek("m"))
    named = "m" if name == "openai" else ""
    assert form.read_answer(body, form.answer_headers(answer)) == Embeddings([vector], 7, named)
    assert form.tokens(body, form.answer_headers(answer)) == 7


@given(st.lists(FLOATS, min_size=1))
def test_openai_clients_get_the_encoding_that_they_ask_for(vector: list[float]) -> None:
    request = EmbedRequest([Item("text", "input")], base64=True)
    body = FORMATS["openai"].write_answer(Embeddings([vector], 1), request, Peek("m"))
    assert json.loads(body)["data"][0]["embedding"] == to_base64(vector)
    assert FORMATS["openai"].read_answer(body, []).vectors == [vector]


def test_vectors_come_back_in_the_order_of_their_index() -> None:
    data = [{"index": 1, "embedding": [1.0]}, {"index": 0, "embedding": [0.0]}]
    assert FORMATS["openai"].read_answer(json.dumps({"data": data}).encode(), []).vectors == [[0.0], [1.0]]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"data": 1}', b'{"data": [{"embedding": "A"}]}', b'{"embeddings": 1}'])
@pytest.mark.parametrize("name", sorted(FORMATS))
def test_an_answer_that_cannot_be_read_is_the_upstreams_fault(name: str, body: bytes) -> None:
    with pytest.raises(UpstreamProtocol):
        FORMATS[name].read_answer(body, [])
    assert FORMATS[name].tokens(body, []) is None


# ── Requests ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_each_format_says_the_same(name: str) -> None:
    request = read(name, SAYS[name])
    assert [item.text for item in request.items] == (["one"] if name in SINGLE else ["one", "two"])
    assert request.dimensions == 8
    assert {item.purpose for item in request.items} == ({None} if name in NO_PURPOSE else {"query"})
    assert request.extra == []


@pytest.mark.parametrize("spoken", sorted(FORMATS))
@pytest.mark.parametrize("name", sorted(FORMATS))
def test_any_format_becomes_any_other(name: str, spoken: str) -> None:
    """What the other format reads is what was said, but for what is reported."""
    request, lost = read(name, SAYS[name]), list[str]()
    request.items = request.items[: FORMATS[spoken].limit("m-embed-v4")]
    again = FORMATS[spoken].read_request(FORMATS[spoken].write_request(request, "m-embed-v4", lost))
    assert [item.text for item in again.items] == [item.text for item in request.items]
    assert again.dimensions == 8
    said_purpose = name not in NO_PURPOSE
    can_say = spoken not in NO_PURPOSE | {"openai"}
    if said_purpose and can_say:
        assert {item.purpose for item in again.items} == {"query"}
    unsaid = {"truncate"} if name == "nova" and spoken in {"gemini", "gemini-batch"} else set()
    unsaid |= {"purpose"} if said_purpose and not can_say else set()
    assert set(lost) == {request.said[what] for what in unsaid}


def test_what_a_target_cannot_say_is_reported_by_its_path() -> None:
    body = {"input": "x", "user": "u", "input_type": "query", "x_new": 1, "encoding_format": "base64"}
    lost: list[str] = []
    FORMATS["titan"].write_request(read("openai", body), "amazon.titan-embed-text-v2:0", lost)
    assert sorted(lost) == ["input_type", "user", "x_new"]
    batch = {"requests": [{"content": {"parts": [{"text": "x"}]}, "taskType": "FACT_VERIFICATION", "title": "t"}]}
    lost = []
    written = FORMATS["cohere"].write_request(read("gemini-batch", batch), "cohere.embed-v4:0", lost)
    assert json.loads(written)["input_type"] == "search_query"
    assert sorted(lost) == ["requests[0].taskType", "requests[0].title"]


def test_the_first_titan_takes_the_text_alone() -> None:
    lost: list[str] = []
    written = FORMATS["titan"].write_request(read("openai", SAYS["openai"]), "amazon.titan-embed-text-v1", lost)
    assert json.loads(written) == {"inputText": "one"}
    assert sorted(lost) == ["dimensions", "input_type"]


def test_the_titan_for_images_names_its_size_otherwise() -> None:
    lost: list[str] = []
    written = FORMATS["titan"].write_request(read("titan", SAYS["titan"]), "amazon.titan-embed-image-v1", lost)
    assert json.loads(written) == {"inputText": "one", "embeddingConfig": {"outputEmbeddingLength": 8}}
    assert lost == []


@pytest.mark.parametrize(
    ("purpose", "title", "text"),
    [
        ("RETRIEVAL_QUERY", None, "task: search result | query: x"),
        ("RETRIEVAL_DOCUMENT", None, "title: none | text: x"),
        ("RETRIEVAL_DOCUMENT", "T", "title: T | text: x"),
        ("QUESTION_ANSWERING", None, "task: question answering | query: x"),
        (None, None, "x"),
    ],
)
def test_geminis_newer_model_reads_its_task_in_the_text(purpose: str | None, title: str | None, text: str) -> None:
    instance = {"content": "x"} | ({"task_type": purpose} if purpose else {}) | ({"title": title} if title else {})
    request = read("predict", {"instances": [instance]})
    newer = json.loads(FORMATS["gemini"].write_request(request, "gemini-embedding-2", []))
    assert newer == {"content": {"parts": [{"text": text}]}}
    older = json.loads(FORMATS["gemini"].write_request(request, "gemini-embedding-001", []))
    assert older["content"] == {"parts": [{"text": "x"}]}
    assert older.get("taskType") == purpose


@pytest.mark.parametrize(
    ("name", "body", "param"),
    [
        ("openai", {"input": [1, 2]}, "input"),
        ("openai", {"input": [[1], [2]]}, "input"),
        ("openai", {"input": []}, "input"),
        ("openai", {"input": ["x"] * (MAX_TEXTS + 1)}, "input"),
        ("openai", {"input": None}, "input"),
        ("openai", {"input": ["x", {}]}, "input[1]"),
        ("openai", {"input": "x", "dimensions": 0}, "dimensions"),
        ("openai", {"input": "x", "encoding_format": "int8"}, "encoding_format"),
        ("openai", {"input": "x", "input_type": "soup"}, "input_type"),
        ("gemini", {"content": {"parts": [{"inlineData": {}}]}}, "content.parts[0]"),
        ("gemini", {"content": {"parts": [{"text": "x"}]}, "taskType": "SOUP"}, "taskType"),
        ("gemini-batch", {"requests": []}, "requests"),
        (
            "gemini-batch",
            {"requests": [{"content": {"parts": [{"text": "x"}]}, "outputDimensionality": n} for n in (1, 2)]},
            "requests[1]",
        ),
        ("predict", {"instances": [{"text": "x"}]}, "instances[0].content"),
        ("titan", {}, "inputText"),
        ("titan", {"inputText": "x", "embeddingTypes": ["binary"]}, "embeddingTypes"),
        ("titan", {"inputText": "x", "inputImage": "AAAA"}, "inputImage"),
        ("cohere", {"images": ["x"]}, "images"),
        ("cohere", {}, "texts"),
        ("cohere", {"texts": ["x"], "embedding_types": ["int8"]}, "embedding_types"),
        ("cohere", {"texts": ["x"], "truncate": "MIDDLE"}, "truncate"),
        ("nova", {"taskType": "SEGMENTED_EMBEDDING"}, "taskType"),
        ("nova", {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": {}}, "singleEmbeddingParams.text"),
    ],
)
def test_what_is_wrong_is_named(name: str, body: Any, param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read(name, body)
    assert caught.value.param == param
    assert param in caught.value.message


@given(st.binary() | st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(
    st.sampled_from(["input", "content", "parts", "text", "requests", "instances", "texts", "inputText", "parameters"]),
    x)).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_readers_refuse_and_never_break(body: bytes) -> None:
    for form in FORMATS.values():
        with contextlib.suppress(BadRequest):
            assert form.read_request(body).items


@pytest.mark.parametrize(
    ("name", "body", "wanted"),
    [
        ("gemini", b'{"content":1}', {"content": 1}),
        ("gemini", b'{"model":"models/a","content":1}', {"model": "models/real", "content": 1}),
        ("gemini-batch", b'{"requests":[{"model":"models/a"}]}', {"requests": [{"model": "models/real"}]}),
        ("vertex-batch", b'{"requests":[{"model":"publishers/a","x":1}]}', {"requests": [{"x": 1}]}),
        ("titan", b'{"inputText":"x"}', {"inputText": "x"}),
        ("openai", b'{"input":"x"}', {"input": "x", "model": "real"}),
    ],
)  # fmt: skip
def test_a_body_of_the_targets_own_format_names_the_targets_model(name: str, body: bytes, wanted: Any) -> None:
    patched = FORMATS[name].patch(body, "real")
    assert json.loads(patched) == wanted
    assert FORMATS[name].patch(patched, "real") == patched


# ── Batches and purposes ───────────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.sampled_from([None, "query", "document"])), st.integers(1, 5))
def test_batches_keep_the_order_the_limit_and_one_purpose(purposes: list[Any], limit: int) -> None:
    items = [Item(str(index), "", purpose) for index, purpose in enumerate(purposes)]
    runs = list(batches(items, limit))
    assert [item for run in runs for item in run] == items
    assert all(1 <= len(run) <= limit for run in runs)
    assert all(len({item.purpose for item in run}) == 1 for run in runs)


def test_every_purpose_has_a_word_everywhere() -> None:
    for purpose in GEMINI:
        for words in (GEMINI, COHERE, NOVA):
            word, whole = write_purpose(purpose, words)
            assert read_purpose(word, "x") == (purpose if whole else NEAREST[purpose])
