"""Credentials at work: in turn, resting, from files and commands, exchanged for tokens, and signing."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.edges.families import OPENAI
from tests.edges.upstreams import Asked, Upstream, whole
from tests.running import Running, running
from tests.talking import Answer, ask
from trunkline.sim.server import start_embedded

GOOD = whole(OPENAI.answer)
GEMINI = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 2, "totalTokenCount": 9},
}


def refusal(status: int, **headers: str) -> Any:
    return whole({"error": {"message": "no", "type": "x", "code": None}}, status, {**headers})


def by_key(answers: dict[str, Any]) -> Any:
    """A provider whose answer depends on the key; `asked` is filled by its upstream."""
    return lambda asked: answers[asked.headers["authorization"].removeprefix("Bearer ")]


class Choosing(Upstream):
    """An upstream that answers by what it was asked."""

    def __init__(self, choose: Any) -> None:
        async def answer(writer: asyncio.StreamWriter) -> None:
            await choose(self.asked[-1])(writer)

        super().__init__(answer)


def keys_of(upstream: Upstream) -> list[str]:
    return [each.headers.get("authorization", "").removeprefix("Bearer ") for each in upstream.asked]


async def call(run: Running, model: str = "p/m") -> Answer:
    return await ask(run.port, OPENAI.path, OPENAI.ask(model))


def host(upstream: Upstream, **settings: Any) -> dict[str, Any]:
    return {"providers": {"p": {"kind": "openai-compatible", "base_url": f"{upstream.url}/v1", **settings}}}


# ── Several ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_several_keys_are_used_in_turn(tmp_path: Path) -> None:
    async with Upstream(GOOD) as upstream, running(tmp_path, host(upstream, api_keys=["k-one", "k-two"])) as run:
        for _ in range(4):
            assert (await call(run)).status == 200
    assert keys_of(upstream) == ["k-one", "k-two", "k-one", "k-two"]


async def test_a_conversation_stays_with_one_account_while_that_answers(tmp_path: Path) -> None:
    """Whose cache its beginning is in; where affinity is asked for."""
    refusing: set[str] = set()

    def answer(asked: Any) -> Any:
        key = asked.headers["authorization"].removeprefix("Bearer ")
        return refusal(429, **{"retry-after": "30"}) if key in refusing else GOOD

    async with Choosing(answer) as upstream:
        sections = host(upstream, api_keys=["k-one", "k-two", "k-three"])
        sections["models"] = {"smart": {"targets": [{"target": "p/m"}], "affinity": {}}}
        async with running(tmp_path, sections) as run:

            async def keys(session: str) -> set[str]:
                before = len(upstream.asked)
                for _ in range(3):
                    named = {"x-trunkline-session": session}
                    assert (await ask(run.port, OPENAI.path, OPENAI.ask("smart"), named)).status == 200
                return set(keys_of(upstream)[before:])

            homes = {str(number): await keys(str(number)) for number in range(12)}
            assert all(len(home) == 1 for home in homes.values())
            assert set().union(*homes.values()) == {"k-one", "k-two", "k-three"}
            (one,) = homes["0"]
            refusing.add(one)
            assert len(await keys("0") - {one}) >= 1
            other = next(name for name, home in homes.items() if home != {one})
            assert await keys(other) == homes[other]


async def test_weights_are_shares(tmp_path: Path) -> None:
    listed = [{"api_key": "k-one", "weight": 3}, {"api_key": "k-two"}]
    async with Upstream(GOOD) as upstream, running(tmp_path, host(upstream, credentials=listed)) as run:
        for _ in range(8):
            await call(run)
    assert keys_of(upstream).count("k-one") == 6


REFUSED = [
    (429, "credential 1 of 2 at p/m was refused (upstream_rate_limit) and rests for 60 s", "resting", "m"),
    (401, "credential 1 of 2 of p is retired: the provider refuses it (upstream_authentication)", "retired", None),
    (402, "credential 1 of 2 of p is retired: the provider refuses it (upstream_billing)", "retired", None),
    (403, "credential 1 of 2 of p is retired for m: the provider refuses it (upstream_permission)", "retired", "m"),
]


@pytest.mark.parametrize(("status", "said", "state", "model"), REFUSED, ids=[str(each[0]) for each in REFUSED])
async def test_a_refused_key_is_left_alone_and_another_answers_the_same_call(
    tmp_path: Path, status: int, said: str, state: str, model: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    answers = by_key({"k-one": refusal(status, **{"retry-after": "60"}), "k-two": GOOD})
    async with Choosing(answers) as upstream, running(tmp_path, host(upstream, api_keys=["k-one", "k-two"])) as run:
        for _ in range(3):
            assert (await call(run)).status == 200
        entry = await run.entry(3)
        (held,) = run.gateway.credentials()
        metrics = (await ask(run.port, "/metrics")).body.decode()
    assert keys_of(upstream) == ["k-one", "k-two", "k-two", "k-two"]
    assert [attempt.credential for attempt in entry.attempts] == ["credential 2 of 2"]
    (told,) = [record for record in caplog.records if record.name == "trunkline.credentials"]
    assert told.getMessage().startswith(said)
    assert told.levelname == ("ERROR" if state == "retired" else "WARNING")
    assert (held["state"], held["model"]) == (state, model)
    longest = 60 if state == "resting" else 300
    assert longest - 10 < held["seconds_left"] <= longest
    assert f"trunkline_credentials_{state} 1.0" in metrics


async def test_a_rest_is_for_the_model_that_was_asked(tmp_path: Path) -> None:
    limited = refusal(429, **{"retry-after": "60"})
    upstream = Upstream(limited, GOOD)
    async with upstream, running(tmp_path, host(upstream, api_keys=["k-one", "k-two"])) as run:
        for model in ("p/a", "p/b", "p/b", "p/b", "p/b", "p/a"):
            assert (await call(run, model)).status == 200
    assert sorted(keys_of(upstream)[2:6]) == ["k-one", "k-one", "k-two", "k-two"]
    assert keys_of(upstream)[6] == "k-two"


async def test_an_account_without_money_is_retired_for_every_model(tmp_path: Path) -> None:
    empty = whole({"error": {"message": "no", "type": "insufficient_quota", "code": "insufficient_quota"}}, 429)
    answers = by_key({"k-one": empty, "k-two": GOOD})
    async with Choosing(answers) as upstream, running(tmp_path, host(upstream, api_keys=["k-one", "k-two"])) as run:
        for model in ("p/a", "p/b", "p/b"):
            assert (await call(run, model)).status == 200
        (held,) = run.gateway.credentials()
    assert keys_of(upstream).count("k-one") == 1
    assert (held["state"], held["model"], held["reason"]) == ("retired", None, "upstream_quota")


async def test_a_single_fixed_key_that_is_refused_is_told_and_goes_on_being_tried(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    upstream = Upstream(refusal(401), refusal(401), GOOD)
    async with upstream, running(tmp_path, host(upstream, api_key="k-one-sesame")) as run:
        assert [(await call(run)).status for _ in range(2)] == [401, 401]
        (held,) = run.gateway.credentials()
        assert (await call(run)).status == 200
    assert (held["provider"], held["credential"], held["state"]) == ("p", "the credential", "retired")
    assert held["reason"] == "upstream_authentication"
    assert "sesame" not in caplog.text


async def test_a_retired_credential_is_used_again_as_soon_as_it_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.edge.credentials.wallet.LOOK_EVERY", 0.0)
    monkeypatch.setattr("trunkline.edge.credentials.sources.LOOK_EVERY", 0.0)
    file = tmp_path / "key"
    file.write_text("k-one")
    listed = [{"api_key": {"file": str(file)}}, {"api_key": "k-two"}]
    answers = by_key({"k-one": refusal(401), "k-two": GOOD, "k-three": GOOD})
    async with Choosing(answers) as upstream, running(tmp_path, host(upstream, credentials=listed)) as run:
        for _ in range(3):
            assert (await call(run)).status == 200
        assert [each["state"] for each in run.gateway.credentials()] == ["retired"]
        file.write_text("k-three")
        for _ in range(2):
            assert (await call(run)).status == 200
        assert run.gateway.credentials() == []
    assert keys_of(upstream).count("k-one") == 1
    assert "k-three" in keys_of(upstream)


async def test_where_all_are_refused_the_caller_gets_the_last_refusal(tmp_path: Path) -> None:
    upstream = Upstream(refusal(429))
    async with upstream, running(tmp_path, host(upstream, api_keys=["k-one", "k-two"])) as run:
        assert (await call(run)).status == 429
        assert keys_of(upstream) == ["k-one", "k-two"]
        assert (await call(run)).status == 429
    assert len(upstream.asked) == 3, "all rest: one is tried once, not all again"


async def test_what_is_the_requests_fault_costs_no_key(tmp_path: Path) -> None:
    upstream = Upstream(refusal(400))
    async with upstream, running(tmp_path, host(upstream, api_keys=["k-one", "k-two"])) as run:
        assert (await call(run)).status == 400
        assert (await call(run)).status == 400
    assert keys_of(upstream) == ["k-one", "k-two"]


# ── Files and commands ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("k-one\n")
    answers = by_key({"k-one": refusal(401), "k-two": GOOD})
    async with Choosing(answers) as upstream, running(tmp_path, host(upstream, api_key={"file": str(file)})) as run:
        assert (await call(run)).status == 401
        file.write_text("k-two\n")
        assert (await call(run)).status == 200, "what was refused is looked for anew at once"
    assert keys_of(upstream) == ["k-one", "k-one", "k-two"]


async def test_a_file_that_goes_away_for_a_moment_is_no_outage(tmp_path: Path) -> None:
    from trunkline.edge.credentials.sources import FromFile

    file, now = tmp_path / "key", 0.0
    file.write_text("k-one")
    source = FromFile(str(file), lambda: now)
    assert await source.get() == "k-one"
    file.unlink()
    now = 10.0
    assert await source.get() == "k-one"
    file.write_text("k-three")
    now = 20.0
    assert await source.get() == "k-three"


@pytest.mark.parametrize("content", [None, b"", b"  \n", b"\xff\xfe", b"x" * 70_000])
async def test_a_file_without_a_credential_is_the_operators_error(
    tmp_path: Path, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    async with Upstream(GOOD) as upstream, running(tmp_path, host(upstream, api_key={"file": str(file)})) as run:
        answer = await call(run)
    assert (answer.status, OPENAI.error_code(answer.json)) == (502, "credential_unavailable")
    assert str(file) not in answer.body.decode()
    assert str(file) in caplog.text
    assert upstream.asked == []


def counting(tmp_path: Path, tail: str = "") -> list[str]:
    """A command whose output tells how often it ran."""
    counter = tmp_path / "counter"
    script = (
        f"import sys, pathlib; p = pathlib.Path({str(counter)!r}); "
        f"n = int(p.read_text()) + 1 if p.exists() else 1; p.write_text(str(n)); print('k-' + str(n)); {tail}"
    )
    return [sys.executable, "-c", script]


async def test_a_command_runs_once_for_many_calls(tmp_path: Path) -> None:
    command = {"command": counting(tmp_path), "ttl": 100}
    async with Upstream(GOOD) as upstream, running(tmp_path, host(upstream, api_key=command)) as run:
        answers = await asyncio.gather(*(call(run) for _ in range(3)))
        assert [answer.status for answer in answers] == [200] * 3
    assert keys_of(upstream) == ["k-1"] * 3


async def test_a_commands_arguments_are_not_a_shells(tmp_path: Path) -> None:
    from trunkline.edge.credentials.sources import output

    word = "$(echo no) `echo no`; echo no"
    assert await output((sys.executable, "-c", "import sys; print(sys.argv[1])", word)) == word


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("print('sesame'); raise SystemExit(3)", "ended with status 3"),
        ("print('sesame' * 20_000)", "is larger than"),
        ("pass", "is empty"),
        ("import sys; sys.stdout.buffer.write(bytes([255, 254]))", "is not UTF-8"),
        ("import sys; sys.stderr.write('sesame'); raise SystemExit(1)", "ended with status 1"),
    ],
)
async def test_a_command_that_fails_says_so_without_its_output(script: str, why: str) -> None:
    from trunkline.core.errors import CredentialUnavailable
    from trunkline.edge.credentials.sources import output

    with pytest.raises(CredentialUnavailable) as caught:
        await output((sys.executable, "-c", script))
    assert why in caught.value.detail
    assert "sesame" not in caught.value.full


async def test_a_command_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trunkline.core.errors import CredentialUnavailable
    from trunkline.edge.credentials import sources

    monkeypatch.setattr(sources, "COMMAND_TIME", 0.3)
    file = tmp_path / "pid"
    script = f"import os, time; open({str(file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    with pytest.raises(CredentialUnavailable, match="no usable credential") as caught:
        await sources.output((sys.executable, "-c", script))
    assert "did not end within" in caught.value.detail
    pid = file.read_text() if file.exists() else ""
    if pid:  # it had come as far as that
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)


async def test_a_slow_command_keeps_a_call_no_longer_than_it_may_take(tmp_path: Path) -> None:
    slow = {"command": [sys.executable, "-c", "import time; time.sleep(20)"]}
    async with Upstream(GOOD) as upstream, running(tmp_path, host(upstream, api_key=slow)) as run:
        answer = await ask(run.port, OPENAI.path, OPENAI.ask("p/m"), {"x-trunkline-deadline-ms": "200"})
    assert (answer.status, OPENAI.error_code(answer.json)) == (504, "deadline_exceeded")


async def test_another_target_answers_where_there_is_no_credential(tmp_path: Path) -> None:
    async with Upstream(GOOD) as upstream:
        sections = {
            "providers": {
                "p": {"kind": "openai", "base_url": upstream.url, "api_key": {"file": str(tmp_path / "nothing")}},
                "q": {"kind": "openai", "base_url": upstream.url, "api_key": "k-two"},
            },
            "models": {"smart": {"targets": [{"target": "p/m"}, {"target": "q/m"}]}},
        }
        async with running(tmp_path, sections) as run:
            answer = await call(run, "smart")
    assert (answer.status, answer.headers["x-trunkline-target"]) == (200, "q/m")


# ── Accounts ───────────────────────────────────────────────────────────────────────────────────────────────────────


def private_key() -> str:
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def service_account(issuer: Upstream) -> dict[str, str]:
    return {
        "type": "service_account",
        "client_email": "gateway@example.iam.gserviceaccount.com",
        "private_key_id": "kid-1",
        "private_key": private_key(),
        "token_uri": f"{issuer.url}/token",
    }


def claims(asked: Asked) -> tuple[dict[str, Any], dict[str, Any]]:
    """Head and claims of the grant in a token request."""
    from base64 import urlsafe_b64decode
    from urllib.parse import parse_qs

    (grant,) = parse_qs(asked.body.decode())["assertion"]
    one, two = (json.loads(urlsafe_b64decode(part + "==")) for part in grant.split(".")[:2])
    return one, two


def google(upstream: Upstream, file: Path) -> dict[str, Any]:
    row = {
        "kind": "vertex", "base_url": upstream.url, "project": "my-project", "location": "europe-west4",
        "service_account": {"file": str(file)},
    }  # fmt: skip
    return {"providers": {"p": row}}


async def test_a_service_account_signs_for_a_token_that_many_calls_use(tmp_path: Path) -> None:
    token = whole({"access_token": "token-1", "expires_in": 3600})
    async with Upstream(token) as issuer, Upstream(whole(GEMINI)) as upstream:
        (tmp_path / "sa.json").write_text(json.dumps(service_account(issuer)))
        async with running(tmp_path, google(upstream, tmp_path / "sa.json")) as run:
            answers = await asyncio.gather(*(call(run) for _ in range(4)))
    assert [answer.status for answer in answers] == [200] * 4
    assert keys_of(upstream) == ["token-1"] * 4
    assert len(issuer.asked) == 1
    head, said = claims(issuer.asked[0])
    assert head == {"alg": "RS256", "typ": "JWT", "kid": "kid-1"}
    assert said["aud"] == f"{issuer.url}/token"
    assert said["exp"] - said["iat"] == 3600
    assert "/projects/my-project/locations/europe-west4/" in upstream.asked[0].path


async def test_a_token_that_is_refused_is_renewed_within_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.edge.credentials.renewed.FORCED_EVERY", 0.0)
    tokens = [whole({"access_token": f"token-{number}", "expires_in": 3600}) for number in (1, 2)]
    answers = by_key({"token-1": refusal(401), "token-2": whole(GEMINI)})
    async with Upstream(*tokens) as issuer, Choosing(answers) as upstream:
        (tmp_path / "sa.json").write_text(json.dumps(service_account(issuer)))
        async with running(tmp_path, google(upstream, tmp_path / "sa.json")) as run:
            assert [(await call(run)).status for _ in range(2)] == [200, 200]
    assert keys_of(upstream) == ["token-1", "token-2", "token-2"]
    assert len(issuer.asked) == 2


async def test_a_token_of_awss_that_has_expired_is_looked_for_anew(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("t-old")
    expired = whole({"message": "The security token included in the request is expired"}, 403,
                    {"x-amzn-errortype": "ExpiredTokenException"})  # fmt: skip
    answer = {
        "output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 7, "outputTokens": 2, "totalTokens": 9},
    }
    async with Choosing(by_key({"t-old": expired, "t-new": whole(answer)})) as upstream:
        row = {"kind": "bedrock", "region": "us-east-1", "base_url": upstream.url, "api_key": {"file": str(file)}}
        async with running(tmp_path, {"providers": {"p": row}}) as run:
            assert (await call(run, "p/us.amazon.nova-2-lite-v1:0")).status == 401
            file.write_text("t-new")
            assert (await call(run, "p/us.amazon.nova-2-lite-v1:0")).status == 200
    assert keys_of(upstream) == ["t-old", "t-old", "t-new"]


async def test_an_application_of_entra_calls_azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Upstream(whole({"access_token": "token-1", "expires_in": 3600})) as issuer, Upstream(GOOD) as upstream:
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", issuer.url)
        row = {"kind": "azure", "endpoint": upstream.url, "tenant_id": "t", "client_id": "c", "client_secret": "secret"}
        async with running(tmp_path, {"providers": {"p": row}}) as run:
            assert (await call(run)).status == 200
    assert keys_of(upstream) == ["token-1"]
    assert "api-key" not in upstream.asked[0].headers


async def test_bedrock_finds_keys_where_awss_sdks_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "aws").write_text(
        "[work]\naws_access_key_id = SIMULATOR\naws_secret_access_key = simulator-secret-key\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws"))
    address, port, close = await start_embedded()
    try:
        row = {"kind": "bedrock", "region": "us-east-1", "base_url": f"http://{address}:{port}", "profile": "work"}
        async with running(tmp_path, {"providers": {"p": row}}) as run:
            assert (await call(run, "p/us.amazon.nova-2-lite-v1:0")).status == 200
    finally:
        await close()


async def test_bedrock_calls_are_signed_so_that_the_service_finds_the_signature_right(tmp_path: Path) -> None:
    """The simulator knows the secret of one access key and verifies by arithmetic of its own."""
    address, port, close = await start_embedded()
    try:
        row = {"kind": "bedrock", "region": "eu-central-1", "base_url": f"http://{address}:{port}"}
        good = row | {"access_key_id": "SIMULATOR", "secret_access_key": "simulator-secret-key"}
        bad = row | {"access_key_id": "SIMULATOR", "secret_access_key": "not-the-secret-key"}
        temporary = good | {"session_token": "a-token-of-the-session"}
        async with running(tmp_path, {"providers": {"good": good, "bad": bad, "temporary": temporary}}) as run:
            assert (await call(run, "good/us.anthropic.claude-sonnet-4-5-20250929-v1:0")).status == 200
            assert (await call(run, "temporary/openai.gpt-oss-120b-1:0")).status == 200
            assert (await call(run, "bad/openai.gpt-oss-120b-1:0")).status in (401, 403)
    finally:
        await close()
