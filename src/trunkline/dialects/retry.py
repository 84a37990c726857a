"""When to come back, as the providers' headers say it.

The order is that of OpenAI's and Anthropic's own SDKs: `retry-after-ms` (milliseconds), then `retry-after` (seconds, or
a date, RFC 9110 section 10.2.3; a date needs a clock, so it is left to the edge). Azure sometimes sends only its
misspelt `x-rate-limit-reset-tokens` (seconds).
"""

from __future__ import annotations

from trunkline.core.call import Headers

_SCALES = ((b"retry-after-ms", 0.001), (b"retry-after", 1.0), (b"x-rate-limit-reset-tokens", 1.0))


def retry_after(headers: Headers) -> float | None:
    """Seconds to wait, or None where nothing (readable) is said."""
    for wanted, scale in _SCALES:
        for name, value in headers:
            if name == wanted:
                try:
                    seconds = float(value) * scale
                except ValueError:
                    continue
                if 0 <= seconds < float("inf"):
                    return seconds
    return None
