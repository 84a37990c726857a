"""A model's name made into a route: legs of candidates, its own targets first, then those of its fallbacks.

A route is made once and kept; what is known of its targets (`Standing`) is shared with every other route that has
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from trunkline.policy.needs import Ability, Watch, watch
from trunkline.policy.standing import Board, Standing
from trunkline.stages.routing.settings import ModelSettings, TargetSettings

MAX_CACHED = 4096


class Named(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def ability(self) -> Ability: ...


class Candidate:
    """A target on a leg, with what the configuration says of it there and what is known of it."""

    __slots__ = ("credit", "row", "standing", "target")

    def __init__(self, target: Named, row: TargetSettings, standing: Standing) -> None:
        self.target = target
        self.row = row
        self.standing = standing
        self.credit = 0.0
        """Of smooth weighted round robin."""

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def ability(self) -> Ability:
        return self.target.ability


class Leg:
    """One model of a route; the first is the one that was asked for."""

    __slots__ = ("candidates", "model", "settings")

    def __init__(self, model: str, settings: ModelSettings, candidates: tuple[Candidate, ...]) -> None:
        self.model = model
        self.settings = settings
        self.candidates = candidates


class Route:
    """`watch`: what to look for in a request, because some target is known to lack it."""

    __slots__ = ("candidates", "legs", "model", "only", "watch")

    def __init__(self, model: str, legs: tuple[Leg, ...]) -> None:
        self.model = model
        self.legs = legs
        self.candidates = tuple(candidate for leg in legs for candidate in leg.candidates)
        self.only = self.candidates[0] if len(self.candidates) == 1 else None
        """The one candidate of a route that has no choice."""
        self.watch: Watch = watch(self.candidates)

    @property
    def settings(self) -> ModelSettings:
        return self.legs[0].settings


class Routes:
    """`models`: the configured ones; `own`: their targets, in the order of their rows; `resolve` gives the targets of
    any other name, and raises ModelNotFound."""

    def __init__(
        self,
        models: Mapping[str, ModelSettings],
        own: Mapping[str, Sequence[Named]],
        resolve: Callable[[str], Sequence[Named]],
        board: Board,
    ) -> None:
        self._models = models
        self._own = own
        self._resolve = resolve
        self._board = board
        self._cache: dict[str, Route] = {}

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
            return Route(model, tuple(self._legs(model)))
        targets = self._resolve(model)
        rows = tuple(TargetSettings(target=target.name) for target in targets)
        return Route(model, (self._leg(model, ModelSettings(targets=rows), targets, set()),))

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
                candidates.append(Candidate(target, row, self._board.of(target.name)))
        return Leg(model, settings, tuple(candidates))
