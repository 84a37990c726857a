"""Derive the shipped table of models from published facts: `python scripts/build_catalog.py ../shared`.

Takes limits, modalities and abilities from the models.dev snapshot (MIT licence) in `catalog/models.dev.json` below the
given folder, and adds the models that are newer than it, whose sizes the price list (genai-prices, MIT licence) knows.
Writes src/trunkline/providers/catalog.json, one model a line, so that a new snapshot is a diff that can be read.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genai_prices.data import providers

from trunkline.providers.catalog import canonical

OUT = Path(__file__).parents[1] / "src" / "trunkline" / "providers" / "catalog.json"
DATED = "2026-11-22"
SOURCES = [
    "models.dev, snapshot of 2026-07-02 (MIT)",
    "genai-prices 0.2.3, context windows (MIT)",
    "the providers' API references, November 2026",
]
ORDER = (
    "openai", "anthropic", "google", "google-vertex-anthropic", "google-vertex", "azure", "amazon-bedrock",
)  # fmt: skip
"""A model's own maker is asked first; who resells it only where the maker is silent."""
PRICED = {
    "openai": "openai", "anthropic": "anthropic", "google": "google", "mistral": "mistral", "deepseek": "deepseek",
    "xai": "x-ai", "cohere": "cohere",
}  # fmt: skip
"""Makers by their ids in the price list, which knows the size of more models, and nothing else of them."""
MODALITIES = {"text": "text", "image": "image", "pdf": "document", "audio": "audio", "video": "video"}
MAKERS = (
    ("openai", r"gpt", "o1", "o3", "o4", "codex", "text-embedding", "chatgpt", "model-router"),
    ("anthropic", "claude"),
    ("google", "gemini", "gemma"),
    ("amazon", "nova", "titan"),
    ("meta", "llama", "meta-llama"),
    ("mistral", "mistral", "ministral", "magistral", "codestral", "devstral", "pixtral", "voxtral"),
    ("deepseek", "deepseek", "r1", "v3"),
    ("xai", "grok"),
    ("moonshot", "kimi"),
    ("zai", "glm"),
    ("alibaba", "qwen"),
    ("cohere", "cohere", "command", "embed-v"),
    ("microsoft", "phi"),
    ("nvidia", "nemotron"),
    ("minimax", "minimax"),
    ("writer", "palmyra"),
)

_GPT6 = {"maker": "openai", "context": 1_050_000, "input": 922_000, "output": 128_000,
         "inputs": ["text", "image", "document"], "outputs": ["text"], "tools": True, "json_schema": True,
         "reasoning": "effort"}  # fmt: skip
_CLAUDE5 = {"maker": "anthropic", "context": 1_000_000, "output": 128_000, "inputs": ["text", "image", "document"],
            "outputs": ["text"], "tools": True,
            "efforts": ["low", "medium", "high", "xhigh", "max"]}  # fmt: skip
_GEMINI = {"maker": "google", "context": 1_048_576, "output": 65_536,
           "inputs": ["text", "image", "document", "audio", "video"], "outputs": ["text"], "tools": True,
           "json_schema": True}  # fmt: skip
_ALL = ["none", "low", "medium", "high", "xhigh"]
_SIM = {"maker": "trunkline", "inputs": ["text", "image", "document", "audio", "video"], "outputs": ["text"],
        "tools": True, "parallel_tools": True, "json_schema": True, "streaming": True}  # fmt: skip
_THINKER = ["none", "minimal", "low", "medium", "high", "xhigh", "max"]

ADDED: dict[str, dict[str, Any]] = {
    # Rows that the snapshot only refers to, or in which recordings show it wrong.
    "gpt-3.5-turbo": {"maker": "openai", "context": 16_385, "output": 4096, "inputs": ["text"], "outputs": ["text"],
                      "tools": True, "reasoning": "none"},
    "gpt-5": _GPT6 | {"context": 400_000, "input": 272_000, "efforts": ["minimal", "low", "medium", "high"]},
    "gemini-2.5-pro": _GEMINI | {"reasoning": "budget"},
    # Newer than the snapshot: sizes of the price list, levels of the providers' references.
    **{f"gpt-5.6-{name}": _GPT6 | {"efforts": _ALL} for name in ("luna", "sol", "terra")},
    **{f"gpt-6-{name}": _GPT6 | {"efforts": _ALL} for name in ("sol", "luna")},
    **{
        name: _GPT6 | {"efforts": ["low", "medium", "high", "xhigh"]}
        for name in ("gpt-6-astra", "gpt-6.1-sol", "gpt-6.1-terra", "gpt-6.2-astra", "gpt-6.2-sol")
    },
    **{
        f"claude-{name}": _CLAUDE5
        for name in (
            "opus-5", "opus-5-5", "sonnet-5-5", "haiku-5-5", "fable-5-1", "fable-5-2", "mythos-5-2",
        )
    },
    **{f"gemini-{name}": _GEMINI | {"reasoning": "effort", "efforts": ["low", "medium", "high"]}
       for name in ("3.7-flash", "3.8-flash")},
    "gemini-4-argon": _GEMINI | {"reasoning": "effort"},
    # The built-in simulator's.
    "sim-tiny": _SIM | {"context": 512, "output": 128},
    "sim-small": _SIM | {"context": 128_000, "output": 16_384},
    "sim-large": _SIM | {"context": 1_000_000, "output": 128_000},
    "sim-thinker": _SIM | {"context": 400_000, "output": 128_000, "reasoning": "effort", "efforts": _THINKER},
    "sim-responses-only": _SIM | {"context": 400_000, "output": 128_000, "reasoning": "effort",
                                  "efforts": _THINKER[1:], "tools_with_reasoning": "responses"},
}  # fmt: skip


def main(shared: Path) -> None:
    snapshot = json.loads((shared / "catalog" / "models.dev.json").read_text("utf-8"))
    rows = dict(ADDED)
    for host in ORDER:
        for name, said in snapshot[host]["models"].items():
            known = canonical(name, dated=True)  # two dates of one name may be two models
            row = _row(known, said, host)
            if row is not None:
                rows.setdefault(known, row)
    for maker, host in PRICED.items():
        for name, context in _windows(host):
            rows.setdefault(canonical(name, dated=True), {"maker": maker, "context": context})
    for name in list(rows):  # a dated name that says nothing of its own
        bare = canonical(name)
        if bare != name and rows.get(bare) == rows[name]:
            del rows[name]
    OUT.write_text(_text(rows), "utf-8")
    sys.stdout.write(f"{len(rows)} models in {OUT}\n")


def _windows(host: str) -> Iterator[tuple[str, int]]:
    """Models of one provider of the price list, with the tokens of their context."""
    for model in next(each for each in providers if each.id == host).models:
        if model.context_window:
            yield model.id, model.context_window


def _row(model: str, said: dict[str, Any], host: str) -> dict[str, Any] | None:
    limit, modes = said.get("limit") or {}, said.get("modalities") or {}
    if not limit.get("context"):
        return None
    maker = next((maker for maker, *starts in MAKERS if model.startswith(tuple(starts))), None)
    own = host in (maker, f"{maker}-bedrock", f"{maker}-vertex")
    outputs = [MODALITIES[mode] for mode in modes.get("output", ()) if mode in MODALITIES]
    embeds = "embed" in model
    row = {
        "maker": maker,
        "context": limit["context"],
        "input": limit.get("input"),
        "output": None if embeds else limit.get("output"),
        "inputs": _inputs(modes, maker, host),
        "outputs": ["embedding"] if embeds else outputs or None,
        "tools": said.get("tool_call") or (False if own else None),
        "json_schema": said.get("structured_output") or None,
        **_reasoning(said, own),
    }
    return {name: value for name, value in row.items() if value is not None}


def _inputs(modes: dict[str, Any], maker: str | None, host: str) -> list[str] | None:
    """OpenAI's models read PDFs where they see, and Converse reads documents for all that it serves: the snapshot
    leaves both out."""
    inputs = [MODALITIES[mode] for mode in modes.get("input", ()) if mode in MODALITIES]
    reads = host == "amazon-bedrock" or (maker == "openai" and "image" in inputs)
    return [*inputs, *(("document",) if reads and inputs and "document" not in inputs else ())] or None


def _reasoning(said: dict[str, Any], own: bool) -> dict[str, Any]:
    """How it thinks; of Claude only the levels, since the rules know the rest. A reseller's "cannot" is its own."""
    options = {option["type"]: option for option in said.get("reasoning_options", ())}
    if not said.get("reasoning"):
        return {"reasoning": "none"} if said.get("reasoning") is False and own else {}
    if "effort" in options:
        levels = [level for level in options["effort"].get("values", ()) if level]
        levels = ["none", *levels] if "toggle" in options and "none" not in levels else levels
        return {"efforts": levels} if _claude(said) else {"reasoning": "effort", "efforts": levels}
    if "budget_tokens" in options and not _claude(said):
        return {"reasoning": "budget"}
    return {}


def _claude(said: dict[str, Any]) -> bool:
    return str(said.get("family", "")).startswith("claude")


def _text(rows: dict[str, dict[str, Any]]) -> str:
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(rows[name])}" for name in sorted(rows))
    head = f' "dated": {json.dumps(DATED)},\n "sources": {json.dumps(SOURCES)},\n'
    return f'{{\n{head} "models": {{\n{lines}\n }}\n}}\n'


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared"))
