"""OpenAI's moderations: a text is flagged for the words that it has, so that a test knows what will be flagged."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import Any

from trunkline.sim.exchange import Exchange, Pause
from trunkline.sim.openai import JSON
from trunkline.sim.openai_answer import encode
from trunkline.sim.problems import Problem
from trunkline.sim.turn import Turn

FIELDS = frozenset({"input", "model"})
DEFAULT_MODEL = "omni-moderation-latest"
MAX_INPUTS = 2048

WORDS: Mapping[str, tuple[str, ...]] = {
    "harassment": ("harass", "harassment", "idiot"),
    "harassment/threatening": ("threaten", "threatening"),
    "hate": ("hate", "hateful"),
    "hate/threatening": ("exterminate",),
    "illicit": ("drugs", "smuggle"),
    "illicit/violent": ("bomb", "explosives"),
    "self-harm": ("suicide", "self-harm"),
    "self-harm/intent": ("suicidal",),
    "self-harm/instructions": ("overdose",),
    "sexual": ("sexual", "porn"),
    "sexual/minors": ("minors",),
    "violence": ("violence", "violent", "kill"),
    "violence/graphic": ("gore", "dismember"),
}
"""The words that flag each category."""
SEEN = frozenset({"self-harm", "self-harm/intent", "self-harm/instructions", "sexual", "violence", "violence/graphic"})
"""Categories that images are judged by, too."""

_WORD = re.compile(r"[a-z][a-z-]*")


def plan(body: dict[str, Any], turn: Turn) -> Exchange:
    """POST /v1/moderations. Raises Problem where the service refuses."""
    for name in body:
        if name not in FIELDS:
            raise Problem(f"Unknown parameter: '{name[:80]}'.", param=name[:80], code="unknown_parameter")
    results = [_result(text, image) for text, image in _inputs(body.get("input"))]
    answer = {"id": f"modr-sim{turn.number:08x}", "model": turn.name or DEFAULT_MODEL, "results": results}
    return Exchange(200, [*JSON], [encode(answer)], before=[Pause(turn.ttft)])


def _inputs(given: Any) -> list[tuple[str, bool]]:
    """Each input as its text and whether it has an image; parts are one input together. Raises Problem."""
    if isinstance(given, str):
        return [(given, False)]
    if not isinstance(given, list) or not 0 < len(given) <= MAX_INPUTS:
        raise Problem(
            f"Invalid 'input': expected a string, or an array of 1 to {MAX_INPUTS} strings or parts.",
            param="input", code="invalid_type",
        )  # fmt: skip
    if all(isinstance(one, str) for one in given):
        return [(one, False) for one in given]
    for i, part in enumerate(given):
        if not isinstance(part, dict) or part.get("type") not in ("text", "image_url"):
            raise Problem(
                f"Invalid value for 'input[{i}].type'. Supported values are: 'text' and 'image_url'.",
                param=f"input[{i}].type", code="invalid_value",
            )  # fmt: skip
    text = " ".join(str(part.get("text")) for part in given if part["type"] == "text")
    return [(text, any(part["type"] == "image_url" for part in given))]


def _result(text: str, image: bool) -> dict[str, Any]:
    words = set(_WORD.findall(text.lower()))
    flags = {category: not words.isdisjoint(marks) for category, marks in WORDS.items()}
    return {
        "flagged": any(flags.values()),
        "categories": flags,
        "category_scores": {category: _score(text, category, flag) for category, flag in flags.items()},
        "category_applied_input_types": {
            category: ["text", "image"] if image and category in SEEN else ["text"] for category in WORDS
        },
    }


def _score(text: str, category: str, flagged: bool) -> float:
    """Near one where it is flagged, near nothing where not, and the same for the same text."""
    noise = zlib.crc32(f"{category}:{text}".encode("utf-8", "surrogatepass")) % 10_000 / 1_000_000
    return 0.98 + noise if flagged else noise
