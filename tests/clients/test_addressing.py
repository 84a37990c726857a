"""What the providers received: the gateway calls each in the place and with the credential that its own SDK would."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from .drivers import KEY
from .processes import UPSTREAM_KEY, Servers


def asked(running: Servers, model: str, marker: str) -> dict[str, Any]:
    """The simulator's note of the one call that carried the marker, made through the gateway."""
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": marker}]
    with openai.OpenAI(base_url=f"{running.gateway}/v1", api_key=KEY, max_retries=0) as client:
        client.chat.completions.create(model=model, messages=messages)
    [call] = [call for call in running.calls() if marker in str(call["body"])]
    return call


@pytest.mark.parametrize(
    ("model", "path", "header", "credential"),
    [
        ("sim/sim-small", "/v1/chat/completions", "authorization", "Bearer "),
        (
            "sim-azure/my deployment",
            "/openai/deployments/my deployment/chat/completions?api-version=2024-10-21",
            "api-key",
            "",
        ),
        ("sim-anthropic/sim-small", "/v1/messages", "x-api-key", ""),
        ("sim-gemini/sim-small", "/v1beta/models/sim-small:generateContent", "x-goog-api-key", ""),
        (
            "sim-vertex/sim-small",
            "/v1/projects/simulated/locations/global/publishers/google/models/sim-small:generateContent",
            "authorization",
            "Bearer ",
        ),
        ("sim-bedrock/sim-small", "/model/sim-small/converse", "authorization", "Bearer "),
    ],
)
def test_address_and_credential(running: Servers, model: str, path: str, header: str, credential: str) -> None:
    call = asked(running, model, f"who pays for {model}")
    assert f"{call['path']}?{call['query']}".rstrip("?") == path
    headers = {name.lower(): value for name, value in dict(call["headers"]).items()}
    assert headers[header].startswith(credential)
    assert headers[header].endswith(UPSTREAM_KEY[-4:])  # all that the simulator shows of it
    others = {"authorization", "api-key", "x-api-key", "x-goog-api-key"} - {header}
    if header == "api-key":
        others.remove("x-api-key")  # Claude on Foundry reads it, as its SDK sends both
    assert not others & set(headers)


def test_azure_is_asked_as_its_own_sdk_asks(running: Servers) -> None:
    """The same call by `AzureOpenAI`, straight to the provider."""
    through = asked(running, "sim-azure/sim-small", "by the gateway")
    azure = openai.AzureOpenAI(azure_endpoint=running.simulator, api_key=KEY, api_version="2024-10-21", max_retries=0)
    with azure:
        azure.chat.completions.create(model="sim-small", messages=[{"role": "user", "content": "by the SDK"}])
    [direct] = [call for call in running.calls() if "by the SDK" in str(call["body"])]
    for part in ("method", "path", "query"):
        assert through[part] == direct[part]
    assert dict(through["headers"])["api-key"] != dict(direct["headers"])["api-key"]
    assert set(through["body"]) == set(direct["body"])
