"""An answer as OpenAI's Chat Completions says it: one object, or chunks; with Azure's additions where it is Azure.

A stream has thousands of chunks that differ in a few bytes, and this is also a source of load: the JSON around a
delta is encoded once a stream, the delta alone per chunk.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import msgspec

from trunkline.sim.exchange import Pause, Step
from trunkline.sim.persona import Answer, Part

REASONS = {
    "stop": "stop", "stop_sequence": "stop", "length": "length", "tool": "tool_calls", "refusal": "stop",
    "filtered": "content_filter",
}  # fmt: skip
FINGERPRINT = "fp_simulator"
SAFE = {
    "hate": {"filtered": False, "severity": "safe"},
    "self_harm": {"filtered": False, "severity": "safe"},
    "sexual": {"filtered": False, "severity": "safe"},
    "violence": {"filtered": False, "severity": "safe"},
}
FILTERED = {**SAFE, "hate": {"filtered": True, "severity": "high"}}
PROMPT_FILTER = [
    {"prompt_index": 0, "content_filter_results": {**SAFE, "jailbreak": {"filtered": False, "detected": False}}}
]

encode = msgspec.json.encode


class Saying(msgspec.Struct):
    """Everything that goes into one answer besides the frame around it."""

    id: str
    created: int
    model: str
    answers: list[Answer]
    """One a choice."""
    usage: dict[str, Any] | None
    azure: bool = False
    logprobs: int | None = None
    """How many alternatives a token's logprobs list; None: no logprobs."""
    include_usage: bool = False
    usage_with_finish: bool = False
    tps: float = 0.0


def usage(prompt: int, cached: int, answers: list[Answer]) -> dict[str, Any]:
    """Chat's usage object: totals contain their details."""
    completion = sum(answer.tokens for answer in answers)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0, "cache_write_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": sum(answer.thought for answer in answers),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def whole(said: Saying) -> bytes:
    """The answer as one `chat.completion` object."""
    body: dict[str, Any] = {"id": said.id, "object": "chat.completion", "created": said.created, "model": said.model}
    if said.azure:
        body["prompt_filter_results"] = PROMPT_FILTER
    body["choices"] = [_choice(said, i, answer) for i, answer in enumerate(said.answers)]
    if said.usage is not None:
        body["usage"] = said.usage
    return encode({**body, "service_tier": "default", "system_fingerprint": FINGERPRINT})


def _choice(said: Saying, index: int, answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
    logprobs: list[Any] = []
    calls: list[dict[str, Any]] = []
    for part in answer.parts:
        match part.kind:
            case "text":
                message["content"] = part.text
                logprobs = [logprob(piece, said.logprobs or 0) for piece in part.pieces]
            case "refusal":
                message["refusal"] = part.text
            case "tool":
                calls.append(_call(part, call_id(said.id, index, len(calls)), part.text))
            case "thinking" | "redacted":
                pass  # chat shows reasoning in the usage alone
    if calls:
        message["tool_calls"] = calls
    elif message["content"] is None and message["refusal"] is None:
        message["content"] = ""
    choice: dict[str, Any] = {
        "index": index,
        "message": message,
        "logprobs": None if said.logprobs is None else {"content": logprobs, "refusal": None},
        "finish_reason": REASONS[answer.reason],
    }
    if said.azure:
        choice["content_filter_results"] = filters(answer)
    return choice


def filters(answer: Answer) -> dict[str, Any]:
    """Azure's report of what it filtered in an answer."""
    return FILTERED if answer.reason == "filtered" else SAFE


def call_id(answer: str, choice: int, number: int) -> str:
    return f"call_{answer.rpartition('-')[2]}{choice}{number}"


def _call(part: Part, id: str, text: str) -> dict[str, Any]:
    kind, field = ("custom", "input") if part.free_form else ("function", "arguments")
    return {"id": id, "type": kind, kind: {"name": part.name, field: text}}


def logprob(piece: str, alternatives: int) -> dict[str, Any]:
    """Made up, but stable: always negative, and the alternatives are in order."""
    value = -(zlib.crc32(piece.encode()) % 1000) / 1000
    row = {"token": piece, "logprob": value, "bytes": list(piece.encode())}
    tops = [{"token": f"{piece}{'*' * i}", "logprob": value - i, "bytes": list(piece.encode())}
            for i in range(alternatives)]  # fmt: skip
    return {**row, "top_logprobs": tops}


# ── The stream ─────────────────────────────────────────────────────────────────────────────────────────────────────


def stream(said: Saying) -> list[Step]:
    """The answer as chunks, `[DONE]` last; where a pace is set, a pause before every token."""
    return [*_chunks(said), b"data: [DONE]\n\n"]


def _chunks(said: Saying) -> Iterator[Step]:
    head = encode({"id": said.id, "object": "chat.completion.chunk", "created": said.created, "model": said.model,
                   "service_tier": "default", "system_fingerprint": FINGERPRINT})[:-1]  # fmt: skip
    tail = b',"usage":null}\n\n' if said.include_usage else b"}\n\n"
    if said.azure:
        opening = {"choices": [], "created": 0, "id": "", "model": "", "object": ""}
        yield b"data: " + encode({**opening, "prompt_filter_results": PROMPT_FILTER}) + b"\n\n"
    for index, answer in enumerate(said.answers):
        frame = _Frame(b"data: " + head + b',"choices":[{"index":%d,"delta":' % index, tail, said.azure)
        yield from _deltas(said, frame, index, answer)
        last = index == len(said.answers) - 1
        filtered = b',"content_filter_results":' + encode(filters(answer)) if said.azure else b""
        finish = f',"logprobs":null,"finish_reason":"{REASONS[answer.reason]}"'.encode() + filtered + b"}]"
        if last and said.usage_with_finish and said.usage is not None:
            yield frame.before + b"{}" + finish + b',"usage":' + encode(said.usage) + b"}\n\n"
        else:
            yield frame.before + b"{}" + finish + tail
    if said.include_usage and said.usage is not None and not said.usage_with_finish:
        yield b"data: " + head + b',"choices":[],"usage":' + encode(said.usage) + b"}\n\n"


class _Frame:
    """The bytes around a delta."""

    def __init__(self, before: bytes, tail: bytes, azure: bool) -> None:
        filters = b',"content_filter_results":' + encode(SAFE) if azure else b""
        self.before = before
        self.open = b',"finish_reason":null' + filters + b"}]" + tail
        self.after = b',"logprobs":null' + self.open

    def chunk(self, delta: bytes) -> bytes:
        return self.before + delta + self.after


def _deltas(said: Saying, frame: _Frame, index: int, answer: Answer) -> Iterator[Step]:
    pace: tuple[Step, ...] = (Pause(1 / said.tps),) if said.tps else ()
    content = b"null" if answer.reason == "tool" else b'""'
    yield frame.chunk(b'{"role":"assistant","content":' + content + b',"refusal":null}')
    number = 0
    for part in answer.parts:
        match part.kind:
            case "text" | "refusal":
                field = b'{"content":' if part.kind == "text" else b'{"refusal":'
                for piece in part.pieces:
                    yield from pace
                    if said.logprobs is None:
                        yield frame.chunk(field + encode(piece) + b"}")
                    else:
                        probs = {"content": [logprob(piece, said.logprobs)], "refusal": None}
                        yield frame.before + field + encode(piece) + b'},"logprobs":' + encode(probs) + frame.open
            case "tool":
                opened = {"index": number, **_call(part, call_id(said.id, index, number), "")}
                yield frame.chunk(encode({"tool_calls": [opened]}))
                kind, name = ("custom", "input") if part.free_form else ("function", "arguments")
                start = b'{"tool_calls":[{"index":%d,"%s":{"%s":' % (number, kind.encode(), name.encode())
                for piece in part.pieces:
                    yield from pace
                    yield frame.chunk(start + encode(piece) + b"}}]}")
                number += 1
            case "thinking" | "redacted":
                yield from pace * len(part.pieces)  # the wait is real, the text stays hidden
