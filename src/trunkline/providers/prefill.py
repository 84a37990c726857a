"""Who takes up its own words: a conversation that ends with the model's own message is gone on with from there.

Where an API is not in this table its models answer such a message, or refuse it; none of them is asked to. Sources, as
of November 2026: Anthropic, "Prefill Claude's response" (no white space at the end, not while it thinks; since 4.6 not
at all: `catalog_rules`), Amazon's Nova user guide (the Messages API, "prefilling"), Mistral's and DeepSeek's API
references (`prefix`; DeepSeek's below `/beta` alone), vLLM's chat parameters; Google's models were seen to do it up to
3.1 and refuse it since 3.5. `prefill` of a model in the configuration's `catalog:` comes before this table.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct


class Prefill(Struct, frozen=True):
    """How an API is told: fields of the last message, and of the request."""

    message: dict[str, Any] = {}
    request: dict[str, Any] = {}
    makers: frozenset[str | None] | None = None
    """Whose models do it there; None: all."""
    below: str = ""
    """What the base URL's path must end with."""


PLAIN = Prefill()
ON_BEDROCK = Prefill(makers=frozenset({"anthropic", "amazon", "trunkline"}))
"""The third maker is the simulator."""

HOSTS: dict[str, Prefill] = {
    "mistral": Prefill({"prefix": True}),
    "deepseek": Prefill({"prefix": True}, below="/beta"),
    "vllm": Prefill(request={"continue_final_message": True, "add_generation_prompt": False}),
}
"""Chat, by the kind of host."""


def told(body: bytes, prefill: Prefill) -> bytes:
    """The request with what the API wants to hear of its last message."""
    if not prefill.message and not prefill.request:
        return body
    request = msgspec.json.decode(body)
    request["messages"][-1].update(prefill.message)
    return msgspec.json.encode(request | prefill.request)
