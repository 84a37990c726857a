"""From a file, or from nothing but the environment, to a checked configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from trunkline.config.checks import check
from trunkline.config.environment import environment_tree
from trunkline.config.problems import ConfigError, Problem
from trunkline.config.read import Reading
from trunkline.config.schema import Config
from trunkline.config.tree import MAX_SIZE, Tree, read_tree

ENVIRONMENT = "environment"
"""What problems name as their file where there is none."""


def load(path: str | Path | None, environ: Mapping[str, str] | None = None, insecure: bool = False) -> Config:
    """The configuration in a file; without one, that of the usual environment variables.

    `environ` stands in for the process's environment; `insecure` allows `auth: open` on any address.
    Raises ConfigError, with everything that is wrong.
    """
    if path is None:
        environ = os.environ if environ is None else environ
        return _finish(environment_tree(environ), Reading(ENVIRONMENT, []), insecure)
    return parse(text_of(Path(path)), str(path), environ, insecure)


def parse(text: str, name: str, environ: Mapping[str, str] | None = None, insecure: bool = False) -> Config:
    """The configuration in the text of a file of this name. Otherwise as `load`."""
    reading = Reading(name, [])
    tree = read_tree(text, name, os.environ if environ is None else environ, reading.problems)
    return _finish(tree, reading, insecure)


def _finish(tree: Tree, reading: Reading, insecure: bool) -> Config:
    """Cross checks need a whole configuration: they wait until every field could be read."""
    config = reading.config(tree)
    if config is not None:
        check(config, reading, insecure=insecure)
    if config is None or reading.problems:
        raise ConfigError(reading.problems)
    return config


def text_of(path: Path) -> str:
    """What the file says. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_SIZE + 1).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(str(path), 0, "", f"is not UTF-8 text: byte {error.start} is wrong")]) from None
    except OSError as error:
        raise ConfigError([Problem(str(path), 0, "", f"cannot be read: {error.strerror}")]) from None
