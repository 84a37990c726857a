"""How long an answer may become, as requests of any family say it, in one look at the body.

Money depends on it, so only what the family itself would heed counts: another family's name for it would be ignored
there. Of two such fields the larger counts. What cannot be read says nothing: the provider says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
from msgspec import Struct, field

_Number = int | float | None
_MOST = 10**12
"""A larger number is no limit."""
_ABSENT = msgspec.Raw(b"")


class _Config(Struct):
    """Gemini's `generationConfig` and Bedrock's `inferenceConfig`."""

    output: _Number = field(default=None, name="maxOutputTokens")
    snake: _Number = field(default=None, name="max_output_tokens")
    converse: _Number = field(default=None, name="maxTokens")
    nova: _Number = field(default=None, name="max_new_tokens")
    answers: _Number = field(default=None, name="candidateCount")


class _Body(Struct):
    chat: _Number = field(default=None, name="max_completion_tokens")
    common: _Number = field(default=None, name="max_tokens")
    responses: _Number = field(default=None, name="max_output_tokens")
    n: _Number = None
    best_of: _Number = None
    prompt: msgspec.Raw = _ABSENT
    gemini: _Config | None = field(default=None, name="generationConfig")
    snake: _Config | None = field(default=None, name="generation_config")
    converse: _Config | None = field(default=None, name="inferenceConfig")


class Asked(Struct, frozen=True):
    """`output`: tokens of one answer, at most; None: the request does not say. `answers`: how many are made."""

    output: int | None = None
    answers: int = 1
    newer: bool = False
    """Chat: it says so by `max_completion_tokens` alone, which some hosts do not know."""


_NOTHING = Asked()
_NONE: list[_Number] = [None, None]
_decode = msgspec.json.Decoder(_Body).decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


def _of_gemini(body: _Body) -> list[_Number]:
    configs = [each for each in (body.gemini, body.snake) if each is not None]
    return [each.output for each in configs] + [each.snake for each in configs]


def _of_nova(body: _Body) -> list[_Number]:
    return [body.converse.converse, body.converse.nova] if body.converse is not None else []


_LIMITS: dict[tuple[str, str], Callable[[_Body], list[_Number]]] = {
    ("openai_chat", ""): lambda body: [body.chat, body.common],
    ("openai_completions", ""): lambda body: [body.common],
    ("openai_responses", ""): lambda body: [body.responses],
    ("anthropic", ""): lambda body: [body.common],
    ("gemini", ""): _of_gemini,
    ("bedrock", ""): lambda body: [body.converse.converse] if body.converse is not None else [],
    ("bedrock_invoke", "claude"): lambda body: [body.common],
    ("bedrock_invoke", "nova"): _of_nova,
}
"""By the dialect's name and, for InvokeModel, whose body it is. Of bodies that are not read nothing is believed."""


def asked(body: bytes, dialect: str, maker: str = "") -> Asked:
    """What a request in this dialect says of the length and the number of its answers."""
    try:
        seen = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _NOTHING
    limits = _LIMITS.get((dialect, maker if dialect == "bedrock_invoke" else ""))
    output = _largest(limits(seen)) if limits is not None else None
    counts = [seen.n, seen.best_of]
    if counts == _NONE and seen.gemini is None and seen.snake is None and seen.prompt is _ABSENT:
        return Asked(output, 1, seen.common is None)
    counts += [each.answers for each in (seen.gemini, seen.snake) if each is not None]
    answers = max(1, _largest(counts) or 1)
    return Asked(output, answers * _prompts(bytes(seen.prompt)), seen.common is None)


def _largest(numbers: Iterable[_Number]) -> int | None:
    given = [int(each) for each in numbers if each is not None and 0 <= each < _MOST]
    return max(given) if given else None


def _prompts(prompt: bytes) -> int:
    """Legacy completions: several prompts at once get an answer each. A list of numbers is one prompt."""
    if not prompt.startswith(b"["):
        return 1
    items = _items(prompt)
    return len(items) if items and bytes(items[0])[:1] in (b'"', b"[") else 1
