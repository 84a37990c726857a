"""What each client could do with each provider, as a table at the end of the run.

A row is a test, a column a provider. A cell says `ok`, what was lost on the way, or the SDK's class of the error that
came as it should; `FAILED` where a test did. The blocking and the asynchronous client must agree, or both are shown.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .drivers import TARGETS, Driver

Cells = dict[tuple[str, str, str], dict[str, str]]
"""(SDK, feature, provider) → client → what happened."""

cells: Cells = {}


def expected_losses(request: pytest.FixtureRequest, target: str) -> list[str]:
    """What the test's `loses` marks say of this provider: `@pytest.mark.loses("n", "seed", to="sim-anthropic")`."""
    marks = request.node.iter_markers("loses")
    return [path for mark in marks if mark.kwargs["to"] == target for path in mark.args]


def record(item: pytest.Item, driver: Driver, passed: bool) -> None:
    """`item` is one test of one client and provider; another parameter, if any, is part of the feature's name."""
    sdk, client = item.callspec.params["client"]  # type: ignore[attr-defined]
    more = [str(value) for name, value in item.callspec.params.items() if name not in ("client", "target")]  # type: ignore[attr-defined]
    name = item.originalname.removeprefix("test_").replace("_", " ")  # type: ignore[attr-defined]
    feature = " ".join([name, *more])
    shown = [f"lost: {', '.join(driver.lost)}"] if driver.lost else []
    text = "; ".join([*(name.removesuffix("Error") for name in driver.failed), *shown]) or "ok"
    cells.setdefault((sdk, feature, driver.target), {})[client] = text if passed else "FAILED"


def lines() -> Iterator[str]:
    for sdk in dict.fromkeys(sdk for sdk, _, _ in cells):
        features = list(dict.fromkeys(feature for one, feature, _ in cells if one == sdk))
        rows = [[sdk, *TARGETS], *([name, *(_cell(sdk, name, target) for target in TARGETS)] for name in features)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(TARGETS))]
        for row in rows:
            yield "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[-1]])
        yield ""


def _cell(sdk: str, feature: str, target: str) -> str:
    found = cells.get((sdk, feature, target), {})
    if len(set(found.values())) == 1:
        return next(iter(found.values()))
    return "; ".join(f"{client}: {text}" for client, text in found.items()) or "-"
