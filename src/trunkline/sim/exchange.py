"""An answer as a plan: what to wait for, what to write, where to break off. Faults edit the plan, the app plays it.

Planning is pure, so every fault is a small function from one exchange to another and can be tested without a socket.
"""

from __future__ import annotations

import enum

from msgspec import Struct, field

Headers = list[tuple[bytes, bytes]]


class Break(enum.Enum):
    """Where the connection ends before the answer does."""

    RESET = "reset"
    """TCP RST: what the client has not read yet is lost."""
    CLOSE = "close"
    """TCP FIN: an orderly end in the wrong place."""


class Pause(Struct, frozen=True):
    """Silence, in seconds."""

    seconds: float


Step = bytes | Pause | Break


class Exchange(Struct):
    """A response to be played: `before` the head, the head, the `body`."""

    status: int
    headers: Headers
    body: list[Step]
    """One item of bytes an event (a whole body is one item); HTTP framing is added when played."""
    stream: bool = False
    before: list[Step] = field(default_factory=list)

    def whole(self) -> bytes:
        """All bytes of the body."""
        return b"".join(step for step in self.body if isinstance(step, bytes))
