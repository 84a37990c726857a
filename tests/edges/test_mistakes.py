"""A newcomer's likeliest mistakes are answered with what to do instead."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.running import Running, running
from tests.talking import ask
from trunkline.edge.nearby import MAX_LENGTH


@pytest_asyncio.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, {}) as run:
        yield run


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("/chat/completions", "/v1/chat/completions"),
        ("/v1/v1/messages", "/v1/messages"),
        ("/api/v1/responses", "/v1/responses"),
        ("/api/embeddings", "/v1/embeddings"),
        ("/v1/chat/completion", "/v1/chat/completions"),
        ("/messages", "/v1/messages"),
        ("/models", "/v1/models"),
        ("/v1beta/v1beta/models/m:generateContent", "/v1beta/models/m:generateContent"),
        ("/models/m:streamGenerateContent", "/v1/models/m:streamGenerateContent"),
        ("/v1/model/m/converse", "/model/m/converse"),
        ("/v1/openai/deployments/d/chat/completions", "/openai/deployments/d/chat/completions"),
    ],
)
async def test_a_path_that_is_not_there_tells_the_one_that_was_meant(gateway: Running, asked: str, meant: str) -> None:
    answer = await ask(gateway.port, asked, body=b"{}")
    assert answer.status == 404
    assert answer.json["error"]["message"] == f"There is nothing at {asked}. Did you mean {meant}?"


@pytest.mark.parametrize("asked", ["/", "/favicon.ico", "/" + "v1/" * MAX_LENGTH + "messages"])
async def test_a_path_near_to_none_leads_to_the_list(gateway: Running, asked: str) -> None:
    answer = await ask(gateway.port, asked, body=b"{}")
    assert answer.status == 404
    assert answer.json["error"]["message"].endswith(". See docs/endpoints.md for what there is.")


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/messages", "/v1beta/models/sim/sim-small:generateContent"]
)
async def test_an_empty_body_is_called_empty(gateway: Running, path: str) -> None:
    answer = await ask(gateway.port, path, body=b"")
    assert answer.status == 400
    assert answer.json["error"]["message"] == "The request body is empty; send a JSON object."


async def test_a_model_of_a_provider_that_is_not_configured_names_the_provider(gateway: Running) -> None:
    body = b'{"model": "openai/gpt-5.5", "messages": [{"role": "user", "content": "Hello"}]}'
    answer = await ask(gateway.port, "/v1/chat/completions", body=body)
    assert answer.status == 404
    assert "no provider 'openai'" in answer.json["error"]["message"]
    assert "sim-anthropic" in answer.json["error"]["message"]
