"""OpenAI's legacy completions: a prompt is continued, by the same persona that chats."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from trunkline.sim.exchange import Exchange, Pause, Step
from trunkline.sim.faults import MAX_COUNT
from trunkline.sim.openai import JSON, SSE
from trunkline.sim.openai_answer import PROMPT_FILTER, SAFE, encode, filters, logprob
from trunkline.sim.persona import Answer, Ask, answer
from trunkline.sim.problems import Problem
from trunkline.sim.tokens import count
from trunkline.sim.turn import Turn

Json = dict[str, Any]

FIELDS = frozenset({
    "best_of", "echo", "frequency_penalty", "logit_bias", "logprobs", "max_tokens", "model", "n", "presence_penalty",
    "prompt", "seed", "stop", "stream", "stream_options", "suffix", "temperature", "top_p", "user",
})  # fmt: skip
DEFAULT_LIMIT = 16
"""Tokens of a completion whose request says nothing of them."""
MAX_PROMPTS = 2048
RANGES = {"max_tokens": (0, 2**31), "n": (1, 128), "logprobs": (0, 5), "temperature": (0, 2), "top_p": (0, 1)}
REASONS = {"length": "length", "filtered": "content_filter"}


class _Saying(Struct):
    id: str
    created: int
    model: str
    answers: list[Answer]
    usage: Json | None
    azure: bool
    logprobs: int | None
    tps: float


def plan(body: Json, turn: Turn) -> Exchange:
    """POST /v1/completions. Raises Problem where the service refuses."""
    body = {"model": turn.name, **body} if turn.azure else body
    prompts = _prompts(body)
    alternatives = body.get("n") or 1
    if len(prompts) * alternatives * max(1, turn.length or 0) > MAX_COUNT:
        raise Problem(f"'n' times the prompts times the cue 'length' is above {MAX_COUNT} tokens.", param="n")
    read = sum(count(prompt) for prompt in prompts)
    if read > turn.model.context:
        raise Problem(
            f"This model's maximum context length is {turn.model.context} tokens, however you requested {read} tokens. "
            "Please reduce your prompt; or completion length.", param="prompt", name="context",
        )  # fmt: skip
    answers = [answer(_ask(body, prompt, i, turn)) for prompt in prompts for i in range(alternatives)]
    written = sum(one.tokens for one in answers)
    usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
    said = _Saying(
        id=f"cmpl-sim{turn.number:08x}",
        created=int(turn.now),
        model=turn.name,
        answers=answers,
        usage=None if "no-usage" in turn.cues else usage,
        azure=turn.azure,
        logprobs=body.get("logprobs"),
        tps=turn.tps,
    )
    if body.get("stream"):
        counted = bool((body.get("stream_options") or {}).get("include_usage"))
        return Exchange(200, [*SSE], [Pause(turn.ttft), *_stream(said, counted)], stream=True)
    return Exchange(200, [*JSON], [_whole(said)], before=[Pause(turn.ttft + (written / turn.tps if turn.tps else 0))])


def _ask(body: Json, prompt: str, variant: int, turn: Turn) -> Ask:
    stop = body.get("stop")
    return Ask(
        model=turn.name,
        text=prompt,
        limit=turn.limit(DEFAULT_LIMIT if body.get("max_tokens") is None else body["max_tokens"]),
        stop=[stop] if isinstance(stop, str) else (stop or []),
        variant=variant,
        filtered="filtered" in turn.cues,
        length=turn.length,
    )


def _prompts(body: Json) -> list[str]:
    """The prompts as texts: given as text, as tokens, or as a list of either. Raises Problem."""
    for name in body:
        if name not in FIELDS:
            raise Problem(f"Unknown parameter: '{name[:80]}'.", param=name[:80], code="unknown_parameter")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise Problem("you must provide a model parameter")
    for name, (low, high) in RANGES.items():
        value = body.get(name)
        if value is not None and not low <= value <= high:
            edge, code, bound = ("below", "min", f">= {low}") if value < low else ("above", "max", f"<= {high}")
            raise Problem(
                f"Invalid '{name}': integer {edge} {code}imum value. Expected a value {bound}, but got {value} "
                "instead.", param=name, code=f"integer_{edge}_{code}_value",
            )  # fmt: skip
    given = body.get("prompt", "")
    several = given if isinstance(given, list) and not all(isinstance(one, int) for one in given) else [given]
    if len(several) > MAX_PROMPTS:
        raise Problem(f"Too many prompts: {len(several)}; at most {MAX_PROMPTS}.", param="prompt")
    return [one if isinstance(one, str) else " ".join(f"t{token}" for token in one) for one in several]


def _head(said: _Saying) -> Json:
    return {"id": said.id, "object": "text_completion", "created": said.created, "model": said.model}


def _whole(said: _Saying) -> bytes:
    body = _head(said)
    if said.azure:
        body["prompt_filter_results"] = PROMPT_FILTER
    body["choices"] = [_choice(said, i, _pieces(one), one) for i, one in enumerate(said.answers)]
    if said.usage is not None:
        body["usage"] = said.usage
    return encode(body)


def _choice(said: _Saying, index: int, pieces: list[str], ended: Answer | None) -> Json:
    """A choice with these pieces of text. `ended`: the answer that ends with them."""
    choice: Json = {
        "text": "".join(pieces),
        "index": index,
        "logprobs": _logprobs(said, pieces),
        "finish_reason": None if ended is None else REASONS.get(ended.reason, "stop"),
    }
    if said.azure:
        choice["content_filter_results"] = SAFE if ended is None else filters(ended)
    return choice


def _logprobs(said: _Saying, pieces: list[str]) -> Json | None:
    if said.logprobs is None or not pieces:
        return None
    rows = [logprob(piece, said.logprobs) for piece in pieces]
    offsets = [sum(map(len, pieces[:i])) for i in range(len(pieces))]
    return {
        "tokens": pieces,
        "token_logprobs": [row["logprob"] for row in rows],
        "top_logprobs": [{top["token"]: top["logprob"] for top in row["top_logprobs"]} for row in rows],
        "text_offset": offsets,
    }


def _pieces(one: Answer) -> list[str]:
    return [piece for part in one.parts for piece in part.pieces]


def _stream(said: _Saying, counted: bool) -> Iterator[Step]:
    pace: tuple[Step, ...] = (Pause(1 / said.tps),) if said.tps else ()
    tail = {"usage": None} if counted else {}

    def chunk(choices: list[Json], more: Json) -> bytes:
        return b"data: " + encode({**_head(said), "choices": choices, **more}) + b"\n\n"

    for index, one in enumerate(said.answers):
        for piece in _pieces(one):
            yield from pace
            yield chunk([_choice(said, index, [piece], None)], tail)
        yield chunk([_choice(said, index, [], one)], tail)
    if counted and said.usage is not None:
        yield chunk([], {"usage": said.usage})
    yield b"data: [DONE]\n\n"
