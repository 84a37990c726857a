"""`trunkline models`: what the catalog knows of the configured models, or of all that it ships with."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import click

NEEDS = click.Choice(
    ["tools", "parallel_tools", "image", "document", "audio", "video", "json_schema", "reasoning", "streaming", "text"]
)
_MARKS = {True: "yes", False: "no", None: "?"}
_MEDIA = (("image", "img"), ("document", "doc"), ("audio", "aud"), ("video", "vid"))


@click.command(short_help="What is known of each model: limits, modalities, tools, reasoning.")
@click.argument("pattern", required=False, default="*")
@click.option("-c", "--config", metavar="FILE", help="The configuration; without it, the one of the environment.")
@click.option("--all", "everything", is_flag=True, help="Every model that the shipped table knows.")
@click.option("--need", "needs", type=NEEDS, multiple=True, help="Only models not known to lack this; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="JSON, with everything that is known.")
def models(pattern: str, config: str | None, everything: bool, needs: tuple[str, ...], as_json: bool) -> None:
    """Show the models whose name matches PATTERN (`*` stands for any run of characters; `claude*`).

    One line a target, in the order in which they are tried. A `?` is what the table does not know: such a model is
    tried, and its provider may refuse. `catalog:` in the configuration corrects the table.

    \b
    Examples:
      trunkline models --config trunkline.yaml
      trunkline models --all --need video 'gemini*'
      trunkline models --all --json gpt-5 | jq '.[0].targets[0].facts'
    """
    from trunkline.providers.catalog import shipped
    from trunkline.providers.catalog_view import able, known

    rows = known() if everything else _configured(config)
    rows = [row for row in able(rows, needs) if fnmatchcase(row["name"], pattern)]
    if as_json:
        from trunkline.cli.database import print_json

        print_json(rows)
        return
    _table(rows)
    click.echo(f"\n{len(rows)} models; table of {shipped().dated}", err=True)


def _configured(path: str | None) -> list[dict[str, Any]]:
    from trunkline.config import ConfigError, load
    from trunkline.config.plane import plane_of
    from trunkline.providers.catalog_view import configured

    try:
        config = load(path)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    return configured(plane_of(config).directory)


def _table(rows: list[dict[str, Any]]) -> None:
    from trunkline.cli.database import print_table

    headings = ["model", "target", "context", "output", "in", "tools", "schema", "reasoning", "refuses"]
    lines = [_line(row, each) for row in rows for each in row["targets"]]
    print_table(headings, lines, numeric=frozenset({"context", "output"}))


def _line(row: dict[str, Any], target: dict[str, Any]) -> list[str]:
    facts = target["facts"]
    return [
        row["name"],
        "" if target["target"] == row["name"] else target["target"],
        _count(facts.get("input") or facts.get("context")),
        _count(facts.get("output")),
        _media(facts.get("inputs")),
        _MARKS[facts.get("tools")],
        _MARKS[facts.get("json_schema")],
        _reasoning(facts),
        ",".join(facts.get("refuses") or ()),
    ]


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _media(inputs: list[str] | None) -> str:
    return "?" if inputs is None else " ".join(["txt", *(short for name, short in _MEDIA if name in inputs)])


def _reasoning(facts: dict[str, Any]) -> str:
    kind, levels = facts.get("reasoning"), facts.get("efforts")
    return f"{kind}: {' '.join(levels)}" if kind and levels else kind or "?"
