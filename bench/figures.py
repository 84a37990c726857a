"""What a measure says: a figure beside its target, with what it was derived from."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field


class Figure(Struct):
    name: str
    value: float
    unit: str
    target: float
    bound: Literal["at most", "at least"] = "at most"
    ours: float | None = None
    """What the gateway used, in `detail_unit`; with `yardstick`, what `value` is the ratio of."""
    yardstick: float | None = None
    detail_unit: str = "µs CPU"
    note: str = ""
    samples: dict[str, list[float]] = field(default_factory=dict)
    """Every round, so that a reader can see how quiet the machine was."""

    @property
    def met(self) -> bool:
        return self.value <= self.target if self.bound == "at most" else self.value >= self.target

    @property
    def verdict(self) -> str:
        if self.met:
            return "met"
        return f"not met: {self.value / self.target - 1:+.0%}"
