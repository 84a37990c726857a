"""What this process knows of its targets: whom to ask next is decided by it.

A `Board` holds one `Standing` a target, by name, and outlives every reload of the configuration. Each aspect of a
standing is a class of its own, fed here and nowhere else: when an attempt begins, and with its outcome when it ends.
"""

from __future__ import annotations

from trunkline.policy.outcome import Outcome

MAX_TARGETS = 4096
"""Names of targets come from callers too: `provider/model`."""


class Standing:
    """One target. `pending`: attempts that have not ended."""

    __slots__ = ("failures", "name", "pending", "successes")

    def __init__(self, name: str) -> None:
        self.name = name
        self.pending = 0
        self.successes = 0
        self.failures = 0

    def began(self, now: float) -> None:
        self.pending += 1

    def ended(self, outcome: Outcome, now: float) -> None:
        self.pending -= 1
        if outcome.failed:
            self.failures += 1
        elif outcome.error is None:
            self.successes += 1


class Board:
    def __init__(self) -> None:
        self._standings: dict[str, Standing] = {}

    def of(self, name: str) -> Standing:
        """A target's standing, a fresh one where nothing is known."""
        standing = self._standings.get(name)
        if standing is None:
            if len(self._standings) >= MAX_TARGETS:
                self._forget()
            standing = self._standings[name] = Standing(name)
        return standing

    def shown(self) -> list[Standing]:
        return list(self._standings.values())

    def _forget(self) -> None:
        """Make room: the oldest half of those that nobody waits for. Whoever holds one goes on with it."""
        idle = [name for name, each in self._standings.items() if each.pending == 0]
        for name in idle[: MAX_TARGETS // 2]:
            del self._standings[name]
