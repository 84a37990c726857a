"""The command line. Each command is a module of its own, imported when it is called."""


def main() -> None:
    """The console script `trunkline`."""
    from trunkline.cli.main import root

    root(prog_name="trunkline")
