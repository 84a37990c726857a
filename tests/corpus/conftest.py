"""The table of the five families is printed where pytest prints what the run has found."""

from __future__ import annotations

from typing import Any

from tests.corpus.families import TABLE


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if TABLE.seen:
        terminalreporter.section("recorded exchanges: passed of entries")
        for line in TABLE.lines():
            terminalreporter.write_line(line)
