"""When to come back, as the providers' headers say it.

The order is that of OpenAI's and Anthropic's own SDKs: `retry-after-ms` (milliseconds), then `retry-after` (seconds, or
a date, RFC 9110 section 10.2.3). Azure sometimes sends only its misspelt `x-rate-limit-reset-tokens` (seconds). Where
none of these is there, what is used up is full again at its own reset: `x-ratelimit-reset-…` (OpenAI, Azure),
`anthropic-ratelimit-…-reset`.
"""

from __future__ import annotations

import re

from trunkline.core.call import Headers
from trunkline.policy.resets import seconds_until

_SCALES = ((b"retry-after-ms", 0.001), (b"retry-after", 1.0), (b"x-rate-limit-reset-tokens", 1.0))
_LIMIT = re.compile(
    rb"x-ratelimit-(?P<what>remaining|reset)-(?P<of>[a-z-]+)"
    rb"|anthropic-ratelimit-(?P<Of>[a-z-]+)-(?P<What>remaining|reset)"
)
MAX_FIELDS = 64


def retry_after(headers: Headers) -> float | None:
    """Seconds to wait, or None where nothing (readable) is said."""
    date = next((value for name, value in headers if name == b"date"), b"")
    for wanted, scale in _SCALES:
        for name, value in headers:
            if name == wanted:
                seconds = _number(value)
                found = seconds * scale if seconds is not None else seconds_until(value, date)
                if found is not None and 0 <= found < float("inf"):
                    return found
    return _full_again(headers, date)


def _full_again(headers: Headers, date: bytes) -> float | None:
    """Seconds until all that is used up is there again; None where nothing is said to be used up."""
    said: dict[tuple[bytes, bytes], bytes] = {}
    for name, value in headers[:MAX_FIELDS]:
        found = _LIMIT.fullmatch(name)
        if found is not None:
            said[found["of"] or found["Of"], found["what"] or found["What"]] = value
    waits = [
        seconds
        for (limit, what), value in said.items()
        if what == b"remaining"
        and _number(value) == 0
        and (seconds := seconds_until(said.get((limit, b"reset"), b""), date)) is not None
    ]
    return max(waits, default=None)


def _number(value: bytes) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None
