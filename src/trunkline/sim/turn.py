"""What planning an answer needs besides the request's body."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from trunkline.sim.cache import PrefixCache
from trunkline.sim.faults import Cues
from trunkline.sim.memory import Memory
from trunkline.sim.persona import Model
from trunkline.sim.settings import Settings


class Turn(Struct):
    """One call: its model, its cues, its number, and the simulator's memory."""

    name: str
    """The model as the answer names it: without its cues."""
    model: Model
    cues: Cues
    number: int
    now: float
    """Seconds since the epoch."""
    headers: Mapping[bytes, bytes]
    settings: Settings
    cache: PrefixCache
    family: str = ""
    """The name of the wire format that was asked."""
    query: Mapping[str, str] = {}
    params: Mapping[str, str] = {}
    """What the path names besides the model."""
    memory: Memory = field(default_factory=Memory)

    @property
    def azure(self) -> bool:
        """Whether filters report."""
        return self.family == "azure"

    @property
    def tps(self) -> float:
        """Tokens a second; 0: no pause."""
        return self.cues.get("tps", 5.0 if "slow" in self.cues else self.settings.pace)

    @property
    def ttft(self) -> float:
        """Seconds before the first token."""
        return self.cues.get("ttft", 1.0 if "slow" in self.cues else self.settings.ttft)

    @property
    def length(self) -> int | None:
        return int(self.cues["length"]) if "length" in self.cues else None

    def limit(self, asked: int | None) -> int:
        """Output tokens allowed: the caller's limit or the model's own."""
        return self.model.max_output if asked is None else min(asked, self.model.max_output)
