"""What a configuration becomes, with nothing opened: providers bound, models made of targets. A reload makes another
plane and puts it in the place of the first, whole."""

from __future__ import annotations

from msgspec import Struct, structs

from trunkline.config.schema import Config
from trunkline.core.secret import Secret
from trunkline.providers.directory import Directory
from trunkline.providers.settings import ProviderSettings
from trunkline.providers.target import Provider, Target, bind, target, unpriced
from trunkline.sim.persona import MODELS as SIM_MODELS
from trunkline.stages.routing.settings import TargetSettings

Address = tuple[str, int]
"""Host and port."""

UNOPENED: Address = ("127.0.0.1", 0)
"""In the place of the simulator's address, where nothing is called."""


class Plane(Struct, frozen=True):
    config: Config
    providers: dict[str, Provider]
    own: dict[str, list[Target]]
    """Public models to the targets of their own rows."""
    directory: Directory


def plane_of(config: Config, simulator: Address | None = UNOPENED) -> Plane:
    """`simulator`: where the built-in one listens; it is left out where the configuration does not want it."""
    providers = _providers(config, simulator if config.simulates else None)
    own = _own(config, providers)
    return Plane(config, providers, own, Directory(providers, _chains(config, own)))


def _providers(config: Config, simulator: tuple[str, int] | None) -> dict[str, Provider]:
    bound = {name: bind(name, settings) for name, settings in config.providers.items()}
    if simulator is not None:
        bound |= {name: unpriced(bind(name, row)) for name, row in _simulated(*simulator).items()}
    return {name: structs.replace(each, catalog=config.catalog) for name, each in bound.items()}


def _simulated(host: str, port: int) -> dict[str, ProviderSettings]:
    """The built-in simulator, once in each family's dialect."""
    address, key = f"http://{host}:{port}", Secret("sim")
    models = tuple(SIM_MODELS)
    return {
        "sim": ProviderSettings(kind="openai", base_url=f"{address}/v1", api_key=key, models=models),
        "sim-anthropic": ProviderSettings(kind="anthropic", base_url=address, api_key=key, models=models),
        "sim-bedrock": ProviderSettings(kind="bedrock", base_url=address, api_key=key, models=models),
        "sim-gemini": ProviderSettings(kind="gemini", base_url=address, api_key=key, models=models),
        "sim-vertex": ProviderSettings(
            kind="vertex", base_url=address, api_key=key, project="simulated", models=models
        ),
        "sim-azure": ProviderSettings(
            kind="azure", endpoint=address, api_key=key, api_version="2024-10-21", models=models
        ),
    }


def _own(config: Config, providers: dict[str, Provider]) -> dict[str, list[Target]]:
    """Public models to the targets of their own rows."""

    def made(row: TargetSettings) -> Target:
        provider, _, model = row.target.partition("/")
        return target(providers[provider], model, row.base_model)

    return {name: [made(row) for row in model.targets] for name, model in config.models.items()}


def _chains(config: Config, own: dict[str, list[Target]]) -> dict[str, list[Target]]:
    """Public models to all that may answer for them: their own targets, then those of their fallbacks, each once."""

    def chain(name: str) -> list[Target]:
        return [*own[name], *(each for fallback in config.models[name].fallback for each in chain(fallback))]

    # The configuration is refused where fallbacks run in a circle, so this ends.
    return {name: list({each.name: each for each in chain(name)}.values()) for name in config.models}
