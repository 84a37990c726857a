"""`trunkline limits`: what is used of each limit, as the running gateway counts it."""

from __future__ import annotations

from typing import Any

import click

from trunkline.cli import admin


@click.command(short_help="What is used of each limit now.")
@admin.options
@click.option("--json", "as_json", is_flag=True, help="JSON, with amounts as plain numbers (money in nano-dollars).")
def limits(config: str | None, url: str | None, admin_key: str | None, as_json: bool) -> None:
    """Show the limits that calls have met since the start of a running gateway, those with least left first.

    Asks its admin API, so the configuration needs an `admin_key`; TRUNKLINE_URL and TRUNKLINE_ADMIN_KEY do as well.
    With several workers it is one of them that answers: of all together where they share Redis.

    \b
    Examples:
      trunkline limits --config trunkline.yaml
      trunkline limits --json | jq '.data[] | select(.left == 0) | .limit'
    """
    found = admin.asked(config, url, admin_key, "/admin/v1/limits")
    if as_json:
        from trunkline.cli.database import print_json

        print_json(found)
        return
    _show(found["data"])


def _show(rows: list[dict[str, Any]]) -> None:
    from trunkline.cli.database import print_table
    from trunkline.policy.rules import shown_amount

    rows = sorted(rows, key=lambda row: row["left"] / max(1, row["most"]))
    lines = [
        [
            row["limit"] + (" (soft)" if row["soft"] else ""),
            shown_amount(row["dimension"], row["used"]),
            shown_amount(row["dimension"], row["left"]),
            row["window"],
        ]
        for row in rows
    ]
    print_table(["limit", "used", "left", "window"], lines, numeric=frozenset({"used", "left"}))
    if not rows:
        click.echo("No call has met a limit since the start.", err=True)
