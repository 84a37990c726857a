"""A provider that breaks off inside its answer, and a route that goes on: what each family's own SDK makes of it.

The simulator's model breaks off once, and then takes up its own words; so the whole text must come out, once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.running import running
from trunkline.sim.server import start
from trunkline.sim.settings import Settings

TEXT = 'I am sim-small, a simulator; no real model has answered. You said: "hello".'
HELLO = [{"role": "user", "content": "hello"}]
BREAKS = "sim-small+cut+after=6+tps=20+fail-first"


def chat(url: str) -> str:
    import openai

    client = openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0)
    chunks = client.chat.completions.create(model="smart", messages=HELLO, stream=True)  # type: ignore[call-overload]
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def responses(url: str) -> str:
    import openai

    client = openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0)
    with client.responses.stream(model="smart", input="hello") as stream:
        answer = stream.until_done().get_final_response()
    assert answer.status == "completed"
    return answer.output_text


def messages(url: str) -> str:
    import anthropic

    client = anthropic.Anthropic(base_url=url, api_key="any", max_retries=0)
    with client.messages.stream(model="smart", max_tokens=100, messages=HELLO) as stream:  # type: ignore[arg-type]
        answer = stream.get_final_message()
    assert answer.stop_reason == "end_turn"
    assert len(answer.content) == 1
    return str(answer.content[0].text)  # type: ignore[union-attr]


def contents(url: str) -> str:
    from google import genai

    client = genai.Client(api_key="any", http_options={"base_url": url})  # type: ignore[arg-type]
    chunks = client.models.generate_content_stream(model="smart", contents="hello")
    return "".join(chunk.text or "" for chunk in chunks)


def converse(url: str) -> str:
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"max_attempts": 0}),
    )
    answer = client.converse_stream(modelId="smart", messages=[{"role": "user", "content": [{"text": "hello"}]}])
    events: list[Any] = list(answer["stream"])
    assert sum("messageStop" in event for event in events) == 1
    deltas = [event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event]
    return "".join(deltas)


@pytest.mark.parametrize("ask", [chat, responses, messages, contents, converse], ids=lambda ask: ask.__name__)
async def test_the_sdk_sees_one_answer(ask: Callable[[str], str], tmp_path: Path) -> None:
    simulator = await start(settings=Settings())
    provider = {"kind": "anthropic", "base_url": f"http://127.0.0.1:{simulator.port}", "api_key": "any-key-will-do"}
    smart = {"targets": [{"target": f"own/{BREAKS}"}], "recover": {"mode": "continue"}}
    try:
        async with running(tmp_path, {"providers": {"own": provider}, "models": {"smart": smart}}) as run:
            said = await asyncio.wait_for(asyncio.to_thread(ask, run.url), 30)
            entry = await run.entry()
    finally:
        await simulator.aclose()
    assert said == TEXT
    assert [(each.kind, each.reason) for each in entry.attempts] == [("", "upstream_broken"), ("continuation", None)]
    assert (entry.status, entry.error) == (200, None)
