"""Gemini's log probabilities: made up, but stable, always negative, and the alternatives in order."""

from __future__ import annotations

import zlib
from typing import Any

from trunkline.sim.tokens import pieces

MOST = 20
"""Alternatives that a request may ask for."""

Json = dict[str, Any]


def logprobs(text: str, alternatives: int) -> Json:
    """The fields of a candidate with this text."""
    chosen: list[Json] = [{"token": piece, "logProbability": _value(piece)} for piece in pieces(text)]
    result: Json = {"chosenCandidates": chosen}
    if alternatives:
        result["topCandidates"] = [{"candidates": _alternatives(one, alternatives)} for one in chosen]
    mean = sum(one["logProbability"] for one in chosen) / len(chosen)
    return {"avgLogprobs": mean, "logprobsResult": result}


def _value(piece: str) -> float:
    return -(zlib.crc32(piece.encode()) % 1000) / 1000


def _alternatives(chosen: Json, count: int) -> list[Json]:
    value = chosen["logProbability"]
    return [{"token": f"{chosen['token']}{'*' * i}", "logProbability": value - i} for i in range(count)]
