"""OpenAI's embeddings: one vector an input, as numbers or as base64 of little-endian floats."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from typing import Any

from trunkline.sim.exchange import Exchange, Pause
from trunkline.sim.openai import JSON
from trunkline.sim.openai_answer import encode
from trunkline.sim.problems import Problem
from trunkline.sim.tokens import count
from trunkline.sim.turn import Turn
from trunkline.sim.vectors import vector

FIELDS = frozenset({"dimensions", "encoding_format", "input", "input_type", "model", "user"})
MAX_INPUTS = 2048
MAX_TOKENS = 8192
"""Of one input."""
SIZES: Mapping[str, int] = {"text-embedding-3-large": 3072, "sim-large": 3072}
SIZE = 1536
"""Dimensions of every other model."""


def plan(body: dict[str, Any], turn: Turn) -> Exchange:
    """POST /v1/embeddings. Raises Problem where the service refuses."""
    body = {"model": turn.name, **body} if turn.azure else body
    texts = inputs(body)
    size = _size(body, SIZES.get(turn.name, SIZE))
    counts = [count(text) for text in texts]
    if max(counts) > MAX_TOKENS:
        raise Problem(
            f"This model's maximum context length is {MAX_TOKENS} tokens, however you requested {max(counts)} tokens "
            f"({max(counts)} in your prompt; 0 for the completion). Please reduce your prompt; or completion length.",
        )
    shape = _base64 if body.get("encoding_format") == "base64" else list
    answer: dict[str, Any] = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": i, "embedding": shape(vector(text, size))} for i, text in enumerate(texts)
        ],
        "model": turn.name,
    }
    if "no-usage" not in turn.cues:
        answer["usage"] = {"prompt_tokens": sum(counts), "total_tokens": sum(counts)}
    return Exchange(200, [*JSON], [encode(answer)], before=[Pause(turn.ttft)])


def inputs(body: dict[str, Any]) -> list[str]:
    """The inputs as texts: given as text, as tokens, or as a list of either. Raises Problem."""
    for name in body:
        if name not in FIELDS:
            raise Problem(f"Unknown parameter: '{name[:80]}'.", param=name[:80], code="unknown_parameter")
    given = body.get("input")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise Problem("you must provide a model parameter")
    if given is None:
        raise Problem("Missing required parameter: 'input'.", param="input", code="missing_required_parameter")
    several = given if isinstance(given, list) and not all(_token(one) for one in given) else [given]
    if isinstance(given, list) and len(several) > MAX_INPUTS:
        raise Problem(
            f"Invalid 'input': array too long. Expected an array with maximum length {MAX_INPUTS}, but got an array "
            f"with length {len(several)} instead.", param="input", code="array_above_max_length",
        )  # fmt: skip
    texts = [_text(one) for one in several]
    if "" in texts:
        raise Problem("Invalid 'input': input cannot be an empty string.", param="input", code="invalid_value")
    return texts


def _token(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _text(value: Any) -> str:
    """A text, or tokens as words of their own."""
    if isinstance(value, list) and all(_token(one) for one in value):
        return " ".join(f"t{one}" for one in value)
    if not isinstance(value, str):
        raise Problem(
            "Invalid type for 'input': expected a string, an array of strings, an array of tokens, or an array of "
            "token arrays.", param="input", code="invalid_type",
        )  # fmt: skip
    return value


def _size(body: dict[str, Any], full: int) -> int:
    """How many dimensions the vectors have. Raises Problem."""
    if body.get("encoding_format") not in (None, "float", "base64"):
        raise Problem(
            f"Invalid value: '{body['encoding_format']}'. Supported values are: 'float' and 'base64'.",
            param="encoding_format", code="invalid_value",
        )  # fmt: skip
    asked = body.get("dimensions")
    if asked is None:
        return full
    if not _token(asked) or not 1 <= asked <= full:
        raise Problem(
            f"Invalid value for 'dimensions': {asked}. Must be between 1 and {full} for this model.",
            param="dimensions", code="invalid_value",
        )  # fmt: skip
    return int(asked)


def _base64(values: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
