"""`trunkline health`: who is left out, why and until when, as the running gateway sees it."""

from __future__ import annotations

import time
from typing import Any

import click

from trunkline.cli import admin


@click.command(short_help="Who is left out at the moment, why, and until when.")
@admin.options
@click.option("--changes", is_flag=True, help="The last hundred changes, too.")
@click.option("--json", "as_json", is_flag=True, help="JSON, with everything that is known.")
def health(config: str | None, url: str | None, admin_key: str | None, changes: bool, as_json: bool) -> None:
    """Show the targets of a running gateway, those in trouble first, and the credentials that rest.

    Asks its admin API, so the configuration needs an `admin_key`; TRUNKLINE_URL and TRUNKLINE_ADMIN_KEY do as well.
    With several workers it is one of them that answers. The exit status is 0 also where targets are out.

    \b
    Examples:
      trunkline health --config trunkline.yaml
      trunkline health --json | jq '.targets[] | select(.state != "well")'
    """
    found = admin.asked(config, url, admin_key, "/admin/v1/health")
    if as_json:
        from trunkline.cli.database import print_json

        print_json(found)
        return
    _targets(found["targets"])
    if found["credentials"]:
        _credentials(found["credentials"])
    if changes:
        _changes(found["changes"])


def _targets(rows: list[dict[str, Any]]) -> None:
    from trunkline.cli.database import print_table

    now = time.time()
    headings = ["target", "state", "since", "until", "good", "p50", "p95", "in work", "ceiling", "why"]
    lines = [
        [
            row["target"],
            row["state"],
            _ago(row["since"], now),
            _in(row["until"], now),
            "" if row["success_rate"] is None else f"{row['success_rate']:.1%}",
            *_first_byte(row),
            str(row["in_work"]),
            "" if row["ceiling"] is None else str(row["ceiling"]),
            row["reason"] or "",
        ]
        for row in rows
    ]
    print_table(headings, lines, numeric=frozenset({"good", "p50", "p95", "in work", "ceiling"}))
    out = sum(row["state"] in ("out", "resting") for row in rows)
    click.echo(f"{len(rows)} targets, {out} left out; p50 and p95 in seconds, to the first byte of streams", err=True)


def _first_byte(row: dict[str, Any]) -> list[str]:
    times = row["first_byte"]
    return ["" if times[name] is None else f"{times[name]:.2f}" for name in ("p50", "p95")]


def _credentials(rows: list[dict[str, Any]]) -> None:
    from trunkline.cli.database import print_table

    lines = [
        [
            row["provider"],
            row["credential"],
            row["model"] or "all",
            row["state"],
            _span(row["seconds_left"]),
            row["reason"],
        ]
        for row in rows
    ]
    print_table(["provider", "credential", "models", "state", "for", "why"], lines)


def _changes(rows: list[dict[str, Any]]) -> None:
    from trunkline.cli.database import print_table, shown_time

    lines = [[shown_time(row["at"]), row["target"], row["state"], row["reason"]] for row in rows]
    print_table(["at", "target", "state", "why"], lines)


def _ago(at: float | None, now: float) -> str:
    return "" if at is None else f"{_span(max(0.0, now - at))} ago"


def _in(at: float | None, now: float) -> str:
    return "" if at is None else f"in {_span(max(0.0, at - now))}"


def _span(seconds: float) -> str:
    """In the largest unit that it has two of."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
