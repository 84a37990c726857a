"""Claude as Bedrock and Vertex host it: Anthropic's body without the model, with the API version inside it."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from trunkline.sim.anthropic_check import NEW, OLD
from trunkline.sim.problems import Problem
from trunkline.sim.turn import Turn

BEDROCK = {"bedrock-2023-05-31": OLD, OLD: OLD, NEW: NEW}
VERTEX = {"vertex-2023-10-16": OLD, OLD: OLD, NEW: NEW}
"""The API version that each value of `anthropic_version` means."""

Json = dict[str, Any]


def unhosted(body: Json, turn: Turn, versions: dict[str, str], stream: bool) -> tuple[Json, Turn]:
    """The request as Anthropic's own service takes it.

    Raises:
        Problem: the version is missing or unknown, or the body names what the path says.
    """
    version = body.get("anthropic_version")
    if version is None:
        raise Problem("anthropic_version: Field required")
    if version not in versions:
        raise Problem(f"anthropic_version: '{str(version)[:40]}' is not one of {', '.join(versions)}")
    if "model" in body:
        raise Problem("model: Extra inputs are not permitted: the path names the model")
    kept = {key: value for key, value in body.items() if key not in ("anthropic_version", "anthropic_beta")}
    headers = {**turn.headers, b"anthropic-version": versions[version].encode()}
    return {**kept, "model": turn.name, "stream": stream}, structs.replace(turn, headers=headers)


def uncounted(body: Json) -> Json:
    """Without the fields that counting does not take."""
    return {
        key: value for key, value in body.items() if key not in ("max_tokens", "stream", "stop_sequences", "metadata")
    }
