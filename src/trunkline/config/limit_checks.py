"""What the text of a limit must say, and names where there is nobody to be named."""

from __future__ import annotations

from collections.abc import Iterator

from trunkline.config.problems import Path
from trunkline.config.read import Reading
from trunkline.config.schema import Config
from trunkline.policy.rules import parse

Found = Iterator[tuple[Path, str]]


def _texts(config: Config, _: Reading) -> Found:
    for at, row in enumerate(config.limits):
        yield from _wrong(("limits", at, "allow"), row.allow)
    for name, team in config.teams.items():
        yield from _wrong(("teams", name, "limits"), team.limits)


def _wrong(path: Path, texts: tuple[str, ...]) -> Found:
    for at, text in enumerate(texts):
        try:
            parse(text)
        except ValueError as error:
            yield (*path, at), str(error)


def _names(config: Config, _: Reading) -> Found:
    for at, row in enumerate(config.limits):
        if row.names is not None and row.scope == "global":
            yield ("limits", at, "names"), "scope global is for everybody; set `scope` to say of whom these are names"


LIMIT_CHECKS = (_texts, _names)
