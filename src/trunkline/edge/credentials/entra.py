"""Access tokens of Microsoft Entra ID for Azure: an application's secret, a federated token, or the machine's identity.

Facts: Microsoft identity platform, OAuth 2.0 client credentials flow; managed identities' token endpoints of virtual
machines and of App Service, as of November 2026.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from trunkline.edge.credentials.issuer import Issuer, parsed, token
from trunkline.edge.credentials.renewed import Held, Renewed
from trunkline.edge.credentials.sources import Clock, Source

RESOURCE = "https://cognitiveservices.azure.com"
AUTHORITY = "https://login.microsoftonline.com"
MACHINE = "http://169.254.169.254/metadata/identity/oauth2/token"


def application(
    tenant: str, client: str, secret: Source[str], issuer: Issuer, environ: Mapping[str, str], clock: Clock
) -> Renewed[str]:
    """AZURE_AUTHORITY_HOST names the issuer of the national clouds, as for Azure's own SDKs."""
    authority = (environ.get("AZURE_AUTHORITY_HOST") or AUTHORITY).rstrip("/")
    url = f"{authority}/{tenant}/oauth2/v2.0/token"

    async def fetch() -> Held[str]:
        values = {
            "grant_type": "client_credentials",
            "client_id": client,
            "client_secret": await secret.get(),
            "scope": f"{RESOURCE}/.default",
        }
        text, life = token(url, await issuer.form(url, values))
        return Held.lasting(text, clock(), life)

    return Renewed(fetch, clock, secret)


def machine(client: str | None, issuer: Issuer, environ: Mapping[str, str], clock: Clock) -> Renewed[str]:
    """App Service says where to ask in IDENTITY_ENDPOINT; a virtual machine has a fixed address."""
    endpoint, proof = environ.get("IDENTITY_ENDPOINT"), environ.get("IDENTITY_HEADER")
    query = {"resource": RESOURCE, "api-version": "2019-08-01" if endpoint else "2018-02-01"}
    if client is not None:
        query["client_id"] = client
    url = f"{endpoint or MACHINE}?{urlencode(query)}"
    headers = {"x-identity-header": proof or ""} if endpoint else {"metadata": "true"}

    async def fetch() -> Held[str]:
        answer = parsed(url, await issuer.get(url, headers))
        if "expires_in" not in answer and str(answer.get("expires_on", "")).isdigit():
            answer["expires_in"] = float(answer["expires_on"]) - clock()
        text, life = token(url, answer)
        return Held.lasting(text, clock(), life)

    return Renewed(fetch, clock)
