"""`/admin/v1/config`: which configuration is in force, and the order to read it again.

GET    /admin/v1/config           what is in force, credentials masked; its version; the last refusal
POST   /admin/v1/config/reload    read it again
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from trunkline.core.errors import NotFound
from trunkline.edge.admin.base import Asked, Shown


class Configuration:
    """`show` what is in force; `reload` reads it again and tells what came of it, or raises BadRequest for one that
    cannot be used."""

    def __init__(self, show: Callable[[], dict[str, Any]], reload: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        self._show = show
        self._reload = reload

    async def __call__(self, asked: Asked) -> Shown:
        match asked.path:
            case ():
                asked.only("GET")
                return 200, self._show()
            case ("reload",):
                asked.only("POST")
                return 200, await self._reload()
        raise NotFound("There is nothing at this path: see /admin/v1/config.")
