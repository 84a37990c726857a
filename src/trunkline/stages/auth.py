"""Who calls: the key, wherever each SDK puts it, and what it may ask for.

Only once the caller is known is the body read: nobody without a key makes the gateway hold megabytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol
from urllib.parse import unquote_to_bytes

from trunkline.core.call import Call, Capture, Headers, Key
from trunkline.core.errors import Forbidden, Unauthenticated
from trunkline.core.pipeline import Handler
from trunkline.core.reply import Reply
from trunkline.core.stores import KeyRing
from trunkline.policy.naming import others_named

_KEY_HEADERS = frozenset({b"x-api-key", b"api-key", b"x-goog-api-key"})
_AWS = b"AWS4-HMAC-SHA256 "
_AWS_KEY = re.compile(rb"Credential=([^/,\s]{1,512})/")
_QUERY_KEY = re.compile(rb"(?:^|&)key=([^&]{1,512})")

ANYONE = Key(id="anyone", name="anyone")
"""Who calls where no key is asked for."""


class Guard(Protocol):
    """Who watches how keys are used. `client`: the address of the connection's other end."""

    def passed(self, key: Key, client: str, headers: Headers) -> None:
        """This key is good, and is used. Raises Throttled or Forbidden where that is refused all the same."""
        ...

    def failed(self, secret: bytes, client: str, headers: Headers) -> None:
        """Somebody has presented what is no key. Raises Throttled."""
        ...


class Unguarded:
    """Nobody watches."""

    def passed(self, key: Key, client: str, headers: Headers) -> None:
        pass

    def failed(self, secret: bytes, client: str, headers: Headers) -> None:
        pass


class Auth:
    """`ring` None: open, no key needed. `capture` applies where the key does not say otherwise."""

    def __init__(
        self, ring: KeyRing | None, capture: Capture, clock: Callable[[], float], guard: Guard | None = None
    ) -> None:
        self._ring = ring
        self.capture = capture
        self._clock = clock
        self._guard: Guard = guard or Unguarded()

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        call.key = key = await self.identify(call.headers, call.query, call.client)
        call.capture = key.capture or self.capture
        if key.tags:
            call.tags = (*key.tags, *call.tags)
        load = call.load
        await load(call)
        if key.models is not None:
            self.may_ask(key, call)
        return await proceed(call)

    async def identify(self, headers: Headers, query: bytes = b"", client: str = "") -> Key:
        """The key that these headers, or a query, present. Raises Unauthenticated, Throttled, Forbidden."""
        ring = self._ring
        if ring is None:
            return ANYONE
        secret = presented(headers, query)
        if secret is None:
            raise Unauthenticated(
                "No API key was given. Send it as `Authorization: Bearer <key>`, or as `x-api-key`, `api-key` or "
                "`x-goog-api-key`; AWS's SDKs take it as the access key id. `trunkline keys create NAME` makes one.",
                code="missing_api_key",
            )
        if not ring.loaded:
            await ring.ready()
        key = ring.find(secret)
        if key is None:
            self._guard.failed(secret, client, headers)
            raise Unauthenticated(
                "This API key is not known here. Callers need one of the gateway's own keys (`trunkline keys create "
                "NAME` makes one), not a provider's."
            )
        if key.disabled:
            raise Unauthenticated("This API key is disabled.", code="disabled_api_key")
        if key.expires_at is not None and key.expires_at <= self._clock():
            raise Unauthenticated("This API key has expired.", code="expired_api_key")
        self._guard.passed(key, client, headers)
        return key

    def may_ask(self, key: Key, call: Call) -> None:
        """Raises Forbidden where a key that is bound to models may not ask for what the call does."""
        peek = call.peek
        if peek is not None and not key.allows(peek.model):
            raise Forbidden(
                f"This API key may not use the model {peek.model!r}.", code="model_not_allowed", param="model"
            )
        path = others_named(call.body)
        if path is not None:
            raise Forbidden(
                f"This API key is bound to certain models, and {path} may name others: leave it out.",
                code="model_not_allowed",
                param=path,
            )


def presented(headers: Headers, query: bytes = b"") -> bytes | None:
    """The secret that the caller sent, in whichever place its SDK uses.

    AWS's SDKs send a signature instead of a secret, which cannot be checked without the secret itself, and only a hash
    of that is kept. So there the access key id is the key; it travels as openly as any other key, inside TLS.
    """
    for name, value in headers:
        if name == b"authorization":
            if value[:7].lower() == b"bearer ":
                return value[7:].strip() or None
            if value.startswith(_AWS):
                said = _AWS_KEY.search(value)
                return said[1] if said else None
        elif name in _KEY_HEADERS:
            return value.strip() or None
    said = _QUERY_KEY.search(query) if query else None
    return unquote_to_bytes(said[1]) or None if said else None
