"""Token endpoints, so that a gateway's refreshing of credentials can be tested: Entra ID's for client credentials,
Google's for service accounts, and the metadata server of a Google machine.

Tokens are numbered, so that a test sees which one was sent; how long they live is a setting, or `expires_in` in the
query. An assertion's claims are looked at, its signature is not: the simulator has no public key to ask for.
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from trunkline.sim.exchange import Exchange, Headers
from trunkline.sim.openai_answer import encode
from trunkline.sim.problems import Problem
from trunkline.sim.turn import Turn

Json = dict[str, Any]

HEADERS: Headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CLAIMS = ("iss", "aud", "iat", "exp")
MAX_LIFE = 3600
"""Seconds that an assertion may be valid (Google's rule)."""
SKEW = 300
"""Seconds by which clocks may differ."""


def plan_entra(body: Json, turn: Turn) -> Exchange:
    """POST /{tenant}/oauth2/v2.0/token with client credentials. Raises Problem."""
    grant = body.get("grant_type")
    if grant != "client_credentials":
        raise Problem(f"AADSTS70003: unsupported grant type {str(grant)[:80]!r}.", name="unsupported_grant_type")
    for name in ("client_id", "scope"):
        if not body.get(name):
            raise Problem(f"AADSTS900144: the request must contain the parameter {name!r}.", name="invalid_request")
    if not (body.get("client_secret") or body.get("client_assertion")):
        raise Problem(
            "AADSTS7000216: 'client_assertion' or 'client_secret' is required for the grant 'client_credentials'.",
            name="invalid_client",
        )
    life = _life(turn)
    return _token(turn, "entra", {"ext_expires_in": life, "expires_in": life})


def plan_google(body: Json, turn: Turn) -> Exchange:
    """POST /token with a service account's signed assertion (RFC 7523). Raises Problem."""
    if body.get("grant_type") != JWT_GRANT:
        raise Problem(f"grant_type must be {JWT_GRANT}", name="unsupported_grant_type")
    claims = _claims(str(body.get("assertion") or ""))
    for name in CLAIMS:
        if not claims.get(name):
            raise Problem(f"Invalid JWT: the claim {name!r} is missing.", name="invalid_grant")
    if not (claims.get("scope") or claims.get("target_audience")):
        raise Problem("Invalid JWT: the claim 'scope' is missing.", name="invalid_scope")
    begin, end = float(claims["iat"]), float(claims["exp"])
    if not begin - SKEW <= turn.now <= end + SKEW or end - begin > MAX_LIFE:
        raise Problem(
            f"Invalid JWT: Token must be a short-lived token ({MAX_LIFE // 60} minutes) and in a reasonable "
            "timeframe. Check your iat and exp values in the JWT claim.", name="invalid_grant",
        )  # fmt: skip
    return _token(turn, "google", {"expires_in": _life(turn)})


def plan_metadata(body: Json, turn: Turn) -> Exchange:
    """GET …/service-accounts/default/token of a machine's metadata server. Raises Problem."""
    if turn.headers.get(b"metadata-flavor") != b"Google":
        raise Problem("Missing Metadata-Flavor:Google header.", name="403")
    answer = _token(turn, "metadata", {"expires_in": _life(turn)})
    answer.headers.append((b"metadata-flavor", b"Google"))
    return answer


def _claims(assertion: str) -> Json:
    """What a JWT says. Raises Problem."""
    parts = assertion.split(".")
    if len(parts) != 3 or not all(parts):
        raise Problem("Invalid JWT: it must have three parts, separated by dots.", name="invalid_grant")
    try:
        head, claims = (msgspec.json.decode(base64.urlsafe_b64decode(part + "==")) for part in parts[:2])
    except ValueError:
        raise Problem("Invalid JWT: its parts must be base64url of JSON.", name="invalid_grant") from None
    if not isinstance(head, dict) or not isinstance(claims, dict) or head.get("alg") != "RS256":
        raise Problem("Invalid JWT: it must be signed with RS256.", name="invalid_grant")
    return claims


def _life(turn: Turn) -> int:
    asked = turn.query.get("expires_in", "")
    return int(asked) if asked.isdigit() and len(asked) < 7 else turn.settings.token_life


def _token(turn: Turn, kind: str, more: Json) -> Exchange:
    answer = {"access_token": f"sim-{kind}-{turn.number}", "token_type": "Bearer", **more}
    return Exchange(200, [*HEADERS], [encode(answer)])
