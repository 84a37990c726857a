"""Endpoints that are no calls: health and metrics. Errors they raise, the server answers."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from trunkline.core.call import Headers, Key
from trunkline.core.errors import MethodNotAllowed
from trunkline.core.secret import Secret

_encode = msgspec.json.Encoder().encode
Identify = Callable[[Headers, bytes, str], Awaitable[Key]]
"""The key that a request's header fields, or its query, present; the last is who is at the connection's other end."""
Status = Callable[[], dict[str, Any]]
"""The state of the parts that may be degraded, and whether the gateway should get traffic (`ready`)."""

JSON = b"application/json"
WITHHELD = "shown to the admin key"


def peer(scope: Any) -> str:
    """The address of the connection's other end; "" where there is none."""
    client = scope["client"]
    return client[0] if client else ""


async def respond(
    send: Any, status: int, body: bytes, content_type: bytes = JSON, headers: Headers | None = None
) -> None:
    fields = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *(headers or [])]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


def only_get(scope: Any) -> None:
    """Raises MethodNotAllowed."""
    if scope["method"] not in ("GET", "HEAD"):
        raise MethodNotAllowed(f"{scope['path']} takes GET only.", "GET, HEAD")


class Health:
    """`/healthz`: the process answers. `/readyz`: it should be sent traffic, and what is degraded.

    Why it is degraded names hosts and users of databases, so that is for the admin key alone.
    """

    def __init__(self, status: Status, admin_key: Secret | None = None) -> None:
        self._status = status
        self._admin_key = admin_key

    async def live(self, scope: Any, receive: Any, send: Any) -> None:
        only_get(scope)
        await respond(send, 200, b'{"status":"ok"}')

    async def ready(self, scope: Any, receive: Any, send: Any) -> None:
        only_get(scope)
        status = self._status()
        shown = status if is_admin(scope["headers"], self._admin_key) else _unexplained(status)
        await respond(send, 200 if status["ready"] else 503, _encode(shown))


def _unexplained(value: Any) -> Any:
    """A status in which every error's text, at whatever depth, is replaced by a word."""
    if not isinstance(value, dict):
        return value
    shown = {name: _unexplained(inner) for name, inner in value.items()}
    if shown.get("error") is not None:
        shown["error"] = WITHHELD
    if "errors" in shown:
        shown["errors"] = dict.fromkeys(shown["errors"], WITHHELD)
    return shown


class Metrics:
    """`/metrics`. They tell what is spent, so where calls need a key they need one too, or the admin key."""

    def __init__(
        self, exposition: Callable[[], tuple[bytes, str]], identify: Identify, admin_key: Secret | None
    ) -> None:
        self._exposition = exposition
        self._identify = identify
        self._admin_key = admin_key

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        only_get(scope)
        if not is_admin(scope["headers"], self._admin_key):
            await self._identify(scope["headers"], scope["query_string"], peer(scope))
        body, content_type = self._exposition()
        await respond(send, 200, body, content_type.encode())


def is_admin(headers: Headers, admin_key: Secret | None) -> bool:
    """Whether the headers present the admin key, compared in constant time."""
    if admin_key is None:
        return False
    wanted = admin_key.reveal().encode()
    given = next((value for name, value in headers if name == b"authorization"), b"")
    return hmac.compare_digest(given[7:].strip() if given[:7].lower() == b"bearer " else b"", wanted)
