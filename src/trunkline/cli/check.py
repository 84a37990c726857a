"""`trunkline check`: what is wrong with a configuration, like a compiler; or what it comes to, credentials masked."""

from __future__ import annotations

import click


@click.command(short_help="Check a configuration, and show what it comes to.")
@click.argument("file", required=False, type=click.Path())
@click.option("--insecure", is_flag=True, help="Allow `auth: open` on an address that others can reach.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing when all is well.")
def check(file: str | None, insecure: bool, quiet: bool) -> None:
    """Check the configuration in FILE; without FILE, the one that the environment variables make.

    Prints what the configuration comes to, defaults filled in and credentials masked. Where something is wrong,
    every problem is listed on standard error as FILE:LINE: KEY: MESSAGE, and the exit status is 1. Nothing is
    contacted.

    \b
    Examples:
      trunkline check trunkline.yaml
      trunkline check --quiet trunkline.yaml && trunkline serve --config trunkline.yaml
      OPENAI_API_KEY=sk-... trunkline check
    """
    from trunkline.config import ConfigError, effective, load

    try:
        config = load(file, insecure=insecure)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        count = len(error.problems)
        click.echo(f"{count} problem{'s' if count > 1 else ''}", err=True)
        raise SystemExit(1) from None
    if not quiet:
        click.echo(effective(config), nl=False)
