"""A test file may name the event loops that its tests run on in `LOOPS`; the gateway itself runs on uvloop.
The matrix of faults is printed where pytest prints what the run has found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.edges.matrix_printed import MATRIX


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Function
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return getattr(item.module, "LOOPS", {"asyncio": asyncio.new_event_loop})


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if MATRIX.seen:
        terminalreporter.section("faults: what became of each call")
        for line in MATRIX.lines():
            terminalreporter.write_line(line)
