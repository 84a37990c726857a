"""Which limits apply to a call: found once for a key, a model and its tags, then looked up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from operator import itemgetter

from msgspec import Struct

from trunkline.core.call import Key
from trunkline.core.errors import ModelNotFound
from trunkline.core.limit import Dimension, Want
from trunkline.policy.expect import Expectation
from trunkline.policy.rules import DIMENSIONS, SCOPES, Rule, Scope, parse
from trunkline.providers.target import Target
from trunkline.stages.admission.room import Room, rooms_of
from trunkline.stages.admission.settings import LimitSettings, TeamSettings

log = logging.getLogger("trunkline.calls")

MAX_PLANS = 10_000
NOBODY = Key(id="", name="")
"""Whose calls nobody has made: those that the gateway makes by itself."""
MOST = len(DIMENSIONS)
"""Amounts are a list: one for each dimension, then the same once more at its most."""
_COST = DIMENSIONS.index("cost")
_MEASURED: frozenset[Dimension] = frozenset({"input_tokens", "output_tokens", "tokens", "cost"})
"""What is known only once a call has ended."""
TIMELESS = frozenset({"minute", "rolling minute", "now"})
"""Windows that the ledger need not be asked for: they are over, or nearly, when the gateway has started."""

Resolve = Callable[[str], Sequence[Target]]
Names = tuple[str, ...]
Pick = Callable[[Sequence[int]], tuple[int, ...]]


class Plan(Struct, frozen=True):
    """The limits of one kind of call."""

    key: Key
    wants: tuple[Want, ...]
    used: Pick
    """Of what a call has used in every dimension, what counts for each want."""
    taken: Pick
    """Of what a call takes in every dimension, at first what is likely and then the most, what counts for each want."""
    counted: bool
    """Tokens or money are limited."""
    bounded: tuple[int, ...]
    """The places of the wants that take the most that a call can use: they must not be exceeded."""
    priced: bool
    lasting: bool
    """A window is long enough to reach back behind the start of this process."""
    soft: tuple[int, ...]
    """The places of the wants that only warn."""
    extra: tuple[int, ...]
    """The places of the wants that an attempt on top takes once more: those of tokens and money."""
    extra_wants: tuple[Want, ...]
    rooms: tuple[Room, ...]
    """What the targets of the model take and cost."""
    room: Room | None
    """The only one of these, where a call's use can be said by it in a step: nothing is priced that only warns."""
    expectation: Expectation


class _Row(Struct, frozen=True):
    """An entry of `limits:`, read."""

    settings: LimitSettings
    rules: tuple[Rule, ...]


class Planner:
    """Plans for a configuration and the keys' own limits. `resolve` gives a model's targets, fallbacks included; it
    raises ModelNotFound."""

    def __init__(self, limits: Sequence[LimitSettings], teams: Mapping[str, TeamSettings], resolve: Resolve) -> None:
        self._rows = [_Row(each, tuple(map(parse, each.allow))) for each in limits]
        self._teams = {name: tuple(map(parse, team.limits)) for name, team in teams.items()}
        self._resolve = resolve
        self._plans: dict[tuple[str, str, tuple[str, ...]], Plan] = {}
        self._expectations: dict[str, Expectation] = {}
        self.empty = not self._rows and not any(self._teams.values())
        """No limit but those of single keys."""

    def of(self, key: Key, model: str, tags: tuple[str, ...]) -> Plan:
        """The plan of a call. `model`: "" for none."""
        plan = self._plans.get((key.id, model, tags))
        if plan is None or plan.key is not key:
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            plan = self._plans[key.id, model, tags] = self._made(key, model, tags)
        return plan

    def of_copy(self, target: str, tags: tuple[str, ...]) -> Plan:
        """The plan of a copy for a target, `provider/model`, which is no key's: the budgets that are there for all."""
        return self.of(NOBODY, target, tags)

    def wants(self) -> list[Want]:
        """All that calls have met so far, each counter once."""
        return list({want.counter: want for plan in self._plans.values() for want in plan.wants}.values())

    def _made(self, key: Key, model: str, tags: tuple[str, ...]) -> Plan:
        try:
            targets: Sequence[Target] = self._resolve(model) if model else ()
        except ModelNotFound:
            targets = ()  # routing says so; whoever tries names is counted all the same
        found: dict[str, tuple[Want, Rule]] = {}
        for want, rule in self._all(key, names_of(model, targets), tags):
            if key is NOBODY and want.dimension != "cost":
                continue
            known = found.get(want.counter)
            if known is None or want.most < known[0].most:
                found[want.counter] = want, rule
        wants = tuple(want for want, _ in found.values())
        dimensions = [DIMENSIONS.index(want.dimension) for want in wants]
        exact = tuple(rule.exact for _, rule in found.values())
        bounded = tuple(at for at, most in enumerate(exact) if most)
        soft = tuple(at for at, want in enumerate(wants) if want.soft)
        priced, rooms = _COST in dimensions, rooms_of(targets)
        extra = tuple(at for at, want in enumerate(wants) if want.dimension in _MEASURED)
        return Plan(
            key=key,
            wants=wants,
            used=_pick(dimensions),
            taken=_pick([at + MOST * most for at, most in zip(dimensions, exact, strict=True)]),
            counted=bool(extra),
            bounded=bounded,
            priced=priced,
            lasting=any(want.window.name not in TIMELESS for want in wants),
            extra=extra,
            extra_wants=tuple(wants[at] for at in extra),
            soft=soft,
            rooms=rooms,
            room=rooms[0] if len(rooms) == 1 and not (priced and soft) else None,
            expectation=self._expectation(model),
        )

    def _expectation(self, model: str) -> Expectation:
        if len(self._expectations) >= MAX_PLANS:
            self._expectations.clear()
        return self._expectations.setdefault(model, Expectation())

    def _all(self, key: Key, models: Names, tags: tuple[str, ...]) -> Iterator[tuple[Want, Rule]]:
        """Every limit that applies, with its rule."""
        for scope in SCOPES:
            for value, shown in _values(scope, key, models, tags):
                yield from self._of(scope, value, shown, models, key)

    def _of(self, scope: Scope, value: str, shown: str, models: Names, key: Key | None) -> Iterator[tuple[Want, Rule]]:
        """The limits of one scope. `models`: names of the one that is asked for. `key`: whose own are among them."""
        for row in self._rows:
            settings = row.settings
            if settings.scope != scope or (settings.models is not None and not _matches(settings.models, models)):
                continue
            if settings.names is None or _matches(settings.names, models if scope == "model" else (shown, value)):
                for rule in row.rules:
                    yield rule.want(scope, value, shown, settings.models), rule
        own: Sequence[Rule] = ()
        if scope == "team":
            own = self._teams.get(value, ())
        elif scope == "key" and key is not None:
            own = own_rules(key)
        for rule in own:
            yield rule.want(scope, value, shown, None), rule

    # ── For those who ask what was used before ─────────────────────────────────────────────────────────────────────

    def rules(self, scope: Scope, keys: Sequence[Key]) -> list[Rule]:
        """All of a scope, whomever they are for."""
        found = [rule for row in self._rows if row.settings.scope == scope for rule in row.rules]
        if scope == "team":
            found += [rule for rules in self._teams.values() for rule in rules]
        elif scope == "key":
            found += [rule for key in keys for rule in own_rules(key)]
        return found

    def wants_of(self, scope: Scope, value: str, shown: str, model: str, key: Key | None) -> list[Want]:
        """The limits of one key, team, tag, model or of all that calls for this model count against."""
        try:
            models = names_of(model, self._resolve(model) if model else ())
        except ModelNotFound:
            models = (model,)
        if scope == "model":
            value = shown = models[-1] if models else model
        return list({want.counter: want for want, _ in self._of(scope, value, shown, models, key)}.values())


def _pick(places: Sequence[int]) -> Pick:
    if len(places) > 1:
        return itemgetter(*places)
    if not places:
        return lambda every: ()
    (only,) = places
    return lambda every: (every[only],)


def own_rules(key: Key) -> list[Rule]:
    """A key's own limits. One that cannot be read was written by a later version: it is said, and passed over."""
    rules = []
    for text in key.limits:
        try:
            rules.append(parse(text))
        except ValueError as error:
            log.error("the key %s has a limit that is not known here: %s", key.name, error)
    return rules


def names_of(model: str, targets: Sequence[Target]) -> Names:
    """By which names limits know a model: as callers call it; and where it is no name of the configuration, but a
    provider's own with or without the provider before it, by both, in lower case. The last of them names its counter:
    whoever spells it otherwise shares that. None where there is no such model."""
    if len(targets) != 1 or model not in (targets[0].name, targets[0].model):
        return (model,) if targets else ()
    return model, targets[0].model.strip().lower(), targets[0].name.strip().lower()


def _values(scope: Scope, key: Key, models: Names, tags: tuple[str, ...]) -> list[tuple[str, str]]:
    """Whom a call belongs to in this scope: by the name that counters have, and for people."""
    match scope:
        case "global":
            return [("", "")]
        case "key":
            return [(key.id, key.name)] if key is not NOBODY else []
        case "team":
            return [(key.team, key.team)] if key.team else []
        case "tag":
            return [(tag, tag) for tag in dict.fromkeys(tags)]
        case _:
            return [(models[-1], models[-1])] if models else []


def _matches(patterns: tuple[str, ...], names: Names) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)
