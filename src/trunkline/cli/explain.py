"""`trunkline explain`: where a call would go, and why, without sending it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from trunkline.cli import admin

if TYPE_CHECKING:
    from trunkline.config import Config
    from trunkline.edge.dry import Described
    from trunkline.stages.routing.explain import Explanation

MAX_SIZE = 4 * 1024 * 1024
UNKNOWN = 1e15
"""Ranks from here on stand for what is not known."""


@click.command(short_help="Where a call would go, and why, without sending it.")
@click.argument("file", required=False, type=click.File("rb"))
@click.option("-m", "--model", metavar="NAME", help="The model to ask, instead of the file's.")
@click.option("-p", "--prompt", metavar="TEXT", help="A chat of one message, instead of a file.")
@click.option("--path", default="/v1/chat/completions", show_default=True, help="The endpoint it would be sent to.")
@click.option("--key", metavar="NAME", help="Whose call it would be: a key's name or id.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="A tag of the call; repeatable.")
@click.option("-H", "--header", "headers", multiple=True, metavar="NAME: VALUE", help="A header field; repeatable.")
@click.option("--offline", is_flag=True, help="By the configuration alone, as a gateway would choose at its start.")
@click.option("--json", "as_json", is_flag=True, help="JSON, with everything that is known.")
@admin.options
def explain(file: Any, model: str | None, prompt: str | None, offline: bool, as_json: bool, **more: Any) -> None:
    """Show the targets that could answer a request, every filter's verdict, how they rank, which one would be asked,
    and which ones after it if it failed. FILE is the request's body, JSON; `-` reads it from standard input.

    Asks the running gateway, which knows what its targets do at the moment, by its admin API; `--offline` goes by the
    configuration alone. Ranks compare: the lowest is best. Nothing is sent to a provider.

    \b
    Examples:
      trunkline explain -m smart -p "hello" --config trunkline.yaml
      trunkline explain request.json --path /v1/messages --tag batch
      trunkline explain --offline -m smart -p hello --config trunkline.yaml --json | jq .chosen
    """
    described = _described(_body(file, model, prompt), more)
    if offline:
        found = _offline(described, more["config"])
    else:
        found = admin.asked(more["config"], more["url"], more["admin_key"], "/admin/v1/explain", _encoded(described))
    if as_json:
        from trunkline.cli.database import print_json

        print_json(found)
    else:
        _show(found)


def _body(file: Any, model: str | None, prompt: str | None) -> bytes:
    """The request's body: the file's bytes as they are, unless another model is asked for."""
    import json

    if (file is None) == (prompt is None):
        raise click.UsageError("Give either a FILE with the request's body, or a --prompt.")
    if file is None:
        if model is None:
            raise click.UsageError("A --prompt needs a --model.")
        return json.dumps({"model": model, "messages": [{"role": "user", "content": prompt}]}).encode()
    text: bytes = file.read(MAX_SIZE + 1)
    if len(text) > MAX_SIZE:
        raise click.BadParameter(f"it is larger than {MAX_SIZE} bytes", param_hint="FILE")
    try:
        body = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"it is not JSON: {error}", param_hint="FILE") from None
    return text if model is None else json.dumps({**body, "model": model}).encode()


def _described(body: bytes, more: dict[str, Any]) -> Described:
    from msgspec import Raw

    from trunkline.edge.dry import Described

    headers = {}
    for each in more["headers"]:
        name, colon, value = each.partition(":")
        if not colon:
            raise click.BadParameter(f"{each!r}: expected NAME: VALUE", param_hint="--header")
        headers[name.strip()] = value.strip()
    return Described(Raw(body), more["path"], headers, more["key"], more["tags"])


def _encoded(described: Described) -> bytes:
    import msgspec

    return msgspec.json.encode(described)


def _offline(described: Described, path: str | None) -> Any:
    """By the very code of a gateway, none of whose calls has been made."""
    import msgspec

    from trunkline.config import ConfigError, load
    from trunkline.core.errors import GatewayError

    if described.key is not None:
        raise click.UsageError("Keys are the running gateway's to know: leave out --key or --offline.")
    try:
        return msgspec.to_builtins(_alone(load(path), described))
    except (ConfigError, GatewayError) as error:
        raise click.ClickException(str(error)) from error


def _alone(config: Config, described: Described) -> Explanation:
    import random
    import time

    from trunkline.config.plane import plane_of
    from trunkline.edge.dry import described_call
    from trunkline.policy.standing import Board
    from trunkline.providers.prices import PriceList
    from trunkline.stages.auth import ANYONE
    from trunkline.stages.routing import Routing
    from trunkline.stages.routing.route import Routes

    plane, prices = plane_of(config), PriceList()
    prices.load()
    routes = Routes(config.models, plane.own, plane.directory.resolve, Board(), prices)
    routing = Routing(routes, config.routing, time.monotonic, random.random, plane.directory.offer)
    who = ANYONE if config.auth == "open" else None
    return routing.explain(described_call(described, who, config.server, time.time(), time.monotonic()), random.random)


def _show(found: dict[str, Any]) -> None:
    from trunkline.cli.database import print_table

    asked = list(dict.fromkeys(name for names in found["strategies"].values() for name in names if name != "priority"))
    headings = ["target", "leg", "tier", *asked, "knows", "passed over"]
    lines = [
        [
            ("➜ " if each["target"] == found["chosen"] else "  ") + each["target"],
            each["model"],
            str(each["tier"]),
            *(_short(each["ranks"][name]) if name in each["ranks"] else "" for name in asked),
            ", ".join(f"{name} {_short(value)}" for name, value in each["known"].items()),
            "; ".join(f"{name}: {why}" for name, why in each["verdicts"].items()),
        ]
        for each in found["candidates"]
    ]
    print_table(headings, lines, numeric=frozenset({"tier", *asked}))
    click.echo(_summary(found))


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} {_short(each)}" for name, each in value.items()) + "}"
    if not isinstance(value, int | float):
        return str(value)
    return "?" if value >= UNKNOWN else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _summary(found: dict[str, Any]) -> str:
    if found["chosen"] is None:
        return "Nobody is left to ask."
    steps = (found["choice"] or {}).get("steps", ())
    by = " then ".join(step["by"] for step in steps) or "it comes first"
    then = f"; if it fails, {', then '.join(found['then'])}" if found["then"] else ""
    return f"{found['model']} goes to {found['chosen']} ({by}){then}."
