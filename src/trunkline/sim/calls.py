"""What the simulator was asked, kept to look at: a test of an application reads here what its SDK really sent."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from trunkline.sim.exchange import Headers

SECRET = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"cookie", b"proxy-authorization"})


class Call(Struct):
    """One received request. `started` is on the monotonic clock, seconds; so are all times since."""

    number: int
    at: float
    """Seconds since the epoch."""
    started: float
    method: str
    path: str
    query: str
    target: str
    """The path as it was sent, percent-encoded."""
    headers: Headers
    body: bytes = b""
    size: int = 0
    model: str | None = None
    cues: dict[str, float] = {}
    status: int | None = None
    """None while nothing has been sent."""
    first_byte: float | None = None
    finished: float | None = None
    events: int = 0
    """Pieces of body written."""
    gone: float | None = None
    """When the client was seen to have left, before the answer's end."""

    def left(self) -> None:
        self.gone = time.monotonic()

    def shown(self) -> dict[str, Any]:
        """For JSON: credentials masked, durations in seconds from the request's arrival."""
        return {
            "number": self.number,
            "at": self.at,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "target": self.target,
            "headers": [[name.decode("latin-1"), _masked(name, value)] for name, value in self.headers],
            "body": _readable(self.body) if len(self.body) == self.size else None,
            "size": self.size,
            "model": self.model,
            "cues": self.cues,
            "status": self.status,
            "first_byte_after": self._since(self.first_byte),
            "finished_after": self._since(self.finished),
            "events": self.events,
            "client_gone_after": self._since(self.gone),
            "client_gone_at": None if self.gone is None else self.at + self.gone - self.started,
        }

    def _since(self, moment: float | None) -> float | None:
        return None if moment is None else round(moment - self.started, 6)


class CallLog:
    """The last calls, oldest first out."""

    def __init__(self, keep: int, keep_body: int) -> None:
        self._calls: deque[Call] = deque(maxlen=keep)
        self._keep_body = keep_body

    def add(self, call: Call) -> None:
        self._calls.append(call)

    def received(self, call: Call, body: bytes) -> None:
        call.size = len(body)
        call.body = body if len(body) <= self._keep_body else b""

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(tuple(self._calls))

    def clear(self) -> None:
        self._calls.clear()

    def shown(self) -> bytes:
        return json.dumps({"calls": [call.shown() for call in self._calls]}).encode()


def _masked(name: bytes, value: bytes) -> str:
    """A credential's last four characters, enough to tell two apart."""
    text = value.decode("latin-1")
    if name not in SECRET:
        return text
    scheme, space, secret = text.rpartition(" ")
    return f"{scheme}{space}****{secret[-4:] if len(secret) > 8 else ''}"


def _readable(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
