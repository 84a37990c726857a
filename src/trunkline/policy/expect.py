"""What a call of a model is likely to use: learned from those before it, to reserve what is neither too little nor far
too much.

How many bytes of a request make a token depends on the language and on the model; how long its answers become, on who
asks it for what. Both are followed with moving averages (a weight of 1/20 for the newest, so that the last few dozen
calls count); of answers the average deviation too, for an expectation of two deviations above the mean holds for nine
calls in ten or more.
"""

from __future__ import annotations

WEIGHT = 0.05
FIRST = 5
"""Calls until what was learned is believed."""
MANY = 100
"""Calls after which every fourth is enough to learn from."""
TOKENS_PER_BYTE = 0.25
"""At first: about English, with what JSON adds to it."""
FIRST_OUTPUT = 1024
"""Tokens of an answer, at first, where the request allows so many."""
DEVIATIONS = 2.0


class Expectation:
    """Of one model. Floats: this decides how much is reserved, never whether that fits."""

    __slots__ = ("_likely", "_output", "_rate", "_seen", "_spread")

    def __init__(self) -> None:
        self._seen = 0
        self._rate = TOKENS_PER_BYTE
        self._output = 0.0
        self._spread = 0.0
        self._likely = FIRST_OUTPUT
        """Tokens of an answer."""

    def of(self, size: int, most: int | None) -> tuple[int, int]:
        """Tokens of a request of so many bytes, and of an answer that may have at most so many (None: nobody says)."""
        likely = self._likely
        return int(size * self._rate) + 1, likely if most is None or likely < most else most

    def learn(self, size: int, input: int, output: int) -> None:
        """A call of so many bytes has used this."""
        self._seen = seen = self._seen + 1
        if seen > MANY and seen & 3:
            return
        share = max(WEIGHT, 1.0 / seen)
        if size > 0:
            self._rate += share * (input / size - self._rate)
        self._spread += share * (abs(output - self._output) - self._spread) if seen > 1 else 0.0
        self._output += share * (output - self._output)
        if seen >= FIRST:
            self._likely = int(self._output + DEVIATIONS * self._spread) + 1
