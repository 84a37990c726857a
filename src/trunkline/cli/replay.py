"""`trunkline replay`: what recorded traffic would have cost, and how long it would have taken, routed otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from trunkline.cli import database as db

if TYPE_CHECKING:
    from trunkline.config import Config
    from trunkline.core.call import Entry
    from trunkline.stages.routing.replay import Replay

STRATEGIES = click.Choice(["priority", "weighted", "least_busy", "latency", "cost", "quota"])
MAX_CALLS = 10_000_000
_TOLD = 2000
"""Calls between two words of progress."""


def _weights(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> dict[str, float]:
    weights = {}
    for text in texts:
        target, _, weight = text.rpartition("=")
        try:
            weights[target] = float(weight)
        except ValueError:
            weights[target] = 0.0
        if not target or not 0.0 < weights[target] <= 1e9:
            raise click.BadParameter(f"{text!r}: expected TARGET=WEIGHT, such as openai/gpt-4o=3")
    return weights


@click.command(short_help="What recorded traffic would have cost and taken, routed otherwise.")
@click.option("--since", metavar="WHEN", default="7d", show_default=True, help="Calls from then on.")
@click.option("--until", metavar="WHEN", help="Calls before then.")
@click.option("--strategy", "strategies", type=STRATEGIES, multiple=True, help="Choose by this; several: a list.")
@click.option("--weight", "weights", multiple=True, callback=_weights, metavar="TARGET=WEIGHT", help="Repeatable.")
@click.option("--model", metavar="NAME", help="Only calls of this public model.")
@click.option("--json", "as_json", is_flag=True, help="JSON, with everything that was found.")
@db.options
def replay(strategies: tuple[str, ...], weights: dict[str, float], as_json: bool, **more: Any) -> None:
    """Send the calls of the ledger once more, in thought, through the configuration's models, with another strategy or
    other weights, and show cost, time and errors beside what they were. Without either: through the configuration as it
    is. Nothing is sent to a provider.

    WHEN is a span back from now (15m, 12h, 7d, 4w), a date, or a date and time (UTC unless it says otherwise). What
    cannot be known is assumed; the assumptions are printed with the result. Choices that the ledger has in full are
    made again too, as a check.

    \b
    Examples:
      trunkline replay --strategy latency --config trunkline.yaml
      trunkline replay --strategy cost --strategy least_busy --model smart --since 24h
      trunkline replay --strategy weighted --weight openai/gpt-4o=1 --weight azure/gpt-4o=3 --json
    """
    now = time.time()
    since = db.moment(more["since"], now)
    until = now if more["until"] is None else db.moment(more["until"], now)
    config = _changed(more["config"], strategies, weights, more["model"])
    from trunkline.state.traffic import count, traffic

    with db.opened(more["config"], more["database"]) as (opened, _):
        calls = count(opened, since, until, more["model"])
        if calls > MAX_CALLS:
            raise click.ClickException(f"{calls:,} calls are more than {MAX_CALLS:,}: narrow --since and --until.")
        played, skipped = _played(config, calls, lambda: traffic(opened, since, until, more["model"]))
    _show(played, skipped, as_json)


def _changed(path: str | None, strategies: tuple[str, ...], weights: dict[str, float], model: str | None) -> Config:
    """The configuration with what shall be different. Raises ClickException."""
    from msgspec import structs

    from trunkline.config import ConfigError, load

    try:
        config = load(path, insecure=True)  # nothing is served here
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    if model is not None and model not in config.models:
        raise click.BadParameter(f"the configuration has no public model {model!r}", param_hint="--model")
    known = {row.target for settings in config.models.values() for row in settings.targets}
    for target in weights:
        if target not in known:
            raise click.BadParameter(f"no public model has the target {target!r}", param_hint="--weight")
    models = {}
    for name, settings in config.models.items():
        rows = tuple(structs.replace(row, weight=weights.get(row.target, row.weight)) for row in settings.targets)
        models[name] = structs.replace(settings, targets=rows, strategy=strategies or settings.strategy, affinity=None)
    return structs.replace(config, models=models)


def _played(config: Config, calls: int, entries: Callable[[], Iterator[Entry]]) -> tuple[Replay, int]:
    """The replay, and how many calls it left out."""
    import random

    from trunkline.config.plane import plane_of
    from trunkline.policy.standing import Board
    from trunkline.providers.prices import PriceList
    from trunkline.stages.routing.replay import Replay, learn
    from trunkline.stages.routing.route import Routes

    def routed(words: str) -> Iterator[Entry]:
        for number, entry in enumerate(entries()):
            if number % _TOLD == 0:
                _progress(f"{words} {number:,} of {calls:,} calls")
            if entry.model in config.models:
                yield entry

    plane, prices, dice = plane_of(config), PriceList(), random.Random(0)  # noqa: S311 - the same figures every time
    prices.load()
    board = Board(config.routing.health, config.routing.concurrency, dice.random)
    routes = Routes(config.models, plane.own, plane.directory.resolve, board, prices)
    played = Replay(routes, learn(routed("learning from")), dice.random)
    for entry in routed("replaying"):
        played.play(entry)
    _progress("")
    return played, calls - played.was.calls


def _progress(words: str) -> None:
    """Rewrites one line of a terminal."""
    if sys.stderr.isatty():
        click.echo(f"\r{words:<60}" + ("" if words else "\r"), err=True, nl=False)


def _show(played: Replay, skipped: int, as_json: bool) -> None:
    from trunkline.stages.routing.replay import ASSUMPTIONS

    was, would = played.was.shown(), played.would.shown()
    found = {"moved": played.moved, "skipped": skipped, "recorded": played.recorded, "agreeing": played.agreeing}
    if as_json:
        db.print_json({"was": was, "would": would, **found, "assumptions": ASSUMPTIONS})
        return
    rows = [[name, _written(name, was[name]), _written(name, would[name])] for name in was if name != "targets"]
    targets = sorted(was["targets"].keys() | would["targets"].keys())
    rows += [[f"→ {name}", *(f"{side['targets'].get(name, 0):,}" for side in (was, would))] for name in targets]
    db.print_table(["", "was", "would be"], rows, numeric=frozenset({"was", "would be"}))
    click.echo(f"{played.moved:,} of {was['calls']:,} calls would have been asked of another target first.")
    if skipped:
        click.echo(f"{skipped:,} calls are left out: of no public model of this configuration, or never routed.")
    if played.recorded:
        click.echo(f"{played.agreeing:,} of {played.recorded:,} recorded choices come out the same, made again.")
    click.echo("\nAssumed:\n" + "\n".join(f"- {each}" for each in ASSUMPTIONS))


def _written(name: str, value: Any) -> str:
    if value is None:
        return "?"
    if name == "cost":
        return f"$ {db.dollars(value)}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f} s"
