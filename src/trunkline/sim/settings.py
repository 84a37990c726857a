"""How a simulator is set up. Every default lives here."""

from __future__ import annotations

from msgspec import Struct


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Options of one simulator. Times in seconds, sizes in bytes."""

    pace: float = 0.0
    """Tokens a second of every answer; 0: as fast as they can be written."""
    ttft: float = 0.0
    """Time to the first token."""
    faults: str = ""
    """Cues applied to every call, in the grammar of `faults`: `429+rate=0.1`."""
    seed: int = 0
    """Of the dice behind `rate=`: the same calls in the same order fail alike."""
    secret: str = "trunkline-simulator"  # noqa: S105 - signs simulated thinking, protects nothing
    """Key of the signatures on thinking blocks: two simulators that share it accept each other's."""
    token_life: int = 3600
    """Seconds that the tokens of the OAuth endpoints live."""
    cache_minimum: int = 1024
    """Tokens that a prompt prefix must have to be cached."""
    cache_entries: int = 4096
    """Prompt prefixes remembered."""
    keep_calls: int = 256
    """Calls that `/__sim/calls` remembers."""
    keep_body: int = 65_536
    """Bytes of each remembered request body."""
    max_body: int = 32 * 1024 * 1024
    """The largest request body accepted; 413 above."""
