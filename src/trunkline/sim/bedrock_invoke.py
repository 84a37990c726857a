"""Bedrock's InvokeModel: the model's own body, whole or in chunks. Which model it is meant for, the body itself tells:
Claude's has an `anthropic_version`, Nova's is like Converse, the embeddings are in `bedrock_embed`.

Counts are also in the headers `x-amzn-bedrock-…` of a whole answer, and in the last chunk of a stream.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.sim import anthropic, bedrock_embed
from trunkline.sim import bedrock_answer as out
from trunkline.sim.bedrock import FRAMES, JSON, pause, saying
from trunkline.sim.bedrock_frames import chunk
from trunkline.sim.exchange import Exchange, Headers, Pause, Step
from trunkline.sim.hosted import BEDROCK, unhosted
from trunkline.sim.problems import Problem
from trunkline.sim.turn import Turn

LATENCY = 20
"""Milliseconds that an invocation claims to have taken."""
NOVA_INFERENCE = {
    "max_new_tokens": "maxTokens", "maxTokens": "maxTokens", "temperature": "temperature", "topP": "topP",
    "top_p": "topP", "stopSequences": "stopSequences", "topK": "", "top_k": "",
}  # fmt: skip
"""Nova's names and Converse's for the same; Converse has none for `topK`."""
NOVA_FIELDS = frozenset({"messages", "system", "inferenceConfig", "toolConfig", "schemaVersion"})

Json = dict[str, Any]


def plan(body: Json, turn: Turn) -> Exchange:
    """POST /model/{id}/invoke. Raises Problem where the service refuses."""
    if (embedded := bedrock_embed.embedded(body, turn)) is not None:
        content, tokens = embedded
        return Exchange(200, [*JSON, *_counts({"input": tokens})], [out.encode(content)])
    if "anthropic_version" in body:
        exchange = anthropic.plan(*_claude(body, turn, stream=False))
        counted = msgspec.json.decode(exchange.whole()).get("usage")
        exchange.headers += _counts(_claude_counts(counted)) if counted else []
        return exchange
    said = saying(nova(body), turn)
    reply = out.whole(said)
    del reply["metrics"]
    if said.usage:
        reply["usage"] = _nova_usage(said)
    return Exchange(200, [*JSON, *_counts(_nova_counts(said))], [out.encode(reply)], before=[pause(said, turn)])


def plan_stream(body: Json, turn: Turn) -> Exchange:
    """POST /model/{id}/invoke-with-response-stream. Raises Problem where the service refuses."""
    headers = [*FRAMES, (b"x-amzn-bedrock-content-type", b"application/json")]
    if "anthropic_version" in body:
        exchange = anthropic.plan(*_claude(body, turn, stream=True))
        return Exchange(200, headers, _claude_chunks(exchange.body), stream=True)
    if bedrock_embed.embeds(body):
        raise Problem("The model is unsupported for streaming.")
    return Exchange(200, headers, [Pause(turn.ttft), *_nova_chunks(saying(nova(body), turn))], stream=True)


def _counts(tokens: dict[str, int]) -> Headers:
    """`tokens` by kind: input, output, cache-read-input, cache-write-input."""
    rows = [(f"x-amzn-bedrock-{kind}-token-count".encode(), b"%d" % count) for kind, count in tokens.items()]
    return [*rows, (b"x-amzn-bedrock-invocation-latency", b"%d" % LATENCY)]


def _metrics(tokens: dict[str, int]) -> Json:
    """The same in the last chunk of a stream."""
    names = {"input": "inputTokenCount", "output": "outputTokenCount", "cache-read-input": "cacheReadInputTokenCount",
             "cache-write-input": "cacheWriteInputTokenCount"}  # fmt: skip
    counts = {names[kind]: count for kind, count in tokens.items()}
    return {"amazon-bedrock-invocationMetrics": {**counts, "invocationLatency": LATENCY, "firstByteLatency": LATENCY}}


# ── Claude ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _claude(body: Json, turn: Turn, stream: bool) -> tuple[Json, Turn]:
    if "stream" in body:
        raise Problem("Malformed input request: #: extraneous key [stream] is not permitted")
    return unhosted(body, turn, BEDROCK, stream)


def _claude_counts(usage: Json) -> dict[str, int]:
    return {
        "input": usage["input_tokens"],
        "output": usage["output_tokens"],
        "cache-read-input": usage["cache_read_input_tokens"],
        "cache-write-input": usage["cache_creation_input_tokens"],
    }


def _claude_chunks(steps: list[Step]) -> list[Step]:
    """Anthropic's server-sent events as frames."""
    chunks: list[Step] = []
    counted: Json = {}
    for step in steps:
        if not isinstance(step, bytes):
            chunks.append(step)
            continue
        data = step.partition(b"\ndata: ")[2].rstrip()
        kind = step.partition(b"\n")[0]
        if kind == b"event: message_delta":
            counted = msgspec.json.decode(data).get("usage") or {}
        if kind == b"event: message_stop" and counted:
            data = data[:-1] + b"," + out.encode(_metrics(_claude_counts(counted)))[1:]
        chunks.append(chunk(data))
    return chunks


# ── Nova ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def nova(body: Json) -> Json:
    """Nova's body as a Converse request. Raises Problem for a field that Nova does not have."""
    unknown = [f"#: extraneous key [{name[:80]}]" for name in body if name not in NOVA_FIELDS]
    config = body.get("inferenceConfig") or {}
    unknown += [f"#/inferenceConfig: extraneous key [{name[:80]}]" for name in config if name not in NOVA_INFERENCE]
    if unknown or "messages" not in body:
        said = unknown[0] if unknown else "#: required key [messages] not found"
        raise Problem(f"Malformed input request: {said}, please reformat your input and try again.")
    named = {NOVA_INFERENCE[name]: value for name, value in config.items() if NOVA_INFERENCE[name]}
    kept: Json = {name: body[name] for name in ("messages", "system", "toolConfig") if name in body}
    return {**kept, "inferenceConfig": named}


def _nova_counts(said: out.Saying) -> dict[str, int]:
    counted = out.usage(said)
    return {
        "input": counted["inputTokens"],
        "output": counted["outputTokens"],
        "cache-read-input": counted["cacheReadInputTokens"],
        "cache-write-input": counted["cacheWriteInputTokens"],
    }


def _nova_usage(said: out.Saying) -> Json:
    """Nova's own names for what the cache did."""
    counted = out.usage(said)
    return {
        "inputTokens": counted["inputTokens"],
        "outputTokens": counted["outputTokens"],
        "totalTokens": counted["totalTokens"],
        "cacheReadInputTokenCount": counted["cacheReadInputTokens"],
        "cacheWriteInputTokenCount": counted["cacheWriteInputTokens"],
    }


def _nova_chunks(said: out.Saying) -> list[Step]:
    steps: list[Step] = []
    for one in out.events(said):
        if isinstance(one, Pause):
            steps.append(one)
        elif one[0] == "metadata":
            content: Json = {"metadata": {"usage": _nova_usage(said), "metrics": {}, "trace": {}}}
            steps.append(chunk(out.encode({**content, **_metrics(_nova_counts(said))})))
        else:
            steps.append(chunk(out.encode({one[0]: one[1]})))
    return steps
