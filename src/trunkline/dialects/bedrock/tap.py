"""The identity path: bytes pass untouched, usage and the end are read on the way.

Nearly all frames are deltas, and those are only counted. The few that matter are found by their names among the bytes;
a text that holds such a name costs a look at its frame's headers, no more.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.core.errors import UpstreamProtocol
from trunkline.core.usage import Usage
from trunkline.dialects.bedrock.eventstream import Frame
from trunkline.dialects.bedrock.frame_tap import FrameTap
from trunkline.dialects.bedrock.usage import read_usage
from trunkline.policy.estimate import BYTES_PER_TOKEN

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_DELTA = b":event-type\x07\x00\x11contentBlockDelta"
_OVERHEAD = 185
"""Bytes of a delta's frame around its text: head, headers, field names, padding of 32 on average."""


def read_whole(body: bytes) -> Usage | None:
    """The usage of a whole answer. Raises UpstreamError where the body is none."""
    try:
        answer = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamProtocol("The upstream's answer is not the JSON of a Converse answer.") from error
    usage = answer.get("usage")
    return read_usage(usage) if isinstance(usage, dict) and usage else None


class StreamTap(FrameTap):
    __slots__ = ()

    def _look(self, block: bytes) -> bool:
        self._bytes += len(block) - _OVERHEAD * block.count(_DELTA)
        self.produced = max(0, self._bytes) // BYTES_PER_TOKEN
        return b"metadata" in block or b"messageStop" in block or b"xception" in block or b":error-code" in block

    def _note(self, frame: Frame) -> None:
        if frame.name == "messageStop":
            self._stopped = True
        elif frame.name == "metadata":
            self.complete = True
            try:
                usage = _decode(frame.payload).get("usage")
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return  # passed on as it is: the client's own parser will say what it thinks
            if isinstance(usage, dict):
                self.usage = read_usage(usage)
