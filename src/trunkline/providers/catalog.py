"""The table of models that ships with the gateway, and how the many names of one model lead to its row.

The rows are in catalog.json beside this file, derived by scripts/build_catalog.py from published facts; what holds for
a whole line of models, those not yet named included, are the rules in `catalog_rules.py`. The configuration overrides
both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct

from trunkline.providers.catalog_facts import NOTHING, Facts
from trunkline.providers.catalog_rules import ruled

_REGION = re.compile(r"^(us-gov|us|eu|apac|global|jp|au|ca)\.(?=[a-z0-9-]+\.)")
_VENDOR = re.compile(
    r"^(anthropic|amazon|openai|meta|mistral|deepseek|cohere|google|qwen|xai|zai|moonshot|moonshotai|minimax|nvidia|"
    r"writer|ai21)\.(?=[a-z0-9])"
)
_REVISION = re.compile(r"(?<!^)(-v\d+(:\d+)?|-\d+:\d+|:[a-z0-9-]+|@[a-z0-9-]+|-maas|-latest)$")
_DATE = re.compile(r"(?<!^)-(20\d{2}-\d{2}-\d{2}|20\d{6})$")
_CLAUDE_POINT = re.compile(r"^(claude-[a-z0-9-]*\d)\.(?=\d)")


def canonical(name: str, *, dated: bool = False) -> str:
    """A model's own id, out of what the hosts make of it: without path, region, vendor and revision, and without its
    date unless `dated`.

        us.anthropic.claude-sonnet-4-5-20250929-v1:0 · claude-sonnet-4-5@20250929 · anthropic/claude-sonnet-4.5
    """
    own = name.lower().rpartition("/")[2]
    own = _VENDOR.sub("", _REGION.sub("", own))
    while (shorter := _REVISION.sub("", own)) != own:
        own = shorter
    own = _CLAUDE_POINT.sub(r"\1-", own)
    return own if dated else _DATE.sub("", own)


class Catalog(Struct, frozen=True):
    """The file."""

    dated: str
    """When it was made, ISO 8601."""
    sources: tuple[str, ...]
    models: dict[str, Facts]


@cache
def shipped() -> Catalog:
    """The table that came with this version."""
    path = Path(__file__).with_name("catalog.json")
    return msgspec.json.decode(path.read_bytes(), type=Catalog)


def facts_of(model: str, provider: str = "", overrides: Mapping[str, Facts] | None = None) -> Facts:
    """All that is known of a model: the rules of its line, its row, and what the configuration says of it, the later
    over the former. Where nothing is known, `NOTHING`."""
    models = shipped().models
    row = next((models[name] for name in _names(model) if name in models), NOTHING)
    facts = row.over(ruled(canonical(model)))
    if overrides:
        for name in (*reversed(_names(model)), f"{provider}/{model}"):
            facts = overrides.get(name, NOTHING).over(facts)
    return facts


def _names(model: str) -> tuple[str, ...]:
    """What a row for this model may be called, the most exact first."""
    return tuple(dict.fromkeys((model, model.lower(), canonical(model, dated=True), canonical(model))))
