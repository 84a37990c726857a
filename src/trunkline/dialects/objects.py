"""A tool call's arguments where a dialect wants an object: the families' JSON text, put into the body as it is."""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.core.request import ToolCall

_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_NOTHING = msgspec.Raw(b"{}")


def arguments_of(call: ToolCall, lost: list[str]) -> Any:
    """The arguments as an object. Decoding the JSON text could change its numbers, so it is only looked at. Text that
    is no object (an answer cut off in the middle of a call) is wrapped in one, and reported."""
    if call.custom:
        return {"input": call.arguments}
    if not call.arguments.strip():
        return _NOTHING
    raw = call.arguments.encode()
    try:
        _decode_object(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        lost.append(f"{call.at}.arguments")
        return {"arguments": call.arguments}
    return msgspec.Raw(raw)
