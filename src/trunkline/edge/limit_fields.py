"""Header fields that tell a caller of its limits, by the names that its family's SDK knows: of every answer, so that a
program can slow down before it is refused.

OpenAI:     x-ratelimit-{limit,remaining,reset}-requests, the reset as `6m0s`
Anthropic:  anthropic-ratelimit-requests-{limit,remaining,reset}, the reset as a date (RFC 3339)
others:     ratelimit-policy, ratelimit (draft-ietf-httpapi-ratelimit-headers-10): their own services say nothing

Of several limits of one kind the one with the least left is told. Money and concurrency have no such fields; what
refused a call is in `x-trunkline-limit`, whatever it was. Most of a line is the same for all calls of a kind, so it is
laid out once.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec import Struct

from trunkline.core.errors import BudgetExceeded, LimitExceeded
from trunkline.core.limit import Dimension, Grant, Standing, Want
from trunkline.dialects.base import Dialect
from trunkline.edge.lines import Lines, printable
from trunkline.policy.quota import reset_of
from trunkline.policy.rules import shown

LONGEST_RETRY = 60.0
"""Seconds: OpenAI's and Anthropic's SDKs wait no longer than that of themselves, and would come again in vain."""
MAX_LAYOUTS = 10_000

_KINDS: dict[Dimension, str] = {
    "requests": "requests", "tokens": "tokens", "input_tokens": "input-tokens", "output_tokens": "output-tokens",
}  # fmt: skip
_NO_RETRY = b"x-should-retry: false"

Tell = Callable[[int, int], bytes]
"""The lines of one limit: what is left of it, at which moment (milliseconds since the epoch)."""


def _openai(want: Want) -> Tell:
    kind = _KINDS[want.dimension].encode()
    names = (b"x-ratelimit-limit-" + kind, b"x-ratelimit-remaining-" + kind, b"x-ratelimit-reset-" + kind)
    if want.window.kept:
        lines = b"%b: %d\r\n%b: %%d\r\n%b: %b" % (names[0], want.most, *names[1:], _duration(_whole(want)))
        return lambda left, at: lines % left
    lines = b"%b: %d\r\n%b: %%d\r\n%b: %%b" % (names[0], want.most, *names[1:])
    return lambda left, at: lines % (left, _duration(reset_of(want, at) / 1000))


def _anthropic(want: Want) -> Tell:
    name = b"anthropic-ratelimit-" + _KINDS[want.dimension].encode()
    lines = b"%b-limit: %d\r\n%b-remaining: %%d\r\n%b-reset: %%b" % (name, want.most, name, name)
    return lambda left, at: lines % (left, _moment(at + reset_of(want, at)))


def _standard(want: Want) -> Tell:
    name = _KINDS[want.dimension].encode()
    lines = b'ratelimit-policy: "%b";q=%d\r\nratelimit: "%b";r=%%d;t=%%d' % (name, want.most, name)
    if want.window.kept:
        reset = round(_whole(want))
        return lambda left, at: lines % (left, reset)
    return lambda left, at: lines % (left, round(reset_of(want, at) / 1000))


def _whole(want: Want) -> float:
    """Seconds in which all that is taken now has left a rolling window: always as many, but for a sixtieth."""
    return want.window.width * (want.window.kept + 1) / 1000


_FAMILIES: dict[str, Callable[[Want], Tell]] = {
    "openai_chat": _openai,
    "openai_completions": _openai,
    "openai_responses": _openai,
    "anthropic": _anthropic,
}


_Limit = tuple[int, int, Tell]
"""Its place in a grant, the most, and how it is told."""


class _Layout(Struct, frozen=True):
    """What is told of the calls that have these wants."""

    wants: tuple[Want, ...]
    rows: tuple[tuple[_Limit, tuple[_Limit, ...]], ...]
    """A limit of each kind, and the others of its kind."""
    soft: tuple[tuple[int, int, bytes], ...]
    """Soft limits: place, most, and the line that warns of it."""


_layouts: dict[tuple[int, Dialect], _Layout] = {}
"""By the identity of the wants, which are made once for a kind of call."""


def limit_fields(lines: Lines, grant: Grant, dialect: Dialect) -> None:
    """Add how a call that was let in stands with its limits."""
    wants = grant.wants
    layout = _layouts.get((id(wants), dialect))
    if layout is None or layout.wants is not wants:
        if len(_layouts) >= MAX_LAYOUTS:
            _layouts.clear()
        layout = _layouts[id(wants), dialect] = _laid_out(wants, dialect)
    totals = grant.totals
    for (first, bound, how), others in layout.rows:
        least, tell = bound - totals[first], how
        for at, most, each in others:
            left = most - totals[at]
            if left < least:
                least, tell = left, each
        lines.append(tell(least if least > 0 else 0, grant.at))
    for at, most, warning in layout.soft:
        if totals[at] > most:
            lines.append(warning)


def _laid_out(wants: tuple[Want, ...], dialect: Dialect) -> _Layout:
    family = _FAMILIES.get(dialect.name, _standard)
    hard = [(at, want) for at, want in enumerate(wants) if not want.soft]
    limits = [[(at, want.most, family(want)) for at, want in hard if want.dimension == kind] for kind in _KINDS]
    rows = tuple((first, tuple(others)) for first, *others in filter(None, limits))
    warned = [(at, want) for at, want in enumerate(wants) if want.soft]
    soft = tuple((at, want.most, b"x-trunkline-limit-warning: " + printable(shown(want))) for at, want in warned)
    return _Layout(wants, rows, soft)


def refusal_fields(error: LimitExceeded, dialect: Dialect) -> Lines:
    """Which limit refused a call, and whether it is of any use to come again soon."""
    standing: Standing = error.standing
    want = standing.want
    lines = [b"x-trunkline-limit: " + printable(shown(want))]
    if want.dimension in _KINDS:
        lines.append(_FAMILIES.get(dialect.name, _standard)(want)(standing.left, time.time_ns() // 1_000_000))
    late = error.retry_after is None or error.retry_after > LONGEST_RETRY
    if late or isinstance(error, BudgetExceeded):
        lines.append(_NO_RETRY)
    return lines


def _moment(at: int) -> bytes:
    """In whole seconds, and not before that."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(-(-at // 1000))).encode()


def _duration(seconds: float) -> bytes:
    """As Go prints it, and so OpenAI: `12ms`, `6m0s`, `1h0m0s`."""
    if seconds < 1:
        return b"%dms" % round(seconds * 1000)
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return b"%dh%dm%ds" % (hours, minutes, rest)
    return b"%dm%ds" % (minutes, rest) if minutes else b"%ds" % rest
