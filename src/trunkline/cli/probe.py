"""`trunkline probe`: ask a live target what it takes, and write what was found as the configuration has it."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from trunkline.config.schema import Config
    from trunkline.edge.probe import Finding
    from trunkline.providers.target import Target

_SHOWN = 90
"""Characters of a provider's words in the table."""


def _writable(context: click.Context, option: click.Parameter, path: str | None) -> str | None:
    """Asking costs money, so a file that cannot be written is told before."""
    if path is not None:
        try:
            open(path, "a", encoding="utf-8").close()
        except OSError as error:
            raise click.BadParameter(f"{path} cannot be written: {error.strerror}") from None
    return path


@click.command(short_help="Ask a live target, with small real requests, what it takes.")
@click.argument("target")
@click.option("-c", "--config", metavar="FILE", help="The configuration; without it, the one of the environment.")
@click.option("--write", "out", metavar="FILE", callback=_writable, help="Write `catalog:` entries there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def probe(target: str, config: str | None, out: str | None, as_json: bool) -> None:
    """Ask TARGET (`provider/model`) some thirty questions and show what it takes. Costs real tokens, a few thousand.

    `yes`: accepted, and where it can be seen, done. `no`: refused by the provider. `unclear`: accepted but not seen,
    or another error. `unasked`: the target's wire format has no word for it.

    \b
    Examples:
      trunkline probe sim/sim-thinker
      trunkline probe openai/gpt-5.5 --config trunkline.yaml --write found.yaml
    """
    from trunkline.config import ConfigError, load
    from trunkline.core.errors import GatewayError

    try:
        settings = load(config)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    try:
        found, cost, name = asyncio.run(_probed(settings, target))
    except GatewayError as error:
        raise click.ClickException(error.message) from error
    _show(found, cost, as_json)
    if out is not None:
        _write(out, name, found)
    if found[0].verdict != "yes":
        raise SystemExit(1)


async def _probed(config: Config, wanted: str) -> tuple[list[Finding], int | None, str]:
    """(findings, nano-dollars or None where the price is unknown, the target's name)."""
    from msgspec import structs

    from trunkline.app import Gateway
    from trunkline.edge.probe import QUESTIONS, Probe
    from trunkline.edge.sender import Sender

    alone = structs.replace(config, auth="open", state=structs.replace(config.state, durable=None))
    gateway = await Gateway.start(alone)
    try:
        target: Target = gateway.directory.resolve(wanted)[0]
        found: list[Finding] = []
        async for each in Probe(Sender(gateway.stores.transport), target, time.time).findings():
            found.append(each)
            if sys.stderr.isatty():
                click.echo(f"\r{len(found)}/{len(QUESTIONS)} {each.name:<24}", err=True, nl=False)
        if sys.stderr.isatty():
            click.echo("\r" + " " * 40 + "\r", err=True, nl=False)
        return found, _cost(target, found), target.name
    finally:
        await gateway.aclose()


def _cost(target: Target, found: list[Finding]) -> int | None:
    from trunkline.core.call import Entry
    from trunkline.providers.prices import PriceList

    if target.price_model is None:
        return 0
    prices, now = PriceList(), time.time()
    prices.load()
    entries = [
        Entry("probe", now, "", 200, price_model=target.price_model, usage=each.usage) for each in found if each.usage
    ]
    costs = [prices.cost(entry) for entry in entries]
    return None if None in costs else sum(cost[0] for cost in costs if cost is not None)


def _show(found: list[Finding], cost: int | None, as_json: bool) -> None:
    from trunkline.cli.database import dollars, print_json, print_table

    if as_json:
        print_json({"findings": found, "cost_nano_usd": cost})
        return

    print_table(["question", "answer", "why"], [[each.name, each.verdict, each.detail[:_SHOWN]] for each in found])
    tokens = sum(each.usage.input + each.usage.output for each in found if each.usage is not None)
    price = "at an unknown price" if cost is None else f"for $ {dollars(cost)}"
    click.echo(f"{len(found)} questions, {tokens:,} tokens {price}")


def _write(path: str, name: str, found: list[Finding]) -> None:
    import yaml

    from trunkline.edge.probe import overrides

    entry: dict[str, Any] = {"catalog": {name: overrides(found)}}
    with open(path, "w", encoding="utf-8") as file:
        yaml.safe_dump(entry, file, sort_keys=False, default_flow_style=None, width=120)
    click.echo(f"written to {path}: put its `catalog:` into your configuration", err=True)
