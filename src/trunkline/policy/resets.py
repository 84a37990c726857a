"""When a limit is full again, as providers write it: `12ms`, `6m0s`, `59` (Azure's, seconds), or a moment.

A moment is told apart from the answer's own `date`, not from our clock, which may be another.
"""

from __future__ import annotations

import re
from datetime import datetime
from email.utils import parsedate_to_datetime

_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, None: 1.0}
MAX_LENGTH = 64


def span_of(text: str) -> float | None:
    """Seconds of a span such as `6m0s`; None where it is none."""
    spans = list(_SPAN.finditer(text))
    if not spans or "".join(span[0] for span in spans) != text:
        return None
    return sum(float(span[1]) * _UNITS[span[2]] for span in spans)


def seconds_until(reset: bytes, date: bytes) -> float | None:
    """Seconds from the moment of the answer whose `date` field is given; None where it cannot be read."""
    text = reset.decode("latin-1").strip()[:MAX_LENGTH]
    span = span_of(text)
    if span is not None:
        return span
    try:
        now = parsedate_to_datetime(date.decode("latin-1"))
        then = datetime.fromisoformat(text) if text[:4].isdigit() else parsedate_to_datetime(text)
        return max(0.0, (then - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None
