"""Names of fields in other letters than their own: hosts written in Go take `Max_Tokens` for `max_tokens`.

What a call may use is read of its fields, so one that only the host understands would pass a budget by. Go's parser
folds the letters of names, `ſ` and the Kelvin sign among them (encoding/json, `foldName`), at every depth. OpenAI's own
refuses such names. A caller may call what is his own as he likes: the properties of a schema, metadata.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

_ODD = re.compile(rb'"[^"\\]{0,64}(?:[A-Z\x80-\xff]|\\u)[^"]{0,64}"\s*:')
"""What may be such a name; most bodies have none, and are read no further."""
_NAMES = frozenset({
    "max_tokens", "max_completion_tokens", "n", "best_of", "prompt", "prediction", "messages", "role", "content",
    "type", "image_url", "input_audio", "audio", "video_url", "file", "file_id", "document", "tools", "functions",
    "function", "response_format", "web_search_options", "search_parameters", "enable_search", "plugins",
    "extra_body", "modalities",
})  # fmt: skip
"""Of the chat and completions formats: what says how long an answer may be, and what may make a prompt longer."""
_OWN = frozenset({"properties", "$defs", "definitions", "patternproperties", "metadata", "logit_bias"})
"""What holds names of the caller's own."""


def misspelt(body: bytes) -> str | None:
    """The first name that a host may take for another one; None: there is none, or the body cannot be read."""
    if _ODD.search(body) is None:
        return None
    try:
        stack: list[Any] = [msgspec.json.decode(body)]
    except (ValueError, RecursionError):
        return None
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack += value
        elif isinstance(value, dict):
            for name, inner in value.items():
                folded = name.casefold()
                if folded in _NAMES and name not in _NAMES:
                    return str(name)
                stack += inner.values() if folded in _OWN and isinstance(inner, dict) else [inner]
    return None
