"""No credential is ever seen: every kind is given known secrets, everything goes wrong, and all that was written,
served and kept is searched for them.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.edges.families import OPENAI
from tests.edges.test_credentials import private_key
from tests.edges.upstreams import Upstream, whole
from tests.running import Running, running, until
from tests.talking import Answer, ask
from trunkline.config import effective
from trunkline.config.logs import _Json

ADMIN = "admin-key-sesame-0123456789"
ASK = OPENAI.ask


def secret(name: str) -> str:
    """One that a search finds, long enough for anything."""
    return f"SESAME{name}{'x' * 12}"


class Echo(Upstream):
    """Refuses, with all that it was told in header fields and body, in whatever shape errors have."""

    def __init__(self, status: int) -> None:
        async def answer(writer: asyncio.StreamWriter) -> None:
            asked = self.asked[-1]
            told = json.dumps(asked.headers) + asked.path + asked.body.decode("utf-8", "replace")
            body = {
                "error": {"message": told, "type": told, "code": told, "param": told, "status": told},
                "message": told,
            }
            headers = {f"x-echo-{number}": value for number, value in enumerate(asked.headers.values())}
            await whole(body, status, headers)(writer)

        super().__init__(answer)


def providers(upstream: Upstream, issuer: Upstream, directory: Path) -> dict[str, dict[str, Any]]:
    """Every kind of credential, each with secrets of its own."""
    (directory / "key").write_text(secret("File"))
    (directory / "bad").write_bytes(b"\xff" + secret("BadFile").encode())
    user = {"type": "authorized_user", "token_uri": f"{issuer.url}/t", "client_id": "id"}
    user |= {"client_secret": secret("UserSecret"), "refresh_token": secret("UserRefresh")}
    machine = {"type": "service_account", "client_email": "a@b", "token_uri": f"{issuer.url}/t"}
    command = [sys.executable, "-c", f"print({secret('Command')!r})", secret("Argument")]
    failing = [sys.executable, "-c", f"print({secret('Failing')!r}); raise SystemExit(1)"]
    base = {"base_url": upstream.url}
    azure = {"kind": "azure", "endpoint": upstream.url, "tenant_id": "tenant", "client_id": "client"}
    bedrock = {"kind": "bedrock", "region": "eu-central-1", **base}
    vertex = {"kind": "vertex", "project": "project", **base}
    return {
        "fixed": {"kind": "openai", **base, "api_key": secret("Fixed"), "headers": {"x-extra": secret("Extra")}},
        "claude": {"kind": "anthropic", **base, "api_key": secret("Claude")},
        "gemini": {"kind": "gemini", **base, "api_key": secret("Gemini")},
        "azure-key": {"kind": "azure", "endpoint": upstream.url, "api_key": secret("Azure")},
        "groq": {"kind": "groq", **base, "api_keys": [secret("GroqOne"), secret("GroqTwo")]},
        "file": {"kind": "openai", **base, "api_key": {"file": str(directory / "key")}},
        "bad-file": {"kind": "openai", **base, "api_key": {"file": str(directory / "bad")}},
        "command": {"kind": "openai", **base, "api_key": {"command": command}},
        "failing": {"kind": "openai", **base, "api_key": {"command": failing}},
        "entra": azure | {"client_secret": secret("Entra")},
        "user": vertex | {"service_account": json.dumps(user)},
        "account": vertex | {"service_account": json.dumps(machine | {"private_key": private_key()})},
        "bad-account": vertex | {"service_account": json.dumps(machine | {"private_key": secret("PrivateKey")})},
        "token": vertex | {"api_key": secret("VertexToken")},
        "aws": bedrock
        | {"access_key_id": "AKID", "secret_access_key": secret("Aws"), "session_token": secret("AwsSession")},
        "aws-key": bedrock | {"api_key": secret("BedrockKey")},
        "aws-role": bedrock
        | {"access_key_id": "AKID", "secret_access_key": secret("AwsBase"), "role_arn": "arn:aws:iam::1:role/r"},
    }


@pytest.fixture
def written(capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """All that was logged, at every level and with everything that a record holds, and all that was printed."""
    records: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            facts = {name: repr(value) for name, value in vars(record).items()}
            records.append(f"{record.getMessage()} {_Json().format(record)} {facts}")

    handler, root = Keep(level=logging.DEBUG), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lambda: "\n".join([*records, *capfd.readouterr()])
    root.removeHandler(handler)
    root.setLevel(before)


def kept(directory: Path) -> str:
    """Every byte of the state directory and the database."""
    files = [
        path for path in directory.rglob("*") if path.is_file() and path.name not in ("trunkline.yaml", "key", "bad")
    ]
    assert any(path.stat().st_size for path in files), "something is kept"
    return "\n".join(path.read_bytes().decode("latin-1") for path in files)


def shapes(text: str) -> list[str]:
    """A secret as it is, and as it may stand in other encodings."""
    return [text, quote(text), base64.b64encode(text.encode()).decode()[:-4], text.encode().hex()]


async def provoke(run: Running, names: list[str]) -> list[Answer]:
    """Every provider, by clients of several families, whole and streamed."""
    served = []
    for name in names:
        model = f"{name}/gemini-3-pro" if name not in ("claude",) else f"{name}/claude-sonnet-4-5"
        messages = {"messages": ASK("")["messages"], "max_tokens": 5, "model": model}
        served.append(await ask(run.port, OPENAI.path, ASK(model)))
        served.append(await ask(run.port, OPENAI.path, ASK(model, stream=True)))
        served.append(await ask(run.port, "/v1/messages", messages, {"anthropic-version": "2023-06-01"}))
    as_admin = {"authorization": f"Bearer {ADMIN}"}
    for path in ("/metrics", "/v1/models", "/readyz", "/healthz", "/admin/v1/keys", "/admin/v1/models"):
        served.append(await ask(run.port, path, None, as_admin, "GET"))
    return served


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
async def test_no_secret_is_ever_seen(
    tmp_path: Path, status: int, written: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = whole({"access_token": secret("Token"), "expires_in": 3600})
    async with Echo(status) as upstream, Upstream(token) as issuer:
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", issuer.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", upstream.url)
        rows = providers(upstream, issuer, tmp_path)
        sections = {"providers": rows, "admin_key": ADMIN, "log": {"level": "debug"}}
        async with running(tmp_path, sections, begin=True) as run:
            served = await provoke(run, list(rows))
            shown = [repr(run.gateway.providers), repr(run.gateway.config), effective(run.gateway.config)]
            await until(lambda: run.gateway.status()["state"]["keys"]["loaded"], "the database is open")
        assert all(answer.status >= 400 for answer in served[: 3 * len(rows)])
        assert upstream.asked, "something must have been refused"
    seen = {
        "served": "\n".join(f"{answer.headers} {answer.body.decode('latin-1')}" for answer in served),
        "written": written(),
        "kept": kept(tmp_path),
        "shown": "\n".join(shown),
    }
    sent = json.dumps([vars(asked) | {"body": asked.body.decode("latin-1")} for asked in upstream.asked])
    assert "SESAMEFixed" in sent, "the secrets were in use"
    assert "SESAMEToken" in sent
    found = {
        place: text[max(0, at - 300) : at + 60] for place, text in seen.items() if (at := text.find("SESAME")) >= 0
    }
    assert found == {}
    for place, text in seen.items():
        for shape in (each for name in ("Fixed", "File", "Aws", "Token") for each in shapes(secret(name))):
            assert shape not in text, place


async def test_a_key_in_the_query_goes_no_further(tmp_path: Path, written: Callable[[], str]) -> None:
    """Google's old way to present a key: it must reach neither the log, nor the ledger, nor the provider."""
    key = secret("Query")
    async with Echo(400) as upstream:
        row = {"kind": "gemini", "base_url": upstream.url, "api_key": "provider-key"}
        async with running(tmp_path, {"providers": {"gemini": row}}) as run:
            body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
            for place in (
                "gemini-3-pro:generateContent",
                "nowhere:generateContent",
                "gemini-3-pro:streamGenerateContent",
            ):
                answer = await ask(run.port, f"/v1beta/models/gemini%2F{place}?alt=sse&key={key}", body)
                assert key not in f"{answer.headers} {answer.body.decode('latin-1')}"
            with contextlib.suppress(AssertionError):
                await run.entry(3)
    assert upstream.asked
    assert key not in json.dumps([vars(asked) | {"body": asked.body.decode("latin-1")} for asked in upstream.asked])
    assert key not in written()
    assert key not in kept(tmp_path)
