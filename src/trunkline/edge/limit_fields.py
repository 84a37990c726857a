"""Header fields that tell a caller of its limits, by the names that its family's SDK knows: of every answer, so that a
program can slow down before it is refused.

OpenAI:     x-ratelimit-{limit,remaining,reset}-requests, the reset as `6m0s`
Anthropic:  anthropic-ratelimit-requests-{limit,remaining,reset}, the reset as a date (RFC 3339)
others:     ratelimit-policy, ratelimit (draft-ietf-httpapi-ratelimit-headers-10): their own services say nothing

Of several limits of one kind the one with the least left is told. Money and concurrency have no such fields; what
refused a call is in `x-trunkline-limit`, whatever it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from trunkline.core.call import Headers
from trunkline.core.errors import BudgetExceeded, LimitExceeded
from trunkline.core.limit import Dimension, Standing
from trunkline.dialects.base import Dialect
from trunkline.edge.printable import printable
from trunkline.policy.rules import shown

LONGEST_RETRY = 60.0
"""Seconds: OpenAI's and Anthropic's SDKs wait no longer than that of themselves, and would come again in vain."""

_KINDS: dict[Dimension, str] = {
    "requests": "requests", "tokens": "tokens", "input_tokens": "input-tokens", "output_tokens": "output-tokens",
}  # fmt: skip
_NO_RETRY = (b"x-should-retry", b"false")
_OPENAI = {
    dimension: tuple(f"x-ratelimit-{part}-{kind}".encode() for part in ("limit", "remaining", "reset"))
    for dimension, kind in _KINDS.items()
}
_ANTHROPIC = {
    dimension: tuple(f"anthropic-ratelimit-{kind}-{part}".encode() for part in ("limit", "remaining", "reset"))
    for dimension, kind in _KINDS.items()
}


def _openai(standing: Standing) -> Headers:
    limit, remaining, reset = _OPENAI[standing.want.dimension]
    return [
        (limit, b"%d" % standing.want.most),
        (remaining, b"%d" % standing.left),
        (reset, _duration(standing.reset)),
    ]


def _anthropic(standing: Standing) -> Headers:
    limit, remaining, reset = _ANTHROPIC[standing.want.dimension]
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + standing.reset + 1.0))
    return [(limit, b"%d" % standing.want.most), (remaining, b"%d" % standing.left), (reset, moment.encode())]


def _standard(standing: Standing) -> Headers:
    want = standing.want
    policy = f'"{_KINDS[want.dimension]}";q={want.most}'
    left = f'"{_KINDS[want.dimension]}";r={standing.left};t={standing.reset:.0f}'
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", left.encode())]


_FAMILIES: dict[str, Callable[[Standing], Headers]] = {
    "openai_chat": _openai,
    "openai_completions": _openai,
    "openai_responses": _openai,
    "anthropic": _anthropic,
}


def limit_fields(standings: Sequence[Standing], dialect: Dialect) -> Headers:
    """How a call that was let in stands with its limits."""
    fields: Headers = []
    tell = _FAMILIES.get(dialect.name, _standard)
    tightest: dict[Dimension, Standing] = {}
    for each in standings:
        want = each.want
        if want.soft:
            if each.left == 0:
                fields.append((b"x-trunkline-limit-warning", printable(shown(want))))
            continue
        known = tightest.get(want.dimension)
        if want.dimension in _KINDS and (known is None or each.left < known.left):
            tightest[want.dimension] = each
    for standing in tightest.values():
        fields += tell(standing)
    return fields


def refusal_fields(error: LimitExceeded, dialect: Dialect) -> Headers:
    """Which limit refused a call, and whether it is of any use to come again soon."""
    standing = error.standing
    fields: Headers = [(b"x-trunkline-limit", printable(shown(standing.want)))]
    if standing.want.dimension in _KINDS:
        fields += _FAMILIES.get(dialect.name, _standard)(standing)
    late = error.retry_after is None or error.retry_after > LONGEST_RETRY
    if late or isinstance(error, BudgetExceeded):
        fields.append(_NO_RETRY)
    return fields


def _duration(seconds: float) -> bytes:
    """As Go prints it, and so OpenAI: `12ms`, `6m0s`, `1h0m0s`."""
    if seconds < 1:
        return b"%dms" % round(seconds * 1000)
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return b"%dh%dm%ds" % (hours, minutes, rest)
    return b"%dm%ds" % (minutes, rest) if minutes else b"%ds" % rest
