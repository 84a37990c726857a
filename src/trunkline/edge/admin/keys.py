"""`/admin/v1/keys`: what `trunkline keys` does.

    GET    /admin/v1/keys                 list
    POST   /admin/v1/keys                 create: {"name", and the other fields of `core.call.KeySpec`}
    GET    /admin/v1/keys/{key}           show
    PATCH  /admin/v1/keys/{key}           {"disabled", "team", "limits", "priority"}: those that shall change
    POST   /admin/v1/keys/{key}/rotate    {"grace": seconds}
    DELETE /admin/v1/keys/{key}           delete

`{key}` is an id or a name. A secret is shown once, in the answer that makes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from trunkline.core.call import Key, KeyChange, KeySpec
from trunkline.core.errors import BadRequest, NotFound, Overloaded
from trunkline.core.stores import KeyAdmin, StoreError, StoreUnavailable
from trunkline.edge.admin.base import Asked, Shown
from trunkline.edge.admin.threads import Threads


class _Rotation(msgspec.Struct, forbid_unknown_fields=True):
    grace: float = 0.0


class Keys:
    """`store` gives the keys, or None while the database is not open; `changed` is told of each change that was
    asked for."""

    def __init__(self, store: Callable[[], KeyAdmin | None], changed: Callable[[], None] = lambda: None) -> None:
        self._store = store
        self._changed = changed
        self._threads = Threads()

    async def __call__(self, asked: Asked) -> Shown:
        store = self._store()
        if store is None:
            raise Overloaded("The database is not open yet.", retry_after=1.0)
        work = await _work(store, asked)
        try:
            return await self._threads.run(work)
        except StoreUnavailable as error:
            raise Overloaded("The database cannot be used at the moment.", retry_after=1.0) from error
        except StoreError as error:
            raise BadRequest(str(error)) from error
        finally:
            if asked.method != "GET":
                self._changed()


async def _work(store: KeyAdmin, asked: Asked) -> Callable[[], Shown]:
    """What is asked for, as a function to run in a thread. Raises ClientError."""
    match asked.path:
        case ():
            return await _all(store, asked)
        case (reference,):
            return await _one(store, reference, asked)
        case (reference, "rotate"):
            asked.only("POST")
            rotation = await asked.body(_Rotation)
            return lambda: (200, _with_secret(*store.rotate(_found(store, reference).id, rotation.grace)))
    raise NotFound("There is nothing at this path: see /admin/v1/keys.")


async def _all(store: KeyAdmin, asked: Asked) -> Callable[[], Shown]:
    asked.only("GET", "POST")
    if asked.method == "GET":
        return lambda: (200, {"data": [facts(key) for key in store.list()]})
    spec = await asked.body(KeySpec)
    return lambda: (201, _with_secret(*store.create(spec)))


async def _one(store: KeyAdmin, reference: str, asked: Asked) -> Callable[[], Shown]:
    asked.only("GET", "PATCH", "DELETE")
    if asked.method == "GET":
        return lambda: (200, facts(_found(store, reference)))
    if asked.method == "DELETE":
        return lambda: (200, facts(store.delete(_found(store, reference).id)) | {"deleted": True})
    change = await asked.body(KeyChange)
    return lambda: (200, facts(store.change(_found(store, reference).id, change)))


def _found(store: KeyAdmin, reference: str) -> Key:
    """Raises NotFound."""
    try:
        return store.get(reference)
    except StoreUnavailable:
        raise
    except StoreError as error:
        raise NotFound(str(error), code="key_not_found") from error


def facts(key: Key) -> dict[str, Any]:
    """All of a key that may be shown: not its hash."""
    shown: dict[str, Any] = msgspec.to_builtins(key)
    del shown["hash"]
    return shown


def _with_secret(key: Key, secret: str) -> dict[str, Any]:
    return facts(key) | {"secret": secret}
