"""A model's name made into a route: legs of candidates, its own targets first, then those of its fallbacks.

A route is made once and kept; what is known of its targets (`Standing`) is shared with every other route that has
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from trunkline.core.call import Entry
from trunkline.core.stores import Prices
from trunkline.core.usage import Usage
from trunkline.policy.conditions import Condition
from trunkline.policy.headroom import Quota
from trunkline.policy.latency import Latency
from trunkline.policy.needs import Ability, Watch, watch
from trunkline.policy.standing import Board, Standing
from trunkline.stages.routing.settings import ModelSettings, QuotaSettings, TargetSettings
from trunkline.stages.routing.strategies import plan

MAX_CACHED = 4096


class Named(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def price_model(self) -> str | None: ...
    @property
    def ability(self) -> Ability: ...


class Candidate:
    """A target on a leg, with what the configuration says of it there and what is known of it."""

    __slots__ = ("_prices", "condition", "credit", "name", "row", "standing", "target")

    def __init__(self, target: Named, row: TargetSettings, standing: Standing, prices: Prices) -> None:
        self.target = target
        self.name = target.name
        self.row = row
        self.standing = standing
        self.condition = Condition(row.when) if row.when is not None else None
        self.credit = 0.0
        """Of smooth weighted round robin."""
        self._prices = prices

    @property
    def ability(self) -> Ability:
        return self.target.ability

    def price(self, usage: Usage, at: float) -> int | None:
        """Nano-dollars of such a usage there, at a moment (seconds since the epoch); None where no price is known."""
        model = self.target.price_model
        if model is None:
            return 0
        priced = self._prices.cost(Entry("", at, "", 200, price_model=model, usage=usage))
        return priced[0] if priced is not None else None


class Leg:
    """One model of a route; the first is the one that was asked for."""

    __slots__ = (
        "bounded",
        "canaries",
        "candidates",
        "conditional",
        "deciding",
        "direct",
        "everybody",
        "model",
        "names",
        "narrowing",
        "plain",
        "plan",
        "settings",
        "simple",
        "tiered",
        "took",
    )

    def __init__(self, model: str, settings: ModelSettings, candidates: tuple[Candidate, ...]) -> None:
        self.model = model
        self.settings = settings
        self.candidates = candidates
        self.names = tuple(each.name for each in candidates)
        self.plan = plan(settings.strategy, settings.tolerance)
        *self.narrowing, self.deciding = self.plan
        """The strategies but the last, and that one, which picks."""
        self.everybody = candidates
        """All candidates of its route."""
        self.bounded = any(each.row.max_concurrency is not None for each in candidates)
        self.conditional = any(each.condition is not None for each in candidates)
        self.canaries = any(each.row.canary is not None for each in candidates)
        self.tiered = len({each.row.tier for each in candidates}) > 1
        self.simple = settings.strategy == ("priority",)
        """The first is taken: nothing is compared."""
        self.plain = self.simple and not self.tiered and not self.canaries
        """The first of all is: nobody else need be looked at."""
        split = self.tiered or self.canaries or self.conditional or self.bounded
        self.direct = len(self.plan) == 1 and len(candidates) > 1 and not (self.simple or split)
        """One strategy says it all, and may take whoever is free."""
        self.took = [strategy.took for _, strategy, _ in self.plan if strategy.took is not None]
        """What is to be told of each choice."""
        self._observe()

    def _observe(self) -> None:
        """What is not looked at by any strategy is not observed either."""
        for each in self.candidates:
            if "latency" in self.settings.strategy and each.standing.latency is None:
                each.standing.latency = Latency()
            if "quota" in self.settings.strategy:
                each.standing.count_quota()


class Route:
    """`watch`: what to look for in a request, because some target is known to lack it. `mirror`: who gets copies."""

    __slots__ = ("candidates", "legs", "mirror", "model", "only", "settings", "watch")

    def __init__(self, model: str, legs: tuple[Leg, ...], mirror: Candidate | None = None) -> None:
        self.model = model
        self.legs = legs
        self.settings = legs[0].settings
        self.mirror = mirror
        self.candidates = tuple(candidate for leg in legs for candidate in leg.candidates)
        for leg in legs:
            leg.everybody = self.candidates
        self.only = self.candidates[0] if len(self.candidates) == 1 else None
        """The one candidate of a route that has no choice."""
        self.watch: Watch = watch(self.candidates)


class Unpriced:
    """No price is known."""

    def cost(self, entry: Entry) -> tuple[int, str] | None:
        return None


class Routes:
    """`models`: the configured ones; `own`: their targets, in the order of their rows; `resolve` gives the targets of
    any other name, and raises ModelNotFound."""

    def __init__(
        self,
        models: Mapping[str, ModelSettings],
        own: Mapping[str, Sequence[Named]],
        resolve: Callable[[str], Sequence[Named]],
        board: Board,
        prices: Prices | None = None,
    ) -> None:
        self._models = models
        self._own = own
        self._resolve = resolve
        self._board = board
        self._prices: Prices = prices if prices is not None else Unpriced()
        self._cache: dict[str, Route] = {}
        self._allow()

    def _allow(self) -> None:
        """Each target is bound by the tightest quota of all its rows, whichever model they stand under; one that has
        none any more is bound by none."""
        quotas: dict[str, Quota] = {}
        for settings in self._models.values():
            for row in settings.targets:
                if row.quota != QuotaSettings():
                    known = quotas.get(row.target, Quota())
                    quotas[row.target] = known.tightened(Quota(row.quota.rpm, row.quota.tpm, row.quota.rpd))
        for name in quotas:
            self._board.of(name).count_quota()
        for standing in self._board.shown():
            if standing.headroom is not None:
                standing.headroom.allow(quotas.get(standing.name, Quota()))

    def of(self, model: str) -> Route:
        """Raises ModelNotFound."""
        route = self._cache.get(model)
        if route is None:
            route = self._made(model)
            if len(self._cache) >= MAX_CACHED:  # names come from callers
                self._cache.clear()
            self._cache[model] = route
        return route

    def _made(self, model: str) -> Route:
        if model in self._models:
            return Route(model, tuple(self._legs(model)), self._mirror(self._models[model]))
        targets = self._resolve(model)
        rows = tuple(TargetSettings(target=target.name) for target in targets)
        return Route(model, (self._leg(model, ModelSettings(targets=rows), targets, set()),))

    def _mirror(self, settings: ModelSettings) -> Candidate | None:
        if settings.mirror is None:
            return None
        (target,) = self._resolve(settings.mirror.target)
        row = TargetSettings(target=target.name)
        return Candidate(target, row, self._board.of(target.name), self._prices)

    def _legs(self, model: str) -> list[Leg]:
        """The model's own leg, then those of its fallbacks, depth first; a target stands on the first of them only. A
        configuration whose fallbacks run in a circle is refused, so this ends."""
        legs: list[Leg] = []
        seen: set[str] = set()

        def add(name: str) -> None:
            settings = self._models[name]
            leg = self._leg(name, settings, self._own[name], seen)
            if leg.candidates:
                legs.append(leg)
            for fallback in settings.fallback:
                add(fallback)

        add(model)
        return legs

    def _leg(self, model: str, settings: ModelSettings, targets: Sequence[Named], seen: set[str]) -> Leg:
        candidates = []
        for target, row in zip(targets, settings.targets, strict=True):
            if target.name not in seen:
                seen.add(target.name)
                candidates.append(Candidate(target, row, self._board.of(target.name), self._prices))
        return Leg(model, settings, tuple(candidates))
