"""The catalog as people see it: the models of a gateway or of the shipped table, with what is known of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from trunkline.policy.needs import NAMES
from trunkline.providers.catalog import facts_of, shipped
from trunkline.providers.directory import Directory
from trunkline.providers.models import ability_of
from trunkline.providers.target import Target

Learned = Mapping[str, Sequence[dict[str, Any]]]
"""What targets have been seen to refuse, by their names."""

ABILITIES = tuple(name for name in NAMES if name not in ("input", "output"))
"""The needs that a model meets or does not, whatever the request's size."""


def configured(directory: Directory, learned: Learned | None = None) -> list[dict[str, Any]]:
    """Every model that callers can name, with its targets in order. `lacks`: what none of them has."""
    shown = []
    for name in directory.names():
        targets = directory.resolve(name)
        lacks = frozenset.intersection(*(each.ability.lacks for each in targets))
        rows = [_target(each, learned or {}) for each in targets]
        shown.append({"name": name, "lacks": sorted(lacks), "targets": rows})
    return shown


def _target(target: Target, learned: Learned) -> dict[str, Any]:
    row = {"target": target.name, "lacks": sorted(target.ability.lacks), "facts": msgspec.to_builtins(target.facts)}
    refused = learned.get(target.name)
    return row | ({"learned": list(refused)} if refused else {})


def known() -> list[dict[str, Any]]:
    """Every row of the shipped table, rules laid under it, in the same shape."""
    return [_row(name) for name in sorted(shipped().models)]


def _row(name: str) -> dict[str, Any]:
    facts = facts_of(name)
    lacks = sorted(ability_of(facts).lacks)
    return {
        "name": name,
        "lacks": lacks,
        "targets": [{"target": name, "lacks": lacks, "facts": msgspec.to_builtins(facts)}],
    }


def able(rows: list[dict[str, Any]], needs: Sequence[str]) -> list[dict[str, Any]]:
    """Those that have a target which is not known to lack any of the needs."""
    return [row for row in rows if any(not set(needs) & set(each["lacks"]) for each in row["targets"])]
