"""The composition root: reads the configuration, opens what must be opened, and puts the pipeline in order."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from trunkline.config import Config, ConfigError
from trunkline.config.logs import configure
from trunkline.config.plane import Address, Plane, plane_of
from trunkline.config.reload import Reloader
from trunkline.config.source import Given, Source
from trunkline.core.call import Key
from trunkline.core.errors import BadRequest, ShuttingDown
from trunkline.core.pipeline import Handler, stack
from trunkline.core.stores import Journal, KeyAdmin, Responses
from trunkline.edge import model_pages
from trunkline.edge.admin import Admin
from trunkline.edge.admin.config import Configuration
from trunkline.edge.admin.explain import explained
from trunkline.edge.admin.health import health as health_of
from trunkline.edge.admin.keys import Keys
from trunkline.edge.admin.limits import Limits
from trunkline.edge.admin.listed import listed
from trunkline.edge.admittance import Admittance
from trunkline.edge.dry import Described, described_call
from trunkline.edge.memory import settle
from trunkline.edge.pages import Health, Metrics
from trunkline.edge.pressure import Pressure
from trunkline.edge.probing import Probing
from trunkline.edge.server import Edge
from trunkline.edge.transport.base import Transport
from trunkline.edge.transport.open import open_transport
from trunkline.edge.upstream import Upstream
from trunkline.policy.standing import Board
from trunkline.providers.catalog_view import configured
from trunkline.providers.directory import Directory
from trunkline.providers.prices import PriceList
from trunkline.providers.target import Provider, Target
from trunkline.stages.abuse import Watch
from trunkline.stages.admission import Admission, Planner, Seeding
from trunkline.stages.auth import ANYONE, Auth
from trunkline.stages.conversation import Conversation
from trunkline.stages.idempotency import Idempotency
from trunkline.stages.ledger import Ledger
from trunkline.stages.routing import Routing
from trunkline.stages.routing.changes import Changes
from trunkline.stages.routing.explain import Explanation
from trunkline.stages.routing.hinted import share
from trunkline.stages.routing.report import Labelled, measured, report, summary
from trunkline.stages.routing.route import Routes
from trunkline.state.exposition import exposition
from trunkline.state.hot import hot_store
from trunkline.state.journal import FileJournal, Forgetful, JournalSettings
from trunkline.state.keyring import MemoryKeyRing
from trunkline.state.location import locate
from trunkline.state.meters import ProcessMeters
from trunkline.state.responses_durable import DurableResponses
from trunkline.state.responses_memory import MemoryResponses
from trunkline.state.shipper import Shipper
from trunkline.state.suspension import Suspension

log = logging.getLogger("trunkline")

SHIPPING_TIME = 5.0
"""Seconds, when the gateway stops, for the journal to reach the database; what is left waits for the next start."""

LOADING_TIME = 5.0
"""Seconds, when the gateway stops, for the price list to finish loading."""
OPENING_TIME = 10.0
"""Seconds to wait for the database before memory is settled without it."""


class Gateway:
    """A running gateway: `edge` is its ASGI application. Made by `start`, ended by `aclose`."""

    def __init__(self, config: Config, simulator: Address | None, source: Source | None = None) -> None:
        self.plane = plane_of(config, simulator)
        self.reloader = Reloader(config, source or Given(config), self._apply)
        self._simulator = simulator
        self._dice = random.Random()  # noqa: S311 - nothing secret is drawn
        self.prices = PriceList()
        self.meters = ProcessMeters(self._gauges, self._of_targets)
        self.transport: Transport = open_transport(config.transport)
        self.ring = MemoryKeyRing()
        self.shipper: Shipper | None = None
        self.journal: FileJournal | None = None
        self.responses: DurableResponses | None = None
        journal: Journal = Forgetful()
        if config.state.durable is not None:
            journal = self.journal = FileJournal(
                Path(config.state.directory) / "journal", JournalSettings(directory_bytes=config.state.journal_bytes)
            )
            secret = config.auth_secret.reveal() if config.auth_secret is not None else None
            self.shipper = Shipper(locate(config.state.durable), self.journal, self.ring, self.prices.cost, secret)
        self.hot = hot_store(str(config.state.hot), config.state.redis, config.server.workers)
        self.changes = Changes(time.time)
        self.board = Board(config.routing.health, config.routing.concurrency, random.random, self.changes)
        self.pressure = Pressure(config.shedding, config.server.workers)
        self.board.lag = lambda: self.pressure.shedding.lag
        self.admittance = Admittance(self.pressure.shedding, config.queue.priority, {})
        suspend = Suspension(self._keys, self._keys_changed)
        self.watch = Watch(config.abuse, config.server.trusted_proxies, time.monotonic, self.meters, suspend)
        self.auth = auth = Auth(
            self.ring if config.auth == "required" else None, config.ledger.capture, time.time, self.watch
        )

        self._upstream = upstream = Upstream(self.transport, config.server.ping_interval)
        self.probing = Probing(upstream.sender, self.transport, self.board, self._targets)
        self.seeding = self._seeding()
        planner = self._planner(self.plane)
        self.admission = Admission(self.hot.counters, self.prices, planner, config.admission, self.seeding)
        self.conversation = Conversation(self._responses(), config.responses, time.time, self.admission)
        self.routing = Routing(
            self._routes(self.plane),
            config.routing,
            time.monotonic,
            self._dice.random,
            self.directory.offer,
        )
        self.routing.mirrors.keep = ledger = Ledger(journal, self.watch, self.prices, time.monotonic)
        self.routing.mirrors.admit = self.admission.may_copy
        self.idempotency = Idempotency(config.idempotency, time.monotonic)
        self._rank(config)
        handle = stack(
            ledger,
            auth,
            self.idempotency,
            self.conversation,
            self.admission,
            self.routing,
            terminal=upstream,
        )
        self.edge = self._edge(handle)
        self._loader = threading.Thread(target=self._load, name="trunkline-loader", daemon=True)
        self._simulator_close: Callable[[], Awaitable[None]] | None = None

    def _edge(self, handle: Handler) -> Edge:
        """The endpoints: calls, and what is none."""
        config, auth = self.config, self.auth
        models = model_pages.Models(lambda: self.directory, auth.identify)
        health = Health(self.status, config.admin_key)
        admin = Admin(
            config.admin_key,
            {
                "config": Configuration(self.reloader.shown, self._reload),
                "explain": explained(self.explain, lambda: self.shipper.keys if self.shipper is not None else None),
                "health": health_of(self._health, self._upstream.credentials, self.changes.shown),
                "keys": Keys(self._keys, self._keys_changed),
                "limits": Limits(self.admission.shown),
                "models": listed(lambda: configured(self.directory, self._upstream.lessons.shown())),
            },
        )
        return Edge(
            handle,
            config.server,
            pages={
                **dict.fromkeys((*model_pages.PAGES, *model_pages.BELOW), models),
                "/healthz": health.live,
                "/readyz": health.ready,
                "/metrics": Metrics(lambda: exposition(self.meters.total()), auth.identify, config.admin_key),
                "/admin/": admin,
            },
            identify=auth.identify,
            admit=self.admittance,
            behind=lambda: self.conversation.runs.active + len(self.idempotency.records.running),
        )

    def _responses(self) -> Responses:
        """What remembers answers."""
        if self.shipper is None:
            return MemoryResponses(self.config.responses.memory, time.time)
        self.responses = DurableResponses(Path(self.config.state.directory) / "responses", self.shipper, time.time)
        self.shipper.also("responses", self.responses.ship)
        return self.responses

    @property
    def config(self) -> Config:
        return self.plane.config

    @property
    def providers(self) -> dict[str, Provider]:
        return self.plane.providers

    @property
    def directory(self) -> Directory:
        return self.plane.directory

    @classmethod
    async def start(cls, config: Config, source: Source | None = None) -> Gateway:
        """Open everything that calls need. The database is opened later, by `begin`, in a thread of its own.

        `source`: where the configuration is read again; without one it does not change.
        """
        simulator, close = await _simulator() if config.simulates else (None, None)
        gateway = cls(config, simulator, source)
        gateway._simulator_close = close
        gateway._converse()
        await gateway.hot.open()
        gateway.pressure.begin()
        gateway.probing.begin()
        return gateway

    def _converse(self) -> None:
        """Tell the other processes what changes here, and hear what changes there."""
        self.routing.homes.affinities = self.hot.affinities
        self.hot.when_empty(self.seeding.again)
        share(self.hot.hints, self.board, self.changes, time.monotonic)
        self.hot.hints.listen("config", str, lambda _: self.reloader.soon("another process has another one"))
        if self.shipper is not None:
            self.shipper.share(self.hot.hints)

    # ── Another configuration ──────────────────────────────────────────────────────────────────────────────────────

    async def _apply(self, config: Config) -> None:
        """Go on with this one. Calls in work end with what they began with: they hold it."""
        if config.simulates and self._simulator is None:
            self._simulator, self._simulator_close = await _simulator()
        plane = await asyncio.to_thread(plane_of, config, self._simulator)
        routes, planner = self._routes(plane), self._planner(plane)
        # Nothing from here on may fail: what is half new is worse than what is old.
        before, self.plane = self.plane, plane
        self.routing.take(routes, config.routing, plane.directory.offer)
        self.board.configure(config.routing.health, config.routing.concurrency)
        self.auth.capture = config.ledger.capture
        self.admission.use(planner, config.admission)
        self.idempotency.take(config.idempotency)
        self._rank(config)
        if config.log != before.config.log:
            configure(config.log)
        await self._upstream.keep(plane.providers.values())
        self.hot.hints.publish("config", "")

    def _rank(self, config: Config) -> None:
        """Whose turn it is, where not all can be served at once."""
        self.pressure.take(config.shedding)
        self.watch.take(config.abuse)
        teams = config.teams.items()
        self.admittance.take(config.queue.priority, {name: each.priority for name, each in teams if each.priority})
        weights = {name: each.weight for name, each in teams}
        self.routing.waiting.take(config.queue, weights)
        self.admission.patience.take(config.queue, weights)

    def _routes(self, plane: Plane) -> Routes:
        return Routes(plane.config.models, plane.own, plane.directory.resolve, self.board, self.prices)

    def _planner(self, plane: Plane) -> Planner:
        return Planner(plane.config.limits, plane.config.teams, plane.directory.resolve)

    def _seeding(self) -> Seeding:
        """What was used before the start is in the ledger, if there is one and the counters themselves forget."""
        plant = None
        if self.shipper is not None:
            plant = getattr(self.hot.counters, "seed", None)
            self.shipper.also("limits", self._look_back)
        return Seeding(plant, time.time(), time.monotonic)

    def _look_back(self, database: Any) -> None:
        from trunkline.state.used import LedgerPast

        store = self._keys()
        self.seeding.look(self.admission.planner, store.list if store is not None else list, LedgerPast(database))

    def _keys(self) -> KeyAdmin | None:
        return self.shipper.keys if self.shipper is not None else None

    def _keys_changed(self) -> None:
        if self.shipper is not None:
            self.shipper.hurry()

    async def _reload(self) -> dict[str, Any]:
        """What the admin API orders."""
        try:
            found = await self.reloader.reload("asked for over the admin API")
        except ConfigError as error:
            why = f"The configuration is refused, the old one stays: {error}"
            raise BadRequest(why, code="config_refused") from error
        self.reloader.others()
        return {"version": self.reloader.version, "changed": found.applied, "waiting_for_restart": found.waiting}

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
        self.pressure.close()
        await self.reloader.aclose()
        stopped = ShuttingDown("This gateway shut down before the answer was complete.")
        await self.idempotency.aclose(stopped)
        await self.conversation.aclose(stopped)
        await self.routing.mirrors.aclose()
        if self._simulator_close is not None:
            await self._simulator_close()
        await self.probing.aclose()
        await self._upstream.aclose()
        await self.transport.aclose()
        await self.hot.aclose()
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
        status["config"] = self.reloader.status()
        status["hot"] = self.hot.status()
        status["degraded"] = self.reloader.refused is not None or not status["hot"]["up"]
        status["targets"] = summary(self.board, time.monotonic())
        if self.shipper is not None:
            shipping = self.shipper.status()
            status["state"] = shipping
            status["degraded"] |= bool(shipping["errors"]) or shipping["journal"]["error"] is not None
            if self.config.auth == "required" and not shipping["keys"]["loaded"]:
                status["ready"] = False
        return status

    def credentials(self) -> list[dict[str, Any]]:
        """Providers' credentials that are not used at the moment, and why."""
        return self._upstream.credentials()

    def _credentials(self) -> dict[str, float]:
        states = [each["state"] for each in self.credentials()]
        return {f"trunkline_credentials_{state}": float(states.count(state)) for state in ("retired", "resting")}

    def explain(self, described: Described, key: Key | None) -> Explanation:
        """Where a call would go. What the router's dice would give next is told, and not taken. Raises ClientError."""
        who = ANYONE if self.config.auth == "open" else key
        call = described_call(described, who, self.config.server, time.time(), time.monotonic())
        if who is not None and who.models is not None:
            self.auth.may_ask(who, call)
        ahead = random.Random()  # noqa: S311 - nothing secret is drawn
        ahead.setstate(self._dice.getstate())
        return self.routing.explain(call, ahead.random)

    def _targets(self) -> list[Target]:
        return [each for targets in self.plane.own.values() for each in targets]

    def _health(self) -> list[dict[str, Any]]:
        return report(self.board, (each.name for each in self._targets()), time.monotonic(), time.time())

    def _of_targets(self) -> dict[Labelled, float]:
        return (
            measured(self.board, self.changes.count, time.monotonic()) | self.routing.measured() | self.watch.measured()
        )

    def _gauges(self) -> dict[str, float]:
        stats = self.transport.stats()
        values: dict[str, float] = {
            "trunkline_in_flight": self.edge.in_flight,
            "trunkline_event_loop_lag_seconds": self.pressure.shedding.lag,
            "trunkline_memory_bytes": self.pressure.shedding.memory,
            "trunkline_priorities_refused": len(self.pressure.shedding.refused),
            "trunkline_upstream_connections_open": stats["open"],
            "trunkline_upstream_connections_idle": stats["idle"],
            "trunkline_upstream_connections_opened": stats["opened"],
            "trunkline_upstream_calls_waiting": stats["waiting"],
            **self._credentials(),
            **self.hot.gauges(),
            **self.admission.gauges(),
            "trunkline_config_taken": self.reloader.taken,
            "trunkline_config_refusals": self.reloader.refusals,
            "trunkline_config_refused": float(self.reloader.refused is not None),
        }
        if self.journal is not None:
            journal = self.journal.status()
            values["trunkline_journal_entries"] = journal["entries"]
            values["trunkline_journal_bytes"] = journal["bytes"]
            values["trunkline_journal_age_seconds"] = journal["oldest_age"]
        return values


async def _simulator() -> tuple[Address, Callable[[], Awaitable[None]]]:
    """The built-in one, started: where it listens, and its end."""
    from trunkline.sim.server import start_embedded

    host, port, close = await start_embedded()
    return (host, port), close
