"""`python -m bench`: run the measures, show the table, keep the figures."""

from __future__ import annotations

import click

from bench.figures import Figure
from bench.machine import facts
from bench.measures import MEASURES
from bench.peers import measure
from bench.processes import StartFailed
from bench.profiling import SUBJECTS, profile
from bench.results import save, show
from bench.rig import rig


@click.command(help=__doc__)
@click.option("--only", multiple=True, type=click.Choice(list(MEASURES)), help="Run this measure alone; repeatable.")
@click.option("--seconds", type=click.FloatRange(1, 30), default=3.0, show_default=True, help="Length of a round.")
@click.option("--rounds", type=click.IntRange(1, 20), default=3, show_default=True, help="The best of so many counts.")
@click.option(
    "--profile",
    "subject",
    metavar="SUBJECT",
    help=f"Show where the time goes instead: {', '.join(SUBJECTS)}, chat:gemini, …",
)
@click.option("--peers", is_flag=True, help="Measure other gateways: alone, or beside what --only names.")
def main(only: tuple[str, ...], seconds: float, rounds: int, subject: str | None, peers: bool) -> None:
    machine = facts()
    figures: list[Figure] = []
    try:
        with rig(seconds, rounds) as stand:
            if subject is not None:
                profile(stand, subject)
                return
            measures = {name: MEASURES[name] for name in only or (() if peers else MEASURES)}
            if peers:
                measures["peers"] = measure
            for name, run in measures.items():
                click.echo(f"{name} …", err=True)
                figures += run(stand)
    except StartFailed as error:
        raise click.ClickException(str(error)) from None
    show(figures, machine)
    click.echo(f"kept in {save(figures, machine)}", err=True)


if __name__ == "__main__":
    main()
