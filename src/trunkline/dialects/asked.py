"""How long an answer may become, as requests of any family say it, in one look at the body.

Money depends on it, so only what the family itself would heed counts: another family's name for it would be ignored
there. Of two such fields the larger counts, and of one that is there twice too, for JSON does not say which of them
holds. Numbers may be written as text, as Google's and lenient hosts take them. What cannot be read says nothing: the
provider says what is wrong with it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import UNSET, Struct, field
from msgspec.structs import astuple

_MOST = 10**12
"""A larger number is no limit."""
MAX_ANSWERS = 10_000
"""Nobody makes more at once; a larger number is refused by whoever is asked."""


class Length(Struct):
    """What a body says of it, and of what costs besides. Fields are of any type, so that one that is wrong hides no
    other."""

    chat: Any = field(default=UNSET, name="max_completion_tokens")
    common: Any = field(default=UNSET, name="max_tokens")
    responses: Any = field(default=UNSET, name="max_output_tokens")
    n: Any = UNSET
    best_of: Any = UNSET
    prompt: Any = UNSET
    gemini: Any = field(default=UNSET, name="generationConfig")
    snake: Any = field(default=UNSET, name="generation_config")
    converse: Any = field(default=UNSET, name="inferenceConfig")
    beside: Any = field(default=UNSET, name="additionalModelRequestFields")
    prediction: Any = UNSET
    web_search_options: Any = UNSET
    search_parameters: Any = UNSET
    enable_search: Any = UNSET
    plugins: Any = UNSET
    extra_body: Any = UNSET
    """From here on: what says nothing of the length, and costs."""


_FIELDS = len(Length.__struct_fields__)


class Asked(Struct, frozen=True):
    """`output`: tokens of one answer, at most; None: the request does not say. `answers`: how many are made."""

    output: int | None = None
    answers: int = 1
    newer: bool = False
    """Chat: it says so by `max_completion_tokens` alone, which some hosts do not know."""
    alone: bool = False
    """Nothing else was found that costs: no guess at the answer, no search that needs no tool of its own."""


_NOTHING = Asked()
_UNSAID = Asked(None, 1, True, True)
_decode = msgspec.json.Decoder(Length).decode
_LENGTH = ("maxOutputTokens", "max_output_tokens")
_COUNT = ("candidateCount", "candidate_count")
_OWN = ("max_tokens", "maxTokens", "max_new_tokens", "max_completion_tokens")
"""What models on Bedrock call it, in the fields that Converse passes on to them."""
_LIMIT = re.compile(
    rb'"(?:max(?:_completion_tokens|_(?:output_|new_)?tokens|(?:Output)?Tokens)|n|best_of|candidate_?[cC]ount'
    rb'|generation(?:C|_c)onfig|inferenceConfig|prompt)"\s*:'
)


def _in(config: Any, names: Iterable[str]) -> list[Any]:
    return [config.get(name) for name in names] if isinstance(config, dict) else []


def _of_gemini(body: Length) -> list[Any]:
    return [*_in(body.gemini, _LENGTH), *_in(body.snake, _LENGTH)]


def _of_converse(body: Length) -> list[Any]:
    said = _in(body.converse, ("maxTokens",))
    if body.beside is not UNSET and _largest(said) is not None:
        inner = _in(body.beside, ("inferenceConfig",))
        said += _in(body.beside, _OWN) + (_in(inner[0], _OWN) if inner else [])
    return said


_LIMITS: dict[tuple[str, str], Callable[[Length], list[Any]]] = {
    ("openai_chat", ""): lambda body: [body.chat, body.common],
    ("openai_completions", ""): lambda body: [body.common],
    ("openai_responses", ""): lambda body: [body.responses],
    ("anthropic", ""): lambda body: [body.common],
    ("gemini", ""): _of_gemini,
    ("bedrock", ""): _of_converse,
    ("bedrock_invoke", "claude"): lambda body: [body.common],
    ("bedrock_invoke", "nova"): lambda body: _in(body.converse, ("maxTokens", "max_new_tokens")),
}
"""By the dialect's name and, for InvokeModel, whose body it is. Of bodies that are not read nothing is believed."""


_COMMON = attrgetter("common"), b'"max_tokens"', False
_PLAIN: dict[str, tuple[tuple[Callable[[Length], Any], bytes, bool], ...]] = {
    "openai_chat": ((attrgetter("chat"), b'"max_completion_tokens"', True), _COMMON),
    "openai_completions": (_COMMON,),
    "openai_responses": ((attrgetter("responses"), b'"max_output_tokens"', True),),
    "anthropic": (_COMMON,),
}
"""The fields that say it by themselves, how they stand in a body, and whether that is the newer name."""


def asked(body: bytes, dialect: str, maker: str = "", said: Length | None = None) -> Asked:
    """What a request in this dialect says of the length and the number of its answers. `said`: a `Length` that somebody
    has read of this body already."""
    try:
        seen = said if said is not None else _decode(body)
        unset = astuple(seen).count(UNSET)
        if unset >= _FIELDS - 1 and dialect in _PLAIN:  # at most one of them is there, as in nearly all
            if unset == _FIELDS:
                return _UNSAID
            for told, name, newer in _PLAIN[dialect]:
                value = told(seen)
                if type(value) is not int:
                    continue
                last = body.rfind(name)  # limits mostly follow the messages, and texts mostly have no underscore
                if (last >= 0 and body.find(b"_", 0, last) < 0) or body.count(name) == 1:
                    return Asked(value if 0 < value < _MOST else None, 1, newer, True)
        if _repeats(body):
            seen = _repeated(body)
    except (ValueError, RecursionError):
        return _NOTHING
    limits = _LIMITS.get((dialect, maker if dialect == "bedrock_invoke" else ""))
    output = _largest(limits(seen)) if limits is not None else None
    counts = [seen.n, seen.best_of, *_in(seen.gemini, _COUNT), *_in(seen.snake, _COUNT)]
    newer = seen.common is UNSET or seen.common is None
    return Asked(output, min(_largest(counts) or 1, MAX_ANSWERS) * _prompts(seen.prompt), newer)


def _largest(values: Iterable[Any]) -> int | None:
    given = [number for each in values if each is not None and (number := _number(each)) is not None]
    return max(given) if given else None


def _number(value: Any) -> int | None:
    """None for what limits nothing. To some hosts zero means that nothing was said."""
    if type(value) is int:  # as nearly all are
        return value if 0 < value < _MOST else None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return math.ceil(number) if 0 < number < _MOST else None


def _prompts(prompt: Any) -> int:
    """Legacy completions: several prompts at once get an answer each. A list of numbers is one prompt."""
    if not isinstance(prompt, list) or not prompt:
        return 1
    return len(prompt) if isinstance(prompt[0], (str, list)) else 1


# ── What is said twice ─────────────────────────────────────────────────────────────────────────────────────────────


def _repeats(body: bytes) -> bool:
    """Whether a name of these is there twice, wherever."""
    names = [found[0] for found in _LIMIT.finditer(body)]
    return len(names) > 1 and len({name.rstrip(b" \t\r\n:") for name in names}) < len(names)


def _repeated(body: bytes) -> Length:
    """Read by the slower library, which tells what is there twice. Raises ValueError, RecursionError."""
    return msgspec.convert(json.loads(body, object_pairs_hook=_merged), Length)


def _merged(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for name, value in pairs:
        known[name] = _larger(name, known[name], value) if name in known else value
    return known


def _larger(name: str, one: Any, other: Any) -> Any:
    """Of two values of one name that which allows more: to a length whatever is no number sets no limit."""
    if isinstance(one, dict) and isinstance(other, dict):
        return _merged([*one.items(), *other.items()])
    if name == "prompt":
        return one if _prompts(one) > _prompts(other) else other
    first, second = _number(one), _number(other)
    if first is None or second is None:
        return None if name.startswith("max") else first or second
    return max(first, second)
