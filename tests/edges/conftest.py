"""A test file may name the event loops that its tests run on in `LOOPS`; the gateway itself runs on uvloop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Function
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return getattr(item.module, "LOOPS", {"asyncio": asyncio.new_event_loop})
