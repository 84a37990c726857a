"""`x-trunkline-cost-usd` on a whole answer: what the price list asks for the tokens of its usage."""

from __future__ import annotations

import time
from typing import Any

import openai
import pytest

from .drivers import HELLO, KEY
from .processes import PATIENCE, Servers


@pytest.mark.parametrize(
    ("model", "input_price", "output_price"),
    [("sim/gpt-4.1", 2, 8), ("sim-azure/gpt-4.1", 2, 8), ("sim-anthropic/claude-sonnet-4-5", 3, 15)],
)
def test_cost(running: Servers, model: str, input_price: int, output_price: int) -> None:
    """Prices in dollars for a million tokens, as published for these models since 2025."""
    with openai.OpenAI(base_url=f"{running.gateway}/v1", api_key=KEY, max_retries=0) as client:
        answer = priced(client, model)
    usage = answer.parse().usage
    millionths = usage.prompt_tokens * input_price + usage.completion_tokens * output_price
    assert float(answer.headers["x-trunkline-cost-usd"]) == pytest.approx(millionths / 1e6)


def priced(client: openai.OpenAI, model: str) -> Any:
    """An answer with a cost: the gateway reads the price list after its start, in the background."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = client.chat.completions.with_raw_response.create(model=model, messages=HELLO)
        if "x-trunkline-cost-usd" in answer.headers:
            return answer
        assert time.monotonic() < deadline, "no price for this model"
        time.sleep(0.1)


def test_what_has_no_price_has_no_cost(running: Servers) -> None:
    with openai.OpenAI(base_url=f"{running.gateway}/v1", api_key=KEY, max_retries=0) as client:
        priced(client, "sim/gpt-4.1")
        answer = client.chat.completions.with_raw_response.create(model="sim/sim-small", messages=HELLO)
    assert "x-trunkline-cost-usd" not in answer.headers
