"""Google's embeddings: AI Studio's `embedContent` and its batch, Vertex's `embedContent` and the older `predict`."""

from __future__ import annotations

from typing import Any

from trunkline.sim.exchange import Exchange
from trunkline.sim.gemini import JSON
from trunkline.sim.gemini_answer import encode
from trunkline.sim.gemini_shape import read
from trunkline.sim.problems import Problem
from trunkline.sim.tokens import count
from trunkline.sim.turn import Turn
from trunkline.sim.vectors import vector

Json = dict[str, Any]

SIZE = 3072
MAX_BATCH = 100
MAX_INSTANCES = 250
TASKS = (
    "TASK_TYPE_UNSPECIFIED", "RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT", "SEMANTIC_SIMILARITY", "CLASSIFICATION",
    "CLUSTERING", "QUESTION_ANSWERING", "FACT_VERIFICATION", "CODE_RETRIEVAL_QUERY",
)  # fmt: skip


def plan(body: Json, turn: Turn) -> Exchange:
    """models/{model}:embedContent. Raises Problem where the service refuses."""
    body = read(body, "Embed")
    values, tokens = _embedded(body, "EmbedContentRequest")
    reply: Json = {"embedding": {"values": values}}
    return Exchange(200, [*JSON], [encode(reply | _usage(turn, tokens))])


def plan_batch(body: Json, turn: Turn) -> Exchange:
    """models/{model}:batchEmbedContents: every request names the path's model again; on Vertex it may leave it out.
    Raises Problem."""
    requests = read(body, "EmbedBatch").get("requests") or []
    if not 1 <= len(requests) <= MAX_BATCH:
        raise Problem(f"* BatchEmbedContentsRequest.requests: 1 to {MAX_BATCH} requests can be in one batch")
    rows, tokens = [], 0
    for i, one in enumerate(requests):
        where = f"BatchEmbedContentsRequest.requests[{i}]"
        named = str(one.get("model", "")).rpartition("/")[2].partition("+")[0]
        if named != turn.name and (named or turn.family != "vertex"):
            raise Problem(f"* {where}.model: must be the model of the batch, models/{turn.name}")
        values, count_of_one = _embedded(one, where)
        rows.append({"values": values})
        tokens += count_of_one
    return Exchange(200, [*JSON], [encode({"embeddings": rows} | _usage(turn, tokens))])


def _usage(turn: Turn, tokens: int) -> Json:
    """AI Studio counts nothing here."""
    if turn.family != "vertex":
        return {}
    details = [{"modality": "TEXT", "tokenCount": tokens}]
    counts = {"promptTokenCount": tokens, "totalTokenCount": tokens, "promptTokensDetails": details}
    return {"usageMetadata": counts}


def _embedded(body: Json, where: str) -> tuple[list[float], int]:
    """The vector of a request's content, and its tokens."""
    parts = (body.get("content") or {}).get("parts")
    if not parts:
        raise Problem(f"* {where}.content: content is not specified")
    options = {**(body.get("embedContentConfig") or {}), **body}
    _task(options.get("taskType"), where)
    text = "\n".join(part["text"] if "text" in part else part["inlineData"]["data"] for part in parts)
    return vector(text, _size(options.get("outputDimensionality"), where)), count(text)


def _task(task: Any, where: str) -> None:
    if task is not None and task not in TASKS:
        raise Problem(f"Invalid value at '{where}.task_type' (TYPE_ENUM), \"{task}\"", param="task_type")


def _size(value: Any, where: str) -> int:
    if value is None:
        return SIZE
    if not isinstance(value, int) or not 1 <= value <= SIZE:
        raise Problem(f"* {where}.output_dimensionality: must be from 1 to {SIZE}")
    return value


def plan_predict(body: Json, turn: Turn) -> Exchange:
    """publishers/google/models/{model}:predict. Raises Problem where the service refuses."""
    body = read(body, "Predict")
    instances = body.get("instances") or []
    if not 1 <= len(instances) <= MAX_INSTANCES:
        raise Problem(f"{len(instances)} instance(s) were given; 1 to {MAX_INSTANCES} are allowed per prediction.")
    size = _size((body.get("parameters") or {}).get("outputDimensionality"), "parameters")
    rows = []
    for instance in instances:
        text = instance.get("content")
        if not isinstance(text, str) or not text:
            raise Problem("The text content is empty.")
        _task(instance.get("taskType"), "instances")
        counted = {"token_count": count(text), "truncated": False}
        rows.append({"embeddings": {"statistics": counted, "values": vector(text, size)}})
    characters = sum(len("".join(instance["content"].split())) for instance in instances)
    return Exchange(200, [*JSON], [encode({"predictions": rows, "metadata": {"billableCharacterCount": characters}})])
