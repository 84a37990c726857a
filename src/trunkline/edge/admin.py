"""`/admin/v1/keys`: what `trunkline keys` does, over HTTP, for whoever holds the admin key.

    GET    /admin/v1/keys                 list
    POST   /admin/v1/keys                 create: {"name", and the other fields of `core.call.KeySpec`}
    GET    /admin/v1/keys/{key}           show
    PATCH  /admin/v1/keys/{key}           {"disabled": true or false}
    POST   /admin/v1/keys/{key}/rotate    {"grace": seconds}
    DELETE /admin/v1/keys/{key}           delete

    GET    /admin/v1/models               what is known of each model, and what its targets were seen to refuse

`{key}` is an id or a name. A secret is shown once, in the answer that makes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import msgspec

from trunkline.core.call import Key, KeySpec
from trunkline.core.errors import BadRequest, MethodNotAllowed, NotFound, Overloaded, Unauthenticated
from trunkline.core.secret import Secret
from trunkline.core.stores import KeyAdmin, StoreError, StoreUnavailable
from trunkline.edge.limits import read_body
from trunkline.edge.pages import is_admin, only_get, respond

MAX_BODY = 65_536
_encode = msgspec.json.Encoder().encode


class _Change(msgspec.Struct, forbid_unknown_fields=True):
    disabled: bool


class _Rotation(msgspec.Struct, forbid_unknown_fields=True):
    grace: float = 0.0


class Admin:
    """`keys` gives the store, or None while the database is not open; `models` what is known of the models."""

    def __init__(
        self,
        admin_key: Secret | None,
        keys: Callable[[], KeyAdmin | None],
        models: Callable[[], list[dict[str, Any]]] = list,
    ) -> None:
        self._admin_key = admin_key
        self._keys = keys
        self._models = models

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._admit(scope)
        status, shown = await self._answer(scope, receive)
        await respond(send, status, _encode(shown))

    def _admit(self, scope: Any) -> None:
        if self._admin_key is None:
            raise NotFound("The admin API is off: set `admin_key` in the configuration.", code="admin_off")
        if not is_admin(scope["headers"], self._admin_key):
            raise Unauthenticated("This needs the admin key, as `Authorization: Bearer <key>`.")

    async def _answer(self, scope: Any, receive: Any) -> tuple[int, Any]:
        path = scope["path"].removeprefix("/admin/v1/").strip("/")
        resource, _, rest = path.partition("/")
        if path == "models":
            only_get(scope)
            return 200, {"data": self._models()}
        if resource != "keys" or not scope["path"].startswith("/admin/v1/"):
            raise NotFound("There is nothing at this path: see /admin/v1/keys and /admin/v1/models.")
        reference, _, action = rest.partition("/")
        store = self._keys()
        if store is None:
            raise Overloaded("The database is not open yet.", retry_after=1.0)
        work = await _work(store, scope["method"], unquote(reference), action, scope["headers"], receive)
        try:
            return await asyncio.to_thread(work)
        except StoreUnavailable as error:
            raise Overloaded("The database cannot be used at the moment.", retry_after=1.0) from error
        except StoreError as error:
            raise BadRequest(str(error)) from error


async def _work(
    store: KeyAdmin, method: str, reference: str, action: str, headers: Any, receive: Any
) -> Callable[[], tuple[int, Any]]:
    """What is asked for, as a function to run in a thread. Raises ClientError."""
    match method, bool(reference), action:
        case "GET", False, "":
            return lambda: (200, {"data": [facts(key) for key in store.list()]})
        case "GET", True, "":
            return lambda: (200, facts(_found(store, reference)))
        case "DELETE", True, "":
            return lambda: (200, facts(store.delete(_found(store, reference).id)) | {"deleted": True})
        case "POST", False, "":
            spec = await _body(headers, receive, KeySpec)
            return lambda: (201, _with_secret(*store.create(spec)))
        case "PATCH", True, "":
            change = await _body(headers, receive, _Change)
            return lambda: (200, facts(store.set_disabled(_found(store, reference).id, change.disabled)))
        case "POST", True, "rotate":
            rotation = await _body(headers, receive, _Rotation)
            return lambda: (200, _with_secret(*store.rotate(_found(store, reference).id, rotation.grace)))
    if action not in ("", "rotate"):
        raise NotFound("There is nothing at this path: see /admin/v1/keys.")
    allow = "POST" if action else "GET, PATCH, DELETE" if reference else "GET, POST"
    raise MethodNotAllowed(f"{method} is not for this path: use {allow}.", allow)


def _found(store: KeyAdmin, reference: str) -> Key:
    """Raises NotFound."""
    try:
        return store.get(reference)
    except StoreUnavailable:
        raise
    except StoreError as error:
        raise NotFound(str(error), code="key_not_found") from error


async def _body(headers: Any, receive: Any, kind: Any) -> Any:
    declared = next((value for name, value in headers if name == b"content-length"), None)
    body = await read_body(receive, declared, MAX_BODY)
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.MsgspecError as error:
        raise BadRequest(f"The request body is not valid: {error}.") from error


def facts(key: Key) -> dict[str, Any]:
    """All of a key that may be shown: not its hash."""
    shown: dict[str, Any] = msgspec.to_builtins(key)
    del shown["hash"]
    return shown


def _with_secret(key: Key, secret: str) -> dict[str, Any]:
    return facts(key) | {"secret": secret}
