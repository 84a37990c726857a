"""`GET /admin/v1/limits`: each limit that calls have met since the start, and what is used of it now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from trunkline.core.errors import NotFound, Overloaded
from trunkline.core.stores import StoreUnavailable
from trunkline.edge.admin.base import Asked, Shown


class Limits:
    def __init__(self, show: Callable[[], Awaitable[list[dict[str, Any]]]]) -> None:
        self._show = show

    async def __call__(self, asked: Asked) -> Shown:
        if asked.path:
            raise NotFound("There is nothing at this path: see /admin/v1/limits.")
        asked.only("GET", "HEAD")
        try:
            return 200, {"data": await self._show()}
        except StoreUnavailable as error:
            raise Overloaded("The counters cannot be read at the moment.", retry_after=1.0) from error
