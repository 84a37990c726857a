"""What follows signs of abuse: a line in the audit log, a metric, and where the configuration says so a refusal, or the
end of the key.

Two things it must not become. *An oracle*: from a blocked address every key that was not used from there before is
refused with the same words, whether it exists or not. *A weapon against neighbours*: behind one address may be a whole
company, so keys that have been used from there go on, and one wrong key that is sent again and again is no guess.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from trunkline.core.call import Entry, Headers, Key
from trunkline.core.errors import Forbidden, Throttled
from trunkline.core.stores import Meters
from trunkline.core.usage import NANO
from trunkline.policy.abuse import AbuseSettings, Action, Guesses, History, Places, Spike
from trunkline.policy.address import Origins

log = logging.getLogger("trunkline.audit")

AGAIN = 60.0
"""Seconds after which the same of the same key is told again."""
MAX_HELD = 10_000
"""Keys that are refused, or were told of."""
OUT = 60.0
"""Seconds that a key is refused here while it is being disabled for all."""


class Watch:
    """`clock`: seconds, monotonic; `meters` hears of every entry first; `suspend` disables the key of this id."""

    def __init__(
        self,
        settings: AbuseSettings,
        proxies: Iterable[str],
        clock: Callable[[], float],
        meters: Meters,
        suspend: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._origins = Origins(proxies)
        self._clock = clock
        self._meters = meters
        self._suspend = suspend
        self._guesses = Guesses()
        self._places = Places()
        self._history = History()
        self._held: dict[str, tuple[float, Throttled | Forbidden]] = {}
        self._told: dict[tuple[str, str], float] = {}
        self.counts: dict[tuple[str, Action], int] = {}
        """Signs of each sort, and what followed."""

    def take(self, settings: AbuseSettings) -> None:
        """Go by these from now on."""
        self._settings = settings

    # ── Keys as they are presented ─────────────────────────────────────────────────────────────────────────────────

    def failed(self, secret: bytes, client: str, headers: Headers) -> None:
        """Raises Throttled."""
        settings = self._settings.guessing
        address = self._origins.of(client, headers)
        if settings.action == "off" or not address:
            return
        now = self._clock()
        self._wait(address, now)
        if self._guesses.wrong(address, secret, settings, now):
            self._tell("guessing", settings.action, address, "many keys that do not exist were tried from here", "")

    def passed(self, key: Key, client: str, headers: Headers) -> None:
        """Raises Throttled, Forbidden."""
        address = self._origins.of(client, headers)
        now = self._clock()
        if len(self._guesses) and address and not self._places.familiar(key.id, address):
            self._wait(address, now)
        if self._held and (held := self._held.get(key.id)) is not None:
            if now < held[0]:
                raise held[1]
            del self._held[key.id]
        if address and self._places.used(key.id, address, self._settings.sharing, now) == "many":
            self._shared(key, address, now)

    def _wait(self, address: str, now: float) -> None:
        if self._settings.guessing.action != "throttle":
            return
        seconds = self._guesses.blocked(address, now)
        if seconds:
            raise Throttled(
                "Too many keys that do not exist were tried from this address: wait before you try another one.",
                code="too_many_attempts",
                retry_after=seconds,
            )

    def _shared(self, key: Key, address: str, now: float) -> None:
        settings = self._settings.sharing
        if settings.action == "off":
            return
        if self._fresh("sharing", key.id, now):
            words = f"used from more than {settings.addresses} addresses within {settings.window:g} seconds"
            self._tell("sharing", settings.action, address, words, key.id)
        if settings.action == "throttle":
            raise Throttled(
                "This API key is used from too many addresses.", code="key_shared", retry_after=settings.window
            )
        if settings.action == "suspend":
            raise self._out(key.id, now)

    # ── Calls as they end ──────────────────────────────────────────────────────────────────────────────────────────

    def record(self, entry: Entry) -> None:
        """Implements `core.stores.Meters`."""
        self._meters.record(entry)
        settings = self._settings.spikes
        if settings.action == "off" or entry.key is None:
            return
        now = self._clock()
        spike = self._history.add(entry.key, entry.cost or 0, settings, now)
        if spike is not None:
            self._spiked(entry.key, spike, now)

    def _spiked(self, key: str, spike: Spike, now: float) -> None:
        action = self._settings.spikes.action
        unit = NANO if spike.of == "cost" else 1
        words = f"{spike.now / unit:g} in this minute, and {spike.usual / unit:.3g} is usual"
        self._tell(f"spike_{spike.of}", action, "", words, key)
        if action == "throttle":
            left = 60.0 - now % 60.0
            self._hold(key, now + left, Throttled("This API key is used far more than usual.", code="key_spike"))
        elif action == "suspend":
            self._out(key, now)

    # ── What follows ───────────────────────────────────────────────────────────────────────────────────────────────

    def _out(self, key: str, now: float) -> Forbidden:
        """Disable it, and refuse it here until that has come about."""
        error = Forbidden("This API key is suspended: it was used in an unusual way.", code="key_suspended")
        self._hold(key, now + OUT, error)
        self._suspend(key)
        return error

    def _hold(self, key: str, until: float, error: Throttled | Forbidden) -> None:
        if len(self._held) >= MAX_HELD:
            self._held.clear()
        error.retry_after = until - self._clock() if isinstance(error, Throttled) else None
        self._held[key] = until, error

    def _fresh(self, sort: str, key: str, now: float) -> bool:
        """Whether this was not told just now."""
        if now < self._told.get((sort, key), now):
            return False
        if len(self._told) >= MAX_HELD:
            self._told.clear()
        self._told[sort, key] = now + AGAIN
        return True

    def _tell(self, sort: str, action: Action, address: str, words: str, key: str) -> None:
        self.counts[sort, action] = self.counts.get((sort, action), 0) + 1
        facts = {"event": f"abuse.{sort}", "action": action, "address": address, "key": key}
        log.warning("%s: %s", f"key {key}" if key else address, words, extra=facts)

    def measured(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """Metrics, by their names and labels."""
        return {("trunkline_abuse_total", label): count for label, count in self.counts.items()}
