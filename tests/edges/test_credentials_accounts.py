"""Those who issue credentials: what each is asked, what becomes of its answer, and when it is asked again."""

from __future__ import annotations

import asyncio
import datetime
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.edges.upstreams import Asked, Upstream, whole
from trunkline.core.errors import CredentialUnavailable
from trunkline.edge.credentials import entra
from trunkline.edge.credentials.aws import Chain, assumed
from trunkline.edge.credentials.google import Google
from trunkline.edge.credentials.issuer import Issuer
from trunkline.edge.credentials.renewed import Held, Renewed
from trunkline.edge.credentials.sources import Fixed
from trunkline.edge.credentials.sts import Sts
from trunkline.edge.transport.base import TransportSettings
from trunkline.edge.transport.open import open_transport
from trunkline.providers.signing import AwsKeys


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    transport = open_transport(TransportSettings(connect_timeout=1.0))
    yield Issuer(transport)
    await transport.aclose()


def form(asked: Asked) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}


def token(text: str = "token-1", **fields: Any) -> Any:
    return whole({"access_token": text, "expires_in": 3600} | fields)


async def why(source: Any) -> str:
    with pytest.raises(CredentialUnavailable) as caught:
        await source.get()
    return caught.value.detail


# ── When ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Fetching:
    """Fetches that count, wait where told to, and fail where told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.count = 0
        self.fail = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.renewed = Renewed(self.fetch, lambda: self.now)

    async def fetch(self) -> Held[str]:
        self.count += 1
        await self.gate.wait()
        if self.fail:
            raise CredentialUnavailable("told to fail")
        return Held.lasting(f"token-{self.count}", self.now, 1000.0)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_many_wait_for_one_fetch() -> None:
    fetching = Fetching()
    assert await asyncio.gather(*(fetching.renewed.get() for _ in range(20))) == ["token-1"] * 20
    assert fetching.count == 1


async def test_one_that_goes_away_does_not_end_the_fetch_of_the_others() -> None:
    fetching = Fetching()
    fetching.gate.clear()
    first, second = (asyncio.create_task(fetching.renewed.get()) for _ in range(2))
    await settle()
    first.cancel()
    fetching.gate.set()
    assert await second == "token-1"
    assert fetching.count == 1


async def test_a_token_is_renewed_in_the_background_before_its_end() -> None:
    fetching = Fetching()
    await fetching.renewed.get()
    fetching.now = 799.0
    assert await fetching.renewed.get() == "token-1"
    await settle()
    assert fetching.count == 1, "four fifths of its life have not passed"
    fetching.now = 801.0
    fetching.gate.clear()
    assert await asyncio.wait_for(fetching.renewed.get(), 1.0) == "token-1", "nobody waits"
    await settle()
    assert fetching.count == 2
    fetching.gate.set()
    await settle()
    assert await fetching.renewed.get() == "token-2"


async def test_while_the_issuer_is_down_the_old_token_lives_to_its_end(caplog: pytest.LogCaptureFixture) -> None:
    fetching = Fetching()
    await fetching.renewed.get()
    fetching.fail = True
    for fetching.now in (801.0, 801.1, 801.2, 900.0, 999.0):
        assert await fetching.renewed.get() == "token-1"
        await settle()
    assert fetching.count == 4, "801, 900 and 999: not again within the pause after a failure"
    assert "told to fail" in caplog.text
    fetching.now = 1001.0
    with pytest.raises(CredentialUnavailable):
        await fetching.renewed.get()


async def test_a_failure_is_the_answer_to_a_storm() -> None:
    fetching = Fetching()
    fetching.fail = True
    for _ in range(10):
        with pytest.raises(CredentialUnavailable):
            await fetching.renewed.get()
    assert fetching.count == 1
    fetching.now, fetching.fail = 60.0, False
    assert await fetching.renewed.get() == "token-2"


async def test_a_closed_one_leaves_nothing_behind() -> None:
    fetching, above = Fetching(), Fetching()
    fetching.gate.clear()
    renewed = Renewed(above.fetch, lambda: 0.0, fetching.renewed)
    waiting = asyncio.create_task(fetching.renewed.get())
    await settle()
    await renewed.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_refused_token_is_fetched_anew_once() -> None:
    fetching = Fetching()
    used = await fetching.renewed.get()
    assert not await fetching.renewed.renew(used), "fresh from its issuer: another would be refused too"
    fetching.now = 100.0
    assert await fetching.renewed.renew(used)
    assert await fetching.renewed.renew(used), "another call has renewed it meanwhile"
    assert fetching.count == 2


# ── Google ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def google(issuer: Issuer, account: dict[str, Any] | str | None, **environ: str) -> Renewed[str]:
    text = account if isinstance(account, str) or account is None else json.dumps(account)
    return Google(Fixed(text) if text is not None else None, issuer, environ, time.time).source()


async def test_a_users_login_is_refreshed(issuer: Issuer) -> None:
    async with Upstream(token()) as server:
        names = {"client_id": "id", "client_secret": "secret", "refresh_token": "refresh"}
        account = {"type": "authorized_user", "token_uri": f"{server.url}/token", **names}
        assert await google(issuer, account).get() == "token-1"
    assert form(server.asked[0]) == {"grant_type": "refresh_token", **names}


async def test_another_issuers_token_is_exchanged_and_an_account_impersonated(issuer: Issuer, tmp_path: Path) -> None:
    (tmp_path / "subject").write_text('{"jwt": "the-subject"}')
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    last = whole({"accessToken": "token-2", "expireTime": until.isoformat().replace("+00:00", "Z")})
    async with Upstream(token("federated"), last) as server:
        account = {
            "type": "external_account",
            "audience": "//iam.googleapis.com/pool",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{server.url}/sts",
            "service_account_impersonation_url": f"{server.url}/impersonate",
            "credential_source": {
                "file": str(tmp_path / "subject"),
                "format": {"type": "json", "subject_token_field_name": "jwt"},
            },
        }
        assert await google(issuer, account).get() == "token-2"
    exchange, impersonation = server.asked
    assert form(exchange)["subject_token"] == "the-subject"
    assert impersonation.headers["authorization"] == "Bearer federated"


async def test_the_machine_itself_is_asked_last(issuer: Issuer) -> None:
    async with Upstream(token()) as server:
        source = google(issuer, None, GCE_METADATA_HOST=f"127.0.0.1:{server.port}")
        assert await source.get() == "token-1"
    assert server.asked[0].headers["metadata-flavor"] == "Google"
    assert server.asked[0].path == "/computeMetadata/v1/instance/service-accounts/default/token"


async def test_the_default_credentials_are_found(issuer: Issuer, tmp_path: Path) -> None:
    async with Upstream(token()) as server:
        names = {"client_id": "id", "client_secret": "secret", "refresh_token": "refresh"}
        text = json.dumps({"type": "authorized_user", "token_uri": f"{server.url}/token", **names})
        (tmp_path / "named.json").write_text(text)
        home = tmp_path / ".config" / "gcloud"
        home.mkdir(parents=True)
        (home / "application_default_credentials.json").write_text(text)
        named = google(issuer, None, GOOGLE_APPLICATION_CREDENTIALS=str(tmp_path / "named.json"))
        assert await named.get() == "token-1"
        assert await google(issuer, None, HOME=str(tmp_path)).get() == "token-1"


@pytest.mark.parametrize(
    ("account", "said"),
    [
        ("sesame", "not a JSON object"),
        ('{"type": "sesame"}', "`type` is not one of"),
        ('{"type": "authorized_user", "client_id": "sesame"}', "have no `client_secret`"),
        ('{"type": "service_account", "client_email": "a", "private_key": "sesame"}', "no RSA key"),
        ('{"type": "authorized_user", "token_uri": 5, "client_id": "sesame"}', "have no `token_uri`"),
        (
            '{"type": "external_account", "token_url": "http://x", "audience": "a", "subject_token_type": "t", '
            '"credential_source": {"url": "sesame:", "headers": "sesame"}}',
            "no http or https URL",
        ),
        (
            '{"type": "external_account", "token_url": "http://x", "audience": "a", "subject_token_type": "t"}',
            "neither",
        ),
    ],
)
async def test_bad_google_credentials_are_named_not_shown(issuer: Issuer, account: str, said: str) -> None:
    told = await why(google(issuer, account))
    assert said in told
    assert "sesame" not in told


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (whole({"error": "invalid_grant", "error_description": "sesame"}, 400), "status 400 (invalid_grant)"),
        (whole({"error": {"message": "sesame"}}, 500), "status 500"),
        (whole(b"sesame"), "did not answer with a JSON object"),
        (whole({"token": "sesame"}), "without a usable token"),
        (whole({"access_token": "sesame\r\nx: y"}), "without a usable token"),
        (whole(b"sesame" * 60_000), "more than"),
    ],
)
async def test_an_issuers_bad_answer_is_named_not_shown(issuer: Issuer, answer: Any, said: str) -> None:
    async with Upstream(answer) as server:
        names = {"client_id": "id", "client_secret": "sesame", "refresh_token": "sesame"}
        told = await why(google(issuer, {"type": "authorized_user", "token_uri": server.url, **names}))
    assert said in told
    assert "sesame" not in told


# ── Entra ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_application_of_entra_gets_a_token_for_azures_ai(issuer: Issuer) -> None:
    async with Upstream(token()) as server:
        environ = {"AZURE_AUTHORITY_HOST": f"{server.url}/"}
        source = entra.application("my-tenant", "my-app", Fixed("secret"), issuer, environ, time.time)
        assert await source.get() == "token-1"
    assert server.asked[0].path == "/my-tenant/oauth2/v2.0/token"
    assert form(server.asked[0]) == {
        "grant_type": "client_credentials",
        "client_id": "my-app",
        "client_secret": "secret",
        "scope": "https://cognitiveservices.azure.com/.default",
    }


async def test_an_app_service_tells_its_own_identity(issuer: Issuer) -> None:
    answer = whole({"access_token": "token-1", "expires_on": str(int(time.time()) + 3600)})
    async with Upstream(answer) as server:
        environ = {"IDENTITY_ENDPOINT": f"{server.url}/msi", "IDENTITY_HEADER": "proof"}
        assert await entra.machine("my-id", issuer, environ, time.time).get() == "token-1"
    query = parse_qs(urlsplit(server.asked[0].path).query)
    assert query["resource"] == ["https://cognitiveservices.azure.com"]
    assert query["client_id"] == ["my-id"]
    assert server.asked[0].headers["x-identity-header"] == "proof"


# ── AWS ────────────────────────────────────────────────────────────────────────────────────────────────────────────

NO_MACHINE = {"AWS_EC2_METADATA_DISABLED": "true"}


def chain(issuer: Issuer, profile: str | None = None, **environ: str) -> Renewed[AwsKeys]:
    known = NO_MACHINE | environ
    return Chain(profile, issuer, Sts("eu-central-1", issuer, known, time.time), known, time.time).source()


def role_answer(action: str) -> bytes:
    return (
        f"<{action}Response><{action}Result><Credentials><AccessKeyId>ASIAROLE</AccessKeyId>"
        "<SecretAccessKey>role/secret+key</SecretAccessKey><SessionToken>role==token</SessionToken>"
        f"<Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></{action}Result></{action}Response>"
    ).encode()


ROLE = AwsKeys("ASIAROLE", "role/secret+key", "role==token")


async def test_the_environment_comes_first(issuer: Issuer) -> None:
    environ = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "session"}
    assert await chain(issuer, **environ).get() == AwsKeys("AKID", "secret", "session")


async def test_a_web_identity_is_exchanged_for_a_roles_keys(issuer: Issuer, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("the-web-identity")
    async with Upstream(whole(role_answer("AssumeRoleWithWebIdentity"))) as server:
        environ = {
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
            "AWS_ROLE_ARN": "arn:aws:iam::1:role/r",
            "AWS_ENDPOINT_URL_STS": server.url,
        }
        assert await chain(issuer, **environ).get() == ROLE
    asked = form(server.asked[0])
    assert (asked["Action"], asked["WebIdentityToken"]) == ("AssumeRoleWithWebIdentity", "the-web-identity")
    assert "authorization" not in server.asked[0].headers


def shared(tmp_path: Path, credentials: str = "", config: str = "") -> dict[str, str]:
    (tmp_path / "credentials").write_text(credentials)
    (tmp_path / "config").write_text(config)
    return {
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
    }


KEYS = "aws_access_key_id = {0}\naws_secret_access_key = secret-{0}\n"


@pytest.mark.parametrize(
    ("credentials", "config", "profile", "environ", "found"),
    [
        (f"[default]\n{KEYS.format('A')}[work]\n{KEYS.format('B')}", "", None, {}, "A"),
        (f"[default]\n{KEYS.format('A')}[work]\n{KEYS.format('B')}", "", "work", {}, "B"),
        (f"[default]\n{KEYS.format('A')}[work]\n{KEYS.format('B')}", "", None, {"AWS_PROFILE": "work"}, "B"),
        ("", f"[profile work]\nregion = x\n{KEYS.format('C')}", "work", {}, "C"),
        (f"[work]\n{KEYS.format('D')}", f"[profile work]\n{KEYS.format('C')}", "work", {}, "D"),
    ],
)
async def test_the_shared_files_are_read_as_aws_does(
    issuer: Issuer,
    tmp_path: Path,
    credentials: str,
    config: str,
    profile: str | None,
    environ: dict[str, str],
    found: str,
) -> None:
    source = chain(issuer, profile, **shared(tmp_path, credentials, config), **environ)
    assert await source.get() == AwsKeys(found, f"secret-{found}")


async def test_a_profile_that_runs_a_process_is_left_to_the_library(
    issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("botocore")
    answer = json.dumps({"Version": 1, "AccessKeyId": "PROC", "SecretAccessKey": "secret", "SessionToken": "session"})
    (tmp_path / "answer").write_text(answer)
    environ = shared(tmp_path, config=f"[profile work]\ncredential_process = cat {tmp_path}/answer\n")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert await chain(issuer, "work", **environ).get() == AwsKeys("PROC", "secret", "session")


async def test_a_container_is_asked_where_it_says(issuer: Issuer) -> None:
    answer = {"AccessKeyId": "A", "SecretAccessKey": "s", "Token": "t", "Expiration": "2999-01-01T00:00:00Z"}
    async with Upstream(whole(answer)) as server:
        environ = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{server.url}/v2/creds?id=1",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "proof",
        }
        assert await chain(issuer, **environ).get() == AwsKeys("A", "s", "t")
    assert (server.asked[0].path, server.asked[0].headers["authorization"]) == ("/v2/creds?id=1", "proof")


async def test_an_instance_is_asked_with_a_session(issuer: Issuer) -> None:
    answer = {"Code": "Success", "AccessKeyId": "A", "SecretAccessKey": "s", "Token": "t"}
    async with Upstream(whole(b"imds-session"), whole(b"my-role"), whole(answer)) as server:
        environ = {"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": server.url}
        assert await chain(issuer, **environ).get() == AwsKeys("A", "s", "t")
    assert server.asked[2].path.endswith("/security-credentials/my-role")
    assert server.asked[2].headers["x-aws-ec2-metadata-token"] == "imds-session"


async def test_where_there_are_no_keys_it_is_said_where_was_looked(issuer: Issuer, tmp_path: Path) -> None:
    assert "not in the environment" in await why(chain(issuer, HOME=str(tmp_path)))
    assert "no usable profile 'work'" in await why(chain(issuer, "work", HOME=str(tmp_path)))


async def test_a_role_is_assumed_by_a_signed_request(issuer: Issuer) -> None:
    async with Upstream(whole(role_answer("AssumeRole"))) as server:
        environ = {"AWS_ENDPOINT_URL_STS": server.url}
        sts = Sts("eu-central-1", issuer, environ, time.time)
        keys = chain(issuer, AWS_ACCESS_KEY_ID="AKID", AWS_SECRET_ACCESS_KEY="secret")
        assert await assumed(sts, "arn:aws:iam::1:role/r", "ext", keys, time.time).get() == ROLE
    asked = server.asked[0]
    assert form(asked)["ExternalId"] == "ext"
    assert (
        "/eu-central-1/sts/aws4_request, SignedHeaders=content-type;host;x-amz-date" in asked.headers["authorization"]
    )


@pytest.mark.parametrize("breaking", [lambda body: body[:200], lambda body: b"<Error>sesame</Error>"])
async def test_a_role_that_is_not_given_is_an_error(issuer: Issuer, breaking: Callable[[bytes], bytes]) -> None:
    async with Upstream(whole(breaking(role_answer("AssumeRole")))) as server:
        sts = Sts("eu-central-1", issuer, {"AWS_ENDPOINT_URL_STS": server.url}, time.time)
        with pytest.raises(CredentialUnavailable) as caught:
            await sts.by_keys("arn", None, AwsKeys("AKID", "secret"))
    assert "sesame" not in caught.value.detail
