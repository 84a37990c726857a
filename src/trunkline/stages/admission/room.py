"""What one call can use at its most: tokens of input and output, and money.

A budget that one call could exceed would be none, so nothing here is likely, all of it is certain. A token is at least
a byte of the request, whatever the tokenizer; files, and what is only referred to, can be as large as the model's
context. An answer has at most the tokens that the request allows it, or the model does. Where neither is known, or
where a tool at the provider may feed the model what it likes, there is no bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import astuple

from trunkline.core.call import Call
from trunkline.core.stores import Tariff
from trunkline.dialects.asked import Asked
from trunkline.providers.target import Target
from trunkline.stages.admission.fed import is_fed, tools_of
from trunkline.stages.admission.spelling import misspelt

UNSEEN = 64
"""Tokens that a provider adds to a prompt: the marks of turns and roles."""
_SUSPECT = re.compile(
    rb'"(?:image(?:_url)?|input_(?:image|file|audio)|file(?:_id|_url|_data|_uri|Data|Uri|_search|Search)?|document|audio'
    rb"|video(?:_url)?|inline_?[dD]ata|s3Location|cached_?[cC]ontent|conversation|item_reference|prompt"
    rb"|web_(?:search|fetch)\w*|code_?[iEe]\w*|mcp\w*|x_search|retrieval|google_?[SsMm]\w*|url_?[cC]ontext"
    rb'|enterprise_?[wW]\w*|systemTool|search_parameters|enable_search|plugins|(tools|functions|toolConfig|\w*[sS]chema|output_(?:format|config)))"'
)
"""What a body holds where it may hold, or refer to, more than its bytes, or let somebody else add to them; and, in its
group, what makes providers add explanations. One look for all of it, at what stands in quotation marks, costs as much
as a look for one word."""
_PASSED_ON = frozenset({"openai_chat", "openai_completions"})
"""Dialects whose bodies go to such hosts as they are; of others only what is understood here."""
_UNTYPED = re.compile(rb'"(?:web_search_options|search_parameters|enable_search|plugins)"')
"""Ways to ask for such tools that need no `type`: all else that is no text has one."""
_PREDICTED = b'"prediction"'
"""Chat: a guess at the answer. What of it the answer does not use is paid as if it had been answered."""
_ESCAPED = re.compile(rb"(?<!\\)((?:\\\\)*)\\u00([2-7][0-9A-Fa-f])")
"""Letters as JSON may escape them too. Some encoders do so with `<`, `&` and apostrophes, which stay as they are: no
name has them."""


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
    folds: bool
    """It may take names in other letters."""


def room_of(target: Target) -> Room:
    facts = target.facts
    return Room(
        name=target.name,
        price_model=target.price_model,
        input=facts.input if facts.input is not None else facts.context,
        output=facts.output if facts.output is not None else facts.context,
        heeds="max_tokens" not in target.quirks.drop,
        newer=target.quirks.max_tokens_field == "max_completion_tokens",
        folds=target.quirks.folds_names,
    )


def rooms_of(targets: Iterable[Target]) -> tuple[Room, ...]:
    """Those of them that differ: the same model at another account, say, takes and costs as much as at the first."""
    rooms: dict[tuple[object, ...], Room] = {}
    for room in map(room_of, targets):
        rooms.setdefault(astuple(room)[1:], room)
    return tuple(rooms.values())


def spelt(body: bytes) -> bytes:
    """A request to look for names in: without the escapes behind which one could hide."""
    if b"\\" not in body or b"\\u00" not in body:  # the first look is the quicker by far
        return body

    def letter(found: re.Match[bytes]) -> bytes:
        plain = bytes((int(found[2], 16),))
        return found[1] + plain if plain.isalnum() or plain == b"_" else found[0]

    return _ESCAPED.sub(letter, body)


Bound = tuple[int, int, int, str]
"""The most that a call can use, at whichever of its targets: tokens of input, of output, nano-dollars; and why there is
no bound, for the caller: then the others count what there is one for."""


def bound_of(call: Call, body: bytes, rooms: tuple[Room, ...], asked: Asked | None, prices: Tariff | None) -> Bound:
    """`body`: the call's, as `spelt`. `asked`: what the request says of its answers, None where the operation makes no
    text; `prices`: None where money does not matter."""
    alone = asked is not None and asked.alone
    text, why = _text(call, body, alone)
    if not why and call.surface.dialect.name in _PASSED_ON and any(room.folds for room in rooms):
        name = misspelt(call.body)
        why = _MISSPELT.format(ascii(name)) if name is not None else ""
    guess = len(body) if not alone and asked is not None and _PREDICTED in body else 0
    most_input = most_output = most_cost = 0
    for room in rooms:
        size, length = room.input, _length(room, asked) if asked is not None else 0
        if text is not None and (size is None or text < size):
            size = text
        if size is None or length is None:
            why = why or _UNKNOWN.format(room.name)
            continue
        length += guess
        cost = prices.ceiling(room.price_model, call.arrived, size, length) if prices is not None else 0
        if cost is None:
            why, cost = why or _UNPRICED.format(room.name), 0
        if size > most_input:
            most_input = size
        if length > most_output:
            most_output = length
        if cost > most_cost:
            most_cost = cost
    return most_input, most_output, most_cost, why


_FED_WHY = "a tool that runs at the provider may use any number of tokens"
_UNKNOWN = (
    "it is not known how many tokens {} takes and gives: send a limit of the answer's tokens (`max_tokens`), or let "
    "`catalog:` say the model's own"
)
_UNPRICED = "no price is known of {}"
_MISSPELT = "the field {} is spelt in other letters than its own, and may be taken for it by the provider"


def _text(call: Call, body: bytes, alone: bool) -> tuple[int | None, str]:
    """Tokens that the request can be, None where its bytes do not tell; and why there is no bound at all. `alone`: as
    in `Asked`."""
    size = len(call.body) + UNSEEN
    if call.follows is not None:
        size += call.follows.hidden
    plain = call.peek is not None and call.peek.plain and body is call.body
    if plain and (alone or _UNTYPED.search(body) is None):
        return size, ""
    found = _SUSPECT.search(body)
    if found is None:
        return size, ""
    words = {each[0] for each in _SUSPECT.finditer(body, found.start()) if each[1] is None}
    if call.surface.operation == "complete":
        words.discard(b'"prompt"')  # what legacy completions call their text
    if words:
        return None, _FED_WHY if is_fed(body) else ""
    tools = tools_of(body)
    return (size + tools, "") if tools is not None else (None, _FED_WHY)


def _length(room: Room, asked: Asked) -> int | None:
    """Tokens of all answers."""
    most, limit = room.output, asked.output
    if limit is not None and room.heeds and (room.newer or not asked.newer) and (most is None or limit < most):
        most = limit
    return most * asked.answers if most is not None else None
