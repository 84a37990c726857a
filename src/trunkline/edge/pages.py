"""Endpoints that are no calls: the list of models, health, and metrics. Errors they raise, the server answers."""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import msgspec

from trunkline.core.call import Headers, Key
from trunkline.core.errors import MethodNotAllowed, ModelNotFound
from trunkline.core.secret import Secret
from trunkline.dialects import anthropic, gemini
from trunkline.dialects.base import Dialect
from trunkline.edge.refusal import family

_encode = msgspec.json.Encoder().encode
Identify = Callable[[Headers, bytes], Awaitable[Key]]
"""The key that a request's header fields, or its query, present."""
Status = Callable[[], dict[str, Any]]
"""The state of the parts that may be degraded, and whether the gateway should get traffic (`ready`)."""

JSON = b"application/json"
WITHHELD = "shown to the admin key"


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


_MODELS = re.compile(r"/v1(?P<google>beta1?)?/(?P<vertex>publishers/google/)?models/?")
"""Where models are listed: the same place for all families but Google's, who have several."""
MODEL_PAGES = ("/v1/models", "/v1beta/models", "/v1/publishers/google/models", "/v1beta1/publishers/google/models")


Room = Callable[[str], tuple[int | None, int | None]]
"""Tokens that a model's prompt and answer may have, None where unknown."""
Show = Callable[[str], dict[str, Any]]

_LIMITS = {
    anthropic.DIALECT.name: ("max_input_tokens", "max_tokens"),
    gemini.DIALECT.name: ("inputTokenLimit", "outputTokenLimit"),
}
"""What the families' lists call these limits."""


class Models:
    """`GET /v1/models` and `/v1/models/{id}`, in the shape of the SDK that asks. A key sees what it may use."""

    def __init__(self, names: Callable[[], list[str]], identify: Identify, room: Room | None = None) -> None:
        self._names = names
        self._identify = identify
        self._room = room
        self._since = int(time.time())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        only_get(scope)
        path = unquote(scope["path"])
        place = _MODELS.match(path)
        assert place is not None  # the pages' paths are such
        google = place["google"] or place["vertex"]
        dialect = gemini.DIALECT if google else family(scope["headers"])
        key = await self._identify(scope["headers"], scope["query_string"])
        names = [name for name in self._names() if key.allows(name)]
        wanted = path[place.end() :].strip("/")
        show = self._shown(dialect, bool(place["vertex"]))
        if not place["vertex"]:
            show = self._with_limits(show, dialect)
        if not wanted:
            await respond(send, 200, _encode(_listing(dialect, [show(name) for name in names], bool(place["vertex"]))))
        elif wanted in names:
            await respond(send, 200, _encode(show(wanted)))
        else:
            raise ModelNotFound(f"The model {wanted!r} is not listed here.", param="model")

    def _shown(self, dialect: Dialect, vertex: bool) -> Show:
        if dialect is gemini.DIALECT:
            return _vertex if vertex else _gemini
        return self._anthropic if dialect is anthropic.DIALECT else self._openai

    def _with_limits(self, show: Show, dialect: Dialect) -> Show:
        """With what is known of the size of prompts and answers, where the family's list has it."""
        room, fields = self._room, _LIMITS.get(dialect.name)
        if room is None or fields is None:
            return show
        return lambda name: (
            show(name) | {field: tokens for field, tokens in zip(fields, room(name), strict=True) if tokens is not None}
        )

    def _openai(self, name: str) -> dict[str, Any]:
        owner = name.partition("/")[0] if "/" in name else "trunkline"
        return {"id": name, "object": "model", "created": self._since, "owned_by": owner}

    def _anthropic(self, name: str) -> dict[str, Any]:
        created = datetime.fromtimestamp(self._since, UTC).isoformat().replace("+00:00", "Z")
        return {"type": "model", "id": name, "display_name": name, "created_at": created}


def _gemini(name: str) -> dict[str, Any]:
    methods = ["generateContent", "countTokens"]
    return {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": methods}


def _vertex(name: str) -> dict[str, Any]:
    return {"name": f"publishers/google/models/{name}", "launchStage": "GA"}


def _listing(dialect: Dialect, shown: list[dict[str, Any]], vertex: bool = False) -> dict[str, Any]:
    if dialect is gemini.DIALECT:
        return {"publisherModels" if vertex else "models": shown}
    if dialect is not anthropic.DIALECT:
        return {"object": "list", "data": shown}
    ends = {"first_id": shown[0]["id"], "last_id": shown[-1]["id"]} if shown else {"first_id": None, "last_id": None}
    return {"data": shown, "has_more": False, **ends}


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
            await self._identify(scope["headers"], scope["query_string"])
        body, content_type = self._exposition()
        await respond(send, 200, body, content_type.encode())


def is_admin(headers: Headers, admin_key: Secret | None) -> bool:
    """Whether the headers present the admin key, compared in constant time."""
    if admin_key is None:
        return False
    wanted = admin_key.reveal().encode()
    given = next((value for name, value in headers if name == b"authorization"), b"")
    return hmac.compare_digest(given[7:].strip() if given[:7].lower() == b"bearer " else b"", wanted)
