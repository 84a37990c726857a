"""Hosts that speak the OpenAI chat completions API, as rows: where they are, and how they depart from it.

Facts: the hosts' API references of November 2026, and recorded exchanges with most of them. All take `max_tokens`;
those which also take `max_completion_tokens` are sent that, because reasoning models count by it. None is sent role
`developer`: `system` means the same everywhere. Nor is any told `allowed_tools`, which is OpenAI's: it gets just those.
Nobody says how they read the names of fields, so any of them may take one in other letters.
"""

from __future__ import annotations

from msgspec import Struct, structs

from trunkline.dialects.base import Quirks

_NEWER = Quirks(developer_role=False, allowed_tools=False, folds_names=True)
PLAIN = structs.replace(_NEWER, max_tokens_field="max_tokens")


class Host(Struct, frozen=True):
    base_url: str
    variables: tuple[str, ...] = ()
    """The environment variables in which people keep its API key, the usual one first."""
    prices: str = "unknown"
    """Its name in the price list."""
    quirks: Quirks = PLAIN
    needs_key: bool = True
    completes: bool = False
    """It has OpenAI's legacy completions too; the others' models are asked by chat."""
    responds: bool = False
    """It was recorded to have the Responses API too, to which only clients of that are led."""


def _refusing(*attributes: str, stream_usage: bool = True) -> Quirks:
    return structs.replace(PLAIN, stream_usage=stream_usage, drop=frozenset(attributes))


HOSTS: dict[str, Host] = {
    "cerebras": Host("https://api.cerebras.ai/v1", ("CEREBRAS_API_KEY",), "cerebras", _NEWER),
    # The compatibility API lists what it takes; the rest is refused or ignored.
    "cohere": Host(
        "https://api.cohere.ai/compatibility/v1",
        ("COHERE_API_KEY", "CO_API_KEY"),
        "cohere",
        _refusing("n", "logit_bias", "parallel_tool_calls", "metadata", "tier", "user"),
    ),
    "deepseek": Host(
        "https://api.deepseek.com", ("DEEPSEEK_API_KEY",), "deepseek", _refusing("n", "logit_bias"), responds=True
    ),
    "fireworks": Host("https://api.fireworks.ai/inference/v1", ("FIREWORKS_API_KEY",), "fireworks", completes=True),
    # 400 where one of these is sent, whatever its value.
    "groq": Host(
        "https://api.groq.com/openai/v1",
        ("GROQ_API_KEY",),
        "groq",
        structs.replace(_NEWER, drop=frozenset({"logprobs", "top_logprobs", "logit_bias"})),
    ),
    "huggingface": Host("https://router.huggingface.co/v1", ("HF_TOKEN", "HUGGINGFACE_API_KEY")),
    # 422 for any field it does not know. Streams always end with usage. A seed is called `random_seed` there.
    "mistral": Host(
        "https://api.mistral.ai/v1",
        ("MISTRAL_API_KEY",),
        "mistral",
        _refusing("seed", "logit_bias", "logprobs", "top_logprobs", "user", "tier", "verbosity", stream_usage=False),
    ),
    "ollama": Host("http://127.0.0.1:11434/v1", prices="free", needs_key=False, completes=True),
    "openrouter": Host(
        "https://openrouter.ai/api/v1", ("OPENROUTER_API_KEY",), "openrouter", _NEWER, completes=True, responds=True
    ),
    "perplexity": Host(
        "https://api.perplexity.ai",
        ("PERPLEXITY_API_KEY", "PPLX_API_KEY"),
        "perplexity",
        _refusing("n", "logit_bias", "logprobs", "top_logprobs", "seed", "parallel_tool_calls"),
    ),
    "together": Host("https://api.together.xyz/v1", ("TOGETHER_API_KEY",), "together", completes=True),
    "vercel": Host("https://ai-gateway.vercel.sh/v1", ("AI_GATEWAY_API_KEY",)),
    "vllm": Host("http://127.0.0.1:8000/v1", prices="free", needs_key=False, completes=True),
    "xai": Host("https://api.x.ai/v1", ("XAI_API_KEY",), "x-ai", _refusing("logit_bias"), responds=True),
}
"""By kind. `free` is the machine's own: nothing is paid to anyone."""
