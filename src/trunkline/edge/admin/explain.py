"""`/admin/v1/explain`: where a call would go, and why, without sending it.

POST   /admin/v1/explain    {"body": {...}, "path", "headers", "key", "tags"}
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from trunkline.core.call import Key
from trunkline.core.errors import BadRequest, NotFound, Overloaded
from trunkline.core.stores import KeyAdmin, StoreError, StoreUnavailable
from trunkline.edge.admin.base import Asked, Resource, Shown
from trunkline.edge.admin.threads import Threads
from trunkline.edge.dry import Described

MAX_BODY = 4 * 1024 * 1024

Explain = Callable[[Described, Key | None], object]
"""Raises ClientError."""


def explained(explain: Explain, keys: Callable[[], KeyAdmin | None]) -> Resource:
    threads = Threads()

    async def resource(asked: Asked) -> Shown:
        if asked.path:
            raise NotFound("There is nothing at this path: see /admin/v1/explain.")
        asked.only("POST")
        described = await asked.body(Described, MAX_BODY)
        key = await _key(described.key, keys(), threads) if described.key is not None else None
        return 200, msgspec.to_builtins(explain(described, key))

    return resource


async def _key(reference: str, store: KeyAdmin | None, threads: Threads) -> Key:
    if store is None:
        raise Overloaded("The database is not open yet.", retry_after=1.0)
    try:
        return await threads.run(lambda: store.get(reference))
    except StoreUnavailable as error:
        raise Overloaded("The database cannot be used at the moment.", retry_after=1.0) from error
    except StoreError as error:
        raise BadRequest(str(error), param="key") from error
