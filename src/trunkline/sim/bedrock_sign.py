"""Signature Version 4, the receiving half: is a request signed well, and, for the one key whose secret is known here,
is the signature right.

The arithmetic is that of "Create a signed AWS API request" in AWS's reference: a canonical form of the request is
hashed, and signed with a key derived from secret, day, region and service.
"""

from __future__ import annotations

import calendar
import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote

from msgspec import Struct

from trunkline.sim.asked import Asked
from trunkline.sim.problems import Problem

ALGORITHM = "AWS4-HMAC-SHA256"
KEY_ID, SECRET = "SIMULATOR", "simulator-secret-key"
SERVICE = "bedrock"
SKEW = 300.0
"""Seconds that the clocks may differ."""

_HEADER = re.compile(
    rf"{ALGORITHM} Credential=(?P<key>[^/,\s]+)/(?P<day>\d{{8}})/(?P<region>[a-z0-9-]+)/(?P<service>[a-z0-9-]+)"
    r"/aws4_request,\s*SignedHeaders=(?P<signed>[a-z0-9;_-]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
_REQUIRED = ("host", "x-amz-date")


class Scope(Struct, frozen=True):
    """What the authorization header says."""

    key: str
    day: str
    region: str
    signed: tuple[str, ...]
    signature: str

    @property
    def path(self) -> str:
        return f"{self.day}/{self.region}/{SERVICE}/aws4_request"


def guard(asked: Asked) -> None:
    """Signature or API key. Raises Problem where there is neither, or a signature that cannot be right."""
    said = asked.headers.get(b"authorization", b"").decode("latin-1")
    if said.startswith(ALGORITHM):
        scope = _scope(said)
        _well_formed(scope, asked)
        if scope.key == KEY_ID and not hmac.compare_digest(signature(scope, asked, SECRET), scope.signature):
            raise Problem(name="signature")
    elif not said.removeprefix("Bearer").strip():
        raise Problem(name="no-credentials")


def _scope(said: str) -> Scope:
    matched = _HEADER.fullmatch(said)
    if matched is None:
        raise Problem(
            "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' parameters in the form of "
            f"{ALGORITHM}.", name="incomplete",
        )  # fmt: skip
    if matched["service"] != SERVICE:
        raise Problem(
            f"Credential should be scoped to correct service: '{SERVICE}', not '{matched['service']}'.",
            name="signature",
        )
    signed = tuple(matched["signed"].split(";"))
    return Scope(matched["key"], matched["day"], matched["region"], signed, matched["signature"])


def _well_formed(scope: Scope, asked: Asked) -> None:
    date = asked.headers.get(b"x-amz-date", b"").decode("latin-1")
    try:
        at = calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise Problem("The header x-amz-date must be there, as 20261122T183827Z.", name="incomplete") from None
    if not date.startswith(scope.day):
        raise Problem(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date.", name="signature"
        )
    if abs(asked.now - at) > SKEW:
        raise Problem(f"Signature expired: {date} is more than {SKEW:.0f} s away.", name="signature")
    absent = [name for name in scope.signed if name.encode() not in asked.headers]
    unsigned = [name for name in (*_REQUIRED, *_token(asked.headers)) if name not in scope.signed]
    if absent or unsigned or list(scope.signed) != sorted(set(scope.signed)):
        raise Problem(
            f"SignedHeaders must be sorted, each sent, and with {', '.join(_REQUIRED)}: not sent {absent}, "
            f"not signed {unsigned}.", name="signature",
        )  # fmt: skip


def _token(headers: Mapping[bytes, bytes]) -> tuple[str, ...]:
    return ("x-amz-security-token",) if b"x-amz-security-token" in headers else ()


def signature(scope: Scope, asked: Asked, secret: str) -> str:
    """What the signature of a request must be, in hexadecimal."""
    date = asked.headers[b"x-amz-date"].decode("latin-1")
    to_sign = "\n".join((ALGORITHM, date, scope.path, _sha256(_canonical(scope, asked).encode())))
    key = f"AWS4{secret}".encode()
    for step in scope.path.split("/"):
        key = hmac.digest(key, step.encode(), hashlib.sha256)
    return hmac.digest(key, to_sign.encode(), hashlib.sha256).hex()


def _canonical(scope: Scope, asked: Asked) -> str:
    """The canonical request. The path is encoded once more than it was sent: all services but S3 do so."""
    query = sorted((quote(k, safe="~"), quote(v, safe="~")) for k, v in parse_qsl(asked.query, keep_blank_values=True))
    values = {name: asked.headers[name.encode()].decode("latin-1") for name in scope.signed}
    headers = [f"{name}:{' '.join(value.split())}\n" for name, value in values.items()]
    return "\n".join((
        asked.method,
        quote(asked.target, safe="/~"),
        "&".join(f"{name}={value}" for name, value in query),
        "".join(headers),
        ";".join(scope.signed),
        _sha256(asked.body),
    ))  # fmt: skip


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
