"""What is asked and answered: requests of a set size, a whole answer, and streams of as many chunks as wanted.

All invented here. The same text goes through every proxy, so that its content favours none.
"""

from __future__ import annotations

import json
from typing import Any

SENTENCE = "The night train leaves the harbour at ten past nine and reaches the valley before the first light. "
WORDS = SENTENCE.split()
MODEL = {"openai": "gpt-4.1", "anthropic": "claude-sonnet-4-5"}
"""Models with a public price, so that every call is priced."""


def request(model: str, size: int, **fields: Any) -> bytes:
    """A chat request of `size` bytes, valid in both dialects: half of the text from earlier turns."""

    def body(text: int) -> bytes:
        turns = [("user", text // 4), ("assistant", text // 4), ("user", text - 2 * (text // 4))]
        messages = [{"role": role, "content": _text(length)} for role, length in turns]
        return _json({"model": model, "messages": messages, "max_tokens": 256, **fields})

    return body(size - len(body(0)))


def _text(length: int) -> str:
    return (SENTENCE * (length // len(SENTENCE) + 1))[:length]


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def openai_answer() -> bytes:
    """About 700 bytes, as a chat completion has them."""
    message: dict[str, Any] = {"role": "assistant", "content": SENTENCE * 2, "refusal": None, "annotations": []}
    usage = {
        "prompt_tokens": 220,
        "completion_tokens": 40,
        "total_tokens": 260,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }
    return _json(
        {
            "id": "chatcmpl-bench000000000000000001",
            "object": "chat.completion",
            "created": 1_750_000_000,
            "model": MODEL["openai"],
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
            "usage": usage,
            "service_tier": "default",
            "system_fingerprint": "fp_bench00001",
        }
    )


def openai_stream(chunks: int) -> list[bytes]:
    """The events of a streamed completion: one with the role, `chunks` with a word each, finish, usage and the end."""
    frame = {
        "id": "chatcmpl-bench000000000000000002",
        "object": "chat.completion.chunk",
        "created": 1_750_000_000,
        "model": MODEL["openai"],
        "system_fingerprint": "fp_bench00001",
    }

    def event(delta: dict[str, str], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return b"data: " + _json({**frame, "choices": [choice], "usage": None}) + b"\n\n"

    usage = {"prompt_tokens": 220, "completion_tokens": chunks, "total_tokens": 220 + chunks}
    words = [event({"content": f" {WORDS[n % len(WORDS)]}"}) for n in range(chunks)]
    last = b"data: " + _json({**frame, "choices": [], "usage": usage}) + b"\n\n"
    return [event({"role": "assistant", "content": ""}), *words, event({}, "stop"), last, b"data: [DONE]\n\n"]
