"""Gemini: generating, streaming and counting, and the list of models. AI Studio and Vertex differ in small things."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from trunkline.sim import gemini_answer as out
from trunkline.sim.exchange import Exchange, Pause
from trunkline.sim.faults import MAX_COUNT
from trunkline.sim.gemini_ask import ask_of, segments
from trunkline.sim.gemini_check import check
from trunkline.sim.gemini_shape import read
from trunkline.sim.persona import MODELS, answer
from trunkline.sim.problems import Problem
from trunkline.sim.signer import Signer
from trunkline.sim.turn import Turn

JSON = [(b"content-type", b"application/json; charset=UTF-8")]
SSE = [(b"content-type", b"text/event-stream"), (b"content-disposition", b"attachment")]

WITHOUT_IDS = "sim-large"
"""The model whose calls have no id on AI Studio either, as older models' have none."""

Json = dict[str, Any]


def plan(body: Json, turn: Turn) -> Exchange:
    """models/{model}:generateContent. Raises Problem where the service refuses."""
    said = _saying(read(body, "Generate"), turn)
    tokens = sum(one.tokens for one in said.answers)
    before = Pause(turn.ttft + (tokens / turn.tps if turn.tps else 0))
    return Exchange(200, [*JSON], [out.whole(said)], before=[before])


def plan_stream(body: Json, turn: Turn) -> Exchange:
    """models/{model}:streamGenerateContent: events with `alt=sse`, else an array. Raises Problem."""
    said = _saying(read(body, "Generate"), turn)
    if turn.query.get("alt") == "sse":
        return Exchange(200, [*SSE], [Pause(turn.ttft), *out.sse(out.stream(said))], stream=True)
    return Exchange(200, [*JSON], [Pause(turn.ttft), *out.array(out.stream(said))], stream=True)


def _saying(body: Json, turn: Turn) -> out.Saying:
    check(body, turn)
    if body.get("cachedContent"):
        raise Problem("CachedContent not found (or permission denied)", name="403")
    config = body.get("generationConfig") or {}
    candidates = config.get("candidateCount") or 1
    if (turn.length or 0) * candidates > MAX_COUNT:
        raise Problem(f"candidateCount times the cue 'length' is above {MAX_COUNT} tokens; ask for less of one.")
    ask = ask_of(body, turn)
    reuse = turn.cache.automatic(turn.name, segments(body))
    if reuse.total > turn.model.context:
        raise Problem(
            f"The input token count ({reuse.total}) exceeds the maximum number of tokens allowed "
            f"({turn.model.context}).", name="context",
        )  # fmt: skip
    vertex = turn.family.startswith("vertex")
    return out.Saying(
        id=f"sim{turn.number:08x}",
        model=turn.name,
        now=turn.now,
        answers=[answer(structs.replace(ask, variant=i)) for i in range(candidates)],
        reuse=reuse,
        signer=Signer(turn.settings.secret),
        vertex=vertex,
        thoughts=bool((config.get("thinkingConfig") or {}).get("includeThoughts")),
        ids=not vertex and turn.name != WITHOUT_IDS,
        usage="no-usage" not in turn.cues,
        tps=turn.tps,
        logprobs=(config.get("logprobs") or 0) if config.get("responseLogprobs") else None,
    )


def plan_count(body: Json, turn: Turn) -> Exchange:
    """models/{model}:countTokens, of contents or of a whole request. Raises Problem."""
    body = read(body, "Count")
    wanted = body.get("generateContentRequest")
    if wanted is not None and body.get("contents"):
        raise Problem("contents and generateContentRequest must not both be set.")
    wanted = wanted or {name: body[name] for name in ("contents", "systemInstruction", "tools") if name in body}
    if not wanted.get("contents"):
        raise Problem("* CountTokensRequest.contents: contents is not specified")
    check(wanted, turn)
    total = sum(segment.tokens for segment in segments(wanted))
    counts: Json = {"totalTokens": total, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": total}]}
    if turn.family == "vertex":
        counts["totalBillableCharacters"] = sum(len("".join(segment.text.split())) for segment in segments(wanted))
    return Exchange(200, [*JSON], [out.encode(counts)])


def plan_models(body: Json, turn: Turn) -> Exchange:
    """GET models: one page."""
    rows = [_info(name) for name in MODELS]
    return Exchange(200, [*JSON], [out.encode({"models": rows})])


def plan_model(body: Json, turn: Turn) -> Exchange:
    """GET models/{model}. Raises Problem where there is none."""
    if turn.name not in MODELS:
        raise Problem(name="404")
    return Exchange(200, [*JSON], [out.encode(_info(turn.name))])


def _info(name: str) -> Json:
    row = MODELS[name]
    return {
        "name": f"models/{name}", "version": "001", "displayName": f"Simulator {name.removeprefix('sim-')}",
        "inputTokenLimit": row.context, "outputTokenLimit": row.max_output, "thinking": row.thinks,
        "supportedGenerationMethods": ["generateContent", "countTokens", "embedContent", "batchEmbedContents"],
    }  # fmt: skip
