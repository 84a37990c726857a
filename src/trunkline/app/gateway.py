"""A running gateway: the pipeline as one literal, and how another configuration takes the place of the first."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from trunkline.app import told
from trunkline.app.endpoints import edge_of
from trunkline.app.stores import Stores
from trunkline.config import Config, ConfigError
from trunkline.config.logs import configure
from trunkline.config.plane import Address, Plane, plane_of
from trunkline.config.reload import Reloader
from trunkline.config.source import Given, Source
from trunkline.core.call import Key
from trunkline.core.errors import BadRequest, ShuttingDown
from trunkline.core.pipeline import stack
from trunkline.edge.admittance import Admittance
from trunkline.edge.dry import Described, described_call
from trunkline.edge.pressure import Pressure
from trunkline.edge.probing import Probing
from trunkline.edge.upstream import Upstream
from trunkline.policy.standing import Board
from trunkline.providers.directory import Directory
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
from trunkline.stages.routing.route import Routes
from trunkline.state.meters import ProcessMeters
from trunkline.state.suspension import Suspension


class Gateway:
    """A running gateway: `edge` is its ASGI application. Made by `start`, ended by `aclose`."""

    def __init__(self, config: Config, simulator: Address | None, source: Source | None = None) -> None:
        self.plane = plane_of(config, simulator)
        self.reloader = Reloader(config, source or Given(config), self._apply)
        self._simulator = simulator
        self._simulator_close: Callable[[], Awaitable[None]] | None = None
        self._dice = random.Random()  # noqa: S311 - nothing secret is drawn
        self.stores = stores = Stores(config)
        self.meters = ProcessMeters(lambda: told.gauges(self), lambda: told.labelled(self))

        # What is known of the targets, of this process, and of the callers.
        self.changes = Changes(time.time)
        self.board = Board(config.routing.health, config.routing.concurrency, random.random, self.changes)
        self.pressure = Pressure(config.shedding, config.server.workers)
        self.board.lag = lambda: self.pressure.shedding.lag
        self.admittance = Admittance(self.pressure.shedding, config.queue.priority, {})
        suspend = Suspension(stores.keys, stores.keys_changed)
        self.watch = Watch(config.abuse, config.server.trusted_proxies, time.monotonic, self.meters, suspend)
        self.seeding = self._seeding()

        # The stages, in their order.
        ring = stores.ring if config.auth == "required" else None
        self.ledger = Ledger(stores.entries, self.watch, stores.prices, time.monotonic)
        self.auth = Auth(ring, config.ledger.capture, time.time, self.watch)
        self.idempotency = Idempotency(config.idempotency, time.monotonic)
        planner = self._planner(self.plane)
        self.admission = Admission(stores.hot.counters, stores.prices, planner, config.admission, self.seeding)
        self.conversation = Conversation(stores.responses(), config.responses, time.time, self.admission)
        self.routing = Routing(
            self._routes(self.plane), config.routing, time.monotonic, self._dice.random, self.directory.offer
        )
        self.routing.mirrors.keep = self.ledger
        self.routing.mirrors.admit = self.admission.may_copy
        self.upstream = Upstream(stores.transport, config.server.ping_interval)
        self._rank(config)
        handle = stack(
            self.ledger,
            self.auth,
            self.idempotency,
            self.conversation,
            self.admission,
            self.routing,
            terminal=self.upstream,
        )

        self.probing = Probing(self.upstream.sender, stores.transport, self.board, self.targets)
        self.edge = edge_of(self, handle)

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
        await gateway.stores.hot.open()
        gateway.pressure.begin()
        gateway.probing.begin()
        return gateway

    def _converse(self) -> None:
        """Tell the other processes what changes here, and hear what changes there."""
        self.routing.homes.affinities = self.stores.hot.affinities
        self.stores.hot.when_empty(self.seeding.again)
        share(self.stores.hot.hints, self.board, self.changes, time.monotonic)
        self.stores.hot.hints.listen("config", str, lambda _: self.reloader.soon("another process has another one"))
        if self.stores.shipper is not None:
            self.stores.shipper.share(self.stores.hot.hints)

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
        await self.upstream.keep(plane.providers.values())
        self.stores.hot.hints.publish("config", "")

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
        return Routes(plane.config.models, plane.own, plane.directory.resolve, self.board, self.stores.prices)

    def _planner(self, plane: Plane) -> Planner:
        return Planner(plane.config.limits, plane.config.teams, plane.directory.resolve)

    def _seeding(self) -> Seeding:
        """What was used before the start is in the ledger, if there is one and the counters themselves forget."""
        plant = None
        if self.stores.shipper is not None:
            plant = getattr(self.stores.hot.counters, "seed", None)
            self.stores.shipper.also("limits", self._look_back)
        return Seeding(plant, time.time(), time.monotonic)

    def _look_back(self, database: Any) -> None:
        from trunkline.state.used import LedgerPast

        store = self.stores.keys()
        self.seeding.look(self.admission.planner, store.list if store is not None else list, LedgerPast(database))

    async def reload(self) -> dict[str, Any]:
        """What the admin API orders."""
        try:
            found = await self.reloader.reload("asked for over the admin API")
        except ConfigError as error:
            why = f"The configuration is refused, the old one stays: {error}"
            raise BadRequest(why, code="config_refused") from error
        self.reloader.others()
        return {"version": self.reloader.version, "changed": found.applied, "waiting_for_restart": found.waiting}

    def begin(self, share: Path | None = None) -> None:
        """The server is listening: what is slow begins, in the background. `share`: a directory where the workers of
        one gateway add up their metrics."""
        if share is not None:
            self.meters.share(share)
        self.stores.begin()

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
        await self.upstream.aclose()
        await self.stores.aclose()

    # ── What it tells ──────────────────────────────────────────────────────────────────────────────────────────────

    def status(self) -> dict[str, Any]:
        """What /readyz shows."""
        return told.status(self)

    def credentials(self) -> list[dict[str, Any]]:
        """Providers' credentials that are not used at the moment, and why."""
        return self.upstream.credentials()

    def explain(self, described: Described, key: Key | None) -> Explanation:
        """Where a call would go. What the router's dice would give next is told, and not taken. Raises ClientError."""
        who = ANYONE if self.config.auth == "open" else key
        call = described_call(described, who, self.config.server, time.time(), time.monotonic())
        if who is not None and who.models is not None:
            self.auth.may_ask(who, call)
        ahead = random.Random()  # noqa: S311 - nothing secret is drawn
        ahead.setstate(self._dice.getstate())
        return self.routing.explain(call, ahead.random)

    def targets(self) -> list[Target]:
        """Those of the configuration."""
        return [each for targets in self.plane.own.values() for each in targets]


async def _simulator() -> tuple[Address, Callable[[], Awaitable[None]]]:
    """The built-in one, started: where it listens, and its end."""
    from trunkline.sim.server import start_embedded

    host, port, close = await start_embedded()
    return (host, port), close
