"""Names of fields in other letters than their own: hosts written in Go take `Max_Tokens` for `max_tokens`.

What a call may use is read of its fields, so one that only the host understands would pass a budget by. Go's parser
folds the letters of names, `ſ` and the Kelvin sign among them (encoding/json, `foldName`), at every depth. OpenAI's own
refuses such names. What a caller names as he likes is left alone: in schemas and metadata.
"""

from __future__ import annotations

import json
import re
from typing import Any

_ODD = re.compile(rb'"(?=[^"]{0,400}+"\s*:)[^"\\A-Z\x80-\xff]{0,400}+(?:[A-Z\x80-\xff]|\\u)')
"""What may be such a name; most bodies have none, and are read no further. Nothing is tried twice: a body is long."""
_NAMES = frozenset({
    "max_tokens", "max_completion_tokens", "n", "best_of", "prompt", "prediction", "messages", "role", "content",
    "type", "image_url", "input_audio", "audio", "video_url", "file", "file_id", "document", "tools", "functions",
    "function", "response_format", "web_search_options", "search_parameters", "enable_search", "plugins",
    "extra_body", "modalities",
})  # fmt: skip
"""Of the chat and completions formats: what says how long an answer may be, and what may make a prompt longer."""
_OWN = frozenset({"parameters", "schema", "metadata"})
"""What holds names of the caller's own, and nothing that costs but by its length."""


class _Object(list[tuple[str, Any]]):
    """One of JSON, with fields that are there twice."""


def misspelt(body: bytes) -> str | None:
    """The first name that a host may take for another one, None where there is none. A body with an odd one that cannot
    be read is no better than one that can."""
    odd = _ODD.search(body)
    if odd is None:
        return None
    try:
        stack: list[Any] = [json.loads(body, object_pairs_hook=_Object)]
    except (ValueError, RecursionError):
        return odd[0].decode("ascii", "replace").strip('"')
    while stack:
        value = stack.pop()
        if isinstance(value, _Object):
            for name, inner in value:
                if name.casefold() in _NAMES and name not in _NAMES:
                    return name
                if name not in _OWN:
                    stack.append(inner)
        elif isinstance(value, list):
            stack += value
    return None
