"""AWS Signature Version 4, as arithmetic: keys, request and time in, header fields out.

The algorithm is that of "Signature Version 4 signing process" in AWS's general reference. Only what the service insists
on is signed (host, date, token, content type): a header field that some proxy adds or drops then spoils nothing. The
body's hash is part of the signature, so the body must be final.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote

from msgspec import Struct

from trunkline.core.call import Headers

ALGORITHM = "AWS4-HMAC-SHA256"
_SIGNED = frozenset({b"content-type", b"host"})


class AwsKeys(Struct, frozen=True):
    """What signs. `session_token` comes with temporary keys."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    def __repr__(self) -> str:
        return f"AwsKeys({self.access_key_id!r})"


class Outgoing(Struct, frozen=True):
    """A request about to be sent. `path` is the request target as on the wire, query included; `host` is the value of
    the header field of that name."""

    method: bytes
    host: str
    path: bytes
    headers: Headers
    body: bytes


def sign(keys: AwsKeys, request: Outgoing, region: str, service: str, at: float) -> Headers:
    """The header fields to add. `at`: seconds since the epoch; the service allows five minutes of difference."""
    date = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
    added: Headers = [(b"x-amz-date", date.encode())]
    if keys.session_token is not None:
        added.append((b"x-amz-security-token", keys.session_token.encode()))
    fields = [field for field in request.headers if field[0] in _SIGNED]
    fields = sorted([*fields, (b"host", request.host.encode()), *added])
    names = ";".join(name.decode() for name, _ in fields)
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    to_sign = "\n".join((ALGORITHM, date, scope, _sha256(_canonical(request, fields, names).encode())))
    signature = hmac.digest(_derived(keys.secret_access_key, scope), to_sign.encode(), hashlib.sha256).hex()
    said = f"{ALGORITHM} Credential={keys.access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return [*added, (b"authorization", said.encode())]


@lru_cache(maxsize=256)
def _derived(secret: str, scope: str) -> bytes:
    """The key of one day, region and service."""
    key = f"AWS4{secret}".encode()
    for step in scope.split("/"):
        key = hmac.digest(key, step.encode(), hashlib.sha256)
    return key


def _canonical(request: Outgoing, fields: Headers, names: str) -> str:
    """The request in the one form that both sides hash."""
    path, _, query = request.path.decode("ascii").partition("?")
    headers = "".join(f"{name.decode()}:{' '.join(value.decode('latin-1').split())}\n" for name, value in fields)
    return "\n".join((
        request.method.decode("ascii"),
        _path(path),
        "&".join(f"{name}={value}" for name, value in sorted(_pairs(query))),
        headers,
        names,
        _sha256(request.body),
    ))  # fmt: skip


def _pairs(query: str) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (piece.partition("=") for piece in query.split("&")) if name or value]


@lru_cache(maxsize=1024)
def _path(path: str) -> str:
    """The path on the wire is encoded already, and is encoded once more: so do all services but S3. Before, it loses
    empty and dot segments (RFC 3986 section 5.2.4; slashes that follow each other are one)."""
    kept: list[str] = []
    for piece in path.split("/"):
        if piece == "..":
            del kept[-1:]
        elif piece not in ("", "."):
            kept.append(piece)
    return quote("/" + "/".join(kept) + ("/" if kept and path.endswith("/") else ""), safe="/~")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
