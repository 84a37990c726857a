"""The composition root: reads the configuration, opens what must be opened, and puts the pipeline in order."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from msgspec import structs

from trunkline.config import Config
from trunkline.core.call import Entry
from trunkline.core.errors import ShuttingDown
from trunkline.core.pipeline import stack
from trunkline.core.secret import Secret
from trunkline.core.stores import Journal, Responses
from trunkline.edge import model_pages
from trunkline.edge.admin import Admin
from trunkline.edge.admin.keys import Keys
from trunkline.edge.admin.listed import listed
from trunkline.edge.memory import settle
from trunkline.edge.pages import Health, Metrics
from trunkline.edge.server import Edge
from trunkline.edge.transport.base import Transport
from trunkline.edge.transport.open import open_transport
from trunkline.edge.upstream import Upstream
from trunkline.policy.standing import Board
from trunkline.providers.catalog_view import configured
from trunkline.providers.directory import Directory
from trunkline.providers.prices import PriceList
from trunkline.providers.settings import ProviderSettings
from trunkline.providers.target import Provider, Target, bind, target, unpriced
from trunkline.sim.persona import MODELS as SIM_MODELS
from trunkline.stages.auth import Auth
from trunkline.stages.conversation import Conversation
from trunkline.stages.ledger import Ledger
from trunkline.stages.routing import Routing
from trunkline.stages.routing.route import Routes
from trunkline.stages.routing.settings import TargetSettings
from trunkline.state.exposition import exposition
from trunkline.state.journal import FileJournal
from trunkline.state.keyring import MemoryKeyRing
from trunkline.state.location import locate
from trunkline.state.meters import ProcessMeters
from trunkline.state.responses_durable import DurableResponses
from trunkline.state.responses_memory import MemoryResponses
from trunkline.state.shipper import Shipper

log = logging.getLogger("trunkline")

SHIPPING_TIME = 5.0
"""Seconds, when the gateway stops, for the journal to reach the database; what is left waits for the next start."""

LOADING_TIME = 5.0
"""Seconds, when the gateway stops, for the price list to finish loading."""
OPENING_TIME = 10.0
"""Seconds to wait for the database before memory is settled without it."""


class Forgetful:
    """The journal of a gateway without a database (`state.durable: null`): nothing is kept."""

    def append(self, entry: Entry) -> None:
        pass


class Gateway:
    """A running gateway: `edge` is its ASGI application. Made by `start`, ended by `aclose`."""

    def __init__(self, config: Config, simulator: tuple[str, int] | None) -> None:
        self.config = config
        self.prices = PriceList()
        self.meters = ProcessMeters(self._gauges)
        self.transport: Transport = open_transport(config.transport)
        self.ring = MemoryKeyRing()
        self.shipper: Shipper | None = None
        self.journal: FileJournal | None = None
        self.responses: DurableResponses | None = None
        journal: Journal = Forgetful()
        if config.state.durable is not None:
            journal = self.journal = FileJournal(Path(config.state.directory) / "journal")
            secret = config.auth_secret.reveal() if config.auth_secret is not None else None
            self.shipper = Shipper(locate(config.state.durable), self.journal, self.ring, self.prices.cost, secret)
        self.providers = _providers(config, simulator)
        own = _own(config, self.providers)
        self.directory = Directory(self.providers, _chains(config, own))
        self.board = Board()
        routes = Routes(config.models, own, self.directory.resolve, self.board)
        auth = Auth(self.ring if config.auth == "required" else None, config.ledger.capture, time.time)

        self._upstream = upstream = Upstream(self.transport, config.server.ping_interval)
        self.conversation = Conversation(self._responses(), config.responses, time.time)
        handle = stack(
            Ledger(journal, self.meters, self.prices, time.monotonic),
            auth,
            self.conversation,
            Routing(routes, config.routing, time.monotonic, random.random, self.directory.offer),
            terminal=upstream,
        )

        models = model_pages.Models(self.directory.names, auth.identify, self.directory.room)
        health = Health(self.status, config.admin_key)
        admin = Admin(
            config.admin_key,
            {
                "keys": Keys(lambda: self.shipper.keys if self.shipper is not None else None),
                "models": listed(lambda: configured(self.directory, upstream.lessons.shown())),
            },
        )
        self.edge = Edge(
            handle,
            config.server,
            pages={
                **dict.fromkeys(model_pages.PAGES, models),
                "/healthz": health.live,
                "/readyz": health.ready,
                "/metrics": Metrics(lambda: exposition(self.meters.total()), auth.identify, config.admin_key),
            },
            below={**dict.fromkeys(model_pages.BELOW, models), "/admin/": admin},
            identify=auth.identify,
            behind=lambda: self.conversation.runs.active,
        )
        self._loader = threading.Thread(target=self._load, name="trunkline-loader", daemon=True)
        self._simulator_close: Callable[[], Awaitable[None]] | None = None

    def _responses(self) -> Responses:
        """What remembers answers."""
        if self.shipper is None:
            return MemoryResponses(self.config.responses.memory, time.time)
        self.responses = DurableResponses(Path(self.config.state.directory) / "responses", self.shipper, time.time)
        self.shipper.also("responses", self.responses.ship)
        return self.responses

    @classmethod
    async def start(cls, config: Config) -> Gateway:
        """Open everything that calls need. The database is opened later, by `begin`, in a thread of its own."""
        simulator, close = None, None
        if config.simulates:
            from trunkline.sim.server import start_embedded

            host, port, close = await start_embedded()
            simulator = host, port
        gateway = cls(config, simulator)
        gateway._simulator_close = close
        return gateway

    def begin(self, share: Path | None = None) -> None:
        """The server is listening: load the prices and open the database, in the background. `share`: a directory where
        the workers of one gateway add up their metrics."""
        if share is not None:
            self.meters.share(share)
        if self.shipper is not None:
            self.shipper.start()
        self._loader.start()

    def _load(self) -> None:
        """The thread that reads the price list and then, once the database is open too, settles the memory."""
        self.prices.load()
        if self.shipper is not None:
            self.shipper.opened.wait(OPENING_TIME)
        settle()

    async def aclose(self) -> None:
        await self.conversation.aclose(ShuttingDown("This gateway shut down before the answer was complete."))
        if self._simulator_close is not None:
            await self._simulator_close()
        await self._upstream.aclose()
        await self.transport.aclose()
        if self.shipper is not None and not self.shipper.stop(SHIPPING_TIME):
            log.warning("the journal keeps entries that did not reach the database: the next start ships them")
        if self._loader.is_alive():  # a thread that is importing must not be met by the interpreter's own end
            self._loader.join(LOADING_TIME)
        if self.journal is not None:
            self.journal.close()
        if self.responses is not None:
            self.responses.close()

    def status(self) -> dict[str, Any]:
        """What /readyz shows."""
        status: dict[str, Any] = {"ready": not self.edge.draining, "draining": self.edge.draining}
        if self.shipper is not None:
            shipping = self.shipper.status()
            status["state"] = shipping
            status["degraded"] = bool(shipping["errors"]) or shipping["journal"]["error"] is not None
            if self.config.auth == "required" and not shipping["keys"]["loaded"]:
                status["ready"] = False
        return status

    def _gauges(self) -> dict[str, float]:
        stats = self.transport.stats()
        values: dict[str, float] = {
            "trunkline_in_flight": self.edge.in_flight,
            "trunkline_upstream_connections_open": stats["open"],
            "trunkline_upstream_connections_idle": stats["idle"],
            "trunkline_upstream_connections_opened": stats["opened"],
            "trunkline_upstream_calls_waiting": stats["waiting"],
        }
        if self.journal is not None:
            journal = self.journal.status()
            values["trunkline_journal_entries"] = journal["entries"]
            values["trunkline_journal_bytes"] = journal["bytes"]
            values["trunkline_journal_age_seconds"] = journal["oldest_age"]
        return values


def _providers(config: Config, simulator: tuple[str, int] | None) -> dict[str, Provider]:
    bound = {name: bind(name, settings) for name, settings in config.providers.items()}
    if simulator is not None:
        bound |= {name: unpriced(bind(name, row)) for name, row in _simulated(*simulator).items()}
    return {name: structs.replace(each, catalog=config.catalog) for name, each in bound.items()}


def directory_of(config: Config) -> Directory:
    """The models of a configuration, with nothing opened: to look at, not to call."""
    providers = _providers(config, ("127.0.0.1", 0) if config.simulates else None)
    return Directory(providers, _chains(config, _own(config, providers)))


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
