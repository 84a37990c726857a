"""Endpoints that are no calls: the list of models, health, and metrics."""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote

import msgspec

from trunkline.core.call import Headers, Key
from trunkline.core.errors import GatewayError, MethodNotAllowed, ModelNotFound
from trunkline.core.secret import Secret
from trunkline.dialects import anthropic, openai_chat
from trunkline.dialects.base import Dialect

_encode = msgspec.json.Encoder().encode
Identify = Callable[[Headers], Awaitable[Key]]
Status = Callable[[], dict[str, Any]]
"""The state of the parts that may be degraded, and whether the gateway should get traffic (`ready`)."""

JSON = b"application/json"


async def respond(
    send: Any, status: int, body: bytes, content_type: bytes = JSON, headers: Headers | None = None
) -> None:
    fields = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *(headers or [])]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def respond_error(send: Any, dialect: Dialect, error: GatewayError) -> None:
    headers = [(b"allow", error.allow.encode())] if isinstance(error, MethodNotAllowed) else []
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, round(error.retry_after))))
    await respond(send, dialect.error_status(error), dialect.write_error(error, ""), headers=headers)


def family(headers: Headers) -> Dialect:
    """Whose SDK asks: Anthropic's always says its version."""
    return anthropic.DIALECT if any(name == b"anthropic-version" for name, _ in headers) else openai_chat.DIALECT


class Models:
    """`GET /v1/models` and `/v1/models/{id}`, in the shape of the SDK that asks. A key sees what it may use."""

    def __init__(self, names: Callable[[], list[str]], identify: Identify) -> None:
        self._names = names
        self._identify = identify
        self._since = int(time.time())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        dialect = family(scope["headers"])
        try:
            if scope["method"] not in ("GET", "HEAD"):
                raise MethodNotAllowed("/v1/models takes GET only.", "GET, HEAD")
            key = await self._identify(scope["headers"])
            names = [name for name in self._names() if key.models is None or _allowed(name, key.models)]
            wanted = unquote(scope["path"].removeprefix("/v1/models").strip("/"))
            show = self._anthropic if dialect is anthropic.DIALECT else self._openai
            if not wanted:
                await respond(send, 200, _encode(_listing(dialect, [show(name) for name in names])))
            elif wanted in names:
                await respond(send, 200, _encode(show(wanted)))
            else:
                raise ModelNotFound(f"The model {wanted!r} is not listed here.", param="model")
        except GatewayError as error:
            await respond_error(send, dialect, error)

    def _openai(self, name: str) -> dict[str, Any]:
        owner = name.partition("/")[0] if "/" in name else "trunkline"
        return {"id": name, "object": "model", "created": self._since, "owned_by": owner}

    def _anthropic(self, name: str) -> dict[str, Any]:
        created = datetime.fromtimestamp(self._since, UTC).isoformat().replace("+00:00", "Z")
        return {"type": "model", "id": name, "display_name": name, "created_at": created}


def _allowed(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _listing(dialect: Dialect, shown: list[dict[str, Any]]) -> dict[str, Any]:
    if dialect is openai_chat.DIALECT:
        return {"object": "list", "data": shown}
    ends = {"first_id": shown[0]["id"], "last_id": shown[-1]["id"]} if shown else {"first_id": None, "last_id": None}
    return {"data": shown, "has_more": False, **ends}


class Health:
    """`/healthz`: the process answers. `/readyz`: it should be sent traffic, and what is degraded."""

    def __init__(self, status: Status) -> None:
        self._status = status

    async def live(self, scope: Any, receive: Any, send: Any) -> None:
        await respond(send, 200, b'{"status":"ok"}')

    async def ready(self, scope: Any, receive: Any, send: Any) -> None:
        status = self._status()
        await respond(send, 200 if status["ready"] else 503, _encode(status))


class Metrics:
    """`/metrics`. They tell what is spent, so where calls need a key they need one too, or the admin key."""

    def __init__(
        self, exposition: Callable[[], tuple[bytes, str]], identify: Identify, admin_key: Secret | None
    ) -> None:
        self._exposition = exposition
        self._identify = identify
        self._admin_key = admin_key

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            if not is_admin(scope["headers"], self._admin_key):
                await self._identify(scope["headers"])
        except GatewayError as error:
            await respond_error(send, openai_chat.DIALECT, error)
            return
        body, content_type = self._exposition()
        await respond(send, 200, body, content_type.encode())


def is_admin(headers: Headers, admin_key: Secret | None) -> bool:
    """Whether the headers present the admin key, compared in constant time."""
    if admin_key is None:
        return False
    wanted = admin_key.reveal().encode()
    given = next((value for name, value in headers if name == b"authorization"), b"")
    return hmac.compare_digest(given[7:].strip() if given[:7].lower() == b"bearer " else b"", wanted)
