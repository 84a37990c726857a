"""Disabling a key at the gateway's own instance: in a thread of its own, for the database is slow and calls are not."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from trunkline.core.call import KeyChange
from trunkline.core.stores import KeyAdmin, StoreError

log = logging.getLogger("trunkline.audit")


class Suspension:
    """`keys` gives the keys, or None while the database is not open; `changed` is told once one has been disabled."""

    def __init__(self, keys: Callable[[], KeyAdmin | None], changed: Callable[[], None]) -> None:
        self._keys = keys
        self._changed = changed

    def __call__(self, key: str) -> None:
        threading.Thread(target=self._disable, args=(key,), name="trunkline-suspension", daemon=True).start()

    def _disable(self, key: str) -> None:
        keys = self._keys()
        facts = {"event": "abuse.suspended", "key": key}
        if keys is None:
            log.error("key %s cannot be disabled: the database is not open", key, extra=facts)
            return
        try:
            keys.change(key, KeyChange(disabled=True))
        except StoreError as error:
            log.error("key %s could not be disabled: %s", key, error, extra=facts)
            return
        log.warning("key %s is disabled; `trunkline keys enable %s` takes it back", key, key, extra=facts)
        self._changed()
