"""`trunkline usage`: tokens and money, from the ledger. Sums are exact: money is counted in nano-dollars throughout."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from trunkline.cli import database as db

if TYPE_CHECKING:
    from trunkline.state.ledger import UsageRow

DIMENSIONS = click.Choice(["model", "target", "key", "surface", "day", "tag"])

COUNTS = ("calls", "errors", "input", "cache_read", "cache_write", "output", "reasoning", "unpriced", "estimated")


@click.command()
@click.option("--by", type=DIMENSIONS, multiple=True, help="Group by this; repeat for several. Default: model.")
@click.option("--since", metavar="WHEN", default="30d", show_default=True, help="Calls from then on.")
@click.option("--until", metavar="WHEN", help="Calls before then.")
@click.option("--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
@db.options
def usage(
    by: tuple[str, ...], since: str, until: str | None, form: str, config: str | None, database: str | None
) -> None:
    """Show calls, tokens and cost, grouped as asked.

    WHEN is a span back from now (15m, 12h, 7d, 4w), a date or a date and time (UTC unless it says otherwise).
    Input contains cache reads and writes, output contains reasoning. `unpriced` counts calls whose price is not known,
    which `cost` therefore lacks; `estimated` counts calls whose tokens the gateway had to estimate. A call with several
    tags counts under each of them.

    \b
    Examples:
      trunkline usage
      trunkline usage --by day --by model --since 7d
      trunkline usage --by key --since 2026-01-01 --until 2026-02-01 --format csv > january.csv
      trunkline usage --by tag --format json | jq '.[0]'
    """
    from trunkline.state.keys import KeyStore
    from trunkline.state.ledger import Ledger

    now = time.time()
    start, end = db.moment(since, now), None if until is None else db.moment(until, now)
    by = tuple(dict.fromkeys(by)) or ("model",)
    with db.opened(config, database) as (opened, server_secret):
        rows = Ledger(opened).usage(by, start, end)
        keys = KeyStore(opened, server_secret).list() if form == "table" and "key" in by else []
    if form == "table":
        _table(by, rows, {key.id: key.name for key in keys})
    else:
        {"csv": _csv, "json": _json}[form](by, rows)
    if not rows:
        click.echo("No calls in that time. Is this the database of the gateway: --config FILE?", err=True)


def _facts(by: tuple[str, ...], row: UsageRow) -> dict[str, Any]:
    counts = {name: getattr(row, name) for name in COUNTS}
    return {name: row.group[name] for name in by} | counts | {"cost_usd": db.dollars(row.cost)}


def _table(by: tuple[str, ...], rows: list[UsageRow], names: dict[str, str]) -> None:
    """`names`: of keys by their ids, for people; programs get the ids, which outlive a key and never change."""
    headings = [*by, *COUNTS, "cost $"]
    lines = []
    for row in rows:
        groups = [row.group[name] or "(none)" for name in by]
        shown = [names.get(group, group) if name == "key" else group for name, group in zip(by, groups, strict=True)]
        lines.append([*shown, *(f"{getattr(row, name):,}" for name in COUNTS), db.dollars(row.cost)])
    db.print_table(headings, lines, numeric=frozenset(headings) - frozenset(by))


def _csv(by: tuple[str, ...], rows: list[UsageRow]) -> None:
    import csv
    import sys

    writer = csv.DictWriter(sys.stdout, [*by, *COUNTS, "cost_usd"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(_facts(by, row) for row in rows)


def _json(by: tuple[str, ...], rows: list[UsageRow]) -> None:
    db.print_json([_facts(by, row) for row in rows])
