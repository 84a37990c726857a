"""The course of `bench.chaos` as a picture: the time to the first byte, and who got the calls."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.pacer import percentile

if TYPE_CHECKING:
    from bench.chaos import Course

COLOURS = {"one": "#4477aa", "two": "#cc6677", "three": "#999933"}
SHADES = {"out": "#cc3311", "resting": "#ee9944", "on trial": "#ee7733", "returning": "#ddcc77"}
"""What is drawn of a state; `well` is left blank."""


def draw(run: Course, path: Path) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        click.echo("No picture: it needs matplotlib (`pip install matplotlib`).", err=True)
        return
    figure = Figure(figsize=(11, 8), layout="constrained")
    above, middle, below = figure.subplots(3, 1, sharex=True, height_ratios=(4, 4, 1))
    _first_bytes(above, run)
    _attempts(middle, run)
    _states(below, run)
    for axes in (above, middle, below):
        for start in run.starts()[1:]:
            axes.axvline(start, color="#888888", linewidth=0.8, linestyle=":")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    click.echo(f"drawn into {path}", err=True)


def _first_bytes(axes: Any, run: Course) -> None:
    from bench.chaos import PHASES

    seconds = range(int(max(each.at for each in run.samples)) + 1)
    groups: list[list[float]] = [[] for _ in seconds]
    for each in run.samples:
        if each.good:
            groups[int(each.at)].append(each.first)
    for share, colour in ((0.99, "#332288"), (0.5, "#88ccee")):
        values = [percentile(group, share) * 1e3 for group in groups]
        axes.plot([second + 0.5 for second in seconds], values, color=colour, label=f"p{share * 100:.0f}")
    bad = [each.at for each in run.samples if not each.good]
    axes.plot(bad, [100.0] * len(bad), "x", color="#cc3311", label=f"failed: {len(bad)}")
    axes.set_yscale("log")
    axes.set_ylim(90, 4000)
    axes.set_ylabel("first byte at the client, ms")
    for start, phase in zip(run.starts(), PHASES, strict=True):
        axes.text(start + 0.5, 3100, phase.name, fontsize=9)
    axes.legend(loc="upper left", bbox_to_anchor=(0.0, 0.9), frameon=False)
    what = "streamed calls" if run.stream else "calls without streams"
    axes.set_title(f"{run.rate:.0f} {what} a second over three providers, {len(run.samples):,} in all")


def _attempts(axes: Any, run: Course) -> None:
    for provider, colour in COLOURS.items():
        course: Sequence[tuple[float, float]] = run.attempts(provider)
        axes.plot([at for at, _ in course], [rate for _, rate in course], color=colour, label=provider)
    axes.set_ylim(0, run.rate * 0.75)
    axes.set_ylabel("attempts that ended, a second")
    axes.legend(loc="upper left", frameon=False, ncols=3)


def _states(axes: Any, run: Course) -> None:
    width = 0.5
    for row, provider in enumerate(COLOURS):
        for look in run.looks:
            if look.provider == provider and look.state in SHADES:
                axes.broken_barh([(look.at, width)], (row - 0.4, 0.8), color=SHADES[look.state])
    axes.set_yticks(range(len(COLOURS)), list(COLOURS))
    axes.set_ylim(len(COLOURS) - 0.5, -0.5)
    axes.set_xlabel("seconds")
    for name, colour in SHADES.items():
        axes.plot([], [], color=colour, linewidth=6, label=name)
    axes.legend(loc="upper left", frameon=False, ncols=4, fontsize=8)
