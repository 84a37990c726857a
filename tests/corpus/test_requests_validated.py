"""Every upstream request that the gateway would send for the recordings, judged by a validator that others wrote.

`steady` (npm `@stdy/cli`, MIT) serves a vendor's published API description and refuses, with 400 and the path in
`x-steady-error-*` headers, a body that the description does not allow. Both vendors' SDK projects test against it. Each
recorded request goes out as the identity path sends it, and translated to models that differ in what they take.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tests.corpus.exchanges import DIALECTS, TOOLS, Tally, chats, library, messages
from trunkline.core.errors import BadRequest
from trunkline.dialects.base import Dialect, Quirks
from trunkline.providers.models import quirks_of

VERSION = "0.22.2"
CACHE = Path(os.environ.get("TRUNKLINE_TEST_CACHE") or Path.home() / ".cache" / "trunkline-tests")
CHAT, MESSAGES = DIALECTS["openai_chat"], DIALECTS["anthropic"]

pytestmark = [
    pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not here: @stdy/cli cannot be installed"),
    pytest.mark.skipif(not (TOOLS / "corpus.py").exists(), reason="the recorded exchanges (../shared) are not here"),
]

SYSTEM_TURN = "the description is of August 2026; role `system` among the messages came with 2026-10-21"
MISTRAL = "Mistral's own: an empty content array, a tool without type, tool_choice `any`, document_url"
NOT_DESCRIBED = {
    "chat as it came": {
        "pydantic-ai__c7afdfa41bc8": "service_tier `on_demand` is Groq's",
        "pydantic-ai__428238656e56": MISTRAL,
        "pydantic-ai__db211c3ae042": MISTRAL,
        "pydantic-ai__1eaaf179b895": MISTRAL,
        "pydantic-ai__5dc155f790d9": MISTRAL,
        "pydantic-ai__a09507deab12": MISTRAL,
    },
    "chat to gpt-5": {"pydantic-ai__c7afdfa41bc8": "service_tier `on_demand` is Groq's"},
    "chat to claude-opus-4-5": {},
    "chat to claude-opus-5": dict.fromkeys(
        ("crewAI__a4700f8aa4ff", "crewAI__754878bc611a", "crewAI__7dc735c5d4d6", "crewAI__fe7335836764"), SYSTEM_TURN
    ),
    "messages to gpt-5": {},
    "messages as they came": {
        "pydantic-ai__e9a1ec7ae47c": "context_management is a beta's, not in the description",
        "pydantic-ai__636fd319fbcd": "output_config.task_budget is a beta's, not in the description",
        **dict.fromkeys(
            (
                "pydantic-ai__7d01bafcf146", "pydantic-ai__7e8301c1010e", "pydantic-ai__1cb1af80286f",
                "pydantic-ai__cce57e4eeaf4", "pydantic-ai__c9361efb6b19",
            ),
            SYSTEM_TURN,
        ),
    },
}  # fmt: skip
"""Valid all the same (the upstream took them), each with why the description refuses it."""


_ERROR = re.compile(r"x-steady-error-\d+-(path|code)")


class Validator(Struct, frozen=True):
    port: int
    path: str

    def refusal(self, body: bytes, strictly: bool = False) -> str | None:
        """Why the description does not allow the body; None where it does. `strictly`: doubts count too. Where no
        variant of a union fits, steady doubts itself and answers 200 with its errors in the headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            headers = {"content-type": "application/json", "authorization": "Bearer x", "x-api-key": "x"}
            connection.request("POST", self.path, body, headers | {"anthropic-version": "2023-06-01"})
            response = connection.getresponse()
            response.read()
        finally:
            connection.close()
        told = [(name.lower(), value) for name, value in response.getheaders()]
        errors = {name: value for name, value in told if _ERROR.fullmatch(name)}
        assert response.status in {200, 400}
        if not (errors if strictly else response.status == 400):
            return None
        return ", ".join(f"{name.removeprefix('x-steady-error-')} {value}" for name, value in sorted(errors.items()))


def _installed() -> Path:
    folder = CACHE / f"steady-{VERSION}"
    binary = folder / "node_modules" / ".bin" / "steady"
    if not binary.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), f"@stdy/cli@{VERSION}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
        if done.returncode:
            pytest.skip(f"@stdy/cli {VERSION} could not be installed: {done.stderr[-300:]}")
    return binary


@pytest.fixture(scope="module")
def validators() -> Iterator[dict[str, Validator]]:
    """Both descriptions, served on free ports for as long as this module runs."""
    described = {
        CHAT.name: ("openai/openapi.transformed.yml", "/chat/completions"),
        MESSAGES.name: ("anthropic/openapi.yaml", "/v1/messages"),
    }
    binary, running, found = _installed(), [], {}
    try:
        for name, (description, path) in described.items():
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            command = [
                str(binary),
                "-q",
                "-p",
                str(port),
                "--host",
                "127.0.0.1",
                str(library().schemas() / description),
            ]
            running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            found[name] = Validator(port, path)
        for process, validator in zip(running, found.values(), strict=True):
            _wait(process, validator.port)
        yield found
    finally:
        for process in running:
            process.terminate()
            process.wait(10)


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"the validator did not come up on port {port}")


def exchanges(source: Dialect) -> tuple[Any, ...]:
    return chats() if source is CHAT else messages()


def readable(source: Dialect) -> Iterator[tuple[Any, Any]]:
    for found in exchanges(source):
        try:
            yield found, source.read_request(found.request)
        except BadRequest:
            assert found.meta["status"] == 400  # the upstream refused it too


def test_the_validator_refuses_what_is_wrong(validators: dict[str, Validator]) -> None:
    right = b'{"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}'
    for validator in validators.values():
        assert validator.refusal(right, strictly=True) is None
        assert validator.refusal(right.replace(b'"user"', b'"nobody"'), strictly=True)
        assert validator.refusal(right.replace(b'[{"role": "user", "content": "hi"}]', b'"hi"'))


@pytest.mark.parametrize(("what", "source"), [("chat as it came", CHAT), ("messages as they came", MESSAGES)])
def test_the_identity_paths_requests_are_valid(validators: dict[str, Validator], what: str, source: Dialect) -> None:
    tally = Tally(what, NOT_DESCRIBED[what])
    for found, _ in readable(source):
        peek = source.peek(found.request)
        reason = validators[source.name].refusal(source.patch(found.request, "upstream-model", peek, Quirks()))
        tally.check(found, reason is None, reason or "")
    tally.assert_all(240)


@pytest.mark.parametrize(
    ("what", "source", "target"),
    [
        ("chat to gpt-5", CHAT, CHAT),
        ("chat to claude-opus-4-5", CHAT, MESSAGES),
        ("chat to claude-opus-5", CHAT, MESSAGES),
        ("messages to gpt-5", MESSAGES, CHAT),
    ],
)
def test_the_translated_requests_are_valid(
    validators: dict[str, Validator], what: str, source: Dialect, target: Dialect
) -> None:
    tally, model = Tally(what, NOT_DESCRIBED[what]), what.rpartition(" ")[2]
    quirks, refused, emptied = quirks_of(model, Quirks()), 0, 0
    for found, request in readable(source):
        try:
            body = target.write_request(request, model, quirks, [])
        except BadRequest as error:
            refused += "does not continue an assistant message" in error.message
            emptied += "cannot be translated" in error.message
            continue
        reason = validators[target.name].refusal(body, strictly=source is not target)
        tally.check(found, reason is None, reason or "")
    assert refused == (0 if quirks.prefill or source is MESSAGES else 2)
    assert emptied == (target is MESSAGES)  # Mistral's `document_url`, alone in its message
    tally.assert_all(240)
