"""Limits as the configuration sets them. Those of single keys are in the database, in the same notation."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from trunkline.core.call import Priority
from trunkline.policy.rules import MAX_TEXT, Scope

LimitText = Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
Pattern = Annotated[str, Meta(min_length=1, max_length=256)]


class LimitSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One entry of `limits:`. Any number of them may apply to a call: it must fit into all."""

    scope: Scope = "global"
    """Who shares it: everybody, or each key, each team, each tag, each model for itself."""
    names: tuple[Pattern, ...] | None = None
    """For which of them it is, `*` matching any run of characters: keys by name or id, the others by name. Where left
    out: for all."""
    models: tuple[Pattern, ...] | None = None
    """Only calls for these models count, by the names that callers use; what is asked for at its provider, also by that
    provider's name for it. Where left out: all do."""
    allow: Annotated[tuple[LimitText, ...], Meta(min_length=1, max_length=32)]
    """What they may use: `requests=600/minute`, `cost=20/day`, `concurrent_requests=8`, and so on (docs/limits.md)."""


class TeamSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One entry of `teams:`, by the name that keys give as theirs."""

    limits: Annotated[tuple[LimitText, ...], Meta(max_length=32)] = ()
    """What all of its keys may use together."""
    priority: Priority | None = None
    """What the calls of its keys have whose key has none: `interactive`, `default` or `batch`. See docs/queueing.md."""
    weight: Annotated[float, Meta(ge=0.001, le=1000)] = 1.0
    """Its share of the places that its calls wait for, beside the others' of the same priority."""


class AdmissionSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The `admission:` section: what holds for all limits."""

    unpriced: Literal["refuse", "allow"] = "refuse"
    """What becomes of a call that a cost limit applies to and whose cost nobody can know beforehand: its model has no
    price, or a tool at the provider may use any number of tokens. `allow` lets it in; what it turns out to cost counts
    all the same, and may exceed the limit."""
