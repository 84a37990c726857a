"""What outlives calls, opened from the configuration: the database behind its journal, the hot store, prices, keys in
memory, remembered responses, and the connections to providers."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from trunkline.config import Config
from trunkline.core.stores import Journal, KeyAdmin, Responses
from trunkline.edge.memory import settle
from trunkline.edge.transport.base import Transport
from trunkline.edge.transport.open import open_transport
from trunkline.providers.prices import PriceList
from trunkline.state.hot import hot_store
from trunkline.state.journal import FileJournal, Forgetful, JournalSettings
from trunkline.state.keyring import MemoryKeyRing
from trunkline.state.location import locate
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


class Stores:
    """`shipper` and `journal` are None without a database. Nothing slow is done here: `begin` starts the threads that
    do it."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self.prices = PriceList()
        self.transport: Transport = open_transport(config.transport)
        self.ring = MemoryKeyRing()
        self.hot = hot_store(str(config.state.hot), config.state.redis, config.server.workers)
        self.shipper: Shipper | None = None
        self.journal: FileJournal | None = None
        if config.state.durable is not None:
            limits = JournalSettings(directory_bytes=config.state.journal_bytes)
            self.journal = FileJournal(Path(config.state.directory) / "journal", limits)
            secret = config.auth_secret.reveal() if config.auth_secret is not None else None
            self.shipper = Shipper(locate(config.state.durable), self.journal, self.ring, self.prices.cost, secret)
        self._durable = self._responses()
        self._loader = threading.Thread(target=self._load, name="trunkline-loader", daemon=True)

    def _responses(self) -> DurableResponses | None:
        if self.shipper is None:
            return None
        durable = DurableResponses(Path(self._config.state.directory) / "responses", self.shipper, time.time)
        self.shipper.also("responses", durable.ship)
        return durable

    @property
    def entries(self) -> Journal:
        """Where the ledger writes."""
        return self.journal if self.journal is not None else Forgetful()

    def responses(self) -> Responses:
        """What remembers answers."""
        return self._durable or MemoryResponses(self._config.responses.memory, time.time)

    def keys(self) -> KeyAdmin | None:
        """None while the database is not open."""
        return self.shipper.keys if self.shipper is not None else None

    def keys_changed(self) -> None:
        if self.shipper is not None:
            self.shipper.hurry()

    def begin(self) -> None:
        """The server is listening: load the prices and open the database, in the background."""
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
        """No call is in work any more."""
        await self.transport.aclose()
        await self.hot.aclose()
        if self.shipper is not None and not self.shipper.stop(SHIPPING_TIME):
            log.warning("the journal keeps entries that did not reach the database: the next start ships them")
        if self._loader.is_alive():  # a thread that is importing must not be met by the interpreter's own end
            self._loader.join(LOADING_TIME)
        if self.journal is not None:
            self.journal.close()
        if self._durable is not None:
            self._durable.close()
