"""The identity path of a whole answer, the same in every dialect: one body, passed as it is."""

from __future__ import annotations

from collections.abc import Callable

from trunkline.core.errors import GatewayError
from trunkline.core.usage import Usage
from trunkline.policy.estimate import BYTES_PER_TOKEN


class WholeTap:
    """`read` takes the usage out of the body, and raises UpstreamError where the body is no answer."""

    __slots__ = ("_read", "complete", "error", "produced", "usage")

    def __init__(self, read: Callable[[bytes], Usage | None]) -> None:
        self._read = read
        self.usage: Usage | None = None
        self.complete = False
        self.error: GatewayError | None = None
        self.produced = 0

    def feed(self, data: bytes) -> bytes:
        """All of the body at once. Raises UpstreamError: nothing has been sent yet."""
        self.usage = self._read(data)
        self.produced = len(data) // BYTES_PER_TOKEN
        self.complete = True
        return data

    def eof(self) -> bytes:
        return b""

    def fail(self, error: GatewayError) -> bytes:
        """The answer is not sent at all then, so there is nothing to say in it."""
        self.error = error
        return b""
