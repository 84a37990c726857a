"""One operation: what the tables of paths are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from msgspec import Struct, structs

from trunkline.sim.exchange import Exchange
from trunkline.sim.family import Family
from trunkline.sim.turn import Turn

Plan = Callable[[dict[str, Any], Turn], Exchange]


class Route(Struct, frozen=True):
    method: str
    family: Family
    plan: Plan
    model: str | None = None
    """Where the path names it."""
    params: Mapping[str, str] = {}
    """What else the path names."""
    reads: Literal["json", "form", "urlencoded"] = "json"
    """How the request's body is to be understood."""

    def at(self, model: str | None = None, **params: str) -> Route:
        """This operation on what a path names."""
        return structs.replace(self, model=model, params=params)
