"""An answer as Converse says it: one object, or events. Blocks are counted by index; only a tool's block has a start.

Usage leaves out of `inputTokens` what the cache read or wrote.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import msgspec

from trunkline.sim.bedrock_frames import event
from trunkline.sim.cache import Reuse
from trunkline.sim.exchange import Pause, Step
from trunkline.sim.persona import Answer, Part
from trunkline.sim.signer import Signer

REASONS = {
    "stop": "end_turn", "stop_sequence": "stop_sequence", "length": "max_tokens", "tool": "tool_use",
    "refusal": "content_filtered", "filtered": "guardrail_intervened",
}  # fmt: skip

encode = msgspec.json.encode

Json = dict[str, Any]


class Saying(msgspec.Struct):
    """Everything that goes into one answer besides the frame around it."""

    number: int
    answer: Answer
    reuse: Reuse
    signer: Signer
    usage: bool = True
    extra: Json | None = None
    """`additionalModelResponseFields`, where the caller asked for some."""
    tier: Json | None = None
    tps: float = 0.0

    @property
    def latency(self) -> int:
        """Milliseconds that the answer claims to have taken."""
        return 10 + (round(1000 * self.answer.tokens / self.tps) if self.tps else self.answer.tokens)


def usage(said: Saying) -> Json:
    reuse, output = said.reuse, said.answer.tokens
    written = reuse.write_5m + reuse.write_1h
    counts: Json = {
        "inputTokens": reuse.total - reuse.read - written,
        "outputTokens": output,
        "totalTokens": reuse.total + output,
        "cacheReadInputTokens": reuse.read,
        "cacheWriteInputTokens": written,
    }
    if written:
        rows = (("5m", reuse.write_5m), ("1h", reuse.write_1h))
        counts["cacheDetails"] = [{"ttl": ttl, "inputTokens": tokens} for ttl, tokens in rows if tokens]
    return counts


def whole(said: Saying) -> Json:
    """The answer as one object."""
    content = [_block(said, i, part) for i, part in enumerate(said.answer.parts)]
    body: Json = {"output": {"message": {"role": "assistant", "content": content}}, **_stop(said)}
    return {**body, **_metadata(said)}


def _stop(said: Saying) -> Json:
    extra = {"additionalModelResponseFields": said.extra} if said.extra is not None else {}
    return {"stopReason": REASONS[said.answer.reason], **extra}


def _metadata(said: Saying) -> Json:
    counts = {"usage": usage(said)} if said.usage else {}
    return counts | {"metrics": {"latencyMs": said.latency}} | ({"serviceTier": said.tier} if said.tier else {})


def _block(said: Saying, index: int, part: Part) -> Json:
    match part.kind:
        case "thinking":
            text = {"text": part.text, "signature": said.signer.sign(part.text)}
            return {"reasoningContent": {"reasoningText": text}}
        case "redacted":
            return {"reasoningContent": {"redactedContent": _sealed(said, part)}}
        case "tool":
            return {"toolUse": {"toolUseId": _call_id(said, index), "name": part.name, "input": _input(part.text)}}
        case _:
            return {"text": part.text}


def _sealed(said: Saying, part: Part) -> str:
    return base64.b64encode(said.signer.seal(part.text).encode()).decode()


def _call_id(said: Saying, index: int) -> str:
    return f"tooluse_sim{said.number:08x}{index}"


def _input(text: str) -> Any:
    """The arguments as an object; those cut off by the token limit are none."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {}


# ── The stream ─────────────────────────────────────────────────────────────────────────────────────────────────────


def events(said: Saying) -> Iterator[tuple[str, Json] | Pause]:
    """The answer as named events; where a pace is set, a pause before every token."""
    yield "messageStart", {"role": "assistant"}
    for index, part in enumerate(said.answer.parts):
        at = {"contentBlockIndex": index}
        if part.kind == "tool":
            start = {"toolUse": {"toolUseId": _call_id(said, index), "name": part.name}}
            yield "contentBlockStart", {**at, "start": start}
        for delta in _deltas(said, part):
            yield delta if isinstance(delta, Pause) else ("contentBlockDelta", {**at, "delta": delta})
        yield "contentBlockStop", at
    yield "messageStop", _stop(said)
    if said.usage:
        yield "metadata", _metadata(said)


def _deltas(said: Saying, part: Part) -> Iterator[Json | Pause]:
    for piece in part.pieces:
        if said.tps:
            yield Pause(1 / said.tps)
        match part.kind:
            case "thinking":
                yield {"reasoningContent": {"text": piece}}
            case "tool":
                yield {"toolUse": {"input": piece}}
            case "text" | "refusal":
                yield {"text": piece}
            case "redacted":
                pass  # the wait is real, the text stays hidden
    if part.kind == "thinking":
        yield {"reasoningContent": {"signature": said.signer.sign(part.text)}}
    if part.kind == "redacted":
        yield {"reasoningContent": {"redactedContent": _sealed(said, part)}}


def stream(said: Saying) -> list[Step]:
    """The events as frames. The answer's end and its metadata are one step: they leave the service together."""
    steps: list[Step] = []
    for one in events(said):
        if isinstance(one, Pause):
            steps.append(one)
        elif one[0] == "metadata" and isinstance(steps[-1], bytes):
            steps[-1] += event(*one)
        else:
            steps.append(event(*one))
    return steps
