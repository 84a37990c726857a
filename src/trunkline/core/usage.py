"""Tokens and money, normalised.

Providers disagree on whether the input count contains the cached part and the output count the reasoning part
(OpenAI: yes, yes; Anthropic: no, yes). Here totals contain their parts, always, so that adding up is safe.
"""

from __future__ import annotations

from msgspec import Struct

NANO = 1_000_000_000
"""Nano-dollars in a dollar: money is an integer count of these."""


class Usage(Struct, frozen=True, omit_defaults=True):
    """Tokens of one answer. `input` contains `cache_read` and `cache_write`; `output` contains `reasoning`."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    """The part of `cache_write` that is kept for an hour (Anthropic prices it apart)."""
    output: int = 0
    reasoning: int = 0
    input_audio: int = 0
    output_audio: int = 0
    estimated: bool = False
    """True where the upstream reported nothing (or was cut short) and the counts are ours."""

    @property
    def total(self) -> int:
        return self.input + self.output

    def __add__(self, other: Usage) -> Usage:
        """Both together; estimated where one of them is."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__}
        return Usage(**(sums | {"estimated": self.estimated or other.estimated}))
