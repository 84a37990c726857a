"""The identity path of invoked models: bytes pass, whatever they are; the tokens are counted at the end.

The service adds its count to the last piece of every stream, in base64 like the rest. Where in a piece it stands
decides which of three texts it becomes: those are looked for, and nothing is decoded until one is found.
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from trunkline.core.errors import UpstreamProtocol
from trunkline.core.usage import Usage
from trunkline.dialects.bedrock.answer_reader import STRANGE
from trunkline.dialects.bedrock.eventstream import Frame
from trunkline.dialects.bedrock.frame_tap import FrameTap
from trunkline.dialects.bedrock.invoke_answers import METRICS, piece_of
from trunkline.dialects.bedrock.usage import invocation_usage, read_usage
from trunkline.policy.estimate import BYTES_PER_TOKEN

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_CHUNK = b":event-type\x07\x00\x05chunk"
_OVERHEAD = 250
"""Bytes of a frame around its text: head, headers, and the JSON of a delta in base64, with its padding."""


def _encoded(word: bytes) -> tuple[bytes, ...]:
    """The word in base64, as it looks behind 0, 1 or 2 odd bytes: without the letters that its neighbours share."""
    out = []
    for before in range(3):
        whole = base64.b64encode(b"x" * before + word)
        first = 0 if before == 0 else 4
        out.append(whole[first : len(whole) // 4 * 4 - 4])
    return tuple(out)


_COUNTED = _encoded(METRICS.encode())


def read_whole(body: bytes) -> Usage | None:
    """The usage in a whole answer of Nova's; header fields tell it for the others. Raises UpstreamError."""
    try:
        answer = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UpstreamProtocol("The upstream's answer is not a JSON object.") from error
    usage = answer.get("usage")
    return read_usage(usage) if isinstance(usage, dict) and "inputTokens" in usage else None


class StreamTap(FrameTap):
    __slots__ = ()

    def _look(self, block: bytes) -> bool:
        self._bytes += len(block) - _OVERHEAD * block.count(_CHUNK)
        self.produced = max(0, self._bytes) * 3 // 4 // BYTES_PER_TOKEN
        return b"xception" in block or b":error-code" in block or any(word in block for word in _COUNTED)

    def _note(self, frame: Frame) -> None:
        try:
            metrics = _decode(piece_of(frame.payload)).get(METRICS)
        except STRANGE:
            return  # passed on as it is: the client's own parser will say what it thinks
        if isinstance(metrics, dict):
            self.complete = True
            self.usage = invocation_usage(metrics)
