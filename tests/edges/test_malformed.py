"""Bodies with something of the wrong kind in a place that only one operation looks at: a 400 that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.edges.families import ANTHROPIC, OPENAI
from tests.edges.upstreams import Upstream, whole
from tests.running import running
from tests.talking import ask

BETA = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/completions", {"model": "openai/m", "prompt": "x", "best_of": "2"}, "best_of"),
        ("/v1/completions", {"model": "openai/m", "prompt": "x", "best_of": 2, "n": [1]}, "n"),
        ("/v1beta/models/gemini%2Fm:batchEmbedContents", {"model": "m", "requests": "x"}, "requests"),
        ("/v1beta/models/gemini%2Fm:batchEmbedContents", {"model": "m", "requests": [1]}, "requests"),
        ("/model/anthropic%2Fm/invoke", BETA | {"anthropic_beta": 5}, "anthropic_beta"),
        ("/model/anthropic%2Fm/invoke", BETA | {"anthropic_beta": ["a\r\nx-api-key: b"]}, "anthropic_beta"),
    ],
)
async def test_it_is_refused_by_name(path: str, body: dict[str, Any], field: str, tmp_path: Path) -> None:
    async with Upstream(whole(OPENAI.answer)) as up:
        providers = {
            "openai": OPENAI.provider(up.url),
            "anthropic": ANTHROPIC.provider(up.url),
            "gemini": {"kind": "gemini", "base_url": up.url, "api_key": "a-key-of-some-length"},
        }
        async with running(tmp_path, {"providers": providers}) as run:
            answer = await ask(run.port, path, body)
    assert answer.status == 400
    assert field in answer.body.decode()
    assert not up.asked
