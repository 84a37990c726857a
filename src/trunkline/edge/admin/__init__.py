"""`/admin/v1`: the gateway's own affairs over HTTP, for whoever holds the admin key.

A resource is a file beside this one and a row in the table that `app/endpoints.py` gives to `Admin`: it answers for one
name and all below it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from trunkline.core.errors import NotFound, Unauthenticated
from trunkline.core.secret import Secret
from trunkline.edge.admin.base import Asked, Resource
from trunkline.edge.pages import is_admin, respond

PREFIX = "/admin/v1/"
_encode = msgspec.json.Encoder().encode


class Admin:
    """`resources`: what is behind each name that follows `/admin/v1/`."""

    def __init__(self, admin_key: Secret | None, resources: Mapping[str, Resource]) -> None:
        self._admin_key = admin_key
        self._resources = resources

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._admit(scope)
        path = scope["path"].removeprefix(PREFIX).strip("/")
        name, _, rest = path.partition("/")
        resource = self._resources.get(name) if scope["path"].startswith(PREFIX) else None
        if resource is None:
            known = ", ".join(PREFIX + each for each in self._resources)
            raise NotFound(f"There is nothing at this path: see {known}.")
        status, shown = await resource(Asked.of(scope, rest, receive))
        await respond(send, status, _encode(shown))

    def _admit(self, scope: Any) -> None:
        if self._admin_key is None:
            raise NotFound("The admin API is off: set `admin_key` in the configuration.", code="admin_off")
        if not is_admin(scope["headers"], self._admin_key):
            raise Unauthenticated("This needs the admin key, as `Authorization: Bearer <key>`.")
