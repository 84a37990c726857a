"""How many tokens a request may be, before anybody counts them: from the length of its text.

Four bytes of UTF-8 a token is the usual rough figure for English (OpenAI's own rule of thumb); JSON's punctuation is
not sent to the model, so only strings count. Images and documents are not read as text: each counts as a page.
"""

from __future__ import annotations

import re
from typing import Any

BYTES_PER_TOKEN = 4
TOKENS_PER_FILE = 1500
"""About what a provider charges for an image of a megapixel or a page of a document."""
LONG = 4096
"""Bytes. A string without a space longer than this is somebody's base64; a shorter request holds no file."""
_FILES = re.compile(rb'"[A-Za-z0-9+/_:;,=-]{4097,}+"')
"""The same in JSON as it is sent, with or without `data:image/png;base64,` before it."""


def weigh(body: bytes) -> tuple[int, int]:
    """Bytes of a request in JSON without the files in it, and how many these are."""
    size = len(body)
    if size <= LONG:
        return size, 0
    lengths = [found.end() - found.start() for found in _FILES.finditer(body)]
    return size - sum(lengths), len(lengths)


def estimate_tokens(value: Any) -> int:
    """Tokens of a decoded JSON value, at least 1."""
    text, files, stack = 0, 0, [value]
    while stack:
        match stack.pop():
            case str(words):
                if len(words) > LONG and " " not in words:
                    files += 1
                else:
                    text += len(words.encode())
            case dict(fields):
                stack += fields.values()
            case list(items):
                stack += items
            case _:
                pass
    return max(1, -(-text // BYTES_PER_TOKEN) + files * TOKENS_PER_FILE)
