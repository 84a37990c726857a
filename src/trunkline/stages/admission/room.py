"""What one call can use at its most: tokens of input and output, and money.

A budget that one call could exceed would be none, so nothing here is likely, all of it is certain. A token is at least
a byte of the request, whatever the tokenizer; files, and what is only referred to, can be as large as the model's
context. An answer has at most the tokens that the request allows it, or the model does. Where neither is known, or
where a tool at the provider may feed the model what it likes, there is no bound.
"""

from __future__ import annotations

import re

from msgspec import Struct

from trunkline.core.call import Call
from trunkline.core.stores import Tariff
from trunkline.dialects.asked import Asked
from trunkline.providers.target import Target

_UNSEEN = 64
"""Tokens that a provider adds to a prompt: the marks of turns and roles."""
_UNSEEN_TOOLS = 1024
"""The same with tools or a schema, which providers explain to their models (Anthropic's documentation says up to 530
tokens for the tools alone)."""

_SUSPECT = re.compile(
    rb'"(?:image(?:_url)?|input_(?:image|file|audio)|file(?:_id|_url|_data|_uri|Data|Uri|_search|Search)?|document|audio'
    rb"|video(?:_url)?|inline_?[dD]ata|s3Location|cached_?[cC]ontent|conversation|item_reference|prompt"
    rb"|web_(?:search|fetch)\w*|code_?[iEe]\w*|mcp\w*|x_search|retrieval|google_?[SsMm]\w*|url_?[cC]ontext"
    rb'|enterprise_?[wW]\w*|systemTool|(tools|functions|toolConfig|\w*[sS]chema|output_(?:format|config)))"'
)
"""What a body holds where it may hold, or refer to, more than its bytes, or let somebody else add to them; and, in its
group, what makes providers add explanations. One look for all of it, at what stands in quotation marks, costs as much
as a look for one word."""
_SEARCHING = b"web_search_options"
"""Chat's one way to such a tool that needs no `type`: all else that is no text has one."""
_FEEDS = re.compile(
    rb'"type"\s*:\s*"(?:web_search|web_fetch|code_interpreter|code_execution|file_search|mcp|image_generation|x_search'
    rb'|retrieval)|"(?:web_search_options|mcp_servers|google_?[sS]earch\w*|google_?[mM]aps|url_?[cC]ontext'
    rb'|code_?[eE]xecution|file_?[sS]earch|retrieval|enterprise_?[wW]eb_?[sS]earch|systemTool)"\s*:'
)
"""How such a tool is really asked for: a caller's own function may have the same name."""
_ESCAPED = re.compile(rb"\\u00[2-7]")
"""Letters of these as JSON may escape them too."""


class Room(Struct, frozen=True):
    """Of one target. Tokens; None where unknown."""

    name: str
    price_model: str | None
    input: int | None
    output: int | None
    heeds: bool
    """The request's own limit reaches it."""
    newer: bool
    """It knows that limit by the name `max_completion_tokens`."""


class Bound(Struct, frozen=True):
    """The most that a call can use, at whichever of its targets."""

    input: int
    output: int
    cost: int
    why: str = ""
    """Why there is no bound, for the caller; what is above counts what there is one for."""


def room_of(target: Target) -> Room:
    facts = target.facts
    return Room(
        name=target.name,
        price_model=target.price_model,
        input=facts.input if facts.input is not None else facts.context,
        output=facts.output if facts.output is not None else facts.context,
        heeds="max_tokens" not in target.quirks.drop,
        newer=target.quirks.max_tokens_field == "max_completion_tokens",
    )


def bound_of(call: Call, rooms: tuple[Room, ...], asked: Asked | None, prices: Tariff | None) -> Bound:
    """`asked`: what the request says of its answers, None where the operation makes no text; `prices`: None where money
    does not matter."""
    text, why = _text(call)
    most_input = most_output = most_cost = 0
    for room in rooms:
        if text is None:
            size = room.input
        else:
            size = text if room.input is None else min(text, room.input)
        length = _length(room, asked)
        if size is None or length is None:
            why = why or _UNKNOWN.format(room.name)
            continue
        cost = prices.ceiling(room.price_model, call.arrived, size, length) if prices is not None else 0
        if cost is None:
            why = why or _UNPRICED.format(room.name)
        most_input, most_output = max(most_input, size), max(most_output, length)
        most_cost = max(most_cost, cost or 0)
    return Bound(most_input, most_output, most_cost, why)


_FED_WHY = "a tool that runs at the provider may use any number of tokens"
_UNKNOWN = (
    "it is not known how many tokens {} takes and gives: send a limit of the answer's tokens (`max_tokens`), or let "
    "`catalog:` say the model's own"
)
_UNPRICED = "no price is known of {}"


def _text(call: Call) -> tuple[int | None, str]:
    """Tokens that the request can be, None where its bytes do not tell; and why there is no bound at all."""
    body = call.body
    size = len(body) + _UNSEEN
    if b"\\" in body and _ESCAPED.search(body) is not None:
        return None, _FED_WHY
    if call.peek is not None and call.peek.plain and _SEARCHING not in body:
        return size, ""
    found = _SUSPECT.search(body)
    if found is None:
        return size, ""
    words = {each[0] for each in _SUSPECT.finditer(body, found.start()) if each[1] is None}
    if call.surface.operation == "complete":
        words.discard(b'"prompt"')  # what legacy completions call their text
    if not words:
        return size + _UNSEEN_TOOLS, ""
    return None, _FED_WHY if _FEEDS.search(body) is not None else ""


def _length(room: Room, asked: Asked | None) -> int | None:
    """Tokens of all answers."""
    if asked is None:
        return 0
    most = room.output
    if asked.output is not None and room.heeds and (room.newer or not asked.newer):
        most = asked.output if most is None else min(asked.output, most)
    return most * asked.answers if most is not None else None
