"""What a resource of the admin API is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote

import msgspec

from trunkline.core.errors import BadRequest, MethodNotAllowed
from trunkline.edge.limits import read_body

MAX_BODY = 65_536
MAX_FIELDS = 64
"""Of a query."""

T = TypeVar("T")

Shown = tuple[int, Any]
"""Status, and what is written as JSON."""


class Asked(msgspec.Struct, frozen=True):
    """One request, behind `/admin/v1/<resource>`."""

    method: str
    path: tuple[str, ...]
    """What follows the resource, cut at slashes and unquoted."""
    query: Mapping[str, str]
    headers: list[tuple[bytes, bytes]]
    receive: Any

    @classmethod
    def of(cls, scope: Any, rest: str, receive: Any) -> Asked:
        """Raises BadRequest."""
        try:
            query = dict(parse_qsl(scope["query_string"].decode("ascii"), max_num_fields=MAX_FIELDS))
        except ValueError as error:
            raise BadRequest("The query of this address cannot be read.") from error
        path = tuple(unquote(each) for each in rest.split("/")) if rest else ()
        return cls(scope["method"], path, query, scope["headers"], receive)

    async def body(self, kind: type[T], most: int = MAX_BODY) -> T:
        """The request's body, of so many bytes, as this struct; an empty one is `{}`. Raises ClientError."""
        declared = next((value for name, value in self.headers if name == b"content-length"), None)
        body = await read_body(self.receive, declared, most)
        try:
            return msgspec.json.decode(body or b"{}", type=kind)
        except msgspec.MsgspecError as error:
            raise BadRequest(f"The request body is not valid: {error}.") from error

    def only(self, *methods: str) -> None:
        """Raises MethodNotAllowed for any other method."""
        if self.method not in methods:
            allow = ", ".join(methods)
            raise MethodNotAllowed(f"{self.method} is not for this path: use {allow}.", allow)


Resource = Callable[[Asked], Awaitable[Shown]]
"""Everything at and below one name. Raises ClientError; `NotFound` for a path that is none of its own."""
