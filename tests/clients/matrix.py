"""What each client could do with each provider, as tables at the end of the run.

A cell says `ok`, what was lost on the way, or the SDK's class of the error that came as it should; `FAILED` where a
test did. Of the matrix of all families, clients that fared alike share a row, and a row of one outcome is said once. Of
the tests of one SDK, the blocking and the asynchronous client must agree, or both are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from .drivers import TARGETS, Driver

Cells = dict[tuple[str, str, str], dict[str, str]]
"""(SDK, feature, provider) → client → what happened."""

cells: Cells = {}

families: dict[str, dict[tuple[str, str], dict[str, str]]] = {}
"""Scenario → (client, way) → provider → what happened."""


def expected_losses(request: pytest.FixtureRequest, target: str) -> list[str]:
    """What the test's `loses` marks say of this provider: `@pytest.mark.loses("n", "seed", to=("sim-anthropic",))`."""
    marks = request.node.iter_markers("loses")
    return [path for mark in marks if target in mark.kwargs["to"] for path in mark.args]


def told(errors: Sequence[str], lost: Sequence[str]) -> str:
    """The text of a cell."""
    shown = [f"lost: {', '.join(lost)}"] if lost else []
    return "; ".join([*(name.removesuffix("Error") for name in errors), *shown]) or "ok"


def record(item: pytest.Item, driver: Driver, passed: bool) -> None:
    """`item` is one test of one client and provider; another parameter, if any, is part of the feature's name."""
    sdk, client = item.callspec.params["client"]  # type: ignore[attr-defined]
    more = [str(value) for name, value in item.callspec.params.items() if name not in ("client", "target")]  # type: ignore[attr-defined]
    name = item.originalname.removeprefix("test_").replace("_", " ")  # type: ignore[attr-defined]
    feature = " ".join([name, *more])
    text = told(driver.failed, driver.lost)
    cells.setdefault((sdk, feature, driver.target), {})[client] = text if passed else "FAILED"


@contextmanager
def noted(scenario: str, way: str, client: str, target: str) -> Iterator[Callable[[str, Sequence[str]], None]]:
    """For one cell of the families: call what you get with the error that came and what was lost. Where it is not
    called, the cell has failed."""
    row = families.setdefault(scenario, {}).setdefault((client, way), {})
    row[target] = "FAILED"

    def note(error: str, lost: Sequence[str]) -> None:
        row[target] = told([error] if error else [], lost)

    yield note


def lines() -> Iterator[str]:
    for scenario, rows in families.items():
        yield from _scenario(scenario.replace("_", " "), rows)
    yield ""
    for sdk in dict.fromkeys(sdk for sdk, _, _ in cells):
        features = list(dict.fromkeys(feature for one, feature, _ in cells if one == sdk))
        table = [[sdk, *TARGETS], *([name, *(_cell(sdk, name, target) for target in TARGETS)] for name in features)]
        yield from _table(table)
        yield ""


def _table(rows: list[list[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def _scenario(name: str, rows: dict[tuple[str, str], dict[str, str]]) -> Iterator[str]:
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for client in dict.fromkeys(client for client, _ in rows):
        ways = {way: tuple(found.items()) for (one, way), found in rows.items() if one == client}
        if len(set(ways.values())) == 1:
            groups.setdefault(next(iter(ways.values())), []).append(client)
        else:
            for way, found in ways.items():
                groups.setdefault(found, []).append(f"{client} ({way})")
    for found, clients in groups.items():
        who = "all clients" if len(groups) == 1 else " ".join(clients)
        yield f"{name}: {who}: {_outcome(found)}"


def _outcome(found: tuple[tuple[str, str], ...]) -> str:
    """Providers that fared alike are named together; all of them are not."""
    by: dict[str, list[str]] = {}
    for target, text in found:
        by.setdefault(text, []).append(target)
    if len(by) == 1:
        return f"{next(iter(by))} at all {len(found)}"
    return " | ".join(f"{text} at {' '.join(targets)}" for text, targets in by.items())


def _cell(sdk: str, feature: str, target: str) -> str:
    found = cells.get((sdk, feature, target), {})
    if len(set(found.values())) == 1:
        return next(iter(found.values()))
    return "; ".join(f"{client}: {text}" for client, text in found.items()) or "-"
