"""Embeddings that mean nothing but are stable: of length one, the same for the same text, and nested, so that a shorter
one is the beginning of a longer one, brought to length one again."""

from __future__ import annotations

import hashlib
import math
import struct


def vector(text: str, size: int) -> list[float]:
    """The text's embedding in `size` dimensions."""
    data = hashlib.shake_128(text.encode("utf-8", "surrogatepass")).digest(2 * size)
    raw = [value / 32768 for value in struct.unpack(f"<{size}h", data)]
    length = math.sqrt(sum(value * value for value in raw)) or 1.0
    return [round(value / length, 9) for value in raw]
