"""The shape of an answer on the wire, as far as we look at it.

Typed structs, because what they do not name is skipped without ever becoming an object. Values that decide nothing are
`Any` and looked at where they are used, so that a host that puts a number where a string belongs does not lose us the
answer.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct


class StreamEvent(Struct):
    """Any event of a stream. A delta has no more than the first five."""

    type: str = ""
    delta: Any = None
    output_index: Any = None
    content_index: Any = None
    logprobs: Any = None
    summary_index: Any = None
    item: Any = None
    part: Any = None
    annotation: Any = None
    text: Any = None
    refusal: Any = None
    response: Any = None
    error: Any = None
    code: Any = None
    message: Any = None


decode_event = msgspec.json.Decoder(StreamEvent).decode
