"""What is wrong with a configuration, told like a compiler: file, line, key, message. All of it at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from msgspec import Struct

Path = tuple[str | int, ...]
"""Where a value is: `("providers", "openai", "kind")`; a number counts a list's items from 0."""


class Problem(Struct, frozen=True, order=True):
    file: str
    line: int
    """From 1; 0 where the value does not come from a line."""
    key: str
    """Such as `models.smart.targets[0].target`; empty for the file as a whole."""
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class ConfigError(Exception):
    """The configuration cannot be used. `problems` says all that is wrong with it, in the order of the lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def dotted(path: Path) -> str:
    """A path as people write it: `models.smart.targets[0]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?` where a known name is near, else nothing."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""
