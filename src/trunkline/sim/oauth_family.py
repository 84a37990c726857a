"""How token endpoints fail (RFC 6749, section 5.2): an error's word and its description, and no credential asked for
but those in the form."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from trunkline.sim import oauth
from trunkline.sim.errors import OPENAI, ErrorStyle, Row
from trunkline.sim.family import OPENAI_FAMILY
from trunkline.sim.route import Route

_ROWS = {
    name: Row(401 if name == "invalid_client" else 400, name, None, "Invalid request.")
    for name in ("invalid_client", "invalid_grant", "invalid_request", "invalid_scope", "unsupported_grant_type")
}


def _envelope(row: Row, param: str | None, request_id: str) -> dict[str, Any]:
    return {"error": row.type, "error_description": row.message}


OAUTH_FAMILY = structs.replace(
    OPENAI_FAMILY,
    name="oauth",
    guard=lambda asked: None,
    errors=ErrorStyle({**OPENAI, **_ROWS}, _envelope, lambda after: []),
    rates=lambda left: [],
)

ENTRA = Route("POST", OAUTH_FAMILY, oauth.plan_entra, reads="urlencoded")
GOOGLE = Route("POST", OAUTH_FAMILY, oauth.plan_google, reads="urlencoded")
METADATA = Route("GET", OAUTH_FAMILY, oauth.plan_metadata)
