"""`trunkline sim`: the simulator as a server of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from trunkline.sim.server import Handle


def _list_faults(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    from trunkline.sim.faults import FAULTS

    if wanted:
        for name, fault in FAULTS.items():
            value = "" if fault.kind == "flag" else f"={fault.default:g}"
            click.echo(f"  {name + value:20} {fault.text}")
        context.exit()


def _seconds(context: click.Context, option: click.Parameter, text: str) -> float:
    from trunkline.sim.faults import CueError, duration

    try:
        return duration(text, "--ttft")
    except CueError as error:
        raise click.UsageError(str(error)) from None


def _joined(context: click.Context, option: click.Parameter, cues: tuple[str, ...]) -> str:
    return "+".join(cues)


def _ready(handle: Handle) -> None:
    click.echo(f"The simulator listens on {handle.url} (no real model answers here). Stop it with Ctrl-C.")


_PACE = click.FloatRange(0)
_COUNT = click.IntRange(0)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=4010, show_default=True, type=click.IntRange(0, 65535), help="0: any free port.")
@click.option("--pace", default=50.0, show_default=True, type=_PACE, help="Tokens a second; 0: no pause.")
@click.option("--ttft", default="200ms", show_default=True, callback=_seconds, help="Time to the first token.")
@click.option("--fault", "faults", multiple=True, metavar="CUES", callback=_joined, help="For every call; repeatable.")
@click.option("--seed", default=0, show_default=True, type=int, help="Of the dice behind rate=.")
@click.option("--cache-minimum", default=1024, show_default=True, type=_COUNT, help="Tokens of a cached prefix.")
@click.option(
    "--list-faults", is_flag=True, is_eager=True, expose_value=False, callback=_list_faults,
    help="Print every cue and what it does.",
)  # fmt: skip
def sim(host: str, port: int, **options: Any) -> None:
    """Run a simulated model provider, for trying things out and for tests.

    It speaks the wire formats of OpenAI, Azure, Anthropic, Gemini, Vertex AI and Bedrock on one port, costs nothing,
    needs no key (any will do) and says in every answer that it is a simulator.

    \b
    Try it:
      trunkline sim &
      curl http://127.0.0.1:4010/v1/chat/completions -H "authorization: Bearer any" \\
        -d '{"model": "sim-small", "messages": [{"role": "user", "content": "hello"}]}'

    \b
    It misbehaves on cue, by model name, by request header, or on every call:
      "model": "sim-small+429+retry-after=2"
      x-sim-fault: cut, after=5
      trunkline sim --fault "503+rate=0.1"

    What it was asked is at /__sim/calls (DELETE forgets it). All of it is described in docs/simulator.md.
    """
    from trunkline.sim.faults import CueError
    from trunkline.sim.server import serve
    from trunkline.sim.settings import Settings

    try:
        serve(host, port, Settings(**options), _ready)
    except CueError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
