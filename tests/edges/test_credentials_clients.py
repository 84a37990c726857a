"""Where clients put the gateway's key: AWS's SDK as an access key id, with a signature; Google's in the query."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.running import Running, running, until
from tests.talking import ask

boto3 = pytest.importorskip("boto3")
botocore_config = pytest.importorskip("botocore.config")
botocore_exceptions = pytest.importorskip("botocore.exceptions")

ADMIN = "an-admin-key-of-some-length"
MODEL = "sim/sim-small"
HELLO = [{"role": "user", "content": [{"text": "hello there"}]}]


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    """The simulator's models, keys required."""
    async with running(tmp_path, {"auth": "required", "admin_key": ADMIN}, begin=True) as run:
        await until(lambda: run.gateway.status()["ready"], "the keys are loaded")
        yield run


async def new_key(run: Running) -> str:
    made = await ask(run.port, "/admin/v1/keys", {"name": "client"}, {"authorization": f"Bearer {ADMIN}"})
    assert made.status == 201
    secret = str(made.json["secret"])
    await until(lambda: run.gateway.stores.ring.find(secret.encode()), "the key is known")
    return secret


def converse(url: str, key: str) -> Any:
    """One call of AWS's own SDK, which signs with the key as its id and any secret."""
    client = boto3.client(
        "bedrock-runtime",
        region_name="eu-central-1",
        endpoint_url=url,
        aws_access_key_id=key,
        aws_secret_access_key="anything",
        config=botocore_config.Config(retries={"max_attempts": 0}),
    )
    return client.converse(modelId=MODEL, messages=HELLO)


async def test_awss_sdk_presents_the_key_as_its_access_key_id(gateway: Running) -> None:
    key = await new_key(gateway)
    answer = await asyncio.to_thread(converse, gateway.url, key)
    assert answer["output"]["message"]["content"][0]["text"]


async def test_awss_sdk_with_another_key_is_refused(gateway: Running) -> None:
    await new_key(gateway)
    with pytest.raises(botocore_exceptions.ClientError) as caught:
        await asyncio.to_thread(converse, gateway.url, "AKIANOBODY")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in (401, 403)


@pytest.mark.parametrize("path", ["/v1beta/models", f"/v1beta/models/{MODEL}:generateContent?alt=sse"])
async def test_googles_clients_may_present_it_in_the_query(gateway: Running, path: str) -> None:
    key = await new_key(gateway)
    body = {"contents": [{"role": "user", "parts": [{"text": "hello there"}]}]} if ":" in path else None
    joint = "&" if "?" in path else "?"
    method = "POST" if body else "GET"
    assert (await ask(gateway.port, f"{path}{joint}key={key}", body, method=method)).status == 200
    assert (await ask(gateway.port, f"{path}{joint}key=nobody", body, method=method)).status in (400, 401, 403)
    assert (await ask(gateway.port, path, body, method=method)).status in (401, 403)
