"""What a prompt gives away about the tools that it is for: a real model would read it, the simulator looks for marks.

get_weather …call/use…      the tool's name, and one of these words: it is to be called
…weather…?                  a question that has every word after `get_`: likewise
add(3, "x")                 a call written out: its arguments, in the order of the schema's properties
add({"a": 3, "b": "x"})     the same by name: this call and no other, with these arguments and no others
'text' or "text"            quoted: what strings in the arguments say, or the keys of a JSON object
"""

from __future__ import annotations

import json
import re
from typing import Any

MAX_PROMPT = 20_000
"""Characters of a prompt that are looked at."""

_ORDERS = frozenset({"call", "Call", "use", "Use"})
_READER = json.JSONDecoder()
_QUOTED = re.compile(r"""(?<!\w)(?:'([^'\n]{1,100})'|"([^"\n]{1,100})")(?!\w)""")


def names(text: str, tool: str) -> bool:
    """Whether the prompt wants the tool of this name called."""
    words = set(re.findall(r"[\w.:-]*\w", text[:MAX_PROMPT]))
    if tool in words and words & _ORDERS:
        return True
    verb, _, subject = tool.partition("_")
    return verb == "get" and "?" in text and bool(subject) and set(subject.split("_")) <= words


def arguments(text: str, tool: str, properties: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the first call of this tool that is written out; {} where there is none or it is no JSON."""
    written = re.search(rf"(?<![\w.]){re.escape(tool)}\(([^()\n]{{1,200}})\)", text[:MAX_PROMPT])
    if written is None:
        return {}
    try:
        values = json.loads(f"[{written[1]}]")
    except ValueError:
        return {}
    return dict(zip(properties, values, strict=False))


def all_arguments(text: str, tool: str) -> dict[str, Any] | None:
    """The arguments of the first call of this tool that is written out with a JSON object, which is all of them."""
    written = re.search(rf"(?<![\w.]){re.escape(tool)}\((?=\{{)", text[:MAX_PROMPT])
    if written is None:
        return None
    try:
        values, end = _READER.raw_decode(text[:MAX_PROMPT], written.end())
    except ValueError:
        return None
    return values if text[end : end + 1] == ")" else None


def quoted(text: str) -> list[str]:
    """The texts in quotation marks, in order, each once. An apostrophe inside a word is none."""
    return list(dict.fromkeys(one or two for one, two in _QUOTED.findall(text[:MAX_PROMPT])))
