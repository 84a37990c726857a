"""Embeddings by the words of a text: a hashed bag of words, so that texts that share words are near one another.

Every word has one place of either sign in each block of dimensions, told by its hash. So vectors are stable, of length
one, and nested: a shorter one is the beginning of a longer one, brought to length one again, as with the models that
let the caller choose the dimensions. The hashing trick is from Weinberger et al., "Feature Hashing for Large Scale
Multitask Learning" (2009).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from functools import lru_cache

BLOCK = 16
"""Dimensions among which a word has one place."""
MAX_SIZE = 4096
"""The most dimensions of a vector."""

_WORD = re.compile(r"\w+")


def vector(text: str, size: int) -> list[float]:
    """The text's embedding in `size` dimensions, at most MAX_SIZE."""
    raw = [0.0] * size
    for word, times in Counter(_WORD.findall(text.casefold()) or [text]).items():
        weight = math.sqrt(times)
        for block, place in enumerate(_places(word)[: -(-size // BLOCK)]):
            at = block * BLOCK + place % BLOCK
            if at < size:
                raw[at] += weight if place & BLOCK else -weight
    length = math.sqrt(sum(value * value for value in raw))
    if length == 0:
        return [1.0, *raw[1:]]
    return [round(value / length, 9) for value in raw]


@lru_cache(maxsize=4096)
def _places(word: str) -> bytes:
    """One byte a block: its low bits are the word's place there, the bit above them its sign."""
    return hashlib.shake_128(word.encode("utf-8", "surrogatepass")).digest(MAX_SIZE // BLOCK)
