"""Vectors as text: OpenAI's base64 is float32, little-endian, one number after the other (its SDK decodes it so).

From base64 to numbers nothing is lost: every float32 is a float64. The other way rounds to the nearest float32, which
is the precision that the models have.
"""

from __future__ import annotations

import sys
from array import array
from base64 import b64decode, b64encode
from binascii import Error

_SWAP = sys.byteorder == "big"


def to_base64(vector: list[float]) -> str:
    """A number beyond float32 becomes infinite."""
    numbers = array("f", vector)
    if _SWAP:
        numbers.byteswap()
    return b64encode(numbers.tobytes()).decode()


def from_base64(text: str) -> list[float]:
    """Raises ValueError."""
    numbers = array("f")
    try:
        numbers.frombytes(b64decode(text, validate=True))
    except Error as error:
        raise ValueError(str(error)) from error
    if _SWAP:
        numbers.byteswap()
    return numbers.tolist()
