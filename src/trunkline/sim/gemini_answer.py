"""An answer as Gemini says it: one object, or a stream of objects that each carry the next parts.

Function calls are whole parts and do not change the finish reason. The thinking model signs: the first call of an
answer, or the last part of one without calls. AI Studio reports usage in every chunk, Vertex counts only in the last.
The last chunk of a stream has the finish reason, and no text that is new.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec

from trunkline.sim.cache import Reuse
from trunkline.sim.exchange import Pause, Step
from trunkline.sim.gemini_check import sign_call
from trunkline.sim.gemini_logprobs import logprobs
from trunkline.sim.persona import Answer, Part
from trunkline.sim.signer import Signer

REASONS = {"length": "MAX_TOKENS", "filtered": "SAFETY"}
"""Everything else is STOP, calls included."""
CATEGORIES = ("HATE_SPEECH", "DANGEROUS_CONTENT", "HARASSMENT", "SEXUALLY_EXPLICIT")
PIECES = 6
"""Tokens a chunk of a stream."""

encode = msgspec.json.encode

Json = dict[str, Any]


class Saying(msgspec.Struct):
    """Everything that goes into one answer besides the frame around it."""

    id: str
    model: str
    now: float
    answers: list[Answer]
    """One a candidate."""
    reuse: Reuse
    signer: Signer
    vertex: bool = False
    thoughts: bool = False
    """Whether the caller sees them."""
    ids: bool = True
    """Whether calls have one: AI Studio's newest models give them, Vertex does not."""
    usage: bool = True
    tps: float = 0.0
    logprobs: int | None = None
    """How many alternatives a token's log probabilities list; None: there are none."""

    @property
    def thought(self) -> bool:
        return any(answer.thought for answer in self.answers)

    @property
    def blocked(self) -> bool:
        """The prompt was refused, and there are no candidates."""
        return any(answer.reason == "refusal" for answer in self.answers)


def frame(said: Saying) -> Json:
    """What every object of an answer has besides candidates and usage."""
    created = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(said.now)) + f".{int(said.now % 1 * 1e6):06d}Z"
    return {"modelVersion": said.model, "responseId": said.id} | ({"createTime": created} if said.vertex else {})


def usage(said: Saying, upto: int | None = None) -> Json:
    """Counts as after `upto` tokens of the answer; None: all of it. Thoughts are counted apart."""
    total, cached = said.reuse.total, said.reuse.read
    thoughts = sum(answer.thought for answer in said.answers)
    shown = sum(answer.tokens for answer in said.answers) - thoughts
    if said.blocked:
        thoughts = shown = 0
    elif upto is not None:
        thoughts, shown = min(upto, thoughts), min(max(upto - thoughts, 0), shown)
    counts: Json = {"promptTokenCount": total}
    if shown:
        counts["candidatesTokenCount"] = shown
    counts["totalTokenCount"] = total + shown + thoughts
    if cached:
        counts["cachedContentTokenCount"] = cached
        counts["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": cached}]
    counts["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": total}]
    if thoughts:
        counts["thoughtsTokenCount"] = thoughts
    return counts | ({"trafficType": "ON_DEMAND"} if said.vertex else {"serviceTier": "standard"})


def _ratings(blocked: bool) -> list[Json]:
    rows: list[Json] = [{"category": f"HARM_CATEGORY_{name}", "probability": "NEGLIGIBLE"} for name in CATEGORIES]
    if blocked:
        rows[0] |= {"probability": "HIGH", "blocked": True}
    return rows


def _blocked(said: Saying) -> Json:
    feedback: Json = {"blockReason": "PROHIBITED_CONTENT", "safetyRatings": _ratings(True)}
    if said.vertex:
        feedback["blockReasonMessage"] = "The simulator was told to refuse."
    return {"promptFeedback": feedback}


def _ending(answer: Answer) -> Json:
    reason = REASONS.get(answer.reason, "STOP")
    return {"finishReason": reason} | ({"safetyRatings": _ratings(True)} if reason == "SAFETY" else {})


def whole(said: Saying) -> bytes:
    """The answer as one object."""
    body = _blocked(said) if said.blocked else {"candidates": [_candidate(said, i) for i in range(len(said.answers))]}
    return encode(body | ({"usageMetadata": usage(said)} if said.usage else {}) | frame(said))


def _candidate(said: Saying, index: int) -> Json:
    answer = said.answers[index]
    parts = [] if answer.reason == "filtered" else list(_parts(said, answer))
    if said.thought and parts and not any("functionCall" in part for part in parts):
        parts[-1]["thoughtSignature"] = said.signer.sign("text")
    content = {"parts": parts, "role": "model"} if parts else {}
    return {"content": content, **_ending(answer), "index": index, **_logprobs(said, parts)}


def _logprobs(said: Saying, parts: list[Json]) -> Json:
    """Of the text that is shown and no thought."""
    text = "".join(part.get("text", "") for part in parts if not part.get("thought"))
    return logprobs(text, said.logprobs) if text and said.logprobs is not None else {}


def _parts(said: Saying, answer: Answer) -> Iterator[Json]:
    calls = 0
    for part in answer.parts:
        if part.kind == "tool":
            yield _call(said, part, calls)
            calls += 1
        elif part.kind in ("thinking", "redacted"):
            if said.thoughts:
                yield {"text": part.text, "thought": True}
        else:
            yield {"text": part.text}


def _call(said: Saying, part: Part, number: int) -> Json:
    """A call, whole; arguments that the token limit cut off are none."""
    try:
        args = msgspec.json.decode(part.text)
    except msgspec.DecodeError:
        args = {}
    call: Json = {"functionCall": {"name": part.name, "args": args}}
    if said.ids:
        call["functionCall"]["id"] = f"{said.id}-{number}"
    if said.thought and number == 0:
        call["thoughtSignature"] = sign_call(said.signer, part.name, args)
    return call


# ── The stream ─────────────────────────────────────────────────────────────────────────────────────────────────────


def stream(said: Saying) -> Iterator[bytes | Pause]:
    """The objects of a stream, unframed; where a pace is set, a pause before each chunk for its tokens."""
    if said.blocked:
        yield whole(said)
        return
    told = 0
    for index, answer in enumerate(said.answers):
        signed = False
        for part, tokens in _pieces(said, answer):
            if said.tps:
                yield Pause(tokens / said.tps)
            told += tokens
            signed = signed or "thoughtSignature" in (part or {})
            if part is not None:
                content = {"parts": [part], "role": "model"}
                yield _chunk(said, {"content": content, "index": index, **_logprobs(said, [part])}, told)
        last = index == len(said.answers) - 1
        yield _chunk(said, _last(said, index, answer, signed), None if last else told)


def _pieces(said: Saying, answer: Answer) -> Iterator[tuple[Json | None, int]]:
    """Each chunk's part and its tokens; None for thoughts that are only counted."""
    calls = 0
    for part in answer.parts:
        if part.kind == "tool":
            yield _call(said, part, calls), len(part.pieces)
            calls += 1
        elif part.kind in ("thinking", "redacted") and not said.thoughts:
            yield None, len(part.pieces)
        else:
            mark = {"thought": True} if part.kind == "thinking" else {}
            for i in range(0, len(part.pieces), PIECES):
                run = part.pieces[i : i + PIECES]
                yield {"text": "".join(run), **mark}, len(run)


def _last(said: Saying, index: int, answer: Answer, signed: bool) -> Json:
    part: Json = {"text": ""}
    if said.thought and not signed:
        part["thoughtSignature"] = said.signer.sign("text")
    content = {} if answer.reason == "filtered" else {"parts": [part], "role": "model"}
    return {"content": content, **_ending(answer), "index": index}


def _chunk(said: Saying, candidate: Json, upto: int | None) -> bytes:
    body: Json = {"candidates": [candidate]}
    if said.usage:
        counted = upto is None or not said.vertex
        body["usageMetadata"] = usage(said, upto) if counted else {"trafficType": "ON_DEMAND"}
    return encode(body | frame(said))


def sse(objects: Iterator[bytes | Pause]) -> list[Step]:
    """As server-sent events, with Google's line ends."""
    return [one if isinstance(one, Pause) else b"data: " + one + b"\r\n\r\n" for one in objects]


def array(objects: Iterator[bytes | Pause]) -> list[Step]:
    """As the elements of one JSON array, each written when it is there."""
    steps: list[Step] = []
    opened = False
    for one in objects:
        steps.append(one if isinstance(one, Pause) else (b",\r\n" if opened else b"[") + one + b"\n")
        opened = opened or isinstance(one, bytes)
    return [*steps, b"\n]"]
