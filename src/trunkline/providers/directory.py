"""Which targets a model name stands for.

smart                a public model of the configuration: its targets in order, then those of its fallbacks
openai/gpt-4.1       one target: everything behind the first slash is the provider's own name for the model
gpt-4.1              an id that one provider offers, or that can only mean one (`gpt-…` OpenAI, `claude-…` Anthropic)
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

from trunkline.core.call import Call
from trunkline.core.errors import ModelNotFound
from trunkline.policy.needs import Needs, shortfall
from trunkline.providers.kinds import KINDS
from trunkline.providers.target import Provider, Target, target

MAX_CACHED = 4096


class Directory:
    """`models` maps a public model to its targets (fallbacks included, duplicates removed)."""

    def __init__(self, providers: Mapping[str, Provider], models: Mapping[str, Sequence[Target]]) -> None:
        self._providers = providers
        self._models = {name: tuple(targets) for name, targets in models.items()}
        self._offered: dict[str, tuple[Target, ...]] = {}
        for provider in providers.values():
            for model in provider.models:
                self._offered[model] = (*self._offered.get(model, ()), target(provider, model))
        self._cache: dict[str, tuple[Target, ...]] = dict(self._models)

    def resolve(self, model: str) -> tuple[Target, ...]:
        """The targets to try, in order. Raises ModelNotFound."""
        found = self._cache.get(model)
        if found is None:
            found = self._look_up(model)
            if len(self._cache) < MAX_CACHED:  # names come from callers
                self._cache[model] = found
        return found

    def _look_up(self, model: str) -> tuple[Target, ...]:
        name, slash, rest = model.partition("/")
        if not (rest or name).strip("."):  # a segment of dots would be another path at the provider
            raise ModelNotFound(f"The model {model!r} is not known here.", param="model")
        if slash and rest and name in self._providers:
            return (target(self._providers[name], rest),)
        offered = self._offered.get(model, ())
        if len(offered) == 1:
            return offered
        if len(offered) > 1:
            names = " or ".join(each.name for each in offered)
            raise ModelNotFound(f"The model {model!r} is offered by several providers: ask for {names}.", param="model")
        meant = self._meant(model)
        if len(meant) == 1 and not slash:
            return (target(meant[0], model),)
        raise ModelNotFound(f"The model {model!r} is not known here.{self._hint(model)}", param="model")

    def _meant(self, model: str) -> list[Provider]:
        """The providers that a bare name can only mean: by its beginning, or because there is no other."""
        if len(self._providers) == 1 and not self._models:
            return list(self._providers.values())
        return [each for each in self._providers.values() if each.kind.models and re.match(each.kind.models, model)]

    def _hint(self, model: str) -> str:
        names, known = self.names(), ", ".join(self._providers)
        provider = model.partition("/")[0]
        if provider != model and provider in KINDS and provider not in self._providers:
            return f" There is no provider {provider!r} in this gateway's configuration (providers: {known})."
        near = difflib.get_close_matches(model, names, n=1)
        if near:
            return f" Did you mean {near[0]!r}?"
        listed = "GET /v1/models lists the models; " if names else ""
        return f" {listed}a provider's own ids are addressed as provider/model (providers: {known})."

    def offer(self, needs: Needs, call: Call) -> str | None:
        """The model nearest in name to the one asked for whose targets have all that is needed (one of which that is
        known, rather than assumed), among those that the caller may use; None where there is none."""
        wanted = call.peek.model if call.peek is not None else ""
        able = [
            name
            for name in self.names()
            if (call.key is None or call.key.allows(name))
            and not any(shortfall(needs, each.ability) for each in self.resolve(name))
        ]

        def nearness(name: str) -> tuple[bool, float]:
            surely = all(needs.asked.keys() <= each.ability.has for each in self.resolve(name))
            return surely, difflib.SequenceMatcher(None, name, wanted).ratio()

        return max(able, key=nearness, default=None)

    def room(self, name: str) -> tuple[int | None, int | None]:
        """Tokens of prompt and answer that every target of a model takes, as far as it is known."""
        abilities = [each.ability for each in self.resolve(name)]
        inputs = [each.input for each in abilities if each.input is not None]
        outputs = [each.output for each in abilities if each.output is not None]
        return min(inputs, default=None), min(outputs, default=None)

    def names(self) -> list[str]:
        """What /v1/models lists: public models, then what each provider offers."""
        offered = [f"{provider.name}/{model}" for provider in self._providers.values() for model in provider.models]
        return [*self._models, *offered]
