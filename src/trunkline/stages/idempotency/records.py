"""The performances that are remembered, by who asked, where, and under which key: so many, so large, so long."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from trunkline.stages.idempotency.performance import Performance
from trunkline.stages.idempotency.settings import IdempotencySettings

Name = tuple[str, str, bytes]
"""The caller's key, the surface's path, and what the header says."""


class Records:
    """`clock`: seconds, monotonic."""

    def __init__(self, settings: IdempotencySettings, clock: Callable[[], float]) -> None:
        self.settings = settings
        self._clock = clock
        self._running: dict[Name, Performance] = {}
        self._ended: OrderedDict[Name, tuple[float, Performance]] = OrderedDict()
        """With when they end to be remembered, the first to end first."""
        self.size = 0
        """Bytes of all of them."""

    def __len__(self) -> int:
        return len(self._running) + len(self._ended)

    @property
    def running(self) -> list[Performance]:
        return list(self._running.values())

    def find(self, name: Name) -> Performance | None:
        running = self._running.get(name)
        if running is not None:
            return running if not running.stopped else None
        self._expire()
        _, ended = self._ended.get(name, (0.0, None))
        return ended

    def begin(self, name: Name, performance: Performance) -> None:
        self._running[name] = performance

    def end(self, name: Name, performance: Performance) -> None:
        """It is over: its answer is remembered from now on, if there is one worth it."""
        if self._running.get(name) is performance:  # and not one after it, which began when this one was stopped
            del self._running[name]
        if not _worth(performance):
            self._release(performance)
            return
        self._ended[name] = (self._clock() + self.settings.ttl, performance)
        while len(self) > self.settings.max_entries and self._ended:
            self._drop()

    def may_keep(self, performance: Performance, more: int) -> bool:
        """Whether a performance may keep so many bytes more; if not, it keeps none."""
        performance.held += more
        self.size += more
        while self.size > self.settings.memory and self._ended:
            self._drop()
        if performance.held <= self.settings.max_size and self.size <= self.settings.memory:
            return True
        self._release(performance)
        return False

    def _expire(self) -> None:
        now = self._clock()
        while self._ended and next(iter(self._ended.values()))[0] <= now:
            self._drop()

    def _drop(self) -> None:
        """The oldest."""
        _, (_, performance) = self._ended.popitem(last=False)
        self._release(performance)

    def _release(self, performance: Performance) -> None:
        self.size -= performance.held
        performance.held = 0


def _worth(performance: Performance) -> bool:
    """A good answer, or as much of one as there was before the provider broke it off. What failed before it began, and
    what we gave up ourselves, may be tried again."""
    if performance.reply is None or performance.reply.status >= 400:
        return False
    return performance.complete or (performance.broken is not None and performance.broken.blame == "upstream")
