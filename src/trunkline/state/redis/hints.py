"""Small messages among processes: that keys have changed, that a target was found dead, where conversations are.

A hint makes something known sooner that would be known anyway, so it may be lost, and nobody ever waits for one. All of
them go over one channel, which every process hears, itself excepted. What comes from Redis is not trusted: it is
bounded and decoded to the type that its topic has, or dropped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from trunkline.state.redis.client import RedisClient, unheeded

log = logging.getLogger(__name__)

MAX_HINT = 64 * 1024
"""Bytes of a message."""
MAX_A_SECOND = 200
"""Messages that a process sends; what is beyond is dropped."""


class Hint(Struct, array_like=True):
    sender: str
    topic: str
    body: msgspec.Raw


class RedisHints:
    """`core.stores.Hints`. `clock`: seconds of any clock."""

    def __init__(self, client: RedisClient, clock: Callable[[], float]) -> None:
        self._client = client
        self._clock = clock
        self._channel = client.key("hints")
        self._listeners: dict[str, Callable[[msgspec.Raw], None]] = {}
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(Hint).decode
        self._second = 0
        self._sent = 0
        self.dropped = 0
        client.heard[self._channel] = self._heard

    def publish(self, topic: str, body: Any) -> None:
        """Tell the others, if that is possible now. `body`: anything that msgspec writes as JSON."""
        message = self._encode(Hint(self._client.salt, topic, msgspec.Raw(self._encode(body))))
        if not self._client.up or len(message) > MAX_HINT or not self._may():
            self.dropped += 1
            return
        unheeded(self._client.send("PUBLISH", self._channel, message))

    def listen(self, topic: str, type: type[Any], take: Callable[[Any], None]) -> None:
        """Have what the others tell of a topic; `take` never raises, and does not block."""
        decode = msgspec.json.Decoder(type).decode
        self._listeners[topic] = lambda raw: take(decode(raw))

    def _heard(self, message: bytes) -> None:
        if len(message) > MAX_HINT:
            return
        try:
            hint = self._decode(message)
            listener = self._listeners.get(hint.topic)
            if hint.sender != self._client.salt and listener is not None:
                listener(hint.body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            log.warning("Redis: a message on %s makes no sense: %s", self._channel.decode(), error)

    def _may(self) -> bool:
        second = int(self._clock())
        if second != self._second:
            self._second, self._sent = second, 0
        self._sent += 1
        return self._sent <= MAX_A_SECOND
