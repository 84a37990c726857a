"""Rate-limit headers as each family sends them: the same facts in three notations."""

from __future__ import annotations

import math
import time

from trunkline.sim.exchange import Headers

REQUESTS, TOKENS = 5_000, 2_000_000
"""The limits a minute that the simulator claims to have. It enforces none: `429` is a cue."""

_ANTHROPIC_TOKENS = (b"tokens", b"input-tokens", b"output-tokens")


def openai(left: bool, after: float = 0.0) -> Headers:
    """Resets are durations such as `12ms` or `6m0s`."""
    reset = _go_duration(after)
    return [
        (b"x-ratelimit-limit-requests", b"%d" % REQUESTS),
        (b"x-ratelimit-limit-tokens", b"%d" % TOKENS),
        (b"x-ratelimit-remaining-requests", b"%d" % (REQUESTS - 1 if left else 0)),
        (b"x-ratelimit-remaining-tokens", b"%d" % (TOKENS - 100 if left else 0)),
        (b"x-ratelimit-reset-requests", reset),
        (b"x-ratelimit-reset-tokens", reset),
    ]


def azure(left: bool, after: float = 0.0) -> Headers:
    """The same names; resets are whole seconds."""
    reset = b"%d" % math.ceil(after)
    return [
        *((name, value) for name, value in openai(left) if b"reset" not in name),
        (b"x-ratelimit-reset-requests", reset),
        (b"x-ratelimit-reset-tokens", reset),
        (b"x-ratelimit-renewalperiod-requests", b"60"),
        (b"x-ms-region", b"Simulated"),
    ]


def anthropic(left: bool, after: float = 0.0) -> Headers:
    """Resets are points in time, RFC 3339."""
    reset = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + math.ceil(after))).encode()
    rows = [(b"requests", REQUESTS), *((name, TOKENS) for name in _ANTHROPIC_TOKENS)]
    return [
        header
        for name, limit in rows
        for header in (
            (b"anthropic-ratelimit-%s-limit" % name, b"%d" % limit),
            (b"anthropic-ratelimit-%s-remaining" % name, b"%d" % (limit - 1 if left else 0)),
            (b"anthropic-ratelimit-%s-reset" % name, reset),
        )
    ]


def none(left: bool, after: float = 0.0) -> Headers:
    """Gemini and Bedrock send none."""
    return []


def _go_duration(seconds: float) -> bytes:
    if seconds < 1:
        return b"%dms" % round(seconds * 1000)
    minutes, rest = divmod(seconds, 60)
    return (f"{int(minutes)}m{rest:g}s" if minutes else f"{rest:g}s").encode()
