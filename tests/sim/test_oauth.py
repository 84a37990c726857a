"""The simulated token endpoints, asked by Google's own library where it can be pointed at them, else by hand."""

from __future__ import annotations

import asyncio
import base64
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import pytest

from trunkline.sim.server import Handle
from trunkline.sim.settings import Settings

from .conftest import Starter

JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ENTRA = {
    "grant_type": "client_credentials",
    "client_id": "an-app",
    "client_secret": "a-secret-of-the-app",
    "scope": "https://cognitiveservices.azure.com/.default",
}


async def post(sim: Handle, path: str, fields: dict[str, str]) -> tuple[int, dict[str, Any]]:
    return await asyncio.to_thread(_fetch, f"{sim.url}{path}", urllib.parse.urlencode(fields).encode(), {})


def _fetch(url: str, data: bytes | None, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(url, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def assertion(algorithm: str = "RS256", **claims: Any) -> str:
    now = int(time.time())
    whole = {"iss": "a@b", "scope": "s", "aud": "https://x/token", "iat": now, "exp": now + 3600, **claims}
    parts = ({"alg": algorithm, "typ": "JWT"}, {name: value for name, value in whole.items() if value is not None})
    shown = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*shown, "c2lnbmF0dXJl"])


async def test_entra_gives_a_new_token_each_time(sim: Handle) -> None:
    tokens = [await post(sim, "/a-tenant/oauth2/v2.0/token", ENTRA) for _ in range(2)]
    assert [status for status, _ in tokens] == [200, 200]
    first, second = (token for _, token in tokens)
    assert first["access_token"].startswith("sim-entra-")
    assert first["access_token"] != second["access_token"]
    assert (first["token_type"], first["expires_in"]) == ("Bearer", 3600)


async def test_how_long_a_token_lives_is_a_setting_or_asked_for(starter: Starter) -> None:
    sim = await starter(Settings(token_life=7))
    _, token = await post(sim, "/a-tenant/oauth2/v2.0/token", ENTRA)
    assert token["expires_in"] == 7
    _, token = await post(sim, "/a-tenant/oauth2/v2.0/token?expires_in=2", ENTRA)
    assert token["expires_in"] == 2


@pytest.mark.parametrize(
    ("changed", "status", "word"),
    [
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"client_id": ""}, 400, "invalid_request"),
        ({"scope": ""}, 400, "invalid_request"),
        ({"client_secret": ""}, 401, "invalid_client"),
    ],
)
async def test_entra_refuses(sim: Handle, changed: dict[str, str], status: int, word: str) -> None:
    answered, error = await post(sim, "/a-tenant/oauth2/v2.0/token", {**ENTRA, **changed})
    assert (answered, error["error"]) == (status, word)
    assert error["error_description"].startswith("AADSTS")


async def test_the_form_with_the_secret_is_not_kept(sim: Handle) -> None:
    await post(sim, "/a-tenant/oauth2/v2.0/token", ENTRA)
    assert b"a-secret-of-the-app" not in sim.app.calls.shown()
    assert len(sim.app.calls) == 1


async def test_googles_own_library_gets_a_token(sim: Handle) -> None:
    requests = pytest.importorskip("google.auth.transport.requests")
    account = pytest.importorskip("google.oauth2.service_account")
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    info = {"client_email": "a@b", "private_key": key.decode(), "token_uri": f"{sim.url}/token"}
    scopes = ["https://www.googleapis.com/auth/cloud-platform"]
    credentials = account.Credentials.from_service_account_info(info, scopes=scopes)

    def refresh() -> None:
        with requests.requests.Session() as session:
            credentials.refresh(requests.Request(session))

    await asyncio.to_thread(refresh)
    assert credentials.token.startswith("sim-google-")
    assert credentials.valid


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"grant_type": "refresh_token"}, "unsupported_grant_type"),
        ({}, "invalid_grant"),
        ({"assertion": "a.b"}, "invalid_grant"),
        ({"assertion": "a.b.c"}, "invalid_grant"),
        ({"assertion": assertion("HS256")}, "invalid_grant"),
        ({"assertion": assertion(iss=None)}, "invalid_grant"),
        ({"assertion": assertion(scope=None)}, "invalid_scope"),
        ({"assertion": assertion(iat=1000, exp=2000)}, "invalid_grant"),
        ({"assertion": assertion(exp=int(time.time()) + 90_000)}, "invalid_grant"),
    ],
)
async def test_google_refuses(sim: Handle, fields: dict[str, str], word: str) -> None:
    status, error = await post(sim, "/token", {"grant_type": JWT_GRANT, **fields})
    assert (status, error["error"]) == (400, word)


async def test_a_machine_asks_its_metadata_server(sim: Handle) -> None:
    url = f"{sim.url}/computeMetadata/v1/instance/service-accounts/default/token"
    status, token = await asyncio.to_thread(_fetch, url, None, {"metadata-flavor": "Google"})
    assert (status, token["access_token"][:13]) == (200, "sim-metadata-")
    status, _ = await asyncio.to_thread(_fetch, url, None, {})
    assert status == 403


async def test_token_endpoints_fail_on_cue(starter: Starter) -> None:
    sim = await starter(Settings(faults="503+fail-first=1"))
    assert (await post(sim, "/token", {"grant_type": JWT_GRANT, "assertion": assertion()}))[0] == 503
    assert (await post(sim, "/token", {"grant_type": JWT_GRANT, "assertion": assertion()}))[0] == 200
