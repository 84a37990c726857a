"""A tokenizer good enough to count with: the same text always gives the same pieces, and they join to the text.

Real tokenizers differ per model and weigh megabytes. A test needs only that counts are stable, that they add up, and
that a stream's deltas are what was counted.
"""

from __future__ import annotations

import re
from functools import lru_cache

_PIECE = re.compile(r"\s?\w{1,8}|\s?[^\w\s]|\s")


def pieces(text: str) -> list[str]:
    """The text in tokens; `"".join` of them is the text."""
    return _PIECE.findall(text)


@lru_cache(maxsize=1024)
def _counted(text: str) -> int:
    return len(_PIECE.findall(text))


def count(text: str) -> int:
    """How many tokens the text has. Repeated texts (a system prompt, a load generator's body) are counted once."""
    return _counted(text) if len(text) <= 65_536 else len(_PIECE.findall(text))
