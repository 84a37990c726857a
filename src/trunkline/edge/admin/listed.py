"""Resources that are one list or one object to look at: `GET /admin/v1/models` is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trunkline.core.errors import NotFound
from trunkline.edge.admin.base import Asked, Resource, Shown


def listed(show: Callable[[], list[dict[str, Any]]]) -> Resource:
    """A resource that shows `{"data": [...]}`."""
    return shown(lambda: {"data": show()})


def shown(show: Callable[[], dict[str, Any]]) -> Resource:
    """A resource that shows one object."""

    async def resource(asked: Asked) -> Shown:
        if asked.path:
            raise NotFound("There is nothing at this path.")
        asked.only("GET", "HEAD")
        return 200, show()

    return resource
