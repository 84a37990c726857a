"""The root of the command line: a table of commands.

The table holds each command's place and its one-line help, so that `trunkline --help` imports none of them: the
database library alone would cost it a second.
"""

from __future__ import annotations

from importlib import import_module

import click

from trunkline import __version__

COMMANDS = {
    "serve": ("trunkline.cli.serve:serve", "Run the gateway."),
    "check": ("trunkline.cli.check:check", "Check a configuration, and show what it comes to."),
    "keys": ("trunkline.cli.keys:keys", "Make and manage the keys that callers use."),
    "usage": ("trunkline.cli.usage:usage", "Tokens and money by model, key or day."),
    "models": ("trunkline.cli.models:models", "What is known of each model: limits, modalities, tools, reasoning."),
    "explain": ("trunkline.cli.explain:explain", "Where a call would go, and why, without sending it."),
    "replay": ("trunkline.cli.replay:replay", "What recorded traffic would have cost and taken, routed otherwise."),
    "limits": ("trunkline.cli.limits:limits", "What is used of each limit now."),
    "health": ("trunkline.cli.health:health", "Who is left out at the moment, why, and until when."),
    "probe": ("trunkline.cli.probe:probe", "Ask a live target, with small real requests, what it takes."),
    "sim": ("trunkline.cli.sim:sim", "Run the simulator: a provider that costs nothing and fails on cue."),
}
"""Name: where the command is, and what it does."""


class Table(click.Group):
    """A group whose commands are named by COMMANDS and imported when one is wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    "trunkline",
    cls=Table,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Every command explains itself: trunkline COMMAND --help.",
)
@click.version_option(__version__, prog_name="trunkline")
def root() -> None:
    """Trunkline: an LLM gateway between your applications and the models they call.

    \b
    A first call, with nothing configured (the simulator answers):
      trunkline serve
      curl http://127.0.0.1:4000/v1/chat/completions -H 'content-type: application/json' \\
        -d '{"model": "sim/sim-small", "messages": [{"role": "user", "content": "Hello"}]}'

    \b
    With a real provider:
      OPENAI_API_KEY=sk-... trunkline serve

    \b
    With a configuration file:
      trunkline check trunkline.yaml
      trunkline serve --config trunkline.yaml
    """
