"""Results for people, as a table, and for programs, as JSON beside the machine's facts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from bench.figures import Figure

RESULTS = Path(__file__).parent / "results"


def show(figures: list[Figure], facts: dict[str, Any]) -> None:
    table = Table(
        title=f"{facts['cpu']}, {facts['cores']} cores, Python {facts['python']}, load {facts['load_average']}"
    )
    for heading in ("measure", "target", "figure", "gateway", "nginx", "verdict"):
        table.add_column(heading, justify="left" if heading in ("measure", "verdict") else "right")
    for figure in figures:
        sign = "<=" if figure.bound == "at most" else ">="
        table.add_row(
            figure.name,
            f"{sign} {figure.target:g} {figure.unit}",
            f"{figure.value:.3g} {figure.unit}" if figure.value < 1000 else f"{figure.value:.0f} {figure.unit}",
            _detail(figure.ours, figure.detail_unit),
            _detail(figure.yardstick, figure.detail_unit),
            f"[{'green' if figure.met else 'red'}]{figure.verdict}[/]",
        )
    console = Console()
    console.print(table)
    for figure in figures:
        if figure.note:
            console.print(f"{figure.name}: {figure.note}", style="dim", highlight=False)


def _detail(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.3g} {unit}"


def save(figures: list[Figure], facts: dict[str, Any]) -> Path:
    """The file written: named by the time of the run."""
    RESULTS.mkdir(exist_ok=True)
    rows = [msgspec.to_builtins(figure) | {"met": figure.met} for figure in figures]
    path = RESULTS / f"{str(facts['date']).replace(':', '').partition('+')[0]}.json"
    path.write_text(json.dumps({"machine": facts, "figures": rows}, indent=2) + "\n")
    return path
