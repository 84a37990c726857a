"""A call that is described rather than made: what `explain` looks at. It is read as the server reads a real one."""

from __future__ import annotations

from msgspec import Raw, Struct

from trunkline.core.call import Call, Key
from trunkline.core.errors import BadRequest, NotFound
from trunkline.edge.heads import read_head
from trunkline.edge.peeking import peek
from trunkline.edge.settings import ServerSettings
from trunkline.edge.surfaces import find, fixed

MAX_HEADERS = 256


class Described(Struct, frozen=True, forbid_unknown_fields=True):
    """What would be sent."""

    body: Raw
    path: str = "/v1/chat/completions"
    headers: dict[str, str] = {}
    key: str | None = None
    """Whose call it would be: a key's name or id. None: nobody in particular."""
    tags: tuple[str, ...] = ()


def described_call(described: Described, key: Key | None, settings: ServerSettings, wall: float, now: float) -> Call:
    """`wall`: seconds since the epoch; `now`: of the monotonic clock. Raises ClientError."""
    path, _, query = described.path.partition("?")
    surface, addressed = fixed(path), None
    if surface is None:
        found = find(path, "POST", query.encode())
        if found is None:
            raise NotFound(f"There is no endpoint {path[:200]!r}: see docs/endpoints.md.")
        surface, addressed = found
    if len(described.headers) > MAX_HEADERS:
        raise BadRequest(f"A call has at most {MAX_HEADERS} header fields here.", param="headers")
    try:
        headers = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in described.headers.items()]
    except UnicodeEncodeError:
        raise BadRequest("Header fields are Latin-1 text under ASCII names.", param="headers") from None
    call = Call("explained", surface, headers, wall, now)
    if addressed is not None:
        call.addressed = addressed
    call.query = query.encode()
    call.key = key
    read_head(call)
    call.tags = (*(key.tags if key is not None else ()), *call.tags, *described.tags)
    call.body = bytes(described.body)
    call.peek = peek(call, settings.max_json_depth)
    if call.peek is None:
        raise BadRequest(f"{path} asks no model.", param="path")
    return call
